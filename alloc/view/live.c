/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "alloc/view/live.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/lock.h"
#include "alloc/config/tunables.h"
#include "alloc/view/live_path.h"
#include "alloc/view/live_server.h"
#include "alloc/view/requests.h"
#include "alloc/view/stats_view.h"
#include "numa/machine.h"

#define CHILD_DELAY_MS 100

static uint32_t running; /* the thread exists; atomic */
static bool is_child;	 /* of a fork; written before its thread starts */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool wants_socket(void)
{
	return strcmp(kn_tun.socket, "no") != 0 && kn_tun.socket[0];
}

/* The file of metrics. */

static void print_metrics(struct kn_text *t)
{
	t->len = 0;
	kn_metrics_format(t);
}

static int save_metrics(void)
{
	char path[KN_TUNABLE_LEN + 32];
	struct kn_text t = {NULL, 0, 0};
	size_t bytes;
	int err = -ENOMEM;

	if (!kn_path_of_process(kn_tun.metrics_file, getpid(), path,
				sizeof(path)))
		return -ENAMETOOLONG;
	print_metrics(&t);
	/* Caches that are made meanwhile need room, too. */
	bytes = KN_ALIGN_UP(t.len + t.len / 2 + 1, (size_t)4096);
	t.buf = kn_machine.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS);
	if (kn_is_err(t.buf))
		return kn_ptr_err(t.buf);
	t.size = bytes;
	print_metrics(&t);
	if (t.len < t.size)
		err = kn_text_save(path, 0644, t.buf, t.len);
	kn_machine.munmap(t.buf, bytes);
	return err;
}

/* Writes when it is time; milliseconds until it is again, -1 for never. */
static int metrics_step(uint64_t *due)
{
	const uint64_t now = now_ms();
	int err;

	if (!kn_tun.metrics_file[0])
		return -1;
	if (now >= *due) {
		err = save_metrics();
		if (err)
			kn_warn_once("metrics_file %s cannot be written: %s; "
				     "later failures are not told",
				     kn_tun.metrics_file,
				     strerrordesc_np(-err));
		*due = now + kn_load(&kn_tun.metrics_interval_ms);
	}
	return (int)(*due - now);
}

static void *live(void *unused)
{
	uint64_t metrics_due = 0;
	bool serves = wants_socket();

	(void)unused;
	pthread_setname_np(pthread_self(), "knuma/live");
	if (is_child)
		nanosleep(&(struct timespec){.tv_nsec =
						     CHILD_DELAY_MS * 1000000L},
			  NULL);
	if (serves)
		serves = kn_live_open();
	while (serves || kn_tun.metrics_file[0]) {
		struct timespec cpu;

		serves = kn_live_serve(metrics_step(&metrics_due)) && serves;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
		kn_request_cost.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u +
					 (uint64_t)cpu.tv_nsec;
	}
	return NULL;
}

void kn_live_start(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if ((!wants_socket() && !kn_tun.metrics_file[0]) ||
	    !ck_pr_cas_32(&running, 0, 1))
		return;
	if (!is_child)
		kn_live_place();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	err = pthread_create(&thread, &attr, live, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		kn_print("socket, metrics_file: no thread to serve them: %s; "
			 "raise the limit on processes (ulimit -u)",
			 strerrordesc_np(err));
}

void kn_live_exit(void)
{
	kn_live_remove();
}

void kn_live_before_fork(void)
{
	kn_live_lock();
}

void kn_live_after_fork_parent(void)
{
	kn_live_unlock();
}

void kn_live_after_fork_child(void)
{
	kn_live_abandon();
	if (!kn_load(&running))
		return;
	is_child = true;
	kn_store(&running, 0);
	kn_live_start();
}
