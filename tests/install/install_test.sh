#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs into a folder, moves the folder, and works with what lies there as
# a user does: pkg-config, C11 and C++17, gcc and clang, shared and static,
# preload, the command line tool. Then reads the libraries' symbol tables.

set -uo pipefail

sources=$PWD/tests/install
tmp=$TEST_TMPDIR
prefix=$tmp/moved
failed=0

check() {
	local what=$1
	shift

	if "$@" >"$tmp/out" 2>&1; then
		echo "ok: $what"
	else
		echo "FAIL: $what: $*"
		cat "$tmp/out"
		failed=$((failed + 1))
	fi
}

# same WHAT EXPECTED ACTUAL
same() {
	if [[ $2 == "$3" ]]; then
		echo "ok: $1"
	else
		printf 'FAIL: %s\n  expected: %s\n  found:    %s\n' "$@"
		failed=$((failed + 1))
	fi
}

prints_ok() {
	"$@" | grep -q ': ok$'
}

exits_with() {
	local code=$1 found=0
	shift

	"$@" || found=$?
	((found == code))
}

# --- what lies where

check "an unknown argument is a usage error" exits_with 2 ./install --prefiks=x
check "an unwritable prefix is an error" exits_with 2 ./install --prefix=/dev/null/x
check "a relative prefix starts at the caller's folder" \
	env BUILD_WORKING_DIRECTORY="$tmp" ./install --prefix=first
mv "$tmp/first" "$prefix"
((failed == 0)) || exit 1

for file in bin/knuma lib/libknuma.so.0 lib/libknuma.so lib/libknuma.a \
	lib/libknuma_malloc.so.0 lib/libknuma_malloc.so \
	lib/pkgconfig/knuma.pc lib/pkgconfig/knuma-malloc.pc \
	include/knuma/knuma.h include/knuma/allocator.hpp \
	include/knuma/linux/slab.h etc/knuma.conf \
	share/doc/knuma/README.md share/doc/knuma/LICENSE \
	share/man/man1/knuma.1 share/man/man5/knuma.conf.5 \
	share/man/man7/knuma.7; do
	check "$file is installed" test -s "$prefix/$file"
done
same "every public header is installed" \
	"$(cd include/knuma && find -L . -name '*.h*' | sort)" \
	"$(cd "$prefix/include/knuma" && find . -name '*.h*' | sort)"
same "no file names the build's or the first folder" "" \
	"$(grep -rlIF -e "$tmp" -e "$PWD" -e execroot "$prefix")"

# --- pkg-config

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
libdir=$(pkg-config --variable=libdir knuma)
same "libdir follows the tree" "$(realpath "$prefix/lib")" "$(realpath "$libdir")"
version=$(sed -n 's/^#define KNUMA_VERSION_STRING[^"]*"\(.*\)"/\1/p' \
	"$prefix/include/knuma/version.h")
same "knuma.pc and version.h agree" "$version" "$(pkg-config --modversion knuma)"
same "knuma-malloc.pc and version.h agree" "$version" \
	"$(pkg-config --modversion knuma-malloc)"

# --- build and run

strict=(-pedantic -Wall -Wextra -Werror -O2)
read -ra cflags < <(pkg-config --cflags knuma)
read -ra libs < <(pkg-config --libs knuma)
read -ra private < <(pkg-config --static --libs-only-l knuma)
read -ra malloc_libs < <(pkg-config --libs knuma-malloc)
rpath=-Wl,-rpath,$libdir
# The archive instead of the shared library, with what it needs.
static=("$libdir/libknuma.a")
for lib in "${private[@]}"; do
	[[ $lib == -lknuma ]] || static+=("$lib")
done

for row in "gcc -std=c11 use.c" "clang -std=c11 use.c" \
	"g++ -std=c++17 use.cc" "clang++ -std=c++17 use.cc"; do
	read -r compiler std file <<<"$row"
	program=$tmp/use.$compiler
	check "$compiler builds $file" "$compiler" "$std" "${strict[@]}" \
		"${cflags[@]}" "$sources/$file" -o "$program" "${libs[@]}" "$rpath"
	check "$file of $compiler runs" prints_ok "$program"
	check "$file of $compiler runs with malloc preloaded" prints_ok \
		env LD_PRELOAD="$libdir/libknuma_malloc.so.0" "$program"
	check "$compiler builds $file with the archive" "$compiler" "$std" \
		"${strict[@]}" "${cflags[@]}" "$sources/$file" -o "$program.static" \
		"${static[@]}"
	check "$file of $compiler with the archive runs" prints_ok "$program.static"
	same "$file of $compiler with the archive needs no libknuma" "" \
		"$(readelf -dW "$program.static" | grep libknuma)"
done

check "a program links libknuma_malloc" gcc -std=c11 "${strict[@]}" \
	-Wno-mismatched-dealloc "${cflags[@]}" "$sources/malloc.c" -o "$tmp/malloc" \
	"${malloc_libs[@]}" "${libs[@]}" "$rpath"
check "both fronts are one heap" prints_ok "$tmp/malloc"

check "C++ without exceptions and type information builds" \
	g++ -std=c++17 -fno-exceptions -fno-rtti "${strict[@]}" "${cflags[@]}" \
	"$sources/no_exceptions.cc" -o "$tmp/no_exceptions" "${libs[@]}" "$rpath"
check "it runs" prints_ok "$tmp/no_exceptions"
same "and ends with a message where there is no memory" \
	"knuma: no memory: std::bad_alloc" "$("$tmp/no_exceptions" huge 2>&1)"
same "and where there are too many elements" \
	"knuma: too many elements: std::bad_array_new_length" \
	"$("$tmp/no_exceptions" many 2>&1)"

check "knuma --version" "$prefix/bin/knuma" --version
check "knuma --help" "$prefix/bin/knuma" --help
check "knuma refuses an unknown command" exits_with 2 "$prefix/bin/knuma" no-such
check "knuma run finds the preload beside it" \
	"$prefix/bin/knuma" run -- grep -q libknuma_malloc.so.0 /proc/self/maps
check "the installed knuma.conf is valid" \
	"$prefix/bin/knuma" check "$prefix/etc/knuma.conf"
sed 's/^#\([a-z_]* =\)/\1/' "$prefix/etc/knuma.conf" >"$tmp/all.conf"
check "knuma.conf has settings" grep -q '^trim_delay_ms = ' "$tmp/all.conf"
check "each value in knuma.conf is valid" "$prefix/bin/knuma" check "$tmp/all.conf"

# --- what the libraries export and need

# Local symbols that a relocation of thread-local memory needs are no exports.
exports() {
	nm -D --defined-only --with-symbol-versions "$1" |
		awk '$2 ~ /[A-Z]/ { print $3 }'
}

needed() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | tr '\n' ' '
}

tag() {
	readelf -dW "$1" | sed -n "s/.*($2).*: *\(.*[^ ]\) */\1/p" | tr -d '[]'
}

so=$prefix/lib/libknuma.so.0
shim=$prefix/lib/libknuma_malloc.so.0

same "libknuma exports knuma_* of KNUMA_0 only" "" \
	"$(exports "$so" | grep -vE '^(knuma_[a-z0-9_]+@@KNUMA_0|KNUMA_0(@@KNUMA_0)?)$')"
check "libknuma exports kmalloc" grep -q '^knuma_kmalloc_node@@KNUMA_0$' <(exports "$so")
same "the archive's only global names are knuma_*" "" \
	"$(nm -g --defined-only "$prefix/lib/libknuma.a" 2>/dev/null |
		awk 'NF == 3 { print $3 }' | grep -v '^knuma_')"
same "archive and library export the same" \
	"$(exports "$so" | sed -n 's/^\(knuma_.*\)@@.*/\1/p' | sort)" \
	"$(nm -g --defined-only "$prefix/lib/libknuma.a" 2>/dev/null |
		awk 'NF == 3 { print $3 }' | sort)"
for name in malloc free calloc realloc reallocarray posix_memalign aligned_alloc \
	memalign valloc pvalloc malloc_usable_size malloc_trim malloc_stats \
	malloc_info mallopt mallinfo mallinfo2 free_sized free_aligned_sized \
	cfree pthread_create vfork __libc_malloc __libc_free __libc_calloc \
	__libc_realloc __libc_memalign __libc_valloc __libc_pvalloc \
	__libc_mallinfo __libc_mallopt \
	_Znwm _Znam _ZdlPv _ZdaPv _ZnwmSt11align_val_t _ZnwmRKSt9nothrow_t \
	_ZdlPvm _ZdaPvmSt11align_val_t; do
	check "libknuma_malloc exports $name" grep -qx "$name" <(exports "$shim")
done
same "libknuma_malloc exports nothing else" "" \
	"$(exports "$shim" | grep -vE '^(malloc|free|calloc|realloc|reallocarray|posix_memalign|aligned_alloc|memalign|valloc|pvalloc|cfree|malloc_usable_size|malloc_trim|malloc_stats|malloc_info|mallopt|mallinfo2?|free_sized|free_aligned_sized|pthread_create|vfork|__libc_(malloc|free|calloc|realloc|memalign|valloc|pvalloc|mallinfo|mallopt)|_Zn[wa].*|_Zd[la].*)$')"

same "libknuma needs" "ld-linux-x86-64.so.2 libc.so.6 libinih.so.1 " "$(needed "$so")"
same "libknuma_malloc needs" "libc.so.6 libknuma.so.0 " "$(needed "$shim")"
same "soname of libknuma" "libknuma.so.0" "$(tag "$so" SONAME)"
same "soname of libknuma_malloc" "libknuma_malloc.so.0" "$(tag "$shim" SONAME)"
same "flags of libknuma" "NOW NODELETE" "$(tag "$so" FLAGS_1)"
same "flags of libknuma_malloc" "NOW NODELETE INITFIRST" "$(tag "$shim" FLAGS_1)"
same "libknuma has no run path" "" "$(tag "$so" 'RUNPATH\|RPATH')"
same "run path of libknuma_malloc" '$ORIGIN' "$(tag "$shim" RUNPATH)"
same "no text relocations" "" "$(readelf -dW "$so" "$shim" | grep TEXTREL)"

echo "$failed failed"
((failed == 0))
