/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/libc/refusals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Any thread may make a call; one test thread plans. */
static struct {
	uint64_t calls, refused;
	uint64_t first, last; /* numbers of calls that fail; first 0: none */
	int err;
} plan[LIBC_CALLS];

/* Counts a call; 0, or the error that it ends with. */
static int refusal(enum libc_call call)
{
	const uint64_t n =
		__atomic_add_fetch(&plan[call].calls, 1, __ATOMIC_SEQ_CST);
	const uint64_t first =
		__atomic_load_n(&plan[call].first, __ATOMIC_ACQUIRE);

	if (!first || n < first ||
	    n > __atomic_load_n(&plan[call].last, __ATOMIC_RELAXED))
		return 0;
	__atomic_add_fetch(&plan[call].refused, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&plan[call].err, __ATOMIC_RELAXED);
}

#define REFUSAL(ret, name, parameters, arguments)             \
	ret __real_##name parameters;                         \
	ret __wrap_##name parameters;                         \
	ret __wrap_##name parameters                          \
	{                                                     \
		const int refused_err = refusal(LIBC_##name); \
                                                              \
		if (!refused_err)                             \
			return __real_##name arguments;       \
		errno = refused_err;                          \
		return -1;                                    \
	}
#include "tests/support/libc/refusals.def"
#undef REFUSAL

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg)
{
	const int err = refusal(LIBC_pthread_create);

	return err ? err : __real_pthread_create(thread, attr, fn, arg);
}

void libc_refuse(enum libc_call call, uint64_t nth, uint64_t times, int err)
{
	const uint64_t first = libc_calls(call) + nth;

	libc_allow(call);
	__atomic_store_n(&plan[call].err, err, __ATOMIC_RELAXED);
	__atomic_store_n(&plan[call].last,
			 times > UINT64_MAX - first ? UINT64_MAX :
						      first + times - 1,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&plan[call].first, first, __ATOMIC_RELEASE);
}

void libc_allow(enum libc_call call)
{
	__atomic_store_n(&plan[call].first, 0, __ATOMIC_RELEASE);
}

uint64_t libc_calls(enum libc_call call)
{
	return __atomic_load_n(&plan[call].calls, __ATOMIC_SEQ_CST);
}

uint64_t libc_refused(enum libc_call call)
{
	return __atomic_load_n(&plan[call].refused, __ATOMIC_SEQ_CST);
}
