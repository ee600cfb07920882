/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/view/requests.h - the requests of requests.def, answered
 *
 * A request is a line, its answer an object of JSON on one line.  That of a
 * request that cannot be served has "error", what is wrong and what to do, and
 * "code", the name of an errno.
 */
#ifndef KN_VIEW_REQUESTS_H
#define KN_VIEW_REQUESTS_H

#include "alloc/base/print.h"

/*
 * Answers @line, which is changed, into @t.
 * Context: one thread at a time, no lock held, may wait.
 */
void kn_request_answer(char *line, struct kn_text *t);

/* An answer with "error" and "code". */
void kn_request_error(struct kn_text *t, int err, const char *fmt, ...)
	kn_printf(3, 4);

/* What the serving thread has done, for `version`. */
struct kn_request_cost {
	uint64_t requests, refused, cpu_ns;
};
extern struct kn_request_cost kn_request_cost;

#endif
