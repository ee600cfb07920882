/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files: whatever a file contains, values stay in their ranges, and
 * each can be written and read again.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc/config/cache_conf.h"
#include "alloc/config/conf.h"
#include "alloc/config/tunables.h"
#include "tests/fuzz/fuzz.h"

#define MOST 4096

static const char *words[KN_NR_TUNABLES + 40] = {
	"\n",
	" = ",
	"=",
	"[",
	"]",
	"[knuma]\n",
	"[cache ",
	"[cache.kmalloc-64]",
	"yes",
	"no",
	"auto",
	"0",
	"1",
	"64K",
	"4G",
	"1T",
	"99999999999999999999",
	"4000000000",
	"17",
	"10ms",
	"3s",
	"-1",
	"# ",
	"; ",
	"\"",
	"profile",
	"latency",
	"memory",
	"fake_nodes",
	"2x3",
	"magazine_capacity",
	"include",
	"/dev/null",
	"%p",
};

static char text[MOST + 1];
static uint64_t nr_mistakes;

void fuzz_start(void)
{
	unsigned n = 0;

	while (words[n])
		n++;
	/* Each begins a line of its own. */
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		char *line;

		FUZZ_CHECK(asprintf(&line, "\n%s = ", kn_tunables[i].name) > 0);
		words[n++] = line;
	}
}

static void note(void *arg, const char *message)
{
	(void)arg;
	FUZZ_CHECK(*message);
	nr_mistakes++;
}

static bool in_range(const struct kn_tunable *row, const char *value)
{
	const unsigned long long n = strtoull(value, NULL, 10);

	return row->kind != KN_TUNABLE_U64 || (n >= row->min && n <= row->max);
}

/* What is in force can be written into a file and is the same then. */
static void reads_back(const struct kn_conf_values *v)
{
	for (int i = 0; i < KN_NR_TUNABLES; i++) {
		const struct kn_tunable *row = &kn_tunables[i];
		char value[KN_TUNABLE_LEN + 1], again[KN_TUNABLE_LEN + 1];

		FUZZ_CHECK(kn_tunable_text(v->tun, row, value, sizeof(value)) >=
			   0);
		/* A text that is not set is written as nothing. */
		if (!*value)
			continue;
		FUZZ_CHECK(in_range(row, value));
		FUZZ_CHECK(!kn_tunable_check(row, value));
		FUZZ_CHECK(!kn_tunable_store(v->tun, row, value));
		FUZZ_CHECK(kn_tunable_text(v->tun, row, again, sizeof(again)) >=
			   0);
		FUZZ_CHECK(!strcmp(value, again));
	}
}

void fuzz_one(struct fuzz_input *in)
{
	struct kn_conf_sink sink = {
		.report = note, .to = &kn_conf_live, .rank = KN_CONF_FILE};
	const size_t len = fuzz_text(in, words, text, MOST);
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[40];
	int err;

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(write(fd, text, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	nr_mistakes = 0;
	kn_tunables_reset();
	err = kn_conf_file(&sink, path);
	FUZZ_CHECK(err || sink.nr_files == 1);
	FUZZ_CHECK((sink.nr_mistakes != 0) == (nr_mistakes != 0));
	reads_back(&kn_conf_live);
	close(fd);
}
