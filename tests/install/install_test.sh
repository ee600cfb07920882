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

source "$sources/checks.sh"

prints_ok() {
	"$@" | grep -q ': ok$'
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
	share/man/man7/knuma.7 share/man/man7/gfp_flags.7knuma \
	share/man/man3/kmalloc.3knuma share/man/man3/kmalloc_node.3knuma \
	lib/cmake/knuma/knumaConfig.cmake \
	lib/cmake/knuma/knumaConfigVersion.cmake \
	share/bash-completion/completions/knuma \
	share/zsh/site-functions/_knuma share/knuma/installed; do
	check "$file is installed" test -s "$prefix/$file"
done
same "the list names what is there" \
	"$(cd "$prefix" && find . ! -type d ! -path ./share/knuma/installed |
		sed 's,^\./,,' | sort)" \
	"$(sed 's/^[^ ]* //' "$prefix/share/knuma/installed" | sort)"
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

# --- elsewhere: packages, folders for each machine, uninstalling

stage=$tmp/stage
multi=lib/x86_64-linux-gnu
options=(--prefix=/usr --libdir=$multi --sysconfdir=/etc)
check "a staged installation" \
	env DESTDIR="$stage" ./install "${options[@]}"
for file in etc/knuma.conf usr/bin/knuma "usr/$multi/libknuma.so.0" \
	"usr/$multi/pkgconfig/knuma.pc" usr/include/knuma/knuma.h; do
	check "$file is staged" test -s "$stage/$file"
done
same "nothing else is" "etc usr " "$(ls "$stage" | tr '\n' ' ')"
same "pkg-config finds headers from there" "$stage/usr/include" \
	"$(realpath "$(PKG_CONFIG_PATH=$stage/usr/$multi/pkgconfig \
		pkg-config --variable=includedir knuma)")"
same "no staged file names the stage" "" "$(grep -rlIF "$tmp" "$stage")"
if [[ $(uname -m) == x86_64 ]]; then
	check "knuma run finds the preload there" \
		"$stage/usr/bin/knuma" run -- \
		grep -q "$multi/libknuma_malloc.so.0" /proc/self/maps
fi
check "a library folder beside the prefix is refused" \
	exits_with 2 ./install --prefix="$tmp/x" --libdir=../lib
echo "stats = yes" >>"$stage/etc/knuma.conf"
check "a second installation" \
	./install --destdir="$stage" "${options[@]}"
check "keeps a changed knuma.conf" grep -q '^stats = yes$' "$stage/etc/knuma.conf"
check "puts the new one beside it" test -s "$stage/etc/knuma.conf.new"
echo >>"$stage/usr/bin/knuma"
check "uninstalling tells what was changed" \
	exits_with 1 ./install --destdir="$stage" "${options[@]}" --uninstall
same "what was changed stays" "$stage/etc/knuma.conf $stage/usr/bin/knuma " \
	"$(find "$stage" ! -type d | sort | tr '\n' ' ')"
check "uninstalling twice is an error" \
	exits_with 2 ./install --destdir="$stage" "${options[@]}" --uninstall
check "an installation to be taken away" ./install --prefix="$tmp/gone"
check "uninstalling" ./install --prefix="$tmp/gone" --uninstall
same "nothing stays" "" "$(find "$tmp/gone" ! -type d)"

# --- completion

# completes EXPECTED WORD...: the first answer to the words.
completes() {
	local expected=$1
	shift

	same "completion of '$*'" "$expected" "$(
		source "$prefix/share/bash-completion/completions/knuma"
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_knuma
		echo "${COMPREPLY[0]}"
	)"
}
for command in $("$prefix/bin/knuma" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
	completes "$command" knuma "$command"
	completes --help knuma "$command" --he
done
completes show knuma conf s
completes --sources knuma conf dump --so
completes numa-strict knuma run --profile nu
completes numa-strict knuma run --profile = nu
completes trim_delay_ms= knuma run --set trim
completes json knuma stat -o js
completes allocs knuma top --sort al
completes $$ knuma whatis $$
completes dump knuma conf --sources d
completes --report knuma bench numa --rep
completes "$stage/etc" knuma check "$stage/et"
completes sha256sum knuma run -- sha256s
completes "$prefix/bin/knuma" knuma run ls "$prefix/bin/kn"
if command -v zsh >/dev/null; then
	check "zsh reads the completion" \
		zsh -n "$prefix/share/zsh/site-functions/_knuma"
else
	echo "SKIPPED: no zsh here to read its completion"
fi

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

# Notes of probes point into the code.
for linker in bfd gold; do
	check "$linker links the archive and leaves out what is not used" \
		gcc -std=c11 "${strict[@]}" "${cflags[@]}" "$sources/use.c" \
		-fuse-ld=$linker -Wl,--gc-sections -o "$tmp/gc.$linker" "${static[@]}"
	check "what $linker linked runs" prints_ok "$tmp/gc.$linker"
done

check "C++ without exceptions and type information builds" \
	g++ -std=c++17 -fno-exceptions -fno-rtti "${strict[@]}" "${cflags[@]}" \
	"$sources/no_exceptions.cc" -o "$tmp/no_exceptions" "${libs[@]}" "$rpath"
check "it runs" prints_ok "$tmp/no_exceptions"
same "and ends with a message where there is no memory" \
	"knuma: no memory: std::bad_alloc" "$("$tmp/no_exceptions" huge 2>&1)"
same "and where there are too many elements" \
	"knuma: too many elements: std::bad_array_new_length" \
	"$("$tmp/no_exceptions" many 2>&1)"

if command -v cmake >/dev/null; then
	mkdir "$tmp/cmake"
	cp "$sources"/{CMakeLists.txt,use.c,use.cc,malloc.c} "$tmp/cmake"
	check "cmake configures" cmake -S "$tmp/cmake" -B "$tmp/cmake/out" \
		-DCMAKE_PREFIX_PATH="$prefix"
	check "cmake builds" cmake --build "$tmp/cmake/out"
	for program in use use_cxx use_static malloc; do
		check "$program of cmake runs" prints_ok "$tmp/cmake/out/$program"
	done
	sed -i 's/knuma 0.1/knuma 1.0/' "$tmp/cmake/CMakeLists.txt"
	check "cmake refuses what is too old" exits_with 1 cmake -S "$tmp/cmake" \
		-B "$tmp/cmake/late" -DCMAKE_PREFIX_PATH="$prefix"
	mv "$prefix/lib/libknuma_malloc.so.0" "$tmp/away"
	sed -i 's/knuma 1.0/knuma 0.1/' "$tmp/cmake/CMakeLists.txt"
	cmake -S "$tmp/cmake" -B "$tmp/cmake/miss" \
		-DCMAKE_PREFIX_PATH="$prefix" >"$tmp/miss" 2>&1
	check "cmake names what is missing" grep -q 'is missing: install knuma' \
		<(tr -s ' \n' ' ' <"$tmp/miss")
	mv "$tmp/away" "$prefix/lib/libknuma_malloc.so.0"
else
	echo "SKIPPED: no cmake here to use its package files"
fi

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

same "libknuma needs" "ld-linux-x86-64.so.2 libc.so.6 " "$(needed "$so")"
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
