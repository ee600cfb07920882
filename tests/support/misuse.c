/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/misuse.h"

#include <stdio.h>

#include "alloc/base/assert.h"

static char last[512];
static int nr;

static void keep(const char *report)
{
	snprintf(last, sizeof(last), "%s", report);
	nr++;
}

void misuse_forget(void)
{
	last[0] = '\0';
	nr = 0;
}

void misuse_catch(void)
{
	misuse_forget();
	kn_bug_hook = keep;
}

int misuse_count(void)
{
	return nr;
}

const char *misuse_last(void)
{
	return last;
}
