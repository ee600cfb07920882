#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Each public header compiles alone, and twice in a row, as strict C11 and as
# C++17, with gcc and clang, without a warning. Each kernel header name
# (<linux/x.h>) does so too, beside the system headers that use the real ones.
# Headers of C++ do so as C++17 and C++20, also without exceptions and type
# information.

set -uo pipefail

warnings=(-pedantic -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion
	-Wshadow -Wundef -Wvla)
failed=0
n=0
languages=("gcc -x c -std=c11 -Wstrict-prototypes"
	"clang -x c -std=c11 -Wstrict-prototypes"
	"g++ -x c++ -std=c++17" "clang++ -x c++ -std=c++17")

# compile NAME INCLUDE-LINES EXTRA-FLAG...: in each of $languages.
compile() {
	local name=$1 text=$2 row messages
	shift 2

	for row in "${languages[@]}"; do
		n=$((n + 1))
		# shellcheck disable=SC2086  # a row is a command
		messages=$(printf '%s\nint used;\n' "$text" |
			$row "${warnings[@]}" "$@" -fsyntax-only - 2>&1) && continue
		failed=$((failed + 1))
		echo "FAIL: $name with ${row%% *}"
		head -4 <<<"$messages"
	done
}

for header in include/knuma/*.h include/knuma/linux/*.h; do
	[[ -e $header ]] || continue
	name=${header#include/}
	compile "<$name>" "#include <$name>
#include <$name>" -Iinclude
done

# Beside libnuma, in both orders.
compile "<knuma/knuma.h> and <numa.h>" "#include <knuma/knuma.h>
#include <numa.h>
#include <numaif.h>" -Iinclude
compile "<numa.h> and <knuma/knuma.h>" "#include <numa.h>
#include <numaif.h>
#include <knuma/knuma.h>" -Iinclude

for header in include/knuma/linux/*.h; do
	[[ -e $header ]] || continue
	name=${header#include/knuma/}
	compile "<$name>" "#include <sys/socket.h>
#include <$name>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>" -Iinclude -Iinclude/knuma
done

languages=("g++ -x c++ -std=c++17" "g++ -x c++ -std=c++20"
	"clang++ -x c++ -std=c++17" "clang++ -x c++ -std=c++20"
	"g++ -x c++ -std=c++17 -fno-exceptions -fno-rtti"
	"clang++ -x c++ -std=c++20 -fno-exceptions -fno-rtti")
for header in include/knuma/*.hpp; do
	name=${header#include/}
	compile "<$name>" "#include <$name>
#include <$name>" -Iinclude
done

echo "$n compilations, $failed failed"
((n > 0 && failed == 0))
