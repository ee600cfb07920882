/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded: sets a variable between a program's constructors and its main(). */
#include <dlfcn.h>
#include <stdlib.h>

typedef int main_fn(int, char **, char **);
typedef int start_fn(main_fn *, int, char **, void (*)(void), void (*)(void),
		     void (*)(void), void *);

int __libc_start_main(main_fn *program, int argc, char **argv,
		      void (*init)(void), void (*fini)(void),
		      void (*rtld_fini)(void), void *stack_end);

static main_fn *real_main;

static int early(int argc, char **argv, char **variables)
{
	(void)variables;
	if (setenv("EARLY", "yes", 1))
		abort();
	return real_main(argc, argv, variables);
}

int __libc_start_main(main_fn *program, int argc, char **argv,
		      void (*init)(void), void (*fini)(void),
		      void (*rtld_fini)(void), void *stack_end)
{
	start_fn *start = (start_fn *)dlsym(RTLD_NEXT, "__libc_start_main");

	real_main = program;
	return start(early, argc, argv, init, fini, rtld_fini, stack_end);
}
