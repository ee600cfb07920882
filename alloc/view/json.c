/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc/view/json.h"

#include <inttypes.h>

static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

void kn_member_quoted(struct kn_text *t, const char *s)
{
	kn_text_add(t, "\"");
	while (*s) {
		int plain = 0;

		while (is_plain(s[plain]))
			plain++;
		kn_text_add(t, "%.*s", plain, s);
		s += plain;
		if (*s == '"' || *s == '\\')
			kn_text_add(t, "\\%c", *s++);
		else if (*s)
			kn_text_add(t, "\\u%04x", (unsigned char)*s++);
	}
	kn_text_add(t, "\"");
}

void kn_object_begin(struct kn_text *t)
{
	kn_text_add(t, "{\"schema\":%d", KN_JSON_SCHEMA);
}

void kn_member_key(struct kn_text *t, const char *name)
{
	kn_text_add(t, ",\"%s\":", name);
}

void kn_member_u64(struct kn_text *t, const char *name, uint64_t value)
{
	kn_text_add(t, ",\"%s\":%" PRIu64, name, value);
}

void kn_member_bool(struct kn_text *t, const char *name, bool value)
{
	kn_text_add(t, ",\"%s\":%s", name, value ? "true" : "false");
}

void kn_member_text(struct kn_text *t, const char *name, const char *value)
{
	kn_member_key(t, name);
	kn_member_quoted(t, value);
}

void kn_member_address(struct kn_text *t, const char *name, uintptr_t address)
{
	kn_text_add(t, ",\"%s\":\"%#" PRIxPTR "\"", name, address);
}
