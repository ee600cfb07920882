/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inputs for a fuzzer: random ones by number, or files.  An input depends on the
 * seed and its number alone; the seed is printed.  With libFuzzer it is the
 * library that makes them, and main() is not here.
 *
 *   x_fuzz --runs=N [--seed=N]      N inputs
 *   x_fuzz FILE...                  those, as libFuzzer leaves them
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/rng.h"

#define MOST 600

#ifdef KN_LIBFUZZER

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_start();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	fuzz_one(&in);
	return 0;
}

#else

static uint64_t seed;

static void random_input(uint64_t run)
{
	struct rng r = {(seed + run) * 0x9e3779b97f4a7c15 | 1};
	struct fuzz_input in;
	uint8_t data[MOST];
	size_t size;

	for (int i = 0; i < 4; i++)
		rng_next(&r);
	size = rng_below(&r, MOST + 1);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)rng_below(&r, 256);
	in = (struct fuzz_input){data, size};
	fuzz_one(&in);
}

static int file_input(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	struct fuzz_input in;

	if (!f) {
		perror(path);
		return 2;
	}
	in = (struct fuzz_input){data, fread(data, 1, sizeof(data), f)};
	fclose(f);
	fuzz_one(&in);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t runs = 0;
	int err = 0;

	seed = test_seed();
	fuzz_start();
	for (int i = 1; i < argc && !err; i++) {
		if (!strncmp(argv[i], "--runs=", 7))
			runs = strtoull(argv[i] + 7, NULL, 0);
		else if (!strncmp(argv[i], "--seed=", 7))
			seed = strtoull(argv[i] + 7, NULL, 0);
		else
			err = file_input(argv[i]);
	}
	for (uint64_t run = 0; run < runs; run++)
		random_input(run);
	fprintf(stderr, "%llu inputs\n", (unsigned long long)runs);
	return err;
}

#endif
