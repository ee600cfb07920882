/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/ids.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kn_ids_add(struct kn_ids *ids, int id)
{
	CPU_SET_S((size_t)id, sizeof(ids->set), ids->set);
}

bool kn_ids_has(const struct kn_ids *ids, int id)
{
	return CPU_ISSET_S((size_t)id, sizeof(ids->set), ids->set);
}

int kn_ids_count(const struct kn_ids *ids)
{
	return CPU_COUNT_S(sizeof(ids->set), ids->set);
}

int kn_ids_next(const struct kn_ids *ids, int id)
{
	while (++id < KN_IDS_MAX)
		if (kn_ids_has(ids, id))
			return id;
	return -1;
}

/* One number; false when there is none or it is too large. */
static bool parse_id(const char **text, int *id)
{
	char *end;
	unsigned long n;

	if (!isdigit((unsigned char)**text))
		return false;
	n = strtoul(*text, &end, 10);
	*text = end;
	*id = (int)n;
	return n < KN_IDS_MAX;
}

bool kn_ids_parse(struct kn_ids *ids, const char *text)
{
	int first, last;

	memset(ids, 0, sizeof(*ids));
	for (;; text++) {
		if (!parse_id(&text, &first))
			return false;
		last = first;
		if (*text == '-' && (text++, !parse_id(&text, &last)))
			return false;
		if (last < first)
			return false;
		while (first <= last)
			kn_ids_add(ids, first++);
		if (*text != ',')
			return !*text;
	}
}

char *kn_ids_print(const struct kn_ids *ids, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (int id = kn_ids_next(ids, -1), last; id >= 0 && at < len;
	     id = kn_ids_next(ids, last)) {
		for (last = id; kn_ids_next(ids, last) == last + 1;)
			last++;
		at += (size_t)snprintf(buf + at, len - at,
				       last > id ? "%s%d-%d" : "%s%d",
				       at ? "," : "", id, last);
	}
	return buf;
}

bool kn_ids_bind(const struct kn_ids *cpus)
{
	return !sched_setaffinity(0, sizeof(cpus->set), cpus->set);
}
