#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh - puts knuma under a prefix: ./bazelw run //:install -- --prefix=DIR
#
# Runs in its own runfiles, where everything it copies lies at its path in the
# tree. A relative DIR is relative to the caller's folder. What was installed,
# with checksums, is written to PREFIX/share/knuma/installed; --uninstall takes
# that away again and leaves what was changed since.

set -euo pipefail
shopt -s nullglob

usage="usage: ./bazelw run //:install -- [OPTION...]

  --prefix=DIR      where to install (default /usr/local)
  --libdir=DIR      of libraries, below the prefix (default lib)
  --sysconfdir=DIR  of knuma.conf (default PREFIX/etc)
  --destdir=DIR     put all of it below DIR, for packages (default \$DESTDIR)
  --uninstall       take away what an installation with the same options put
                    there; files that were changed since stay"

die() {
	echo "install: $*" >&2
	exit 2
}

prefix=/usr/local
libdir=lib
sysconfdir=
destdir=${DESTDIR-}
uninstall=
while (($#)); do
	case $1 in
	--prefix=?* | --libdir=?* | --sysconfdir=?* | --destdir=?*)
		name=${1%%=*}
		printf -v "${name#--}" %s "${1#*=}"
		;;
	--prefix | --libdir | --sysconfdir | --destdir)
		[[ -n ${2-} ]] || die "$1 needs a folder"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--uninstall) uninstall=1 ;;
	-h | --help)
		echo "$usage"
		exit 0
		;;
	*)
		echo "install: unknown argument '$1'" >&2
		echo "$usage" >&2
		exit 2
		;;
	esac
	shift
done

# absolute FOLDER: from the root, without . and ..
absolute() {
	[[ $1 == /* ]] || set -- "${BUILD_WORKING_DIRECTORY:-$PWD}/$1"
	realpath -ms "$1"
}
prefix=$(absolute "$prefix")
sysconfdir=$(absolute "${sysconfdir:-$prefix/etc}")
[[ -z $destdir ]] || destdir=$(absolute "$destdir")
[[ $libdir != /* && /$libdir/ != */../* ]] ||
	die "--libdir is below the prefix, as lib or lib/x86_64-linux-gnu"
list=$destdir$prefix/share/knuma/installed

# remove_folders FOLDER: it and those above it, up to the prefix, while empty.
remove_folders() {
	local folder=$1

	while [[ $folder == "$destdir$prefix"/* || $folder == "$destdir$sysconfdir" ]]; do
		rmdir "$folder" 2>/dev/null || return 0
		folder=${folder%/*}
	done
}

# state_of FILE: its checksum, or where the link leads.
state_of() {
	local sum

	if [[ -L $1 ]]; then
		echo "->$(readlink "$1")"
	else
		sum=$(sha256sum <"$1")
		echo "${sum%% *}"
	fi
}

uninstall() {
	local sum path file kept=0 gone=() folders=()

	[[ -r $list ]] || die "$list cannot be read: nothing is installed there"
	while read -r sum path; do
		[[ $path == /* ]] || path=$prefix/$path
		file=$destdir$path
		[[ -e $file || -L $file ]] || continue
		if [[ $(state_of "$file") != "$sum" ]]; then
			echo "install: $file was changed and stays" >&2
			kept=1
			continue
		fi
		gone+=("$file")
		folders+=("${file%/*}")
	done <"$list"
	rm -f "${gone[@]}" "$list" || die "cannot remove all of it"
	while IFS= read -r file; do
		remove_folders "$file"
	done < <(printf '%s\n' "${folders[@]}" "${list%/*}" | sort -ru)
	echo "knuma is uninstalled from $prefix"
	return $kept
}

installed=()

# put MODE FILE FOLDER [NAME]: FOLDER is below the prefix, or from the root.
put() {
	local folder=$3

	[[ $folder == /* ]] || folder=$prefix/$folder
	folder+=/${4:-${2##*/}}
	command -p install -D -m "$1" "$2" "$destdir$folder" ||
		die "cannot write $destdir$folder"
	installed+=("$folder")
}

# put_link TARGET FOLDER NAME
put_link() {
	ln -sfn "$1" "$destdir$prefix/$2/$3" ||
		die "cannot write $destdir$prefix/$2/$3"
	installed+=("$prefix/$2/$3")
}

# put_all FOLDER FILE...: many files at once.
put_all() {
	local folder=$1 file
	shift

	command -p install -D -m 644 -t "$destdir$prefix/$folder" "$@" ||
		die "cannot write $destdir$prefix/$folder"
	for file; do
		installed+=("$prefix/$folder/${file##*/}")
	done
}

# put_tree FROM TO: every file below FROM, at the same place below TO.
put_tree() {
	local folder files

	while IFS= read -r folder; do
		mapfile -t files < <(find -L "$folder" -maxdepth 1 -type f | sort)
		((!${#files[@]})) || put_all "$2${folder#"$1"}" "${files[@]}"
	done < <(find -L "$1" -type d ! -path "$1/man" | sort)
}

# put_filled FILE FOLDER: with @PREFIX@, the way from FOLDER to the prefix, and
# @VERSION@.
put_filled() {
	local up filled

	up=$(realpath -ms --relative-to="$prefix/$2" "$prefix")
	filled=$(mktemp)
	sed -e "s,@PREFIX@,$up,g" -e "s,@VERSION@,$version,g" \
		-e "s,@LIBDIR@,$libdir,g" "$1" >"$filled"
	put 644 "$filled" "$2" "${1##*/}"
	rm -f "$filled"
}

# A configuration that somebody changed is his: the new one lies beside it.
put_conf() {
	local there=$destdir$sysconfdir/knuma.conf sum=

	[[ ! -e $list ]] || sum=$(sed -n "s, ${sysconfdir#"$prefix"/}/knuma.conf\$,,p" "$list")
	if [[ -e $there ]] && ! cmp -s etc/knuma.conf "$there" &&
		[[ $(state_of "$there") != "$sum" ]]; then
		echo "install: $there was changed and stays; the new one is" \
			"knuma.conf.new" >&2
		put 644 etc/knuma.conf "$sysconfdir" knuma.conf.new
	else
		put 644 etc/knuma.conf "$sysconfdir"
	fi
}

write_list() {
	local path files=()

	mkdir -p "${list%/*}" || die "cannot write $list"
	for path in "${installed[@]}"; do
		if [[ -L $destdir$path ]]; then
			echo "->$(readlink "$destdir$path") ${path#"$prefix"/}"
		else
			files+=("$destdir$path")
		fi
	done >"$list"
	# Below the prefix, which may be moved.
	sha256sum -- "${files[@]}" | sed "s,  $destdir, ,; s, $prefix/, ," >>"$list"
}

if [[ -n $uninstall ]]; then
	uninstall
	exit
fi

version=$(sed -n 's/^#define KNUMA_VERSION_STRING[^"]*"\(.*\)"/\1/p' \
	include/knuma/version.h)

put 755 tools/knuma bin

put 755 libknuma.so.0 "$libdir"
put 755 libknuma_malloc.so.0 "$libdir"
put 644 libknuma.a "$libdir"
put_link libknuma.so.0 "$libdir" libknuma.so
put_link libknuma_malloc.so.0 "$libdir" libknuma_malloc.so
for file in tools/install/*.pc; do
	put_filled "$file" "$libdir/pkgconfig"
done
for file in tools/install/*.cmake; do
	put_filled "$file" "$libdir/cmake/knuma"
done

put_tree include/knuma include/knuma
put_conf

put 644 README.md share/doc/knuma
put 644 CONTRIBUTING.md share/doc/knuma
put 644 LICENSE share/doc/knuma
put_tree docs share/doc/knuma/docs
for section in 1 3 5 7; do
	put_all share/man/man$section docs/man/*.$section* man3/*.$section*
done
put 644 tools/completion/knuma.bash share/bash-completion/completions knuma
put 644 tools/completion/knuma.zsh share/zsh/site-functions _knuma
write_list

echo "knuma is installed under $destdir$prefix"
