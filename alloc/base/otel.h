/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/otel.h - probes of the provider otel_memory, for heap profilers
 *
 * Names and arguments are OpenTelemetry's.  Unlike those of probes.h they have
 * semaphores, in which the kernel counts who is attached; <sys/sdt.h> gives
 * semaphores to all probes of a file or to none.  For one file,
 * alloc/account/sample.c.
 */
#ifndef KN_BASE_OTEL_H
#define KN_BASE_OTEL_H

#include "alloc/base/compiler.h"

#ifdef KN_BASE_PROBES_H
#error "a file has the probes of probes.h or those of otel.h"
#endif

/* Where tracers look for them; written in each process that is traced. */
#define KN_OTEL_SEMAPHORE __attribute__((section(".probes")))

KN_OTEL_SEMAPHORE uint16_t otel_memory_alloc_semaphore;
KN_OTEL_SEMAPHORE uint16_t otel_memory_free_semaphore;

#if __has_include(<sys/sdt.h>)
/* bpftrace knows no operand in memory that has an index or a symbol. */
#define STAP_SDT_ARG_CONSTRAINT nr
#define _SDT_HAS_SEMAPHORES	1
#include <sys/sdt.h>
#define KN_OTEL_ALLOC(p, size, weighted) \
	STAP_PROBE3(otel_memory, alloc, p, size, weighted)
#define KN_OTEL_FREE(p) STAP_PROBE1(otel_memory, free, p)
#else
#define KN_OTEL_ALLOC(p, size, weighted) \
	((void)(p), (void)(size), (void)(weighted))
#define KN_OTEL_FREE(p) ((void)(p))
#endif

#endif
