/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KNUMA_TOOL_CONF_DUMP_H
#define KNUMA_TOOL_CONF_DUMP_H

#include <stdbool.h>

/* Prints the built-in configuration as a commented file. */
void print_default_conf(void);

/*
 * The same with the values in force: what somebody set has no # before it, and
 * with @sources its source behind it.
 */
void print_conf_in_force(bool sources);

/* SETTINGS, PROFILES and CACHES as docs/reference/settings.md. */
void print_conf_reference(void);

#endif
