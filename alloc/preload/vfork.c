/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/preload/vfork.c - vfork() as fork()
 *
 * A vfork child runs on its parent's memory, and the kernel has dropped its rseq
 * registration while the thread's area still shows the parent's CPU: a section
 * of the child is not restarted, and its magazine is shared with the parent's
 * threads.  The child cannot be told from the parent, so it must not allocate;
 * programs that do so all the same are safe when they get a fork().
 *
 * Tunable vfork_as_fork.  With no, the call is glibc's, which only a jump can
 * make: a function that returned to here would return twice from one frame.
 */
#include <dlfcn.h>
#include <knuma/tunables.h>
#include <unistd.h>

#include "alloc/base/compiler.h"

#if defined(__x86_64__)

__attribute__((used)) static void *vfork_target(void)
{
	char value[8] = "";

	if (knuma_conf_get("vfork_as_fork", value, sizeof(value)) ||
	    value[0] != 'n')
		return (void *)fork;
	return dlsym(RTLD_NEXT, "vfork");
}

__asm__(".globl	vfork\n"
	".type	vfork, @function\n"
	"vfork:	subq	$8, %rsp\n\t"
	"call	vfork_target\n\t"
	"addq	$8, %rsp\n\t"
	"jmp	*%rax\n\t"
	".size	vfork, .-vfork");

#else

__attribute__((visibility("default"))) pid_t vfork(void)
{
	return fork();
}

#endif
