/* SPDX-License-Identifier: Apache-2.0 */
/* The setting guard_sample: objects between guards, and reports of misuse. */
#include <knuma/knuma.h>
#include <knuma/malloc.h>

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/slab/fence.h"
#include "alloc/magazine/magazine.h"
#include "alloc/view/whatis.h"
#include "numa/machine.h"
#include "tests/support/child.h"
#include "tests/support/fake_nodes.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/misuse.h"
#include "tests/support/syscalls.h"

/* Who allocates and who frees stand in sections of their own. */
#define ALLOCATES __attribute__((noinline, section("alloc_site")))
#define FREES	  __attribute__((noinline, section("free_site")))
#define USES	  __attribute__((noinline, section("use_site")))
extern const char __start_alloc_site[], __stop_alloc_site[];
extern const char __start_free_site[], __stop_free_site[];
extern const char __start_use_site[], __stop_use_site[];

#define PAGE 4096

static bool is_guarded(const void *p)
{
	return kn_id_of(p) == KN_ID_GUARD;
}

ALLOCATES static void *allocate(size_t size)
{
	void *p = kmalloc(size, GFP_KERNEL);

	__asm__ volatile("" : "+r"(p));
	return p;
}

FREES static void release(void *p)
{
	kfree(launder(p));
	__asm__ volatile("");
}

USES static char read_at(const volatile char *p)
{
	char c = *p;

	__asm__ volatile("" : "+r"(c));
	return c;
}

USES static void write_at(volatile char *p)
{
	*p = 1;
	__asm__ volatile("");
}

static void start_with(const char *every)
{
	conf("guard_sample", every);
	start_here();
}

/*
 * An object at the end of its page, or at its start: a coin says, so in 1,000
 * tries there is one.
 */
static char *allocate_at(size_t size, bool end)
{
	for (int i = 0; i < 1000; i++) {
		char *p = allocate(size);

		CHECK(p && is_guarded(p));
		if (((uintptr_t)(p + (end ? size : 0)) & (PAGE - 1)) == 0)
			return p;
		release(p);
	}
	CHECK(!"an object at that end of its page");
	return NULL;
}

/* Reports. */

/* A frame under the line that begins with @head lies in [@from, @to). */
static bool stack_has(const char *text, const char *head, const char *from,
		      const char *to)
{
	const char *line = strstr(text, head);

	for (line = line ? strchr(line, '\n') : NULL; line;
	     line = strchr(line + 1, '\n')) {
		unsigned long pc;

		if (sscanf(line + 1, "knuma:   0x%lx", &pc) != 1)
			return false;
		if (pc >= (uintptr_t)from && pc <= (uintptr_t)to)
			return true;
	}
	return false;
}

#define CHECK_STACK(text, head, site) \
	CHECK(stack_has(text, head, __start_##site, __stop_##site))

/* Runs @fn, which must not survive; what it printed. */
static const char *report_of(void (*fn)(void))
{
	static struct child c;

	child_run(fn, &c);
	CHECK(!child_passed(&c));
	if (!strstr(c.text, "BUG guard"))
		fprintf(stderr, "%s", c.text);
	return c.text;
}

static void read_after_free(void)
{
	char *p;

	start_with("1");
	p = allocate(100);
	release(p);
	read_at(launder(p));
}

static void write_after_free(void)
{
	char *p;

	start_with("1");
	p = allocate(100);
	release(p);
	write_at((char *)launder(p) + 50);
}

static void uses_after_free_are_reported(void)
{
	const char *text = report_of(read_after_free);

#if defined(__x86_64__)
	CHECK_HAS(text, "use-after-free read at 0x");
#else
	CHECK_HAS(text, "use-after-free access at 0x");
#endif
	CHECK_HAS(text, "size=100, cache=kmalloc-112");
	CHECK_STACK(text, "BUG guard", use_site);
	CHECK_STACK(text, "allocated by thread", alloc_site);
	CHECK_STACK(text, "freed by thread", free_site);
	text = report_of(write_after_free);
#if defined(__x86_64__)
	CHECK_HAS(text, "use-after-free write at 0x");
#endif
	CHECK_STACK(text, "BUG guard", use_site);
	CHECK_STACK(text, "freed by thread", free_site);
}

static void read_behind(void)
{
	start_with("1");
	read_at(allocate_at(96, true) + 96);
}

static void write_behind(void)
{
	start_with("1");
	write_at(allocate_at(96, true) + 99);
}

static void read_before(void)
{
	start_with("1");
	read_at(allocate_at(96, false) - 1);
}

static void write_before(void)
{
	start_with("1");
	write_at(allocate_at(96, false) - 8);
}

static void uses_out_of_bounds_are_reported(void)
{
	static const struct {
		void (*fn)(void);
		const char *where, *access;
	} rows[] = {
		{read_behind, "(1B right of guard-#", "read"},
		{write_behind, "(4B right of guard-#", "write"},
		{read_before, "(1B left of guard-#", "read"},
		{write_before, "(8B left of guard-#", "write"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = report_of(rows[i].fn);

		CHECK_HAS(text, "BUG guard: out-of-bounds");
		CHECK_HAS(text, rows[i].where);
#if defined(__x86_64__)
		CHECK_HAS(text, rows[i].access);
#endif
		CHECK_STACK(text, "BUG guard", use_site);
		CHECK_STACK(text, "allocated by thread", alloc_site);
		CHECK(!strstr(text, "freed by thread"));
	}
}

static void spoil_behind(void)
{
	char *p;

	start_with("1");
	/* Its alignment leaves room behind it, in its page. */
	p = allocate(100);
	write_at((char *)launder(p) + 100);
	release(p);
}

static void spoil_before(void)
{
	char *p;

	start_with("1");
	p = allocate_at(96, true);
	write_at(p - 3);
	release(p);
}

static void writes_that_meet_no_guard_are_found_by_the_free(void)
{
	const char *text = report_of(spoil_behind);

	CHECK_HAS(text, "BUG guard: memory corruption at 0x");
	CHECK_HAS(text, "(1B right of guard-#");
	CHECK_STACK(text, "BUG guard", free_site);
	CHECK_STACK(text, "allocated by thread", alloc_site);
	text = report_of(spoil_before);
	CHECK_HAS(text, "(3B left of guard-#");
}

static void free_twice(void)
{
	char *p;

	start_with("1");
	p = allocate(100);
	release(p);
	release(p);
}

static void free_inside(void)
{
	start_with("1");
	release(allocate_at(96, false) + 16);
}

static void free_a_guard(void)
{
	start_with("1");
	release(allocate_at(96, false) + PAGE);
}

static void frees_of_what_is_none_are_reported(void)
{
	const char *text = report_of(free_twice);

	CHECK_HAS(text, "BUG guard: invalid free of 0x");
	CHECK_HAS(text, "double free");
	CHECK_STACK(text, "BUG guard", free_site);
	CHECK_STACK(text, "allocated by thread", alloc_site);
	CHECK_STACK(text, "freed by thread", free_site);
	text = report_of(free_inside);
	CHECK_HAS(text, "not the start of an object");
	CHECK_STACK(text, "BUG guard", free_site);
	CHECK_STACK(text, "allocated by thread", alloc_site);
	text = report_of(free_a_guard);
	CHECK_HAS(text, "not the start of an object");
	CHECK_STACK(text, "BUG guard", free_site);
}

/* The process lives on where a test has taken the abort's place. */
static void a_bad_free_leaves_the_object_alone(void)
{
	char *p;

	start_with("1");
	misuse_catch();
	p = allocate(200);
	memset(p, 7, 200);
	release(p + 16);
	CHECK_EQ(misuse_count(), 1);
	CHECK(all_bytes(p, 200, 7));
	release(p);
	CHECK_EQ(misuse_count(), 1);
	release(p);
	CHECK_EQ(misuse_count(), 2);
	CHECK_EQ(stat_of("guarded_reports"), 2);
	CHECK_EQ(stat_of("double_free"), 1);
	CHECK_EQ(stat_of("invalid_free"), 1);
	CHECK_EQ(stat_of("guarded_allocs"), stat_of("guarded_frees"));
	heap_verify();
}

/* Signals. */

static sigjmp_buf back;
static void *fault_address;
static int handled;

static void jump_back(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_address = info->si_addr;
	handled++;
	siglongjmp(back, 1);
}

static void the_handler_of_the_program_comes_after_the_report(void)
{
	struct sigaction sa = {
		.sa_sigaction = jump_back,
		.sa_flags = SA_SIGINFO,
	};
	char *p;

	CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
	start_with("1");
	p = allocate(100);
	release(p);
	for (int i = 1; i <= 2; i++) {
		if (!sigsetjmp(back, 1))
			read_at(launder(p));
		CHECK_EQ(handled, i);
		CHECK_EQ(fault_address, p);
	}
	/* Once for an object, or a program that goes on would print for ever. */
	CHECK_EQ(printed_times("BUG guard: use-after-free"), 1);
	/* What is not of guards is the program's own. */
	if (!sigsetjmp(back, 1))
		write_at(launder((void *)16));
	CHECK_EQ(handled, 3);
	CHECK_EQ(fault_address, 16);
	CHECK_EQ(stat_of("guarded_reports"), 1);
}

/* What docs/howto/find-misuse.md says that a report needs, besides the frame. */
#define REPORT_STACK 8192

static void an_alternate_stack_is_large_enough(void)
{
	struct sigaction sa = {
		.sa_sigaction = jump_back,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	stack_t stack = {
		.ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + REPORT_STACK,
	};
	char *map, *p;

	if (TEST_SANITIZED)
		skip_child("the sanitizer's frames are larger");
	map = mmap(NULL, page + stack.ss_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(map != MAP_FAILED);
	/* What overflows it ends the process. */
	CHECK_EQ(mprotect(map, page, PROT_NONE), 0);
	stack.ss_sp = map + page;
	CHECK_EQ(sigaltstack(&stack, NULL), 0);
	CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
	start_with("1");
	p = allocate(100);
	release(p);
	if (!sigsetjmp(back, 1))
		read_at(launder(p));
	CHECK_EQ(handled, 1);
	CHECK_EQ(printed_times("BUG guard: use-after-free"), 1);
	CHECK_STACK(printed(), "freed by thread", free_site);
}

static int plain_signals;

static void count_signal(int sig)
{
	(void)sig;
	plain_signals++;
}

static void a_signal_that_was_sent_takes_its_course(void)
{
	signal(SIGSEGV, count_signal);
	start_with("1");
	release(allocate(100));
	CHECK_EQ(raise(SIGSEGV), 0);
	CHECK_EQ(plain_signals, 1);
	CHECK_EQ(stat_of("guarded_reports"), 0);
}

static void an_ignored_signal_stays_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	start_with("1");
	release(allocate(100));
	CHECK_EQ(raise(SIGSEGV), 0);
	CHECK_EQ(raise(SIGSEGV), 0);
}

/* As the system does it: the action counts, not how it would be called. */
static void an_action_with_siginfo_is_no_handler(void)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO};

	sa.sa_handler = SIG_IGN;
	CHECK_EQ(sigaction(SIGSEGV, &sa, NULL), 0);
	start_with("1");
	release(allocate(100));
	CHECK_EQ(raise(SIGSEGV), 0);
}

static void send_to_self(void)
{
	start_with("1");
	release(allocate(100));
	raise(SIGSEGV);
	_exit(0);
}

static void fault_elsewhere(void)
{
	start_with("1");
	release(allocate(100));
	write_at(launder((void *)16));
	_exit(0);
}

static void the_default_is_to_end(void)
{
	struct child c;

	child_run(send_to_self, &c);
	CHECK(child_killed(&c, SIGSEGV));
	child_run(fault_elsewhere, &c);
	CHECK(child_killed(&c, SIGSEGV));
	CHECK(!strstr(c.text, "BUG"));
	child_run(read_after_free, &c);
	CHECK(child_killed(&c, SIGSEGV));
}

static void fault_without_a_way_back(void)
{
	static const int nr = SYS_rt_sigaction;

	start_with("1");
	release(allocate(100));
	if (!syscalls_refuse(&nr, 1, EPERM))
		skip_child("no seccomp");
	write_at(launder((void *)16));
	_exit(0);
}

/* The instruction is not run over and over. */
static void the_end_comes_though_the_default_is_refused(void)
{
	struct child c;

	child_run(fault_without_a_way_back, &c);
	if (child_passed(&c) && strstr(c.text, "skipped"))
		skip_child("no seccomp");
	CHECK(child_killed(&c, SIGABRT));
}

static void off_installs_no_handler(void)
{
	struct sigaction sa;

	start_here();
	kfree(kmalloc(100, GFP_KERNEL));
	CHECK_EQ(sigaction(SIGSEGV, NULL, &sa), 0);
	CHECK_EQ(sa.sa_handler, SIG_DFL);
	CHECK_EQ(stat_of("guarded_allocs"), 0);
}

/* All calls. */

static void sizes_are_those_asked_for(void)
{
	static const size_t sizes[] = {1, 8, 16, 100, 1000, 1025, 3000, 4096};

	start_with("1");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = kmalloc(sizes[i], GFP_KERNEL | __GFP_ZERO);
		char *q = knuma_malloc(sizes[i]);

		CHECK(is_guarded(p) && is_guarded(q));
		CHECK_EQ(ksize(p), sizes[i]);
		CHECK_EQ(knuma_malloc_usable_size(q), sizes[i]);
		CHECK(all_bytes(p, sizes[i], 0));
		CHECK_EQ((uintptr_t)p % divisor_of(sizes[i]), 0);
		CHECK_EQ((uintptr_t)q % KN_MIN(divisor_of(sizes[i]), 16), 0);
		memset(p, 1, ksize(p));
		memset(q, 2, sizes[i]);
		kfree(p);
		knuma_free(q);
	}
	/* What fills more than a page has no place there. */
	CHECK(!is_guarded(launder(kmalloc(5000, GFP_KERNEL))));
	CHECK_EQ(stat_of("guarded_reports"), 0);
}

static void resized(void)
{
	char *p, *q;

	start_with("1");
	p = kmalloc(100, GFP_KERNEL);
	pattern_fill(p, 100, 1);
	CHECK_EQ(krealloc(p, 50, GFP_KERNEL), p);
	p = krealloc(p, 300, GFP_KERNEL);
	CHECK(is_guarded(p) && pattern_holds(p, 100, 1));
	p = krealloc(p, 20000, GFP_KERNEL);
	CHECK(pattern_holds(p, 100, 1));
	kfree(p);
	q = knuma_malloc(100);
	pattern_fill(q, 100, 2);
	q = knuma_realloc(q, 5000);
	CHECK(pattern_holds(q, 100, 2));
	q = knuma_realloc(q, 60);
	CHECK(is_guarded(q) && pattern_holds(q, 60, 2));
	knuma_free(q);
	p = kmalloc(64, GFP_KERNEL);
	kfree_sensitive(p);
	CHECK_EQ(stat_of("guarded_allocs"), stat_of("guarded_frees"));
	CHECK_EQ(stat_of("guarded_reports"), 0);
}

static void construct(void *obj)
{
	memset(obj, 0x5a, 40);
}

static void objects_of_caches(void)
{
	struct kmem_cache *plain, *made, *typesafe;
	void *p, *many[8];

	start_with("1");
	plain = kmem_cache_create("plain", 72, 0, 0, NULL);
	made = kmem_cache_create("made", 40, 0, 0, construct);
	typesafe = kmem_cache_create("typesafe", 72, 0, SLAB_TYPESAFE_BY_RCU,
				     NULL);
	p = kmem_cache_alloc(plain, GFP_KERNEL);
	CHECK(is_guarded(p));
	CHECK_EQ(ksize(p), 72);
	kmem_cache_free(plain, p);
	for (int i = 0; i < 3; i++) {
		p = kmem_cache_alloc(made, GFP_KERNEL);
		CHECK(is_guarded(p) && all_bytes(p, 40, 0x5a));
		memset(p, 0x5a, 40);
		kmem_cache_free(made, p);
	}
	p = kmem_cache_alloc(typesafe, GFP_KERNEL);
	CHECK(!is_guarded(p));
	kmem_cache_free(typesafe, p);
	CHECK_EQ(kmem_cache_alloc_bulk(plain, GFP_KERNEL, 8, many), 8);
	CHECK(is_guarded(many[0]));
	kmem_cache_free_bulk(plain, 8, many);
	CHECK_EQ(kmem_cache_alloc_bulk(plain, GFP_KERNEL, 8, many), 8);
	kfree_bulk(8, many);
	/* The wrong cache is said, and the object goes back to its own. */
	p = kmem_cache_alloc(plain, GFP_KERNEL);
	kmem_cache_free(made, p);
	CHECK_HAS(printed(), "but object is from plain");
	CHECK_EQ(stat_of("guarded_allocs"), stat_of("guarded_frees"));
	CHECK_EQ(stat_of("guarded_reports"), 0);
	kmem_cache_destroy(plain);
	kmem_cache_destroy(made);
	kmem_cache_destroy(typesafe);
	CHECK_EQ(printed_times("remain"), 0);
}

static uint32_t refill_nothing(struct kn_magcache *c, int node, gfp_t gfp,
			       void **obj, uint32_t n)
{
	(void)c, (void)node, (void)gfp, (void)obj, (void)n;
	return 0;
}

/* Each is guarded, and ends where its request does. */
static void bulk_without_slabs(const char *init_on_free)
{
	struct kmem_cache *s;
	void *many[8];

	conf("init_on_free", init_on_free);
	conf("check_on_reuse", init_on_free);
	start_with("1");
	s = kmem_cache_create("odd", 100, 0, 0, NULL);
	s->mag.refill = refill_nothing;
	CHECK_EQ(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, 8, many), 8);
	for (int i = 0; i < 8; i++)
		CHECK(is_guarded(many[i]) && all_bytes(many[i], 100, 0));
	kmem_cache_free_bulk(s, 8, many);
	CHECK_EQ(stat_of("guarded_reports"), 0);
	kmem_cache_destroy(s);
}

static void bulk_when_slabs_are_out(void)
{
	bulk_without_slabs("no");
}

static void bulk_when_hardened_slabs_are_out(void)
{
	bulk_without_slabs("yes");
}

static void a_cache_is_not_empty_while_one_is_used(void)
{
	struct kmem_cache *s;

	start_with("1");
	s = kmem_cache_create("leaks", 72, 0, 0, NULL);
	CHECK(is_guarded(kmem_cache_alloc(s, GFP_KERNEL)));
	kmem_cache_destroy(s);
	CHECK_HAS(printed(), "Objects remaining on __kmem_cache_shutdown(): 1");
}

static void calls_that_may_not_wait_are_not_sampled(void)
{
	uint64_t calls;
	void *p;

	start_with("1");
	release(allocate(100));
	kfree(kmalloc(100, GFP_NOWAIT));
	faults_install();
	calls = faults_calls(FAULT_ANY);
	for (int i = 0; i < 100; i++) {
		p = kmalloc(100, i % 2 ? GFP_NOWAIT : GFP_ATOMIC);
		CHECK(!is_guarded(p));
		kfree(p);
	}
	CHECK_EQ(faults_calls(FAULT_ANY), calls);
}

static void on_the_node_that_is_named(void)
{
	fake_nodes(3);
	start_with("1");
	for (int i = 0; i < 30; i++) {
		void *p = kmalloc_node(100, GFP_KERNEL, i % 3);

		CHECK(is_guarded(p));
		CHECK_EQ(knuma_node_of(p), i % 3);
		kfree(p);
	}
	CHECK_EQ(stat_of("numa_miss"), 0);
}

static void free_in_a_child_and_use(void)
{
	char *p;
	pid_t pid;
	int status;

	start_with("1");
	p = allocate(100);
	pattern_fill(p, 100, 3);
	pid = fork();
	if (!pid) {
		if (!pattern_holds(p, 100, 3))
			_exit(2);
		release(p);
		read_at(launder(p));
		_exit(3);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	/* The parent's is another one. */
	CHECK(pattern_holds(p, 100, 3));
	release(p);
}

static void each_process_has_its_own(void)
{
	struct child c;

	child_run(free_in_a_child_and_use, &c);
	CHECK(child_passed(&c));
	CHECK_HAS(c.text, "use-after-free");
	CHECK_STACK(c.text, "freed by thread", free_site);
}

static const char *whatis(const void *p)
{
	static char text[8192];
	struct kn_text t = {.buf = text, .size = sizeof(text)};

	kn_whatis_json(&t, (uintptr_t)p);
	CHECK(t.len < sizeof(text));
	return text;
}

static void whatis_knows_them(void)
{
	char *p;

	start_with("1");
	p = allocate_at(96, false);
	CHECK_HAS(whatis(p + 5), "\"guarded object\"");
	CHECK_HAS(whatis(p + 5), "\"offset\":5");
	CHECK_HAS(whatis(p), "\"kmalloc-96\"");
	CHECK_HAS(whatis(p), "\"allocated\"");
	CHECK_HAS(whatis(p - 1), "\"guard\"");
	release(p);
	CHECK_HAS(whatis(p), "\"guarded object\"");
	CHECK_HAS(whatis(p), "\"free\"");
}

/* Turns and slots. */

static void slots_stay_closed_as_long_as_can_be(void)
{
	enum {
		SLOTS = 10
	};
	void *seen[SLOTS + 1];

	conf("guard_slots", "10");
	start_with("1");
	for (int i = 0; i < 3; i++)
		release(allocate(100));
	for (int i = 0; i <= SLOTS; i++) {
		void *p = allocate(4096);

		seen[i] = p;
		release(p);
		for (int k = 0; k < i && i < SLOTS; k++)
			CHECK(seen[k] != p);
	}
	CHECK_EQ(seen[SLOTS], seen[0]);
}

static void who_finds_no_slot_is_served_without(void)
{
	void *p[6];
	uint64_t before;

	conf("guard_slots", "4");
	start_with("1");
	before = stat_of("guarded_allocs");
	for (int i = 0; i < 6; i++) {
		p[i] = kmalloc(100, GFP_KERNEL);
		CHECK(p[i]);
		CHECK_EQ(is_guarded(p[i]), i < 4);
	}
	CHECK_EQ(stat_of("guarded_allocs") - before, 4);
	for (int i = 0; i < 6; i++)
		kfree(p[i]);
	heap_verify();
}

/*
 * Steps between turns are 1 to 19, alike: 10,000 allocations have 1,000 turns,
 * and 200 more or fewer would be eleven times the standard deviation.
 */
static void one_in_n(void)
{
	uint64_t before;

	start_with("10");
	before = stat_of("guarded_allocs");
	for (int i = 0; i < 10000; i++)
		release(allocate(32));
	CHECK(stat_of("guarded_allocs") - before > 800);
	CHECK(stat_of("guarded_allocs") - before < 1200);
}

/* A pair that never misses its magazine gets its turn by the tick. */
static void objects_of_busy_magazines_get_their_turn(void)
{
	start_with("1000");
	for (int i = 0; i < 1000 && !stat_of("guarded_allocs"); i++) {
		for (int k = 0; k < 1000; k++)
			release(allocate(32));
		kn_fence_tick();
	}
	CHECK(stat_of("guarded_allocs") > 0);
	CHECK_EQ(stat_of("guarded_skipped"), 0);
	heap_verify();
}

/* What was armed opens again: a magazine is not lost to its CPU. */
static void a_turn_closes_a_magazine_once(void)
{
	uint64_t slow;

	start_with("1000");
	if (kn_mag_mode != KN_MAG_RSEQ)
		skip_child("no rseq: there are no fast paths");
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 2000; k++)
			release(allocate(32));
		kn_fence_tick();
	}
	release(allocate(32));
	release(allocate(32));
	slow = stat_of("alloc_slow");
	for (int k = 0; k < 100; k++)
		release(allocate(32));
	CHECK(stat_of("alloc_slow") - slow <= 1);
}

/* The system refuses. */

static void without_markers_by_protection(void)
{
	uint64_t calls;

	faults_install();
	faults_refuse_advice(102, EINVAL);
	start_with("1");
	for (int i = 0; i < 100; i++)
		release(allocate(100));
	calls = faults_calls(FAULT_ANY);
	for (int i = 0; i < 100; i++)
		release(allocate(100));
	/* To open; to close, and what was there is gone: nothing is asked again. */
	CHECK_EQ(faults_calls(FAULT_ANY) - calls, 300);
	CHECK(faults_calls(FAULT_MPROTECT) > 200);
}

static void use_without_markers(void)
{
	char *p;

	without_markers_by_protection();
	p = allocate(100);
	release(p);
	read_at(launder(p));
}

static void old_kernels_report_too(void)
{
	const char *text = report_of(use_without_markers);

	CHECK_HAS(text, "use-after-free");
	CHECK_STACK(text, "freed by thread", free_site);
}

/* The system refuses what closes a page from here on, by whatever means. */
static void refuse_protection(void)
{
	faults_install();
	faults_fail(FAULT_ANY, 1, FAULTS_FOR_EVER, EPERM);
}

static void allow_protection(void)
{
	faults_fail(FAULT_ANY, 0, 0, 0);
}

static void a_node_without_protection_has_none(void)
{
	fake_nodes(2);
	start_with("1");
	/* The heap of the node is there, its guards are not. */
	__free_pages(alloc_pages_node(1, GFP_KERNEL, 9), 9);
	kfree(kmalloc_node(100, GFP_NOWAIT, 1));
	refuse_protection();
	for (int i = 0; i < 100; i++) {
		void *p = kmalloc_node(100, GFP_KERNEL, 1);

		CHECK(p && !is_guarded(p));
		CHECK_EQ(knuma_node_of(p), 1);
		kfree(p);
	}
	allow_protection();
	CHECK_EQ(printed_times("no guarded objects on node 1"), 1);
	CHECK(stat_of("guarded_skipped") >= 100);
	heap_verify();
}

static void a_page_that_does_not_open_or_close(void)
{
	void *p, *q;

	start_with("1");
	p = kmalloc(100, GFP_KERNEL);
	release(allocate(100));
	refuse_protection();
	q = kmalloc(100, GFP_KERNEL);
	CHECK(is_guarded(p) && q && !is_guarded(q));
	kfree(q);
	release(p);
	allow_protection();
	CHECK_EQ(printed_times("could not be protected"), 1);
	CHECK_EQ(stat_of("guarded_allocs"), stat_of("guarded_frees"));
	CHECK(is_guarded(launder(kmalloc(100, GFP_KERNEL))));
	heap_verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(uses_after_free_are_reported),
		child_test(uses_out_of_bounds_are_reported),
		child_test(writes_that_meet_no_guard_are_found_by_the_free),
		child_test(frees_of_what_is_none_are_reported),
		child_test(a_bad_free_leaves_the_object_alone),
		child_test(the_handler_of_the_program_comes_after_the_report),
		child_test(an_alternate_stack_is_large_enough),
		child_test(a_signal_that_was_sent_takes_its_course),
		child_test(an_ignored_signal_stays_ignored),
		child_test(an_action_with_siginfo_is_no_handler),
		child_test(the_default_is_to_end),
		child_test(the_end_comes_though_the_default_is_refused),
		child_test(off_installs_no_handler),
		child_test(sizes_are_those_asked_for),
		child_test(resized),
		child_test(objects_of_caches),
		child_test(bulk_when_slabs_are_out),
		child_test(bulk_when_hardened_slabs_are_out),
		child_test(a_cache_is_not_empty_while_one_is_used),
		child_test(calls_that_may_not_wait_are_not_sampled),
		child_test(on_the_node_that_is_named),
		child_test(each_process_has_its_own),
		child_test(whatis_knows_them),
		child_test(slots_stay_closed_as_long_as_can_be),
		child_test(who_finds_no_slot_is_served_without),
		child_test(one_in_n),
		child_test(objects_of_busy_magazines_get_their_turn),
		child_test(a_turn_closes_a_magazine_once),
		child_test(old_kernels_report_too),
		child_test(a_node_without_protection_has_none),
		child_test(a_page_that_does_not_open_or_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
