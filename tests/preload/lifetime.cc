// SPDX-License-Identifier: Apache-2.0
// A heap that is used from the first moment of a process to the last.
//
//   lifetime ends      frees in every kind of handler while threads go on
//   lifetime limit     threads that meet a limit on address space
//   lifetime lowers    a program that sets itself a limit of 1 GiB
//   lifetime loads LIB LIB...  libraries that come and go
#include <dlfcn.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

static char *early;
static int errors;

// Before every constructor, also those of libraries.
static void before_all(int, char **, char **)
{
	early = static_cast<char *>(std::malloc(100));
	std::strcpy(early, "before all");
	std::free(std::calloc(10, 1000));
}

__attribute__((section(".preinit_array"),
	       used)) static void (*const first)(int, char **,
						 char **) = before_all;

static void churn(int rounds, std::size_t most)
{
	std::vector<std::string> v;

	for (int r = 0; r < rounds; r++) {
		for (std::size_t n = 1; n < most; n = n * 3 / 2 + 1)
			v.emplace_back(n, static_cast<char>('a' + r % 26));
		for (const std::string &s : v)
			if (s.front() != s.back())
				__atomic_add_fetch(&errors, 1,
						   __ATOMIC_RELAXED);
		v.clear();
	}
}

// Each of these frees what is older, and allocates.
static std::string *const of_handlers = new std::string(1000, 'h');
static void *of_destructors = std::malloc(70000);

__attribute__((destructor)) static void last()
{
	std::free(of_destructors);
	churn(20, 5000);
	if (write(1, "destructor\n", 11) != 11)
		_exit(1);
}

static struct object {
	std::vector<int> v = std::vector<int>(10000, 1);
	~object()
	{
		churn(20, 5000);
	}
} of_the_program;

thread_local struct tls_object {
	std::string s = std::string(3000, 't');
	~tls_object()
	{
		churn(3, 3000);
		if (s != std::string(3000, 't'))
			__atomic_add_fetch(&errors, 1, __ATOMIC_RELAXED);
	}
} of_a_thread;

static void free_key(void *p)
{
	std::free(p);
	churn(3, 3000);
}

static int ends()
{
	pthread_key_t key;

	pthread_key_create(&key, free_key);
	std::atexit([] {
		delete of_handlers;
		churn(20, 5000);
	});
	std::vector<std::thread> threads;
	for (int i = 0; i < 16; i++)
		threads.emplace_back([key] {
			pthread_setspecific(key, std::malloc(100));
			churn(5, 10000 + of_a_thread.s.size());
		});
	for (std::thread &t : threads)
		t.join();
	// They go on while handlers and destructors run.
	for (int i = 0; i < 4; i++)
		std::thread([] {
			for (;;)
				churn(1, 100000);
		}).detach();
	usleep(2000);
	std::printf("%s, errors %d\n", early, errors);
	std::free(early);
	return errors != 0;
}

constexpr std::size_t most = 4096;

// Memory until there is none; *all has room for all of it.
static std::size_t fill_up(std::vector<void *> *all, bool *enomem)
{
	std::size_t n;
	void *p;

	errno = 0;
	while (all->size() < most && (p = std::malloc(1 << 20)))
		all->push_back(p);
	n = all->size();
	*enomem = n == most || errno == ENOMEM;
	for (void *q : *all)
		std::free(q);
	all->clear();
	return n;
}

// What others have just taken is not there for small objects either.
static void churn_if_possible()
{
	try {
		churn(3, 3000);
	} catch (const std::bad_alloc &) {
	}
}

// No thread begins before all are made: that takes address space, too.
static int limit()
{
	std::vector<std::thread> threads;
	std::vector<void *> room[9];
	pthread_barrier_t made;
	bool enomem[8] = {}, alone;

	pthread_barrier_init(&made, nullptr, 9);
	for (std::vector<void *> &r : room)
		r.reserve(most);
	for (int i = 0; i < 8; i++)
		threads.emplace_back([&, i] {
			pthread_barrier_wait(&made);
			for (int round = 0; round < 3; round++) {
				fill_up(&room[i], &enomem[i]);
				churn_if_possible();
			}
		});
	pthread_barrier_wait(&made);
	for (std::thread &t : threads)
		t.join();
	pthread_barrier_destroy(&made);
	for (bool b : enomem)
		if (!b)
			return 1;
	std::printf("afterwards: %d MiB or more\n",
		    fill_up(&room[8], &alone) >= 64 && alone ? 64 : 0);
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int lowers()
{
	const struct rlimit gib = {1 << 30, 1 << 30};
	const std::size_t large = 64 << 20;
	pthread_t t;
	void *p;

	if (setrlimit(RLIMIT_AS, &gib))
		return 2;
	churn(20, 100000);
	p = std::malloc(large);
	if (p)
		std::memset(p, 1, large);
	const bool made = !pthread_create(&t, nullptr, nothing, nullptr);
	if (made)
		pthread_join(t, nullptr);
	std::printf("heap %s, threads %s\n", p ? "yes" : "no",
		    made ? "yes" : "no");
	std::free(p);
	return 0;
}

static int loads(char **libraries)
{
	using alloc = void *(std::size_t);
	using dealloc = void(void *);
	std::vector<std::pair<void *, dealloc *>> kept;

	for (int round = 0; round < 20; round++) {
		for (char **path = libraries; *path; path++) {
			void *h = dlopen(*path, RTLD_NOW | RTLD_LOCAL);
			auto *m = h ? reinterpret_cast<alloc *>(
					      dlsym(h, "knuma_malloc")) :
				      nullptr;
			auto *f = h ? reinterpret_cast<dealloc *>(
					      dlsym(h, "knuma_free")) :
				      nullptr;

			if (!m || !f) {
				std::printf("%s\n", dlerror());
				return 1;
			}
			kept.emplace_back(m(1000), f);
			std::memset(kept.back().first, round, 1000);
			std::thread([m, f] { f(m(5000)); }).join();
			dlclose(h);
		}
	}
	for (auto &k : kept)
		k.second(k.first);
	std::puts("loaded and unloaded");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !std::strcmp(argv[1], "ends"))
		return ends();
	if (argc > 1 && !std::strcmp(argv[1], "limit"))
		return limit();
	if (argc > 1 && !std::strcmp(argv[1], "lowers"))
		return lowers();
	if (argc > 2 && !std::strcmp(argv[1], "loads"))
		return loads(argv + 2);
	return 2;
}
