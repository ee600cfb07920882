/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of slab_debug: what the kernel's documentation says they mean. */
#include <errno.h>
#include <knuma/slab.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "alloc/base/compiler.h"
#include "alloc/config/slab_debug.h"

#define F SLAB_CONSISTENCY_CHECKS
#define Z SLAB_RED_ZONE
#define P SLAB_POISON
#define U SLAB_STORE_USER
#define T SLAB_TRACE
#define A SLAB_FAILSLAB

static void texts_mean_what_the_kernel_says(void **state)
{
	static const struct {
		const char *text, *cache;
		uint32_t flags;
		bool order_counts;
	} row[] = {
		{"", "any", F | Z | P | U, false},
		{"-", "any", 0, false},
		{"F", "any", F, false},
		{"fzputa", "any", F | Z | P | U | T | A, false},
		{"FZPUTA", "any", F | Z | P | U | T | A, false},
		{"O", "any", 0, true},
		{"OFZ", "any", F | Z, true},
		{"F-Z", "any", Z, false},
		{"P,kmalloc-64", "kmalloc-64", P, false},
		{"P,kmalloc-64", "kmalloc-128", 0, false},
		{"P,kmalloc-*,dentry", "kmalloc-128", P, false},
		{"P,kmalloc-*,dentry", "dentry", P, false},
		{"P,kmalloc-*,dentry", "dentry2", 0, false},
		{",dentry", "dentry", F | Z | P | U, false},
		{",dentry", "inode", 0, false},
		{"FZ;-,a,b", "a", 0, false},
		{"FZ;-,a,b", "b", 0, false},
		{"FZ;-,a,b", "c", F | Z, false},
		/* The first that names it, the last without names. */
		{"U,a;Z,a;P,*", "a", U, false},
		{"U,a;Z,a;P,*", "b", P, false},
		{"U;F", "a", F, false},
		{"U;Z,a;F", "a", Z, false},
		{"U;Z,a;F", "b", F, false},
		{";;Z,a;;F;", "b", F, false},
		{"Z,a;O", "a", Z, true},
	};
	struct kn_slab_debug debug;

	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(row); i++) {
		memset(&debug, 0xff, sizeof(debug));
		assert_int_equal(kn_slab_debug_parse(row[i].text, row[i].cache,
						     &debug),
				 0);
		assert_int_equal(debug.flags, row[i].flags);
		assert_int_equal(debug.order_counts, row[i].order_counts);
	}
}

static void other_texts_are_refused(void **state)
{
	/* The last: a name that is longer than any cache's. */
	static const char *const text[] = {
		"1",
		"yes",
		"FX",
		"F Z",
		"F,",
		"F,a,,b",
		"F,,a",
		"F;X,a",
		",",
		"F,a,",
		"F,012345678901234567890123456789012345678901234567",
	};
	struct kn_slab_debug debug;

	(void)state;
	for (size_t i = 0; i < KN_ARRAY_SIZE(text); i++)
		assert_int_equal(kn_slab_debug_parse(text[i], "a", &debug),
				 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_mean_what_the_kernel_says),
		cmocka_unit_test(other_texts_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
