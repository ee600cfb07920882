/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/misuse.h - reports of a caller's bug, kept instead of abort */
#ifndef KN_TESTS_MISUSE_H
#define KN_TESTS_MISUSE_H

/* From here on a report is kept, and the process lives. */
void misuse_catch(void);

/* Reports since misuse_catch() or misuse_forget(). */
int misuse_count(void);
void misuse_forget(void);

/* The last report; "" if there was none. */
const char *misuse_last(void);

#endif
