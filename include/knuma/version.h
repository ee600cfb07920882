/* SPDX-License-Identifier: Apache-2.0 */
/* knuma/version.h - which knuma this is */
#ifndef KNUMA_VERSION_H
#define KNUMA_VERSION_H

#include <knuma/types.h>

#define KNUMA_VERSION_MAJOR  0
#define KNUMA_VERSION_MINOR  1
#define KNUMA_VERSION_PATCH  0
#define KNUMA_VERSION_STRING "0.1.0"

KN_BEGIN_DECLS

/**
 * knuma_version - version of the library that runs
 *
 * Context: any thread, any signal handler.
 * Return:  as KNUMA_VERSION_STRING, which is the version compiled with.
 */
const char *knuma_version(void) KN_API KN_CONST;

KN_END_DECLS

#endif /* KNUMA_VERSION_H */
