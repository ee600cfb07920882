// SPDX-License-Identifier: Apache-2.0
// A module in C++ for a program in C: its runtime is seen by the module alone.
#include <cstdint>
#include <new>

static void *volatile escape;

extern "C" int module_catches_bad_alloc()
{
	try {
		escape = ::operator new(SIZE_MAX / 2);
	} catch (const std::bad_alloc &) {
		return !(escape = ::operator new(SIZE_MAX / 2, std::nothrow));
	}
	return 0;
}
