// SPDX-License-Identifier: Apache-2.0
// What operators new and delete answer, as text, for parity_test.py.  With
// -DREPLACED the program has a new and a delete of its own, which the others
// have to call.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

static void *volatile escape;
static int handled, news, deletes;

#ifdef REPLACED
// In front of each object, so that the wrong delete is noticed.
static constexpr std::size_t header = 64;
static constexpr std::uint64_t mark = 0x6f776e6572736869;

void *operator new(std::size_t n)
{
	char *p = n < PTRDIFF_MAX ?
			  static_cast<char *>(std::malloc(n + header)) :
			  nullptr;

	if (!p)
		throw std::bad_alloc();
	news++;
	std::memcpy(p, &mark, sizeof(mark));
	return p + header;
}

void operator delete(void *p) noexcept
{
	std::uint64_t found;

	if (!p)
		return;
	deletes++;
	std::memcpy(&found, static_cast<char *>(p) - header, sizeof(found));
	if (found != mark)
		std::puts("delete of what new did not give");
	else
		std::free(static_cast<char *>(p) - header);
}
#endif

using std::align_val_t;
using std::nothrow;
using std::size_t;

struct pair {
	const char *name;
	void *(*make)(size_t n, size_t a);
	void (*end)(void *p, size_t n, size_t a);
	bool aligned;
};

#define MAKE(...)                              \
	[](size_t n, size_t a) {               \
		(void)a;                       \
		return ::operator __VA_ARGS__; \
	}
#define END(...)                          \
	[](void *p, size_t n, size_t a) { \
		(void)n;                  \
		(void)a;                  \
		::operator __VA_ARGS__;   \
	}

static const pair pairs[] = {
	{"new", MAKE(new (n)), END(delete (p)), false},
	{"new, sized", MAKE(new (n)), END(delete (p, n)), false},
	{"new nothrow", MAKE(new (n, nothrow)), END(delete (p, nothrow)),
	 false},
	{"new nothrow, plain", MAKE(new (n, nothrow)), END(delete (p)), false},
	{"new[]", MAKE(new[](n)), END(delete[](p)), false},
	{"new[], sized", MAKE(new[](n)), END(delete[](p, n)), false},
	{"new[] nothrow", MAKE(new[](n, nothrow)), END(delete[](p, nothrow)),
	 false},
	{"new[] nothrow, plain", MAKE(new[](n, nothrow)), END(delete[](p)),
	 false},
	{"new aligned", MAKE(new (n, align_val_t(a))),
	 END(delete (p, align_val_t(a))), true},
	{"new aligned, sized", MAKE(new (n, align_val_t(a))),
	 END(delete (p, n, align_val_t(a))), true},
	{"new aligned nothrow", MAKE(new (n, align_val_t(a), nothrow)),
	 END(delete (p, align_val_t(a), nothrow)), true},
	{"new[] aligned", MAKE(new[](n, align_val_t(a))),
	 END(delete[](p, align_val_t(a))), true},
	{"new[] aligned, sized", MAKE(new[](n, align_val_t(a))),
	 END(delete[](p, n, align_val_t(a))), true},
	{"new[] aligned nothrow", MAKE(new[](n, align_val_t(a), nothrow)),
	 END(delete[](p, align_val_t(a), nothrow)), true},
};

static void answer(const pair &o, size_t n, size_t a)
{
	const int news_before = news, deletes_before = deletes;
	const char *result = "memory";
	void *p = nullptr;

	handled = 0;
	try {
		escape = p = o.make(n, a);
		if (!p)
			result = "null";
	} catch (const std::bad_array_new_length &) {
		result = "bad_array_new_length";
	} catch (const std::bad_alloc &) {
		result = "bad_alloc";
	} catch (int) {
		result = "what the handler threw";
	}
	std::printf("%s(%zu", o.name, n);
	if (o.aligned)
		std::printf(", %zu", a);
	std::printf("): %s handled=%d", result, handled);
	if (p) {
		// libstdc++ gives no bytes for SIZE_MAX, rounded up.
		std::memset(p, 1, n < PTRDIFF_MAX ? n : 0);
		if (a && !(a & (a - 1)))
			std::printf(" aligned=%d",
				    reinterpret_cast<std::uintptr_t>(p) %
						    (o.aligned ? a : 16) ==
					    0);
		o.end(p, n, a);
	}
	std::printf(" own new=%d delete=%d\n", news - news_before,
		    deletes - deletes_before);
}

static void all(const char *handler)
{
	static const size_t sizes[] = {0,	1,	 100,	      5000,
				       1 << 20, 5 << 20, PTRDIFF_MAX, SIZE_MAX};
	static const size_t aligns[] = {0,  1,	2,  3,	  8,
					16, 24, 64, 4096, 1 << 20};

	std::printf("handler: %s\n", handler);
	for (const pair &o : pairs)
		for (size_t n : sizes)
			for (size_t a : aligns)
				if (o.aligned || a == 16)
					answer(o, n, a);
}

static void gives_up_after_three()
{
	if (++handled == 3)
		std::set_new_handler(nullptr);
}

// Each operator with a handler that is set again for each.
static void with_handlers()
{
	for (const pair &o : pairs) {
		std::set_new_handler(gives_up_after_three);
		answer(o, SIZE_MAX / 2, 64);
		std::set_new_handler([] {
			handled++;
			throw std::bad_alloc();
		});
		answer(o, SIZE_MAX / 2, 64);
		// Through a nothrow new: no exception may leave it.
		std::set_new_handler([] {
			handled++;
			throw 5;
		});
		answer(o, SIZE_MAX / 2, 64);
	}
	std::set_new_handler(nullptr);
}

struct long_one {
	long n[9];
};

struct alignas(128) wide {
	int n = 7;
	~wide()
	{
		n = 0;
	}
};

static void expressions()
{
	volatile size_t many = SIZE_MAX / 2, none = 0;
	const char *result = "memory";

	try {
		escape = new long_one[many];
	} catch (const std::bad_array_new_length &) {
		result = "bad_array_new_length";
	} catch (const std::bad_alloc &) {
		result = "bad_alloc";
	}
	std::printf("new long_one[SIZE_MAX / 2]: %s\n", result);
	wide *w = new wide[3], *x = new wide, *y = new (nothrow) wide[2];
	int *z = new int[none];
	std::printf("new wide: aligned=%d values=%d\n",
		    reinterpret_cast<std::uintptr_t>(w) % 128 == 0 &&
			    reinterpret_cast<std::uintptr_t>(x) % 128 == 0,
		    w[2].n + x->n + y[1].n);
	delete[] w;
	delete x;
	delete[] y;
	delete[] z;
	delete static_cast<wide *>(nullptr);
	std::vector<int> v;
	try {
		v.reserve(v.max_size());
		std::puts("reserve: memory");
	} catch (const std::bad_alloc &) {
		std::puts("reserve: bad_alloc");
	}
	std::thread([] {
		try {
			escape = ::operator new(SIZE_MAX / 2);
		} catch (const std::bad_alloc &) {
			std::puts("in a thread: bad_alloc");
		}
	}).join();
	errno = 0;
	escape = ::operator new(SIZE_MAX / 2, nothrow);
	std::printf("errno is ENOMEM: %d\n", errno == ENOMEM);
	errno = 77;
	::operator delete(::operator new(100));
	std::printf("errno is kept: %d\n", errno == 77);
}

int main()
{
	all("none");
	with_handlers();
	expressions();
	return 0;
}
