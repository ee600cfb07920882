/* SPDX-License-Identifier: Apache-2.0 */
/* The operators of the C++ runtime, and whether the program has its own. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "alloc/base/compiler.h"
#include "alloc/preload/new.h"

/* clang-format off */
/* Whom a call reaches, and whom it would reach if nothing were replaced. */
#define KN_DELETE(name, ...)						\
	extern const char kn_used_##name[] __asm__(#name);		\
	extern const char kn_own_##name[]				\
		__attribute__((visibility("hidden")));
#define KN_NEW KN_DELETE
#include "alloc/preload/operators.def"
#undef KN_DELETE

#define KN_DELETE(name, ...) {#name, kn_used_##name, kn_own_##name},
static const struct {
	const char *name;
	const char *used, *own;
} operators[] = {
#include "alloc/preload/operators.def"
};
/* clang-format on */

#define NR_OPERATORS (sizeof(operators) / sizeof(operators[0]))

bool kn_new_replaced;

__attribute__((constructor)) static void look_who_is_used(void)
{
	for (size_t i = 0; i < NR_OPERATORS; i++) {
		/* The compiler thinks that two names are two objects. */
		uintptr_t used = (uintptr_t)operators[i].used;

		__asm__("" : "+r"(used));
		if (used != (uintptr_t)operators[i].own)
			kn_new_replaced = true;
	}
}

/*
 * Behind the preload, when the program is C++; else where a module of a C
 * program brought it along, seen by that module alone.
 */
static void *look_up(const char *name)
{
	static const char *const libraries[] = {"libstdc++.so.6",
						"libc++abi.so.1"};
	void *found = dlsym(RTLD_NEXT, name);

	for (size_t i = 0; !found && i < 2; i++) {
		void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);

		if (library)
			found = dlsym(library, name);
	}
	return found;
}

kn_slow void *kn_new_runtime(const char *name)
{
	static void *runtime[NR_OPERATORS];
	size_t i = 0;
	void *found;

	while (strcmp(operators[i].name, name))
		i++;
	found = __atomic_load_n(&runtime[i], __ATOMIC_RELAXED);
	if (!found) {
		found = look_up(name);
		__atomic_store_n(&runtime[i], found, __ATOMIC_RELAXED);
	}
	return found;
}
