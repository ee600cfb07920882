#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# install.sh - puts knuma under a prefix: ./bazelw run //:install -- --prefix=DIR
#
# Runs in its own runfiles, where everything it copies lies at its path in the
# tree. A relative DIR is relative to the caller's folder.

set -euo pipefail

usage="usage: ./bazelw run //:install -- [--prefix=DIR]    (default /usr/local)"

prefix=/usr/local
while (($#)); do
	case $1 in
	--prefix=?*) prefix=${1#*=} ;;
	--prefix)
		[[ -n ${2-} ]] || { echo "install: --prefix needs a folder" >&2; exit 2; }
		prefix=$2
		shift
		;;
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
[[ $prefix == /* ]] || prefix=${BUILD_WORKING_DIRECTORY:-$PWD}/$prefix

# put MODE FILE FOLDER
put() {
	command -p install -D -m "$1" "$2" "$prefix/$3/${2##*/}" || {
		echo "install: cannot write $prefix/$3/${2##*/}" >&2
		exit 2
	}
}

# put_tree FROM TO: every file below FROM, at the same place below TO.
put_tree() {
	local file folder

	while IFS= read -r file; do
		folder=${file#"$1"/}
		[[ $folder == */* ]] && folder=/${folder%/*} || folder=
		put 644 "$file" "$2$folder"
	done < <(find -L "$1" -type f ! -path "$1/man/*" | sort)
}

put 755 tools/knuma bin

put 755 libknuma.so.0 lib
put 755 libknuma_malloc.so.0 lib
put 644 libknuma.a lib
ln -sfn libknuma.so.0 "$prefix/lib/libknuma.so"
ln -sfn libknuma_malloc.so.0 "$prefix/lib/libknuma_malloc.so"
put 644 tools/install/knuma.pc lib/pkgconfig
put 644 tools/install/knuma-malloc.pc lib/pkgconfig

put_tree include/knuma include/knuma
put 644 etc/knuma.conf etc

put 644 README.md share/doc/knuma
put 644 CONTRIBUTING.md share/doc/knuma
put 644 LICENSE share/doc/knuma
put_tree docs share/doc/knuma/docs
for page in docs/man/*.[1-8]* man3/*.[1-8]*; do
	[[ -e $page ]] || continue
	section=${page##*.}
	put 644 "$page" "share/man/man${section:0:1}"
done

echo "knuma is installed under $prefix"
