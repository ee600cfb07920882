/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz.h - what fuzzers share: their input, and a model of memory
 *
 * A file x_fuzz.c has fuzz_start() and fuzz_one(); driver.c makes inputs for it,
 * or libFuzzer does with --config=fuzz.  The heap lives on from input to input;
 * what an input allocated is freed at its end.  What must hold is FUZZ_CHECKed:
 * a failure aborts, which both take for a find.
 */
#ifndef KN_TESTS_FUZZ_H
#define KN_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <knuma/gfp.h>

/* Once, before the first input. */
void fuzz_start(void);

/* One input; bytes that are taken behind its end are 0. */
struct fuzz_input {
	const uint8_t *data;
	size_t left;
};
void fuzz_one(struct fuzz_input *in);

uint8_t fuzz_byte(struct fuzz_input *in);
/* In [0, n), n up to 2^32. */
uint64_t fuzz_below(struct fuzz_input *in, uint64_t n);
/* In [1, most], all magnitudes about as likely. */
size_t fuzz_size(struct fuzz_input *in, size_t most);

void fuzz_failed(const char *file, int line, const char *what)
	__attribute__((noreturn));
#define FUZZ_CHECK(x) ((x) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #x))

/*
 * A text out of @in: bytes from 128 on stand for a word of @words, NULL at the
 * end, the others for themselves.  Not terminated; how long it is.
 */
size_t fuzz_text(struct fuzz_input *in, const char *const *words, char *text,
		 size_t most);

/* The heap, on three nodes that are made up, without threads of its own. */
void fuzz_heap(void);

/* The model: what is in use, where, and what it contains. */
#define SHADOW_MOST 300

struct shadow {
	unsigned char *at;
	size_t size;
	int kind; /* how it is freed, the fuzzer's business */
	unsigned aux;
	uint64_t seed;
};

/* What an allocation promised. */
struct promise {
	size_t align;
	bool zero;
	int node; /* kernel id; -1: any */
};

unsigned shadow_nr(void);
bool shadow_is_full(void);

/*
 * Adds an allocation: it keeps what was promised, overlaps no other, and is
 * filled.  NULL is none.
 */
struct shadow *shadow_add(void *p, size_t size, int kind,
			  const struct promise *promise);

/* One of those in use, which still contains what it was filled with. */
struct shadow *shadow_pick(struct fuzz_input *in);
bool shadow_holds(const struct shadow *s);
void shadow_drop(struct shadow *s);

/* All of them, from the last. */
struct shadow *shadow_last(void);

/*
 * Nothing is in use: no cache has an object, no page is lost, all checks of the
 * heap pass.
 */
void fuzz_heap_is_empty(void);

#endif
