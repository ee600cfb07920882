/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_conf - prints the commented knuma.conf that is installed; with
 * --reference the page docs/reference/settings.md
 */
#include <stdio.h>
#include <string.h>

#include "tools/knuma/conf_dump.h"

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--reference") != 0) {
		fprintf(stderr, "usage: gen_conf [--reference]\n");
		return 2;
	}
	if (argc > 1)
		print_conf_reference();
	else
		print_default_conf();
	return fflush(stdout) != 0;
}
