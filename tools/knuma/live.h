/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools/knuma/live.h - questions to a running process, by its socket
 *
 * A process is a number, or the path of its socket.  See alloc/view/requests.h.
 */
#ifndef KN_TOOLS_LIVE_H
#define KN_TOOLS_LIVE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether @word is a process: a number, or the path of a socket. */
bool is_process(const char *word);

/*
 * The line that @process answers to @request, from malloc; NULL, with the
 * reason and what to do in @why, when there is no answer.
 */
char *live_try(const char *process, const char *request, char *why, size_t len);

/* The same as an object; NULL also for an answer that is an error. */
json_t *live_object(const char *process, const char *request, char *why,
		    size_t len);

/* As live_object(), but failure ends the program with EXIT_USAGE. */
json_t *live_ask(const char *process, const char *request);

/* Prints the members of @object, a line each; the schema is left out. */
void live_print(const json_t *object);

/* Of an object: 0 and "" for what is not there. */
double number_of(const json_t *object, const char *name);
const char *text_in(const json_t *object, const char *name);

#endif
