/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma/allocator.hpp - memory of a node for C++: containers, pmr, unique_ptr
 *
 *   std::vector<int, knuma::allocator<int>> v(knuma::allocator<int>(1));
 *
 *   knuma::memory_resource node1(1);
 *   std::pmr::map<int, std::pmr::string> m(&node1);
 *
 *   auto p = knuma::make_unique_node<conn>(1, fd);
 *
 * Any of these may free what any other has allocated, because kvfree() finds
 * out where memory is from; so allocators are always equal, and resources are
 * equal to each other, whatever their nodes.  A container that is moved keeps
 * its memory where it is.  To bring elements to another node, copy or move them
 * one by one into a container of that node.
 *
 * C++17 and later, header only.  Without exceptions (-fno-exceptions) what would
 * be thrown is a line on standard error and std::abort().
 */
#ifndef KNUMA_ALLOCATOR_HPP
#define KNUMA_ALLOCATOR_HPP

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include <knuma/kvmalloc.h>
#include <knuma/slab.h>
#include <knuma/vmalloc.h>

namespace knuma
{

namespace detail
{

/* Throws @error, or says @what and aborts where nothing can be thrown. */
template <class Error>
[[noreturn]] inline void fail(const Error &error, const char *what)
{
#if defined(__cpp_exceptions)
	static_cast<void>(what);
	throw error;
#else
	std::fprintf(stderr, "knuma: %s: %s\n", what, error.what());
	std::abort();
#endif
}

/*
 * @bytes of @node, aligned to @align, a power of two; NULL on failure.  An
 * object is aligned to what divides its size, so the size is rounded up.
 */
inline void *allocate(std::size_t bytes, std::size_t align, int node, gfp_t gfp)
{
	if (bytes > static_cast<std::size_t>(PTRDIFF_MAX) - align)
		return nullptr;
	bytes = ALIGN(bytes, align);
	if (align > knuma_page_size() ||
	    bytes > static_cast<std::size_t>(INT_MAX))
		return __vmalloc_node(bytes ? bytes : align, align, gfp, node,
				      nullptr);
	return kvmalloc_node(bytes, gfp, node);
}

/* What allocate() gave for the same @bytes and @align. */
inline void deallocate(void *p, std::size_t bytes, std::size_t align) noexcept
{
	kvfree_sized(p, ALIGN(bytes, align));
}

/* allocate(); does not return on failure. */
inline void *must_allocate(std::size_t bytes, std::size_t align, int node,
			   gfp_t gfp)
{
	void *p = allocate(bytes, align, node, gfp);

	if (!p)
		fail(std::bad_alloc(), "no memory");
	return p;
}

/* Memory for @n objects of type T. */
template <class T> T *allocate_array(std::size_t n, int node, gfp_t gfp)
{
	if (n > static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(T))
		fail(std::bad_array_new_length(), "too many elements");
	return static_cast<T *>(
		must_allocate(n * sizeof(T), alignof(T), node, gfp));
}

/* Owns memory in which nothing has been built yet. */
struct kvfree_memory {
	void operator()(void *p) const noexcept
	{
		kvfree(p);
	}
};

} /* namespace detail */

/* A failure is an exception and needs no message of the library besides. */
inline constexpr gfp_t default_gfp = GFP_KERNEL | __GFP_NOWARN;

/**
 * allocator - allocator of the standard library that knows a node
 *
 * Memory comes from the node that the allocator was made with, as of
 * kvmalloc_node(); NUMA_NO_NODE, the default, is the node nearest to the CPU
 * that allocates.  Above INT_MAX bytes, or with an alignment above a page, it
 * comes from __vmalloc_node().  @gfp must allow waiting or the caller be ready
 * for std::bad_alloc; __GFP_THISNODE makes a full node fail.
 *
 * What happens to the node of a container:
 *   copy construction  the copy has the node of the original
 *   copy assignment    the target keeps its node, and its memory
 *   move, swap         memory and node go together, nothing is copied
 *
 * Context: any thread; not for a signal handler.
 * Errors:  std::bad_alloc when there is no memory or the node is not possible,
 *          std::bad_array_new_length when n * sizeof(T) is above PTRDIFF_MAX.
 */
template <class T> class allocator
{
public:
	using value_type = T;
	using propagate_on_container_copy_assignment = std::false_type;
	using propagate_on_container_move_assignment = std::true_type;
	using propagate_on_container_swap = std::true_type;
	/* By what may free what, not by the node. */
	using is_always_equal = std::true_type;

	constexpr allocator() noexcept = default;

	constexpr explicit allocator(int node, gfp_t gfp = default_gfp) noexcept
		: node_(node), gfp_(gfp)
	{
	}

	template <class U>
	constexpr allocator(const allocator<U> &other) noexcept
		: node_(other.node()), gfp_(other.gfp())
	{
	}

	[[nodiscard]] T *allocate(std::size_t n)
	{
		return detail::allocate_array<T>(n, node_, gfp_);
	}

	void deallocate(T *p, std::size_t n) noexcept
	{
		detail::deallocate(p, n * sizeof(T), alignof(T));
	}

	/* The node, or NUMA_NO_NODE. */
	constexpr int node() const noexcept
	{
		return node_;
	}

	constexpr gfp_t gfp() const noexcept
	{
		return gfp_;
	}

private:
	int node_ = NUMA_NO_NODE;
	gfp_t gfp_ = default_gfp;
};

template <class T, class U>
constexpr bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
	return true;
}

template <class T, class U>
constexpr bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
	return false;
}

/**
 * memory_resource - std::pmr::memory_resource of a node, or of the nearest one
 *
 * As allocator.  Equal to each other resource of this type, so that a pmr
 * container is moved without a copy; unlike with allocator it then allocates
 * further from the resource that it has.  Must outlive its containers, as any
 * resource.
 */
class memory_resource : public std::pmr::memory_resource
{
public:
	memory_resource() noexcept = default;

	explicit memory_resource(int node, gfp_t gfp = default_gfp) noexcept
		: node_(node), gfp_(gfp)
	{
	}

	int node() const noexcept
	{
		return node_;
	}

private:
	void *do_allocate(std::size_t bytes, std::size_t align) override
	{
		return detail::must_allocate(bytes, align, node_, gfp_);
	}

	void do_deallocate(void *p, std::size_t bytes,
			   std::size_t align) override
	{
		detail::deallocate(p, bytes, align);
	}

	/* Without type information only a resource itself is known. */
	bool do_is_equal(
		const std::pmr::memory_resource &other) const noexcept override
	{
#if defined(__cpp_rtti)
		return dynamic_cast<const memory_resource *>(&other) != nullptr;
#else
		return this == &other;
#endif
	}

	int node_ = NUMA_NO_NODE;
	gfp_t gfp_ = default_gfp;
};

/* The resource of the nearest node, for std::pmr::set_default_resource(). */
inline memory_resource *default_resource() noexcept
{
	/* Never destroyed: static containers may end after it. */
	alignas(memory_resource) static unsigned char
		place[sizeof(memory_resource)];
	static memory_resource *resource = ::new (place) memory_resource;

	return resource;
}

/**
 * cache_resource - a kmem_cache for the nodes of list, map, unordered_map
 *
 * Requests of more than half of @size, and up to it, are objects of a cache of
 * their own; others, such as the table of an unordered_map, come as from
 * memory_resource.  So @size need not be exact: an element and four pointers
 * is enough for each container of libstdc++ and libc++.
 *
 * @name: of the cache, in the statistics
 * @size: bytes of the largest object, in [1, KMALLOC_MAX_SIZE]
 * @node: node id, or NUMA_NO_NODE
 * @align: most that an object may ask for; larger ones come from elsewhere
 *
 * The containers must end before the resource, which destroys the cache and
 * so may wait for RCU grace periods.  Equal to itself only.
 *
 * Errors: the constructor throws std::system_error with the errno of
 *         kmem_cache_create(); an allocation throws as that of allocator.
 */
class cache_resource : public std::pmr::memory_resource
{
public:
	cache_resource(const char *name, std::size_t size,
		       int node = NUMA_NO_NODE,
		       std::size_t align = alignof(std::max_align_t))
		: cache_(create(name, size, align)), size_(size), align_(align),
		  node_(node)
	{
	}

	~cache_resource() override
	{
		kmem_cache_destroy(cache_);
	}

	cache_resource(const cache_resource &) = delete;
	cache_resource &operator=(const cache_resource &) = delete;

	/* For kmem_cache_shrink() and the like. */
	struct kmem_cache *cache() const noexcept
	{
		return cache_;
	}

private:
	static struct kmem_cache *create(const char *name, std::size_t size,
					 std::size_t align)
	{
		struct kmem_cache *s = nullptr;

		errno = EINVAL;
		if (size <= KMALLOC_MAX_SIZE && align <= KMALLOC_MAX_SIZE)
			s = kmem_cache_create(name, static_cast<unsigned>(size),
					      static_cast<unsigned>(align), 0,
					      nullptr);
		if (!s)
			detail::fail(std::system_error(errno,
						       std::generic_category(),
						       "kmem_cache_create"),
				     "cache_resource");
		return s;
	}

	bool serves(std::size_t bytes, std::size_t align) const noexcept
	{
		return bytes <= size_ && bytes > size_ / 2 && align <= align_;
	}

	void *do_allocate(std::size_t bytes, std::size_t align) override
	{
		void *p;

		if (!serves(bytes, align))
			return detail::must_allocate(bytes, align, node_,
						     default_gfp);
		p = kmem_cache_alloc_node(cache_, default_gfp, node_);
		if (!p)
			detail::fail(std::bad_alloc(), "no memory");
		return p;
	}

	void do_deallocate(void *p, std::size_t bytes,
			   std::size_t align) override
	{
		if (serves(bytes, align))
			kmem_cache_free(cache_, p);
		else
			detail::deallocate(p, bytes, align);
	}

	bool do_is_equal(
		const std::pmr::memory_resource &other) const noexcept override
	{
		return this == &other;
	}

	struct kmem_cache *cache_;
	std::size_t size_;
	std::size_t align_;
	int node_;
};

/*
 * Ends an object of make_unique_node().  It is of the type that was made: there
 * is no conversion to a base class, whose address may be another.
 */
template <class T> struct deleter {
	void operator()(T *p) const noexcept
	{
		std::destroy_at(p);
		kvfree(p);
	}
};

/* The same for arrays, which know their number of elements. */
template <class T> struct deleter<T[]> {
	std::size_t n = 0;

	void operator()(T *p) const noexcept
	{
		std::destroy_n(p, n);
		kvfree(p);
	}
};

template <class T> using unique_ptr = std::unique_ptr<T, deleter<T>>;

/**
 * make_unique_node - std::make_unique() on a node
 * @node: node id, or NUMA_NO_NODE
 * @args: for the constructor of T
 *
 * Errors: throws as allocator, and what the constructor throws.
 */
template <class T, class... Args>
std::enable_if_t<!std::is_array_v<T>, unique_ptr<T>>
make_unique_node(int node, Args &&...args)
{
	std::unique_ptr<void, detail::kvfree_memory> memory(
		detail::allocate_array<T>(1, node, default_gfp));
	T *p = ::new (memory.get()) T(std::forward<Args>(args)...);

	memory.release();
	return unique_ptr<T>(p);
}

/**
 * make_unique_node - the same for an array
 * @node: node id, or NUMA_NO_NODE
 * @n: number of elements, which are value-initialised
 */
template <class T>
std::enable_if_t<std::is_array_v<T> && std::extent_v<T> == 0, unique_ptr<T>>
make_unique_node(int node, std::size_t n)
{
	using element = std::remove_extent_t<T>;
	std::unique_ptr<void, detail::kvfree_memory> memory(
		detail::allocate_array<element>(n, node, default_gfp));
	element *p = static_cast<element *>(memory.get());

	std::uninitialized_value_construct_n(p, n);
	memory.release();
	return unique_ptr<T>(p, deleter<T>{n});
}

} /* namespace knuma */

#endif /* KNUMA_ALLOCATOR_HPP */
