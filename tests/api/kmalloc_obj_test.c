/* SPDX-License-Identifier: Apache-2.0 */
/* <knuma/kmalloc_obj.h>: memory for a type, sentence by sentence. */
#include <knuma/kmalloc_obj.h>

#include <limits.h>
#include <string.h>

#include "tests/support/child.h"
#include "tests/support/heap.h"

struct conn {
	long id;
	char name[90];
};

struct frame {
	int len;
	double sample[];
};

static int evaluated;

__attribute__((unused)) static struct conn *not_evaluated(void)
{
	evaluated++;
	return NULL;
}

/* What a call gives is of the type that was named: no cast is needed. */
#define IS_TYPE(x, type) _Generic((x), type * : 1, default : 0)

static void a_type_or_a_variable(void)
{
	struct conn *a = kmalloc_obj(*a), *b = kmalloc_obj(struct conn);

	/*
	 * checks kmalloc_obj, kmalloc_objs, kmalloc_flex: "gfp may be left out"
	 */
	CHECK(IS_TYPE(kmalloc_obj(struct conn), struct conn));
	CHECK(IS_TYPE(kmalloc_objs(int, 3), int));
	CHECK(IS_TYPE(kmalloc_flex(struct frame, sample, 3), struct frame));
	/* checks kmalloc_obj: "kmalloc() of the size of var_or_type" */
	CHECK(a && ksize(a) == kmalloc_size_roundup(sizeof(*a)));
	CHECK(b && ksize(b) == ksize(a));
	kfree(a);
	kfree(b);
	kfree(kmalloc_obj(*not_evaluated()));
	kfree(kmalloc_objs(*not_evaluated(), 2));
	CHECK_EQ(evaluated, 0);
}

static void flags_may_be_left_out(void)
{
	CHECK_FAILS(kmalloc_obj(char, 1u << 30), EINVAL);
	CHECK_FAILS(kmalloc_objs(char, 2, 1u << 30), EINVAL);
	CHECK_FAILS(kmalloc_flex(struct frame, sample, 2, 1u << 30), EINVAL);
	/* checks default_gfp: "default_gfp(__VA_ARGS__)" */
	CHECK_EQ(default_gfp(), GFP_KERNEL);
	CHECK_EQ(default_gfp(GFP_NOWAIT), GFP_NOWAIT);
	CHECK_EQ(default_gfp(__GFP_HIGH | __GFP_ZERO), __GFP_HIGH | __GFP_ZERO);
	CHECK_EQ(default_gfp(0), 0);
}

/* Leaves dirty objects of @bytes bytes behind. */
static void make_dirty(size_t bytes)
{
	void *p[8];

	for (int i = 0; i < 8; i++) {
		p[i] = kvmalloc(bytes, GFP_KERNEL);
		CHECK(p[i]);
		memset(p[i], 0x5a, bytes);
	}
	for (int i = 0; i < 8; i++)
		kvfree(p[i]);
}

enum {
	N = 40
};

static void z_forms_are_zero(void)
{
	struct frame *f;
	struct conn *c;

	make_dirty(sizeof(*c));
	c = kzalloc_obj(*c);
	CHECK(c && all_bytes(c, sizeof(*c), 0));
	kfree(c);
	make_dirty(sizeof(*c));
	c = kvzalloc_obj(*c, GFP_KERNEL);
	CHECK(c && all_bytes(c, sizeof(*c), 0));
	kvfree(c);
	make_dirty(sizeof(*c) * N);
	c = kzalloc_objs(*c, N);
	CHECK(c && all_bytes(c, sizeof(*c) * N, 0));
	kfree(c);
	make_dirty(sizeof(*c) * N);
	c = kvzalloc_objs(*c, N);
	CHECK(c && all_bytes(c, sizeof(*c) * N, 0));
	kvfree(c);
	make_dirty(sizeof(*f) + 8 * N);
	f = kzalloc_flex(*f, sample, N);
	CHECK(f && all_bytes(f, sizeof(*f) + 8 * N, 0));
	kfree(f);
	make_dirty(sizeof(*f) + 8 * N);
	f = kvzalloc_flex(*f, sample, N);
	CHECK(f && all_bytes(f, sizeof(*f) + 8 * N, 0));
	kvfree(f);
}

static void arrays_and_flexible_ends_have_room(void)
{
	struct frame *f = kmalloc_flex(*f, sample, N);
	long *n = kmalloc_objs(*n, N);

	/*
	 * checks kmalloc_objs: "kmalloc_array() of n elements"; kmalloc_flex:
	 * "kmalloc() of the struct and of n elements"
	 */
	CHECK_EQ(ksize(f), kmalloc_size_roundup(sizeof(*f) + N * 8));
	CHECK_EQ(ksize(n), kmalloc_size_roundup(N * sizeof(*n)));
	kfree(f);
	kfree(n);
	/* Past what kmalloc has. */
	f = kvmalloc_flex(*f, sample, 1 << 20);
	CHECK(f);
	f->sample[(1 << 20) - 1] = 1;
	kvfree(f);
	n = kvmalloc_objs(*n, 1 << 20);
	CHECK(n);
	n[(1 << 20) - 1] = 1;
	kvfree(n);
	f = kvmalloc_obj(*f);
	CHECK(f);
	kvfree(f);
}

static void what_does_not_fit_is_refused(void)
{
	const volatile size_t half = SIZE_MAX / 2 + 1;

	CHECK_FAILS(kmalloc_objs(short, half), ENOMEM);
	CHECK_FAILS(kvzalloc_objs(short, half), ENOMEM);
	CHECK_EQ(strlen(printed()), 0);
	CHECK_EQ(kn_flex_bytes(1, SIZE_MAX, 1), SIZE_MAX);
	CHECK_EQ(kn_flex_bytes(8, half, 8), SIZE_MAX);
	CHECK_EQ(kn_flex_bytes(8, 3, 8), 32);
	/*
	 * checks kmalloc_flex: "of SIZE_MAX bytes when the size does not fit"
	 */
	CHECK_FAILS(kmalloc_flex(struct frame, sample, half), ENOMEM);
	CHECK_FAILS(kvmalloc_flex(struct frame, sample, half), ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_type_or_a_variable),
		child_test(flags_may_be_left_out),
		child_test(z_forms_are_zero),
		child_test(arrays_and_flexible_ends_have_room),
		child_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
