/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/base/probes.h - places where a tracer can look in: kn_probe_<name>()
 *
 * A probe is a nop and a note in the file that says where it is and in which
 * registers its arguments are.  Nothing is called and no memory is touched
 * unless somebody traces.  Without <sys/sdt.h> (Debian: systemtap-sdt-dev) at
 * build time there are none.
 */
#ifndef KN_BASE_PROBES_H
#define KN_BASE_PROBES_H

#include "alloc/base/compiler.h"

/* bpftrace knows no operand in memory that has an index or a symbol. */
#define STAP_SDT_ARG_CONSTRAINT nr

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>

/*
 * The notes are relative to this section.  gold, with --gc-sections, leaves it
 * out and then refuses the notes, unless code that is used refers to it.
 */
extern const char kn_probes_base[] __asm__("_.stapsdt.base")
	__attribute__((visibility("hidden")));

static inline void kn_probes_keep(void)
{
	__asm__ volatile("" : : "r"(kn_probes_base));
}

#define KN_PROBE_SITE2(name, a, b)	 STAP_PROBE2(knuma, name, a, b)
#define KN_PROBE_SITE3(name, a, b, c)	 STAP_PROBE3(knuma, name, a, b, c)
#define KN_PROBE_SITE4(name, a, b, c, d) STAP_PROBE4(knuma, name, a, b, c, d)
#else
static inline void kn_probes_keep(void)
{
}

#define KN_PROBE_SITE2(name, a, b)    ((void)(a), (void)(b))
#define KN_PROBE_SITE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#define KN_PROBE_SITE4(name, a, b, c, d) \
	((void)(a), (void)(b), (void)(c), (void)(d))
#endif

/* clang-format off: tables */
#define KN_PROBE2(name, ta, a, tb, b, when)                      \
	static kn_always_inline void kn_probe_##name(ta a, tb b) \
	{                                                        \
		KN_PROBE_SITE2(name, a, b);                      \
	}
#define KN_PROBE3(name, ta, a, tb, b, tc, c, when)                     \
	static kn_always_inline void kn_probe_##name(ta a, tb b, tc c) \
	{                                                              \
		KN_PROBE_SITE3(name, a, b, c);                         \
	}
#define KN_PROBE4(name, ta, a, tb, b, tc, c, td, d, when)                    \
	static kn_always_inline void kn_probe_##name(ta a, tb b, tc c, td d) \
	{                                                                    \
		KN_PROBE_SITE4(name, a, b, c, d);                            \
	}
#include "alloc/base/probes.def"
#undef KN_PROBE2
#undef KN_PROBE3
#undef KN_PROBE4
/* clang-format on */

#endif
