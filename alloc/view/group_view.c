/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/view/group_view.h"

#include <inttypes.h>
#include <knuma/group.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/view/json.h"
#include "numa/machine.h"
#include "numa/span.h"

#define TEXT_ROWS 1000

/* What there is of each group besides its name. */
#define GROUP_FIELDS(X)                                                      \
	X(usage_bytes, "gauge", "memory charged to the group")               \
	X(peak_bytes, "gauge", "the most that was charged at a time")        \
	X(limit_bytes, "gauge", "what may be charged")                       \
	X(objects, "gauge", "objects, blocks of pages and areas charged")    \
	X(reclaims, "counter", "allocations for which shrinkers were asked") \
	X(refused, "counter", "allocations that the limit refused")          \
	X(forced, "counter", "allocations that went over the limit")

struct rows {
	struct knuma_group_stat *st;
	size_t nr, bytes;
	int err; /* there are some, and no memory for their rows */
};

/*
 * False when there are no rows to print.  Groups that are made between counting
 * and copying are left out.
 */
static bool take(struct rows *r)
{
	r->err = 0;
	r->nr = knuma_groups_read(NULL, 0);
	if (!r->nr)
		return false;
	r->bytes = KN_ALIGN_UP(r->nr * sizeof(*r->st), KN_PAGE_SIZE);
	r->st = kn_machine.mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS);
	if (kn_is_err(r->st)) {
		r->err = kn_ptr_err(r->st);
		return false;
	}
	r->nr = KN_MIN(r->nr, knuma_groups_read(r->st, r->nr));
	return true;
}

static void drop(struct rows *r)
{
	kn_machine.munmap(r->st, r->bytes);
}

static void text_limit(struct kn_text *t, uint64_t limit)
{
	if (limit == KNUMA_GROUP_NO_LIMIT)
		kn_text_add(t, " %13s", "none");
	else
		kn_text_add(t, " %13" PRIu64, limit);
}

void kn_groups_text(struct kn_text *t)
{
	struct rows r;

	if (!take(&r)) {
		if (r.err)
			kn_text_add(t, "\ngroups: no memory for the rows\n");
		return;
	}
	kn_text_add(t, "\n%-22s %13s %13s %13s %9s %9s %9s\n", "groups",
		    "usage_bytes", "peak_bytes", "limit_bytes", "objects",
		    "refused", "forced");
	for (size_t i = 0; i < KN_MIN(r.nr, (size_t)TEXT_ROWS); i++) {
		const struct knuma_group_stat *st = &r.st[i];

		kn_text_add(t, "%-22s %13" PRIu64 " %13" PRIu64, st->name,
			    st->usage_bytes, st->peak_bytes);
		text_limit(t, st->limit_bytes);
		kn_text_add(t, " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "%s\n",
			    st->objects, st->refused, st->forced,
			    st->destroyed ? " destroyed" : "");
	}
	if (r.nr > TEXT_ROWS)
		kn_text_add(t, "and %zu more\n", r.nr - TEXT_ROWS);
	drop(&r);
}

static void json_group(struct kn_text *t, const struct knuma_group_stat *st)
{
	kn_member_quoted(t, st->name);
#define X(field, kind, help)                         \
	if (&st->field != &st->limit_bytes ||        \
	    st->limit_bytes != KNUMA_GROUP_NO_LIMIT) \
		kn_member_u64(t, #field, st->field); \
	else                                         \
		kn_text_add(t, ",\"%s\":null", #field);
	GROUP_FIELDS(X)
#undef X
	kn_member_bool(t, "destroyed", st->destroyed);
}

void kn_groups_json(struct kn_text *t)
{
	struct rows r;

	kn_member_key(t, "groups");
	if (!take(&r)) {
		kn_text_add(t, r.err ? "null" : "[]");
		return;
	}
	for (size_t i = 0; i < r.nr; i++) {
		kn_text_add(t, "%s{\"group\":", i ? "," : "[");
		json_group(t, &r.st[i]);
		kn_text_add(t, "}");
	}
	kn_text_add(t, "%s]", r.nr ? "" : "[");
	drop(&r);
}

/* Destroyed groups are left out: another one may have their name. */
static void prom_family(struct kn_text *t, const struct rows *r,
			const char *name, const char *kind, const char *help,
			size_t offset)
{
	const bool counter = kind[0] == 'c';
	const size_t len = strlen(name);

	kn_text_add(t, "# TYPE knuma_group_%s %s\n", name, kind);
	if (len > 6 && !strcmp(name + len - 6, "_bytes"))
		kn_text_add(t, "# UNIT knuma_group_%s bytes\n", name);
	kn_text_add(t, "# HELP knuma_group_%s %s\n", name, help);
	for (size_t i = 0; i < r->nr; i++) {
		const struct knuma_group_stat *st = &r->st[i];
		const uint64_t value =
			*(const uint64_t *)((const char *)st + offset);

		if (st->destroyed ||
		    (value == KNUMA_GROUP_NO_LIMIT &&
		     offset == offsetof(struct knuma_group_stat, limit_bytes)))
			continue;
		kn_text_add(t, "knuma_group_%s%s{group=", name,
			    counter ? "_total" : "");
		kn_member_quoted(t, st->name);
		kn_text_add(t, "} %" PRIu64 "\n", value);
	}
}

void kn_groups_prom(struct kn_text *t)
{
	struct rows r;

	if (!take(&r))
		return;
#define X(field, kind, help)                   \
	prom_family(t, &r, #field, kind, help, \
		    offsetof(struct knuma_group_stat, field));
	GROUP_FIELDS(X)
#undef X
	drop(&r);
}
