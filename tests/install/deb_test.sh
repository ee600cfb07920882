#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The Debian packages as a user has them: what they say, that the same tree gives
# the same bytes, and, put into a system of their own by dpkg, that programs
# build and run with them.

set -uo pipefail

sources=$PWD/tests/install
tmp=$TEST_TMPDIR

source "$sources/checks.sh"

if ! command -v dpkg-deb >/dev/null; then
	echo "SKIPPED: no dpkg-deb here to make packages"
	exit 0
fi

check "without a folder it is a usage error" exits_with 2 ./deb
check "an unknown argument too" exits_with 2 ./deb --aut=x
check "a folder that cannot be made is an error" exits_with 2 ./deb --out=/dev/null/x
check "packages are made" ./deb --out="$tmp/one"
((failed == 0)) || exit 1
umask 077
check "and once more" env TZ=Asia/Tokyo BUILD_WORKING_DIRECTORY="$tmp" ./deb --out=two
umask 022
check "with the same bytes" diff -r "$tmp/one" "$tmp/two"

version=$(sed -n 's/^#define KNUMA_VERSION_STRING[^"]*"\(.*\)"/\1/p' \
	include/knuma/version.h)
arch=$(dpkg --print-architecture)
machine=$(gcc -print-multiarch)
same "there are five" \
	"knuma-doc_$version-1_all.deb knuma-tools_$version-1_$arch.deb \
libknuma-dev_$version-1_$arch.deb libknuma-malloc0_$version-1_$arch.deb \
libknuma0_$version-1_$arch.deb " "$(ls "$tmp/one" | tr '\n' ' ')"

# field PACKAGE NAME
field() {
	dpkg-deb -f "$tmp/one/$1"_* "$2"
}
same "libknuma0 depends on" 'libc6 (>= 2.N)' \
	"$(field libknuma0 Depends | sed 's/2\.[0-9]*/2.N/')"
same "libknuma-malloc0 depends on" \
	"libknuma0 (= $version-1), libc6 (>= 2.N)" \
	"$(field libknuma-malloc0 Depends | sed 's/2\.[0-9]*/2.N/')"
same "libknuma-dev depends on" \
	"libknuma0 (= $version-1), libknuma-malloc0 (= $version-1), libinih-dev" \
	"$(field libknuma-dev Depends)"
for package in libknuma0 libknuma-malloc0 libknuma-dev knuma-tools knuma-doc; do
	list=$(dpkg-deb -c "$tmp/one/$package"_*)
	for file in copyright changelog.Debian.gz; do
		check "$package has its $file" \
			grep -q "./usr/share/doc/$package/$file\$" <<<"$list"
	done
	same "all of $package is root's" "" "$(awk '$2 != "root/root"' <<<"$list")"
	same "and nobody else writes it" "" \
		"$(awk '$1 !~ /^l/ && $1 ~ /^.....w|^........w/' <<<"$list")"
done
mkdir "$tmp/control"
dpkg-deb -e "$tmp/one/libknuma0"_* "$tmp/control"
same "shlibs" "libknuma 0 libknuma0 (>= $version)" "$(cat "$tmp/control/shlibs")"
same "symbols begin with" "libknuma.so.0 libknuma0 #MINVER#" \
	"$(head -1 "$tmp/control/symbols")"
same "each export is a symbol" \
	"$(nm -D --defined-only libknuma.so.0 | awk '$2 ~ /[A-Z]/ { print $3 }' |
		sed 's/@.*//' | sort)" \
	"$(sed -n "s/^ \(.*\)@KNUMA_0 $version\$/\1/p" "$tmp/control/symbols" | sort)"
check "ldconfig is asked for" grep -qx 'activate-noawait ldconfig' "$tmp/control/triggers"

# lintian takes longer than all the rest; who the maintainer is says who builds.
if [[ ${1-} == --lintian ]]; then
	if command -v lintian >/dev/null; then
		check "lintian finds no error" lintian --fail-on error \
			--suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog \
			"$tmp/one"/*.deb
	else
		echo "SKIPPED: no lintian here"
	fi
fi

# --- a system of their own

root=$tmp/root
mkdir -p "$root/var/lib/dpkg/"{info,updates,triggers}
: >"$root/var/lib/dpkg/status"
: >"$root/var/lib/dpkg/available"
# What they stand on is the build machine's.
dpkg=(dpkg --root="$root" --log=/dev/null --force-not-root --force-depends
	--force-script-chrootless --force-bad-path)
check "dpkg installs them" "${dpkg[@]}" -i "$tmp/one"/*.deb
((failed == 0)) || exit 1
same "each is installed" "5" \
	"$(grep -c '^Status: install ok installed' "$root/var/lib/dpkg/status")"
same "every file is as the checksums say" "" "$("${dpkg[@]}" --verify)"
same "knuma.conf is a configuration file" "/etc/knuma.conf" \
	"$(awk '/^Conffiles:/ { getline; print $1 }' "$root/var/lib/dpkg/status")"

export PKG_CONFIG_PATH=$root/usr/lib/$machine/pkgconfig
libdir=$root/usr/lib/$machine
read -ra flags < <(pkg-config --cflags --libs knuma)
check "a program builds" gcc -std=c11 -O2 "$sources/use.c" -o "$tmp/use" \
	"${flags[@]}" -Wl,-rpath,"$libdir"
check "and runs" grep -q ': ok$' <("$tmp/use")
check "so it does with the archive" gcc -std=c11 -O2 "$sources/use.c" \
	-o "$tmp/static" "-I$root/usr/include" "$libdir/libknuma.a" \
	-linih -ldl -pthread
check "and that runs" grep -q ': ok$' <("$tmp/static")
check "knuma run finds the preload" "$root/usr/bin/knuma" run -- \
	grep -q "/$machine/libknuma_malloc.so.0" /proc/self/maps
check "knuma.conf is valid" "$root/usr/bin/knuma" check "$root/etc/knuma.conf"
for page in man1/knuma.1 man3/kmalloc_node.3knuma man5/knuma.conf.5 man7/knuma.7; do
	check "$page is readable" gzip -t "$root/usr/share/man/$page.gz"
done

echo "# mine" >>"$root/etc/knuma.conf"
packages=(libknuma0 libknuma-malloc0 libknuma-dev knuma-tools knuma-doc)
check "dpkg removes them" "${dpkg[@]}" -r "${packages[@]}"
same "what was configured stays" "$root/etc/knuma.conf" \
	"$(find "$root/etc" "$root/usr" -type f 2>/dev/null)"
check "dpkg purges them" "${dpkg[@]}" -P knuma-tools
same "nothing stays" "" "$(find "$root/etc" "$root/usr" ! -type d 2>/dev/null)"

echo "$failed failed"
((failed == 0))
