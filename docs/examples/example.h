/* SPDX-License-Identifier: Apache-2.0 */
/* docs/examples/example.h - what an example expects */
#ifndef KNUMA_EXAMPLE_H
#define KNUMA_EXAMPLE_H

#include <stdlib.h>

#include <knuma/linux/printk.h>

/* Ends the program with exit code 1 unless @cond holds. */
#define expect(cond)                                                       \
	do {                                                               \
		if (!(cond)) {                                             \
			pr_err("%s:%d: expected %s\n", __FILE__, __LINE__, \
			       #cond);                                     \
			exit(1);                                           \
		}                                                          \
	} while (0)

#endif /* KNUMA_EXAMPLE_H */
