/* SPDX-License-Identifier: Apache-2.0 */
/* Shared libraries that are not there or not as expected, and calls of libc. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <urcu/static/urcu-memb.h>
#include <urcu/urcu-memb.h>

#include <knuma/knuma.h>

#include "alloc/rcu/readers.h"
#include "numa/hwloc.h"
#include "numa/machine.h"
#include "numa/placement.h"
#include "tests/support/child.h"
#include "tests/support/heap.h"
#include "tests/support/libc/refusals.h"
#include "tests/support/syscalls.h"

/* By the linker's --wrap: what is not there, or another function for it. */
static const char *no_library, *no_symbol;
static void *instead;
static unsigned long no_auxv;
static int refuse_sigaction;
static bool no_address, other_address;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags)
{
	return no_library && strstr(name, no_library) ?
		       NULL :
		       __real_dlopen(name, flags);
}

void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name)
{
	return no_symbol && !strcmp(name, no_symbol) ?
		       instead :
		       __real_dlsym(library, name);
}

int __real_dladdr(const void *addr, Dl_info *info);
int __wrap_dladdr(const void *addr, Dl_info *info);
int __wrap_dladdr(const void *addr, Dl_info *info)
{
	const int found = __real_dladdr(addr, info);

	if (other_address)
		info->dli_saddr = (char *)info->dli_saddr - 8;
	return no_address ? 0 : found;
}

unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type)
{
	if (type == AT_SECURE)
		return no_auxv == AT_SECURE;
	return type == no_auxv ? 0 : __real_getauxval(type);
}

int __real_sigaction(int sig, const struct sigaction *to,
		     struct sigaction *was);
int __wrap_sigaction(int sig, const struct sigaction *to,
		     struct sigaction *was);
int __wrap_sigaction(int sig, const struct sigaction *to, struct sigaction *was)
{
	if (refuse_sigaction && (refuse_sigaction == 1 || to)) {
		errno = EPERM;
		return -1;
	}
	return __real_sigaction(sig, to, was);
}

static int unavailable(void)
{
	return -1;
}

/* libnuma. */

static void libnuma_is(const char *symbol, void *function, int err)
{
	int (*const before)(size_t, void **, int *) = kn_machine.page_nodes;

	no_symbol = symbol;
	instead = function;
	errno = 4711;
	CHECK_EQ(kn_libnuma_load(), err);
	CHECK_EQ(errno, 4711);
	CHECK(kn_machine.page_nodes == before);
}

static void libnuma_may_be_missing(void)
{
	no_library = "libnuma.so";
	libnuma_is(NULL, NULL, -ENOENT);
	no_library = NULL;
	if (kn_libnuma_load() == -ENOENT)
		skip_child("no libnuma");
}

static void libnuma_may_be_another_one(void)
{
	no_library = "none";
	if (!dlopen("libnuma.so.1", RTLD_NOW))
		skip_child("no libnuma");
	libnuma_is("numa_available", NULL, -ELIBBAD);
	libnuma_is("numa_move_pages", NULL, -ELIBBAD);
	libnuma_is("numa_available", (void *)unavailable, -ENOSYS);
}

/* hwloc. */

static unsigned other_version(void)
{
	return 0x00010b00;
}

static void hwloc_may_be_missing_or_another_one(void)
{
	static struct kn_hwloc out;

	no_auxv = AT_SECURE;
	CHECK_EQ(kn_hwloc_read(&out), -EPERM);
	CHECK_EQ(knuma_topology_refine(), -EPERM);
	no_auxv = 0;
	no_library = "hwloc";
	CHECK_EQ(kn_hwloc_read(&out), -ENOENT);
	no_library = NULL;
	no_symbol = "hwloc_topology_load";
	if (kn_hwloc_read(&out) == -ENOENT)
		skip_child("no hwloc");
	CHECK_EQ(kn_hwloc_read(&out), -ELIBBAD);
	no_symbol = "hwloc_get_api_version";
	instead = (void *)other_version;
	CHECK_EQ(kn_hwloc_read(&out), -ELIBBAD);
	no_symbol = NULL;
	CHECK_EQ(kn_hwloc_read(&out), 0);
}

/* liburcu: who a grace period waits for. */

static void readers_are_not_found_where_liburcu_hides(void)
{
	struct kn_readers found = {.nr = 7};

	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), 0);
	CHECK_EQ(found.nr, 0);
	no_address = true;
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), -ENOENT);
	no_address = false;
	other_address = true;
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), -ENOENT);
	other_address = false;
	no_symbol = "urcu_memb_reader";
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), -ENOENT);
	no_symbol = "urcu_memb_gp";
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), -ENOENT);
	no_symbol = NULL;
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), 0);
}

/* This thread is in a section that began before a grace period, as it were. */
static void is_waited_for(void)
{
	struct kn_readers found;

	urcu_memb_register_thread();
	urcu_memb_read_lock();
	urcu_memb_gp.ctr ^= URCU_GP_CTR_PHASE;
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), 0);
	CHECK_EQ(found.nr, 1);
	CHECK_EQ(found.tid[0], gettid());
}

static void finds(int err)
{
	struct kn_readers found = {.nr = 7};

	errno = 4711;
	CHECK_EQ(kn_readers_find(&urcu_memb_flavor, &found), err);
	CHECK_EQ(found.nr, 0);
	CHECK_EQ(errno, 4711);
}

/* The memory of the process, then the folder of its threads. */
static void readers_are_not_found_where_files_are_refused(void)
{
	is_waited_for();
	for (uint64_t nth = 1; nth <= 2; nth++) {
		libc_refuse(LIBC_open, nth, 1, EACCES);
		finds(-EACCES);
		libc_refuse(LIBC_open, nth, 1, ENOENT);
		finds(-ENODEV);
	}
	CHECK_EQ(libc_refused(LIBC_open), 4);
	/* A thread whose state cannot be read is none, as far as is known. */
	libc_refuse(LIBC_pread, 1, LIBC_FOR_EVER, EIO);
	finds(0);
	CHECK(libc_refused(LIBC_pread) > 0);
}

static void nor_where_a_call_is_refused(int nr)
{
	is_waited_for();
	if (!syscalls_refuse(&nr, 1, EPERM))
		skip_child("no seccomp");
	finds(-EPERM);
}

static void nor_where_folders_are_not_listed(void)
{
	nor_where_a_call_is_refused(SYS_getdents64);
}

static void nor_where_threads_are_not_told_of(void)
{
	nor_where_a_call_is_refused(SYS_get_robust_list);
}

static void a_reader_without_a_name_has_a_number(void)
{
	const struct kn_readers found = {.nr = 1, .tid = {(uint32_t)gettid()}};
	static const enum libc_call calls[] = {LIBC_open, LIBC_read};
	char text[64], expected[64];

	pthread_setname_np(pthread_self(), "sleepy");
	snprintf(expected, sizeof(expected), "thread %d", gettid());
	for (int i = 0; i < 2; i++) {
		libc_refuse(calls[i], 1, 1, EACCES);
		kn_readers_print(&found, text, sizeof(text));
		CHECK_EQ(libc_refused(calls[i]), 1);
		CHECK_EQ(strcmp(text, expected), 0);
	}
	kn_readers_print(&found, text, sizeof(text));
	CHECK_HAS(text, " (sleepy)");
}

/* libc. */

static void constants_are_copied_where_headers_are_hidden(void)
{
	static const char text[] = "constant";
	const char *copy;

	CHECK(kstrdup_const(text, GFP_KERNEL) == text);
	no_auxv = AT_PHDR;
	copy = kstrdup_const(text, GFP_KERNEL);
	CHECK(copy && copy != text && !strcmp(copy, text));
	kfree(copy);
}

static void guards_without_a_handler(int refused)
{
	void *p;

	refuse_sigaction = refused;
	conf("guard_sample", "1");
	start_quiet();
	p = kmalloc(100, GFP_KERNEL);
	CHECK(p);
	CHECK_EQ(printed_times("no handler of SIGSEGV (error 1)"), 1);
	kfree(p);
	heap_verify();
}

static void a_handler_that_is_hidden(void)
{
	guards_without_a_handler(1);
}

static void a_handler_that_cannot_be_set(void)
{
	guards_without_a_handler(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(libnuma_may_be_missing),
		child_test(libnuma_may_be_another_one),
		child_test(hwloc_may_be_missing_or_another_one),
		child_test(readers_are_not_found_where_liburcu_hides),
		child_test(readers_are_not_found_where_files_are_refused),
		child_test(nor_where_folders_are_not_listed),
		child_test(nor_where_threads_are_not_told_of),
		child_test(a_reader_without_a_name_has_a_number),
		child_test(constants_are_copied_where_headers_are_hidden),
		child_test(a_handler_that_is_hidden),
		child_test(a_handler_that_cannot_be_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
