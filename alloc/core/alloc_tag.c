/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/core/alloc_tag.c - the places that allocate, as text */
#include <knuma/alloc_tag.h>

#include "alloc/account/ext.h"
#include "alloc/base/assert.h"
#include "alloc/base/atomic.h"
#include "alloc/base/print.h"
#include "alloc/slab/remember.h"

#define HEADING                      \
	"allocinfo - version: 1.0\n" \
	"#     <size>  <calls> <tag info>\n"

static void add_place(struct kn_text *t, const struct knuma_alloc_tag *tag)
{
	const uint64_t calls = kn_load(&tag->calls);

	if (calls)
		kn_text_add(t, "%12llu %8llu %s:%lu func:%s\n",
			    (unsigned long long)kn_load(&tag->bytes),
			    (unsigned long long)calls, tag->file, tag->line,
			    tag->func);
}

/* Documented in <knuma/alloc_tag.h>. */
void knuma_alloc_tags_enable(void)
{
	kn_store(&kn_ext_always, true);
}

/* Documented in <knuma/alloc_tag.h>. */
void *knuma_alloc_tag_add(struct knuma_alloc_tag *tag, void *p)
{
	uint64_t bytes, *slot;

	if (ZERO_OR_NULL_PTR(p))
		return p;
	slot = kn_ext_slot(p, &bytes);
	if (!slot) {
		kn_warn_once(
			"%s:%lu: the cache was made before it was known that "
			"places are counted; its objects are not",
			tag->file, tag->line);
		return p;
	}
	/* A place inside of this one, of a macro of the program, has it. */
	if (kn_ext_tag(kn_load(slot)))
		return p;
	KN_CHECK(!((uintptr_t)tag & ~(uintptr_t)KN_EXT_TAG));
	ck_pr_add_64(&tag->calls, 1);
	ck_pr_add_64(&tag->bytes, bytes);
	kn_store(slot, kn_load(slot) | (uintptr_t)tag);
	return p;
}

/* Documented in <knuma/alloc_tag.h>. */
size_t knuma_alloc_tags_text(const struct knuma_alloc_tag *first, size_t n,
			     char *buf, size_t len)
{
	struct kn_text t = {buf, len, 0};

	kn_text_add(&t, HEADING);
	for (size_t i = 0; i < n; i++)
		add_place(&t, &first[i]);
	return t.len;
}

/* Documented in <knuma/alloc_tag.h>. */
void knuma_alloc_tags_print(const struct knuma_alloc_tag *first, size_t n,
			    int fd)
{
	char line[1024];

	kn_write_all(fd, HEADING, sizeof(HEADING) - 1);
	for (size_t i = 0; i < n; i++) {
		struct kn_text t = {line, sizeof(line), 0};

		add_place(&t, &first[i]);
		kn_write_all(fd, line, KN_MIN(t.len, sizeof(line) - 1));
	}
}
