// SPDX-License-Identifier: Apache-2.0
//
// containers.cc - containers of the C++ library on a node
//
// What it teaches:
//   - knuma::allocator<T>(node) for a container that is written with it, and
//     knuma::memory_resource for std::pmr, where the type does not change.
//   - A move takes the memory along, and its node with it; a copy into a
//     container of another node brings the elements there.
//   - knuma::cache_resource gives the nodes of a map a cache of their own.
//   - knuma::make_unique_node() for single objects.
#include <knuma/allocator.hpp>
#include <knuma/numa.h>

#include <cstdio>
#include <cstdlib>
#include <memory_resource>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace
{

void expect(bool holds, const char *what)
{
	if (holds)
		return;
	std::printf("containers: expected %s\n", what);
	std::exit(1);
}

template <class T> using node_vector = std::vector<T, knuma::allocator<T>>;

void vectors(int here, int there)
{
	const knuma::allocator<double> on_there(there);
	node_vector<double> a(100000, 1.5, knuma::allocator<double>(here));
	const double *data = a.data();

	expect(knuma_node_of(data) == here, "memory of the node named");
	// Moved: the same memory.
	node_vector<double> b(std::move(a));
	expect(b.data() == data, "that a move copies nothing");
	expect(b.get_allocator().node() == here, "that the node moved along");
	// Copied: memory of the other node.
	const node_vector<double> c(b, on_there);
	expect(c == b, "the same elements");
	expect(knuma_node_of(c.data()) == there, "a copy on the other node");
	std::printf("containers: a vector was moved, then copied to a node\n");
}

void strings(int there)
{
	knuma::memory_resource resource(there);
	std::pmr::vector<std::pmr::string> names(&resource);

	names.emplace_back("a name that is too long to stand in the object");
	// A pmr container hands its resource to its elements.
	expect(knuma_node_of(names[0].data()) == there, "its text there, too");
	std::printf("containers: a vector of strings, all on one node\n");
}

struct session {
	long id;
	char name[40];
};

void sessions(int there)
{
	// An element and four pointers: the node of any container fits.
	knuma::cache_resource cache(
		"sessions", sizeof(session) + 4 * sizeof(void *), there);
	std::pmr::unordered_map<long, session> table(&cache);

	for (long id = 0; id < 1000; id++)
		table[id].id = id;
	expect(table.at(999).id == 999, "what was put in");
	expect(knuma_node_of(&table.at(7)) == there, "elements on the node");
	std::printf("containers: %zu sessions in a cache of their own\n",
		    table.size());
}

void failures()
{
	node_vector<char> v;

	try {
		v.resize(v.max_size());
		expect(false, "an exception");
	} catch (const std::bad_alloc &) {
		std::printf("containers: too much is std::bad_alloc\n");
	}
}

} // namespace

int main()
{
	const int here = knuma_next_node(-1);
	int there = here;

	for (int node = here; node >= 0; node = knuma_next_node(node))
		there = node;

	vectors(here, there);
	strings(there);
	sessions(there);
	failures();
	const auto one = knuma::make_unique_node<session>(there);
	expect(knuma_node_of(one.get()) == there, "an object on the node");
	return 0;
}
