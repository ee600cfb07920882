/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KNUMA_TOOL_CONF_DUMP_H
#define KNUMA_TOOL_CONF_DUMP_H

/* Prints the built-in configuration as a commented file. */
void print_default_conf(void);

#endif
