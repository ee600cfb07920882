/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/kstring.c - copies of memory and of strings, made by kmalloc() */
#include <knuma/kstring.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <elf.h>
#include <link.h>

#include "alloc/base/compiler.h"
#include "numa/span.h"

/* @len bytes of @s and a zero byte behind them. */
static char *copy_string(const char *s, size_t len, gfp_t gfp)
{
	char *copy = kmalloc(len + 1, gfp);

	if (unlikely(!copy))
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

/* Documented in <knuma/kstring.h>. */
void *kmemdup(const void *src, size_t len, gfp_t gfp)
{
	void *copy = kmalloc(len, gfp);

	/* Nothing to copy: @src may be NULL, and @copy is ZERO_SIZE_PTR. */
	if (unlikely(ZERO_OR_NULL_PTR(copy)))
		return copy;
	return memcpy(copy, src, len);
}

/* Documented in <knuma/kstring.h>. */
char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? copy_string(s, strlen(s), gfp) : NULL;
}

/* Documented in <knuma/kstring.h>. */
char *kstrndup(const char *s, size_t max, gfp_t gfp)
{
	return s ? copy_string(s, strnlen(s, max), gfp) : NULL;
}

/* Documented in <knuma/kstring.h>. */
char *kmemdup_nul(const char *s, size_t len, gfp_t gfp)
{
	if (!s)
		return NULL;
	if (unlikely(len == SIZE_MAX)) {
		errno = ENOMEM;
		return NULL;
	}
	return copy_string(s, len, gfp);
}

/*
 * Whether @p is in memory of the program itself that it can never write to.  The
 * kernel tells where its program headers are, so there is no lock to take and
 * nothing to look up; what the loader protects later (RELRO) is not among it.
 */
static bool is_constant(const void *p)
{
	const ElfW(Phdr) *const phdr = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	const unsigned long nr = getauxval(AT_PHNUM);
	uintptr_t base = 0;

	if (!phdr)
		return false;
	for (unsigned long i = 0; i < nr; i++)
		if (phdr[i].p_type == PT_PHDR)
			base = (uintptr_t)phdr - phdr[i].p_vaddr;
	for (unsigned long i = 0; i < nr; i++)
		if (phdr[i].p_type == PT_LOAD && !(phdr[i].p_flags & PF_W) &&
		    (uintptr_t)p - base - phdr[i].p_vaddr < phdr[i].p_memsz)
			return true;
	return false;
}

/* Documented in <knuma/kstring.h>. */
const char *kstrdup_const(const char *s, gfp_t gfp)
{
	return s && is_constant(s) ? s : kstrdup(s, gfp);
}

/* Documented in <knuma/kstring.h>. */
void kfree_const(const void *p)
{
	if (kn_span_has(p))
		kfree(p);
}
