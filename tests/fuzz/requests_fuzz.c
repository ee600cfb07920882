/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines that a running process is sent: each has one answer, an object of JSON on
 * one line, and the heap is as sound as before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "alloc/base/print.h"
#include "alloc/config/tunables.h"
#include "alloc/view/requests.h"
#include "numa/span.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/heap.h"

#define LINE   1000
#define ANSWER ((size_t)4 << 20)

static const char *const requests[] = {
	"help",	 "version", "stats ", "caches", "nodes", "whatis ",
	"check", "trim",    "set ",   "get ",	"view ", "",
};
#define NR_REQUESTS (sizeof(requests) / sizeof(requests[0]))

static const char *words[KN_NR_TUNABLES + 42] = {
	" ",	"\t",	       "\r",
	"help", "json",	       "openmetrics",
	"text", "vmallocinfo", "node0/numastat",
	"csv",	"0x",	       "ffffffffffffffff",
	"-1",	"yes",	       "no",
	"64K",	"10ms",	       "0",
	"\\",	"\"",	       "{",
	"\x7f", "%s",	       "\xc3\xa4",
	"\xff",
};

static char *answer, address[24];

void fuzz_start(void)
{
	unsigned n = 0;

	fuzz_heap();
	answer = malloc(ANSWER);
	FUZZ_CHECK(answer);
	while (words[n])
		n++;
	snprintf(address, sizeof(address), "%#lx",
		 (unsigned long)kn_span.base + 5000);
	words[n++] = address;
	for (int i = 0; i < KN_NR_TUNABLES; i++)
		words[n++] = kn_tunables[i].name;
}

/* A line ends where the first of these would be. */
static void cut(char *line)
{
	line[strcspn(line, "\n")] = '\0';
}

void fuzz_one(struct fuzz_input *in)
{
	const char *request = requests[fuzz_below(in, NR_REQUESTS)];
	struct kn_text t = {answer, ANSWER, 0};
	const size_t head = strlen(request);
	char line[LINE + 1];
	json_error_t why;
	json_t *json;

	/* Most arguments are short. */
	if (fuzz_byte(in) < 240)
		in->left = fuzz_below(in, in->left / 16 + 1);
	memcpy(line, request, head);
	line[head + fuzz_text(in, words, line + head, LINE - head)] = '\0';
	cut(line);
	*answer = '\0';
	kn_request_answer(line, &t);
	FUZZ_CHECK(t.len && t.len < ANSWER && t.len == strlen(answer));
	FUZZ_CHECK(strchr(answer, '\n') == answer + t.len - 1);
	json = json_loadb(answer, t.len, 0, &why);
	if (!json)
		fprintf(stderr, "%s: %s\n", why.text, answer);
	FUZZ_CHECK(json_is_object(json));
	/* What went wrong has a name. */
	FUZZ_CHECK(!json_object_get(json, "error") ==
		   !json_object_get(json, "code"));
	json_decref(json);
	FUZZ_CHECK(heap_is_sound());
}
