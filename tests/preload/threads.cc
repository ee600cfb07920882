// SPDX-License-Identifier: Apache-2.0
// C++ threads that build maps at once, and every operator new and delete.
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static void *volatile escape;

static bool fill_and_check(int seed)
{
	std::map<int, std::string> m;

	for (int i = 0; i < 20000; i++)
		m[i] = std::string(static_cast<size_t>((i + seed) % 200), 'x');
	for (int i = 0; i < 20000; i++)
		if (m[i].size() != static_cast<size_t>((i + seed) % 200))
			return false;
	return true;
}

static bool operators_work()
{
	struct alignas(256) wide {
		char c[512];
	};
	std::unique_ptr<wide[]> w(new wide[3]);

	if (reinterpret_cast<uintptr_t>(w.get()) % 256)
		return false;
	escape = ::operator new(~size_t(0) / 4, std::nothrow);
	if (escape)
		return false;
	try {
		escape = ::operator new(~size_t(0) / 4);
		return false;
	} catch (const std::bad_alloc &) {
	}
	return true;
}

int main()
{
	std::vector<std::thread> threads;
	int bad = 0;

	for (int i = 0; i < 32; i++)
		threads.emplace_back([i, &bad] {
			if (!fill_and_check(i))
				__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
		});
	for (auto &t : threads)
		t.join();
	if (bad || !operators_work())
		return 1;
	std::puts("threads ok");
	return 0;
}
