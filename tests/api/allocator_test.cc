// SPDX-License-Identifier: Apache-2.0
// <knuma/allocator.hpp>: containers on a node, and what moves with them.
#include <knuma/allocator.hpp>

#include <cstring>
#include <list>
#include <map>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <vector>

#include <knuma/numa.h>

extern "C" {
#include "tests/support/child.h"
#include "tests/support/heap.h"
}

namespace
{

template <class T> using node_vector = std::vector<T, knuma::allocator<T>>;

struct alignas(512) wide {
	char c[512];
};

struct alignas(16384) page_wide {
	char c[16384];
};

void on_four_nodes()
{
	conf("fake_nodes", "4");
	start_quiet();
}

void vectors_lie_on_their_node()
{
	on_four_nodes();
	for (int node = 0; node < 4; node++) {
		node_vector<long> v{knuma::allocator<long>(node)};

		for (long i = 0; i < 200000; i++) {
			v.push_back(i);
			CHECK_EQ(knuma_node_of(v.data()), node);
		}
		CHECK_EQ(v[199999], 199999);
		CHECK_EQ(v.get_allocator().node(), node);
	}
	CHECK_EQ(knuma::allocator<int>().node(), NUMA_NO_NODE);
	CHECK_EQ(node_vector<int>(10, 7)[9], 7);
	heap_verify();
}

void nodes_of_maps_lie_there_too()
{
	using pair = std::pair<const int, int>;
	const knuma::allocator<pair> on_3(3);
	std::map<int, int, std::less<>, knuma::allocator<pair>> m(on_3);
	std::unordered_map<int, int, std::hash<int>, std::equal_to<>,
			   knuma::allocator<pair>>
		u(0, std::hash<int>(), std::equal_to<>(), on_3);

	on_four_nodes();
	for (int i = 0; i < 3000; i++) {
		m[i] = u[i] = i;
		CHECK_EQ(knuma_node_of(&m[i]), 3);
		CHECK_EQ(knuma_node_of(&u[i]), 3);
	}
	for (int i = 0; i < 3000; i += 2) {
		CHECK_EQ(m.erase(i), 1);
		CHECK_EQ(u.erase(i), 1);
	}
	CHECK_EQ(m.size(), 1500);
	CHECK_EQ(u[2999], 2999);
}

void a_move_takes_memory_and_node()
{
	on_four_nodes();
	node_vector<int> a(1000, 1, knuma::allocator<int>(1));
	node_vector<int> b(1000, 2, knuma::allocator<int>(2));
	const int *const data = a.data();

	b = std::move(a);
	CHECK_EQ(b.data(), data);
	CHECK_EQ(b.get_allocator().node(), 1);
	node_vector<int> c(10, 3, knuma::allocator<int>(3));
	swap(b, c);
	CHECK_EQ(c.data(), data);
	CHECK_EQ(c.get_allocator().node(), 1);
	CHECK_EQ(b.get_allocator().node(), 3);
	/* Equal allocators: the memory stays, the label is what was asked. */
	node_vector<int> d(std::move(c), knuma::allocator<int>(0));
	CHECK_EQ(d.data(), data);
	CHECK_EQ(knuma_node_of(d.data()), 1);
	CHECK_EQ(d.get_allocator().node(), 0);
}

void a_copy_lies_on_the_node_of_the_target()
{
	on_four_nodes();
	const node_vector<int> a(1000, 1, knuma::allocator<int>(1));
	node_vector<int> same(a);
	node_vector<int> other(a, knuma::allocator<int>(2));
	node_vector<int> assigned{knuma::allocator<int>(3)};

	assigned = a;
	CHECK_EQ(knuma_node_of(same.data()), 1);
	CHECK_EQ(knuma_node_of(other.data()), 2);
	CHECK_EQ(knuma_node_of(assigned.data()), 3);
	CHECK(same == other && other == assigned);
}

void any_frees_what_any_allocated()
{
	on_four_nodes();
	knuma::allocator<int> a(1);
	knuma::allocator<char> b(2);

	static_assert(knuma::allocator<int>::is_always_equal::value);
	CHECK(a == b && !(a != b));
	b.deallocate(reinterpret_cast<char *>(a.allocate(100)), 400);
	kvfree(a.allocate(1 << 20));
	kvfree(a.allocate(0));
	std::list<int, knuma::allocator<int>> l(5, 1, a);
	std::list<int, knuma::allocator<int>> m(5, 2, knuma::allocator<int>(3));
	l.splice(l.end(), m);
	CHECK_EQ(l.size(), 10);
	heap_verify();
}

void types_are_aligned()
{
	on_four_nodes();
	for (std::size_t n = 1; n < 40; n++) {
		node_vector<wide> v(n, knuma::allocator<wide>(2));
		node_vector<page_wide> w(n, knuma::allocator<page_wide>(2));

		CHECK_EQ(reinterpret_cast<uintptr_t>(v.data()) % 512, 0);
		CHECK_EQ(reinterpret_cast<uintptr_t>(w.data()) % 16384, 0);
		CHECK_EQ(knuma_node_of(w.data()), 2);
		w[n - 1].c[16383] = 1;
	}
	knuma::memory_resource r(2);
	for (std::size_t align = 1; align <= 65536; align *= 2)
		for (std::size_t bytes = 0; bytes < 9000; bytes += 77) {
			void *p = r.allocate(bytes, align);

			if (bytes)
				CHECK_EQ(reinterpret_cast<uintptr_t>(p) % align,
					 0);
			r.deallocate(p, bytes, align);
		}
	heap_verify();
}

/* What @call throws: 'l' a length, 'b' other memory, 's' the system, '-'. */
template <class Call> char thrown(Call call)
{
	try {
		call();
	} catch (const std::bad_array_new_length &) {
		return 'l';
	} catch (const std::bad_alloc &) {
		return 'b';
	} catch (const std::system_error &e) {
		CHECK_EQ(e.code().value(), EINVAL);
		return 's';
	}
	return '-';
}

void too_much_is_an_exception()
{
	on_four_nodes();
	knuma::allocator<long> a(1);
	knuma::memory_resource r(1);
	const volatile std::size_t most = PTRDIFF_MAX;

	CHECK_EQ(thrown([&] { kvfree(a.allocate(most)); }), 'l');
	CHECK_EQ(thrown([&] { kvfree(a.allocate(most / 8 + 1)); }), 'l');
	CHECK_EQ(thrown([&] { kvfree(a.allocate(most / 8)); }), 'b');
	CHECK_EQ(thrown([&] { kvfree(r.allocate(most * 2)); }), 'b');
	CHECK_EQ(thrown([&] { kvfree(r.allocate(most - 7, 64)); }), 'b');
	CHECK_EQ(thrown([&] { knuma::make_unique_node<long[]>(0, most); }),
		 'l');
	CHECK_EQ(strlen(printed()), 0);
	node_vector<long> v(10, 7, a);
	CHECK_EQ(thrown([&] { v.reserve(most / 64); }), 'b');
	CHECK_EQ(v[9], 7);
	heap_verify();
}

void more_than_int_max_is_an_area()
{
	const std::size_t bytes = static_cast<std::size_t>(INT_MAX) + 1;

	on_four_nodes();
	knuma::allocator<char> a(3);
	if (!a_node_has(bytes))
		skip_child("no node has 2 GiB free");
	char *p = a.allocate(bytes);

	p[0] = p[bytes - 1] = 1;
	CHECK_EQ(knuma_node_of(p), 3);
	a.deallocate(p, bytes);
}

void a_node_that_cannot_be_is_an_exception()
{
	on_four_nodes();
	CHECK_EQ(thrown([] { kvfree(knuma::allocator<int>(77).allocate(1)); }),
		 'b');
	CHECK_EQ(thrown([] { kvfree(knuma::memory_resource(-5).allocate(8)); }),
		 'b');
	CHECK_EQ(thrown([] { knuma::make_unique_node<int>(77, 1); }), 'b');
}

void pmr_containers_lie_on_their_node()
{
	on_four_nodes();
	knuma::memory_resource r2(2), r3(3);
	std::pmr::string s(100000, 'x', &r2);
	std::pmr::map<int, std::pmr::string> m(&r3);
	const char *const data = s.data();

	CHECK_EQ(r2.node(), 2);
	CHECK_EQ(knuma_node_of(data), 2);
	m.try_emplace(1, std::string_view(s));
	CHECK_EQ(knuma_node_of(&m.at(1)), 3);
	CHECK_EQ(knuma_node_of(m.at(1).data()), 3);
	/* Equal resources: moved without a copy. */
	CHECK(r2 == r3 && r2 != *std::pmr::new_delete_resource());
	std::pmr::string t(std::move(s), &r3);
	CHECK_EQ(t.data(), data);
	t.shrink_to_fit();
	t.append(100000, 'y');
	CHECK_EQ(knuma_node_of(t.data()), 3);
}

void the_default_resource_serves_all()
{
	std::pmr::set_default_resource(knuma::default_resource());
	CHECK_EQ(knuma::default_resource(), knuma::default_resource());
	std::pmr::vector<std::pmr::string> v(100, "longer than what is inside");
	CHECK(knuma_node_of(v.data()) >= 0);
	CHECK(knuma_node_of(v[99].data()) >= 0);
	CHECK_EQ(knuma::default_resource()->node(), NUMA_NO_NODE);
	std::pmr::set_default_resource(nullptr);
}

void a_cache_serves_the_nodes_of_a_map()
{
	on_four_nodes();
	const uint64_t slabs = stat_of("slab_new");
	{
		knuma::cache_resource r("map nodes", 64, 1);
		std::pmr::unordered_map<int, long> m(&r);
		std::pmr::string s(1000, 'x', &r);

		for (int i = 0; i < 10000; i++)
			m[i] = i;
		CHECK_EQ(knuma_node_of(&m[5]), 1);
		CHECK_EQ(knuma_node_of(s.data()), 1);
		CHECK_EQ(kmem_cache_size(r.cache()), 64);
		CHECK(stat_of("slab_new") > slabs);
		m.clear();
		/* Equal to itself only: another one copies. */
		knuma::cache_resource q("others", 64, 2);
		CHECK(r == r && r != q);
		std::pmr::string t(std::move(s), &q);
		CHECK_EQ(knuma_node_of(t.data()), 2);
	}
	/* All was freed: nothing is said about objects in use. */
	CHECK_EQ(strlen(printed()), 0);
	heap_verify();
}

void a_cache_takes_sizes_that_fit()
{
	on_four_nodes();
	knuma::cache_resource r("sizes", 100, 1, 32);
	void *fits = r.allocate(100, 32);
	void *half = r.allocate(51, 8);
	void *small = r.allocate(50, 8);
	void *large = r.allocate(101, 8);
	void *wide = r.allocate(100, 64);

	CHECK_EQ(reinterpret_cast<uintptr_t>(fits) % 32, 0);
	CHECK_EQ(reinterpret_cast<uintptr_t>(wide) % 64, 0);
	CHECK(ksize(small) < 100 && ksize(large) > 100 && ksize(wide) == 128);
	CHECK_EQ(ksize(fits), ksize(half));
	r.deallocate(fits, 100, 32);
	r.deallocate(half, 51, 8);
	r.deallocate(small, 50, 8);
	r.deallocate(large, 101, 8);
	r.deallocate(wide, 100, 64);
}

void a_cache_that_cannot_be_is_an_exception()
{
	CHECK_EQ(thrown([] { knuma::cache_resource r("zero", 0); }), 's');
	CHECK_EQ(thrown([] { knuma::cache_resource r(nullptr, 8); }), 's');
	CHECK_EQ(thrown([] {
			 knuma::cache_resource r("wide", (1ul << 32) + 64);
		 }),
		 's');
	CHECK_EQ(thrown([] { knuma::cache_resource r("odd", 64, 0, 24); }),
		 's');
}

/* Counts its objects; the fifth of an array cannot be built. */
struct counted {
	static int alive, allowed;

	explicit counted(int value = 1) : v(value)
	{
		if (alive == allowed)
			throw value;
		alive++;
	}

	~counted()
	{
		alive--;
	}

	counted(const counted &) = delete;
	int v;
};

int counted::alive, counted::allowed = 4;

void unique_pointers_end_what_they_own()
{
	on_four_nodes();
	static_assert(sizeof(knuma::unique_ptr<int>) == sizeof(int *));
	{
		auto p = knuma::make_unique_node<counted>(2, 5);
		auto q = knuma::make_unique_node<counted[]>(3, 3);

		CHECK_EQ(knuma_node_of(p.get()), 2);
		CHECK_EQ(knuma_node_of(q.get()), 3);
		CHECK_EQ(p->v + q[2].v, 6);
		CHECK_EQ(counted::alive, 4);
		p = nullptr;
		CHECK_EQ(counted::alive, 3);
	}
	CHECK_EQ(counted::alive, 0);
	CHECK_EQ(knuma::make_unique_node<int[]>(0, 100)[99], 0);
	CHECK_EQ(reinterpret_cast<uintptr_t>(
			 knuma::make_unique_node<wide>(0).get()) %
			 512,
		 0);
	knuma::make_unique_node<int[]>(0, 0);
}

void constructors_that_throw_leak_nothing()
{
	uint64_t before;
	int thrown = 0;

	start_here();
	kvfree(kmalloc(sizeof(counted), GFP_KERNEL));
	kvfree(kmalloc(9 * sizeof(counted), GFP_KERNEL));
	before = stat_of("allocated_bytes");
	for (int i = 0; i < 100; i++) {
		try {
			knuma::make_unique_node<counted[]>(NUMA_NO_NODE, 9);
		} catch (int) {
			thrown++;
		}
		counted::allowed = 0;
		try {
			knuma::make_unique_node<counted>(NUMA_NO_NODE, 1);
		} catch (int) {
			thrown++;
		}
		counted::allowed = 4;
	}
	CHECK_EQ(thrown, 200);
	CHECK_EQ(counted::alive, 0);
	CHECK_EQ(stat_of("allocated_bytes"), before);
}

void caches_are_made_in_both_ways()
{
	kmem_cache *a = kmem_cache_create("args", 100, nullptr, 0);
	kmem_cache *b = kmem_cache_create("older", 100, 64, 0, nullptr);
	void *p = kmem_cache_alloc(b, GFP_KERNEL);

	/* checks kmem_cache_create: "in C++ the number of arguments does" */
	CHECK(a && b);
	CHECK_EQ(kmem_cache_size(a), 100);
	CHECK(p && reinterpret_cast<uintptr_t>(p) % 64 == 0);
	kmem_cache_free(b, p);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
}

} // namespace

int main()
{
	const struct CMUnitTest tests[] = {
		child_test(vectors_lie_on_their_node),
		child_test(nodes_of_maps_lie_there_too),
		child_test(a_move_takes_memory_and_node),
		child_test(a_copy_lies_on_the_node_of_the_target),
		child_test(any_frees_what_any_allocated),
		child_test(types_are_aligned),
		child_test(too_much_is_an_exception),
		child_test(more_than_int_max_is_an_area),
		child_test(a_node_that_cannot_be_is_an_exception),
		child_test(pmr_containers_lie_on_their_node),
		child_test(the_default_resource_serves_all),
		child_test(a_cache_serves_the_nodes_of_a_map),
		child_test(a_cache_takes_sizes_that_fit),
		child_test(a_cache_that_cannot_be_is_an_exception),
		child_test(unique_pointers_end_what_they_own),
		child_test(constructors_that_throw_leak_nothing),
		child_test(caches_are_made_in_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
