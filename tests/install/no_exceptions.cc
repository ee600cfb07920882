// SPDX-License-Identifier: Apache-2.0
// C++ without exceptions: what cannot be allocated ends the program.
#include <knuma/allocator.hpp>

#include <cstdint>
#include <cstdio>
#include <string_view>

int main(int argc, char **argv)
{
	const std::string_view what = argc > 1 ? argv[1] : "";
	knuma::allocator<long> a;
	knuma::memory_resource one, other;

	if (what == "huge")
		kvfree(a.allocate(PTRDIFF_MAX / sizeof(long)));
	if (what == "many")
		kvfree(a.allocate(SIZE_MAX / sizeof(long)));
	a.deallocate(a.allocate(100), 100);
	one.deallocate(one.allocate(100), 100);
	// Not known to be alike, so nothing is moved from one to the other.
	std::puts(one == one && one != other ? "no exceptions: ok" : "wrong");
	return 0;
}
