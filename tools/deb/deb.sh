#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# deb.sh - Debian packages: ./bazelw run //:deb -- --out=DIR
#
# Installs into a folder, shares the files out by tools/deb/files, and lets
# dpkg-deb do the rest. The same tree gives the same bytes: all times are that of
# SOURCE_DATE_EPOCH, or of the changelog.

set -euo pipefail
umask 022
export LC_ALL=C

usage="usage: ./bazelw run //:deb -- --out=DIR"

die() {
	echo "deb: $*" >&2
	exit 2
}

out=
while (($#)); do
	case $1 in
	--out=?*) out=${1#*=} ;;
	--out)
		[[ -n ${2-} ]] || die "--out needs a folder"
		out=$2
		shift
		;;
	-h | --help)
		echo "$usage"
		exit 0
		;;
	*)
		echo "deb: unknown argument '$1'" >&2
		echo "$usage" >&2
		exit 2
		;;
	esac
	shift
done
[[ -n $out ]] || die "$usage"
[[ $out == /* ]] || out=${BUILD_WORKING_DIRECTORY:-$PWD}/$out
for tool in dpkg-deb dpkg gcc nm strip objdump readelf; do
	command -v "$tool" >/dev/null || die "$tool is missing: this wants Debian"
done
mkdir -p "$out" 2>/dev/null || die "cannot make $out"

# notice_of NAME: as Debian wants it in a file of copyrights
notice_of() {
	sed -n "/^## Notice of $1\$/,/^## /p" docs/licences.md |
		sed '/^## /d;1d;s/^ *$/./;s/^/ /' | sed '$!b;/^ \.$/d'
}

tree=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/stage
machine=$(gcc -print-multiarch)
arch=$(dpkg --print-architecture)
upstream=$(sed -n 's/^#define KNUMA_VERSION_STRING[^"]*"\(.*\)"/\1/p' \
	include/knuma/version.h)
read -r _ version _ <tools/deb/changelog
version=${version//[()]/}
[[ $version == "$upstream"-* ]] ||
	die "tools/deb/changelog is of $version, include/knuma/version.h of $upstream"
maintainer=$(sed -n 's/^ -- \(.*>\)  .*/\1/p;/^ -- /q' tools/deb/changelog)
date=$(sed -n 's/^ -- .*>  //p;/^ -- /q' tools/deb/changelog)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date -d "$date" +%s)}
export SOURCE_DATE_EPOCH

./install --prefix=/usr --libdir="lib/$machine" --sysconfdir=/etc \
	--destdir="$stage" >/dev/null
rm -r "$stage/usr/share/knuma"
mkdir "$stage/usr/share/zsh/vendor-completions"
mv "$stage/usr/share/zsh/site-functions/_knuma" \
	"$stage/usr/share/zsh/vendor-completions/"
rmdir "$stage/usr/share/zsh/site-functions"
strip --strip-unneeded -R .comment -R .note "$stage/usr/bin/knuma" \
	"$stage/usr/lib/$machine"/*.so.0
strip --strip-debug --enable-deterministic-archives \
	"$stage/usr/lib/$machine/libknuma.a"
chmod 644 "$stage/usr/lib/$machine"/*.so.0
find "$stage/usr/share/man" -type f -exec gzip -9n {} +

# package_of FILE: by the first row that matches.
package_of() {
	local package pattern

	while read -r package pattern; do
		[[ $package != "#" && -n $pattern ]] || continue
		# shellcheck disable=SC2053 # a pattern
		if [[ ${1%.gz} == ${pattern//@M@/$machine} ]]; then
			echo "$package"
			return
		fi
	done <tools/deb/files
	die "$1 is in no package: tools/deb/files wants a row"
}

# depends_of FOLDER OWN: packages of what its programs need, one a line.
depends_of() {
	local file soname package libc

	while IFS= read -r file; do
		while IFS= read -r soname; do
			package=$(awk -v s="$soname" '$1 == s { print $2 }' \
				tools/deb/depends)
			[[ -n $package ]] ||
				die "$soname: tools/deb/depends wants a row"
			if [[ $package == libc6 ]]; then
				libc=$(objdump -T "$file" | grep -o 'GLIBC_2\.[0-9.]*' |
					sort -uV | tail -1)
				echo "libc6 (>= ${libc#GLIBC_})"
			elif [[ $package != "$2" && $package != libknuma* ]]; then
				echo "$package"
			fi
		done < <(readelf -dW "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
	done < <(find "$1" -type f \( -path '*/bin/*' -o -name '*.so.0' \))
}

# One row for each package, the highest version of it.
join() {
	sort -V | awk '{ row[$1] = $0 } END { for (p in row) print row[p] }' |
		sort | paste -sd, | sed 's/,/, /g'
}

# symbols_of FILE PACKAGE; a version is a symbol of its own, an absolute one.
symbols_of() {
	echo "$(basename "$1") $2 #MINVER#"
	nm -D --defined-only --with-symbol-versions "$1" |
		awk '$2 == "A" && !/@/ { $3 = $3 "@" $3 }
			$2 ~ /[A-Z]/ { print $3 }' | sort |
		sed -e 's/@@/@/' -e '/@/!s/$/@Base/' -e "s/.*/ & $upstream/"
}

make_package() {
	local package=$1 root=$work/$1 depends control file name
	local doc=$root/usr/share/doc/$1

	control=$(awk -v RS= -v p="Package: $package" 'index($0, p "\n") == 1' \
		tools/deb/control)
	[[ -n $control ]] || die "$package: tools/deb/control wants a paragraph"
	mkdir -p "$root/DEBIAN" "$doc"
	{
		cat <<-EOT
			Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
			Upstream-Name: knuma

			Files: *
			Copyright: the knuma authors
			License: Apache-2.0
			 On Debian systems the text of the licence is in
			 /usr/share/common-licenses/Apache-2.0.

			Files: concurrency-kit
			Copyright: the authors of Concurrency Kit, whose inline functions are
			 compiled into the libraries
			License: BSD-2-Clause
		EOT
		notice_of "Concurrency Kit"
		cat <<-EOT

			Files: inih
			Copyright: the author of inih, which is linked into libknuma
			License: BSD-3-Clause
		EOT
		notice_of inih
	} >"$doc/copyright"
	gzip -9nc tools/deb/changelog >"$doc/changelog.Debian.gz"

	depends=$( {
		grep -q '^Architecture: all' <<<"$control" ||
			depends_of "$root" "$package"
	} | join)
	for file in "$root/usr/lib/$machine"/*.so.0; do
		[[ -e $file ]] || continue
		name=$(basename "$file" .so.0)
		echo "$name 0 $package (>= $upstream)" >"$root/DEBIAN/shlibs"
		symbols_of "$file" "$package" >"$root/DEBIAN/symbols"
		echo "activate-noawait ldconfig" >"$root/DEBIAN/triggers"
	done
	if [[ -d $root/etc ]]; then
		(cd "$root" && find etc -type f | sort | sed 's,^,/,') \
			>"$root/DEBIAN/conffiles"
	fi
	{
		echo "Package: $package"
		echo "Source: knuma"
		echo "Version: $version"
		grep -q '^Architecture:' <<<"$control" || echo "Architecture: $arch"
		echo "Maintainer: $maintainer"
		echo "Installed-Size: $(find "$root" ! -path "$root/DEBIAN*" -type f \
			-printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n + 0 }')"
		echo "Priority: optional"
		sed -e 1d -e "s/@VERSION@/$version/g" <<<"$control" |
			add_depends "$depends"
	} >"$root/DEBIAN/control"
	(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | sort |
		grep -vx 'etc/knuma.conf' | xargs -r md5sum) >"$root/DEBIAN/md5sums"
	find "$root" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group -Zxz --build "$root" "$out" >"$work/log" ||
		die "dpkg-deb: $(cat "$work/log")"
}

# Adds to the field Depends, or makes it, before the description.
add_depends() {
	awk -v d="$1" '
		/^Depends: / { $0 = $0 (d == "" ? "" : ", " d); done = 1 }
		/^Description: / && !done && d != "" { print "Depends: " d }
		{ print }'
}

while IFS= read -r file; do
	package=$(package_of "$file")
	mkdir -p "$work/$package/$(dirname "$file")"
	mv "$stage/$file" "$work/$package/$file"
done < <(cd "$stage" && find . ! -type d -printf '%P\n' | sort)
cd "$tree"
while read -r _ package; do
	make_package "$package"
	ls "$out/${package}_${version}_"*.deb
done < <(grep '^Package:' tools/deb/control)
