/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the malloc family answers, as text: a line for each call, with nothing
 * in it that two right allocators may answer differently.  parity_test.py runs
 * it on the C library's allocator and on knuma, and compares.
 *
 * With --whose it prints instead which library serves each name.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB	  ((size_t)1 << 20)
#define NR(a)	  (sizeof(a) / sizeof((a)[0]))
#define UNTOUCHED 77 /* errno before each call */

/* Through pointers that the compiler cannot see: it knows malloc too well. */
static void *(*volatile f_malloc)(size_t) = malloc;
static void *(*volatile f_calloc)(size_t, size_t) = calloc;
static void *(*volatile f_realloc)(void *, size_t) = realloc;
static void *(*volatile f_reallocarray)(void *, size_t, size_t) = reallocarray;
static int (*volatile f_posix_memalign)(void **, size_t,
					size_t) = posix_memalign;
static void *(*volatile f_aligned_alloc)(size_t, size_t) = aligned_alloc;
static void *(*volatile f_memalign)(size_t, size_t) = memalign;
static void *(*volatile f_valloc)(size_t) = valloc;
static void *(*volatile f_pvalloc)(size_t) = pvalloc;
static void (*volatile f_free)(void *) = free;
static size_t (*volatile f_usable)(void *) = malloc_usable_size;

static const size_t sizes[] = {0,
			       1,
			       7,
			       8,
			       15,
			       16,
			       17,
			       24,
			       25,
			       63,
			       64,
			       100,
			       128,
			       1000,
			       1024,
			       1025,
			       4095,
			       4096,
			       4097,
			       8192,
			       8193,
			       65536,
			       131072,
			       131073,
			       262144,
			       262145,
			       MIB,
			       4 * MIB,
			       4 * MIB + 1,
			       5 * MIB,
			       PTRDIFF_MAX - 65536,
			       PTRDIFF_MAX - 1,
			       PTRDIFF_MAX,
			       (size_t)PTRDIFF_MAX + 1,
			       SIZE_MAX - 65536,
			       SIZE_MAX - 4096,
			       SIZE_MAX - 16,
			       SIZE_MAX - 15,
			       SIZE_MAX - 1,
			       SIZE_MAX};

static const char *error_name(int err)
{
	static char number[16];

	if (err == UNTOUCHED)
		return "kept";
	if (err == ENOMEM)
		return "ENOMEM";
	if (err == EINVAL)
		return "EINVAL";
	snprintf(number, sizeof(number), "%d", err);
	return number;
}

static void fill(unsigned char *p, size_t n, unsigned int seed)
{
	for (size_t i = 0; i<n; i += n> 4096 && i > 64 && i < n - 64 ? 61 : 1)
		p[i] = (unsigned char)(i * 7 + seed);
}

static bool holds(const unsigned char *p, size_t n, size_t filled,
		  unsigned int seed)
{
	const size_t all = filled;

	for (size_t i = 0;
	     i<n; i += all> 4096 && i > 64 && i < all - 64 ? 61 : 1)
		if (p[i] != (unsigned char)(i * 7 + seed))
			return false;
	return true;
}

static bool zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* The answer to one call; frees what was given. */
static void answer(const char *call, void *p, size_t size, size_t align)
{
	const int err = errno;
	size_t usable;

	printf("%s: %s errno=%s", call, p ? "memory" : "NULL", error_name(err));
	if (p) {
		usable = f_usable(p);
		printf(" aligned=%d usable=%d", (uintptr_t)p % align == 0,
		       usable >= size);
		fill(p, usable, 3);
		printf(" holds=%d", holds(p, usable, usable, 3));
		errno = UNTOUCHED;
		f_free(p);
		printf(" free:errno=%s", error_name(errno));
	}
	putchar('\n');
}

#define ANSWER(size, align, call, ...)                     \
	do {                                               \
		char text[128];                            \
		void *got;                                 \
                                                           \
		snprintf(text, sizeof(text), __VA_ARGS__); \
		errno = UNTOUCHED;                         \
		got = call;                                \
		answer(text, got, size, align);            \
	} while (0)

static void plain(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < NR(sizes); i++) {
		const size_t n = sizes[i];

		ANSWER(n, 16, f_malloc(n), "malloc(%zu)", n);
		ANSWER(n, 16, f_realloc(NULL, n), "realloc(NULL, %zu)", n);
		ANSWER(n, 16, f_reallocarray(NULL, n, 1),
		       "reallocarray(NULL, %zu, 1)", n);
		ANSWER(n, page, f_valloc(n), "valloc(%zu)", n);
		ANSWER(n, page, f_pvalloc(n), "pvalloc(%zu)", n);
		/* Whole pages, whatever was asked for. */
		if (n <= 5 * MIB) {
			void *p = f_pvalloc(n);

			printf("pvalloc(%zu) rounds up: %d\n", n,
			       f_usable(p) >= (n + page - 1) / page * page);
			f_free(p);
		}
	}
}

static void zeroed(void)
{
	static const size_t factor[] = {0,
					1,
					2,
					3,
					1000,
					65536,
					1 << 31,
					SIZE_MAX / 2,
					SIZE_MAX / 2 + 1,
					SIZE_MAX};

	for (size_t i = 0; i < NR(sizes); i++) {
		if (sizes[i] > 5 * MIB)
			continue;
		for (int round = 0; round < 3; round++) {
			unsigned char *p = f_malloc(sizes[i]), *q;

			memset(p, 0xa5, f_usable(p));
			f_free(p);
			q = f_calloc(1, sizes[i]);
			printf("calloc(1, %zu) after free: zero=%d all=%d\n",
			       sizes[i], zero(q, sizes[i]),
			       zero(q, f_usable(q)));
			memset(q, 0xa5, f_usable(q));
			f_free(q);
		}
	}
	for (size_t i = 0; i < NR(factor); i++) {
		for (size_t k = 0; k < NR(factor); k++) {
			const size_t n = factor[i], m = factor[k];
			size_t bytes;

			/* What a large machine has and a small one has not. */
			if (!__builtin_mul_overflow(n, m, &bytes) &&
			    bytes > 100 * MIB && bytes < (size_t)1 << 60)
				continue;
			ANSWER(bytes, 16, f_calloc(n, m), "calloc(%zu, %zu)", n,
			       m);
			ANSWER(bytes, 16, f_reallocarray(NULL, n, m),
			       "reallocarray(NULL, %zu, %zu)", n, m);
		}
	}
}

static void resized(void)
{
	for (size_t i = 0; i < NR(sizes) && sizes[i] <= 5 * MIB; i++) {
		for (size_t k = 1; k < NR(sizes); k++) {
			const size_t a = sizes[i], b = sizes[k];

			if (a > MIB && b > MIB && k % 3 != i % 3)
				continue;

			unsigned char *p = f_malloc(a), *q;
			const size_t had = f_usable(p);

			fill(p, had, 5);
			errno = UNTOUCHED;
			q = f_realloc(p, b);
			printf("realloc(malloc(%zu), %zu): %s errno=%s", a, b,
			       q ? "memory" : "NULL", error_name(errno));
			if (q)
				printf(" holds=%d usable=%d aligned=%d",
				       holds(q, had < b ? had : b, had, 5),
				       f_usable(q) >= b,
				       (uintptr_t)q % 16 == 0);
			else
				printf(" old=%d", holds(p, had, had, 5));
			putchar('\n');
			f_free(q ? q : p);
		}
	}
}

/* No bytes, no pointer, too many bytes. */
static void resized_at_the_edges(void)
{
	unsigned char *p;

	for (size_t i = 0; i < NR(sizes) && sizes[i] <= 5 * MIB; i++) {
		p = f_malloc(sizes[i]);
		errno = UNTOUCHED;
		p = f_realloc(p, 0);
		printf("realloc(malloc(%zu), 0): %s errno=%s\n", sizes[i],
		       p ? "memory" : "NULL", error_name(errno));
		p = f_malloc(sizes[i]);
		errno = UNTOUCHED;
		p = f_reallocarray(p, 0, 8);
		printf("reallocarray(malloc(%zu), 0, 8): %s errno=%s\n",
		       sizes[i], p ? "memory" : "NULL", error_name(errno));
	}
	p = f_malloc(100);
	fill(p, 100, 9);
	errno = UNTOUCHED;
	printf("reallocarray(p, SIZE_MAX, 2): %s",
	       f_reallocarray(p, SIZE_MAX, 2) ? "memory" : "NULL");
	printf(" errno=%s old=%d\n", error_name(errno), holds(p, 100, 100, 9));
	p = f_reallocarray(p, 3, 1000);
	printf("reallocarray(p, 3, 1000): holds=%d\n", holds(p, 100, 100, 9));
	f_free(p);
	/* Aligned memory may be resized; the alignment is not promised. */
	for (size_t align = 16; align <= MIB; align *= 2) {
		p = f_memalign(align, 3000);
		fill(p, 3000, 1);
		p = f_realloc(p, 300000);
		printf("realloc(memalign(%zu)): holds=%d\n", align,
		       holds(p, 3000, 3000, 1));
		f_free(p);
	}
}

static const size_t aligns[] = {0,
				1,
				2,
				3,
				4,
				7,
				8,
				12,
				16,
				24,
				32,
				48,
				64,
				100,
				256,
				4096,
				4100,
				65536,
				2 * MIB,
				SIZE_MAX / 2 - 1,
				SIZE_MAX / 2 + 1,
				SIZE_MAX / 2 + 2,
				SIZE_MAX - 1,
				SIZE_MAX};
static const size_t aligned_sizes[] = {0,	1,	     24,
				       100,	5000,	     MIB,
				       9 * MIB, PTRDIFF_MAX, SIZE_MAX - 100,
				       SIZE_MAX};

/* memalign() rounds up what is no power of two. */
static size_t least_align(size_t align)
{
	size_t least = 16;

	while (least < align && least <= SIZE_MAX / 4)
		least *= 2;
	return least;
}

static void aligned(void)
{
	for (size_t i = 0; i < NR(aligns); i++) {
		for (size_t k = 0; k < NR(aligned_sizes); k++) {
			const size_t a = aligns[i], n = aligned_sizes[k];
			void *p = aligned;
			int err;

			ANSWER(n, least_align(a), f_aligned_alloc(a, n),
			       "aligned_alloc(%zu, %zu)", a, n);
			ANSWER(n, least_align(a), f_memalign(a, n),
			       "memalign(%zu, %zu)", a, n);
			errno = UNTOUCHED;
			err = f_posix_memalign(&p, a, n);
			printf("posix_memalign(%zu, %zu): %s errno=%s", a, n,
			       err ? error_name(err) : "0", error_name(errno));
			if (err)
				printf(" written=%d\n", p != aligned);
			else
				printf(" aligned=%d usable=%d\n",
				       (uintptr_t)p % a == 0, f_usable(p) >= n);
			if (!err)
				f_free(p);
		}
	}
}

static void unique(void)
{
	void *p[200];
	int same = 0;

	for (int i = 0; i < 200; i++) {
		p[i] = i % 4 == 0 ? f_malloc(0) :
		       i % 4 == 1 ? f_calloc(0, 3) :
		       i % 4 == 2 ? f_realloc(NULL, 0) :
				    f_memalign(64, 0);
		for (int k = 0; k < i; k++)
			same += p[k] == p[i];
	}
	printf("objects of no bytes: the same=%d\n", same);
	for (int i = 0; i < 200; i++)
		f_free(p[i]);
	errno = UNTOUCHED;
	f_free(NULL);
	printf("free(NULL): errno=%s\n", error_name(errno));
	printf("malloc_usable_size(NULL): %zu\n", f_usable(NULL));
}

/* What the C library allocates and the program frees. */
static void of_the_libc(void)
{
	char *line = NULL, *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct dirent **names;
	int found;

	for (int i = 0; i < 20000; i++)
		fprintf(f, "%d ", i);
	fclose(f);
	printf("open_memstream: %zu bytes\n", n);
	f = fmemopen(text, n, "r");
	n = 0;
	printf("getdelim: %zd", getdelim(&line, &n, 0, f));
	printf(" same=%d\n", !strcmp(line, text));
	fclose(f);
	line = f_realloc(line, 5);
	f_free(line);
	line = strdup(text);
	printf("strdup: same=%d\n", !strcmp(line, text));
	f_free(line);
	f_free(text);
	printf("asprintf: %d\n", asprintf(&line, "%0*d", 100000, 1));
	f_free(line);
	line = realpath("/proc/../proc", NULL);
	printf("realpath: %s\n", line);
	f_free(line);
	found = scandir("/proc/self/fd", &names, NULL, alphasort);
	for (int i = 0; i < found; i++)
		f_free(names[i]);
	if (found >= 0)
		f_free(names);
	printf("scandir: %d\n", found > 0);
}

/* The names that the C library has besides. */
static void second_names(void)
{
	void *(*m)(size_t) =
		(void *(*)(size_t))dlsym(RTLD_DEFAULT, "__libc_malloc");
	void *(*c)(size_t, size_t) =
		(void *(*)(size_t, size_t))dlsym(RTLD_DEFAULT, "__libc_calloc");
	void *(*a)(size_t, size_t) = (void *(*)(size_t, size_t))dlsym(
		RTLD_DEFAULT, "__libc_memalign");
	void *(*r)(void *, size_t) = (void *(*)(void *, size_t))dlsym(
		RTLD_DEFAULT, "__libc_realloc");
	void (*f)(void *) =
		(void (*)(void *))dlsym(RTLD_DEFAULT, "__libc_free");
	char *p;

	printf("__libc names: %d\n", m && c && a && r && f);
	if (!m || !c || !a || !r || !f)
		return;
	p = m(100);
	strcpy(p, "given");
	p = f_realloc(p, 10000);
	printf("realloc(__libc_malloc): %s\n", p);
	p = r(p, 20);
	printf("__libc_realloc(realloc): %s\n", p);
	f(p);
	f_free(c(10, 10));
	f_free(a(64, 10));
	f(f_malloc(100000));
}

static void settings(void)
{
	static const struct {
		const char *name;
		int param;
	} params[] = {
		{"M_TRIM_THRESHOLD", M_TRIM_THRESHOLD},
		{"M_TOP_PAD", M_TOP_PAD},
		{"M_MMAP_THRESHOLD", M_MMAP_THRESHOLD},
		{"M_MMAP_MAX", M_MMAP_MAX},
		{"M_CHECK_ACTION", M_CHECK_ACTION},
		{"M_PERTURB", M_PERTURB},
		{"M_ARENA_TEST", M_ARENA_TEST},
		{"M_ARENA_MAX", M_ARENA_MAX},
		{"M_MXFAST", M_MXFAST},
		{"M_NLBLKS", 2},
		{"M_GRAIN", 3},
		{"M_KEEP", 4},
		{"no name", 12345},
	};
	static const int values[] = {0,	   1,	   64,	     160,      161,
				     1000, 100000, 33554432, 33554433, 1 << 30};

	for (size_t i = 0; i < NR(params); i++) {
		for (size_t k = 0; k < NR(values); k++) {
			errno = UNTOUCHED;
			printf("mallopt(%s, %d): %d", params[i].name, values[k],
			       mallopt(params[i].param, values[k]));
			printf(" errno=%s\n", error_name(errno));
		}
		/* As it was, near enough. */
		if (params[i].param == M_PERTURB)
			mallopt(M_PERTURB, 0);
		if (params[i].param == M_MMAP_MAX)
			mallopt(M_MMAP_MAX, 65536);
	}
}

static size_t in_use(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Whether @p more bytes are in use than @before, give or take a half. */
static int grew(size_t before, size_t bytes)
{
	const size_t now = in_use();

	return now >= before + bytes && now <= before + bytes + bytes / 2;
}

static void figures(void)
{
	static void *p[10000];
	struct mallinfo2 m = mallinfo2();
	struct mallinfo old;
	size_t before;

	printf("mallinfo2: arena is the sum=%d keepcost=%d\n",
	       m.arena == m.uordblks + m.fordblks, m.keepcost <= m.fordblks);
	old = mallinfo();
	m = mallinfo2();
	printf("mallinfo is mallinfo2=%d\n",
	       (size_t)(unsigned int)old.arena == (unsigned int)m.arena &&
		       (unsigned int)old.uordblks == (unsigned int)m.uordblks &&
		       (unsigned int)old.hblkhd == (unsigned int)m.hblkhd &&
		       (unsigned int)old.ordblks == (unsigned int)m.ordblks);
	before = in_use();
	for (int i = 0; i < 10000; i++)
		p[i] = f_malloc(1000);
	printf("mallinfo2: 10000 of 1000 bytes=%d\n", grew(before, 10000000));
	m = mallinfo2();
	printf("mallinfo2: arena is the sum=%d\n",
	       m.arena == m.uordblks + m.fordblks);
	for (int i = 0; i < 10000; i++)
		f_free(p[i]);
	printf("mallinfo2: freed=%d\n", in_use() <= before + MIB);
	before = in_use();
	p[0] = f_malloc(40 * MIB);
	printf("mallinfo2: 40 MiB=%d\n", grew(before, 40 * MIB));
	m = mallinfo2();
	printf("mallinfo2: large are counted=%d\n",
	       m.hblks >= 1 && m.hblkhd >= 40 * MIB);
	f_free(p[0]);
	printf("mallinfo2: freed=%d\n", in_use() <= before + MIB);
}

/* Each element that is opened is closed, in order; values are quoted. */
static bool well_formed(const char *xml)
{
	const char *open[32];
	size_t len[32];
	int depth = 0, roots = 0;

	while ((xml = strchr(xml, '<'))) {
		const char *end = strchr(xml, '>');
		int quotes = 0;
		size_t name;

		if (!end)
			return false;
		for (const char *c = xml; c < end; c++)
			quotes += *c == '"';
		if (quotes % 2)
			return false;
		if (xml[1] == '/') {
			name = strcspn(xml + 2, " />");
			if (!depth || len[--depth] != name ||
			    strncmp(open[depth], xml + 2, name))
				return false;
		} else {
			roots += !depth;
			if (depth == 32)
				return false;
			open[depth] = xml + 1;
			len[depth++] = strcspn(xml + 1, " />");
			if (end[-1] == '/')
				depth--;
		}
		xml = end;
	}
	return !depth && roots == 1;
}

/* The largest size="..." of the elements that begin so. */
static unsigned long long size_in(const char *xml, const char *element)
{
	unsigned long long most = 0;

	while ((xml = strstr(xml, element))) {
		const char *size = strstr(xml, "size=\"");
		const unsigned long long n =
			size ? strtoull(size + 6, NULL, 10) : 0;

		most = n > most ? n : most;
		xml++;
	}
	return most;
}

static char *info_xml(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (malloc_info(0, f))
		printf("malloc_info(0) failed\n");
	fclose(f);
	return text;
}

static void information(void)
{
	char *text = info_xml(), *p = f_malloc(50 * MIB), *after = info_xml();
	FILE *null = fopen("/dev/null", "w");

	printf("malloc_info: well-formed=%d version=%d system=%d\n",
	       well_formed(text), !strncmp(text, "<malloc version=\"1\">", 20),
	       size_in(text, "<system type=\"current\"") > 0);
	printf("malloc_info: 50 MiB more=%d\n",
	       size_in(after, "<total type=\"mmap\"") >=
		       size_in(text, "<total type=\"mmap\"") + 50 * MIB);
	f_free(p);
	f_free(text);
	f_free(after);
	for (int options = -1; options <= 2; options++) {
		errno = UNTOUCHED;
		printf("malloc_info(%d): %d", options,
		       malloc_info(options, null));
		printf(" errno=%s\n", error_name(errno));
	}
	fclose(null);
}

/* On standard error, and nowhere else. */
static void statistics(void)
{
	FILE *f = tmpfile();
	const int saved = dup(2);
	bool anything;

	fflush(stdout);
	if (!f || saved < 0)
		return;
	dup2(fileno(f), 2);
	malloc_stats();
	dup2(saved, 2);
	close(saved);
	anything = lseek(fileno(f), 0, SEEK_END) > 50;
	printf("malloc_stats: prints=%d\n", anything);
	fclose(f);
}

static void trimmed(void)
{
	static void *p[1000];
	void *last;

	for (int i = 0; i < 1000; i++) {
		p[i] = f_malloc(60000);
		memset(p[i], 1, 60000);
	}
	last = f_malloc(60000);
	for (int i = 0; i < 1000; i++)
		f_free(p[i]);
	printf("malloc_trim(0) after frees: %d\n", malloc_trim(0));
	f_free(last);
}

static void *in_a_thread(void *arg)
{
	errno = UNTOUCHED;
	*(bool *)arg = !f_malloc(SIZE_MAX) && errno == ENOMEM;
	return f_malloc(1000);
}

static void threads(void)
{
	bool failed = false;
	pthread_t t;
	void *p;

	errno = UNTOUCHED;
	pthread_create(&t, NULL, in_a_thread, &failed);
	pthread_join(t, &p);
	printf("a thread: ENOMEM=%d, here errno=%s\n", failed,
	       error_name(errno));
	f_free(p);
}

/* A sequence of calls on contents that are known, by a seed that is fixed. */
static void sequence(void)
{
	static struct {
		unsigned char *p;
		size_t n;
	} object[500];
	uint64_t seed = 42;
	long bad = 0;

	for (int step = 0; step < 100000; step++) {
		size_t i, n;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		i = (seed >> 33) % NR(object);
		n = (seed >> 20) % ((size_t)1 << (4 + (seed >> 50) % 14));
		if (!object[i].p) {
			object[i].p = seed >> 60 & 1 ? f_malloc(n) :
						       f_memalign(64, n);
		} else if (seed >> 60 & 3) {
			bad += !holds(object[i].p, object[i].n, object[i].n,
				      (unsigned int)i);
			f_free(object[i].p);
			object[i].p = NULL;
			continue;
		} else {
			const size_t had = object[i].n;

			object[i].p = f_realloc(object[i].p, n + 1);
			n++;
			bad += !holds(object[i].p, had < n ? had : n, had,
				      (unsigned int)i);
		}
		object[i].n = n;
		fill(object[i].p, n, (unsigned int)i);
	}
	printf("100000 calls: contents lost=%ld\n", bad);
}

static const char *const names[] = {"malloc",
				    "free",
				    "calloc",
				    "realloc",
				    "reallocarray",
				    "posix_memalign",
				    "aligned_alloc",
				    "memalign",
				    "valloc",
				    "pvalloc",
				    "malloc_usable_size",
				    "malloc_trim",
				    "malloc_stats",
				    "malloc_info",
				    "mallopt",
				    "mallinfo",
				    "mallinfo2",
				    "__libc_malloc",
				    "__libc_free",
				    "__libc_calloc",
				    "__libc_realloc",
				    "__libc_memalign",
				    "__libc_valloc",
				    "__libc_pvalloc",
				    "__libc_mallinfo",
				    "__libc_mallopt",
				    "cfree",
				    "free_sized",
				    "free_aligned_sized"};

static int whose(void)
{
	for (size_t i = 0; i < NR(names); i++) {
		void *at = dlsym(RTLD_DEFAULT, names[i]);
		Dl_info of;

		printf("%s %s\n", names[i],
		       at && dladdr(at, &of) ? of.dli_fname : "nobody");
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--whose"))
		return whose();
	plain();
	zeroed();
	resized();
	resized_at_the_edges();
	aligned();
	unique();
	of_the_libc();
	second_names();
	figures();
	information();
	statistics();
	trimmed();
	threads();
	sequence();
	settings();
	return 0;
}
