// SPDX-License-Identifier: Apache-2.0
// The same from C++17: the headers are C++ too, and the names do not mangle.
#include <knuma/allocator.hpp>
#include <knuma/knuma.h>

#include <cstdio>
#include <memory>
#include <new>
#include <vector>

namespace {

struct kfree_of {
	void operator()(void *p) const
	{
		kfree(p);
	}
};

} // namespace

int main()
{
	std::unique_ptr<void, kfree_of> p(kmalloc(100, GFP_KERNEL));
	std::vector<int, knuma::allocator<int>> v(1000, 7);
	void *z = kvzalloc(1 << 20, GFP_KERNEL);

	if (!p || !z || knuma_node_of(v.data()) < 0 ||
	    *static_cast<char *>(z) != 0)
		return 1;
	kvfree(z);
	std::puts(v[999] == 7 ? "use: ok" : "use: wrong");
	return v[999] != 7;
}
