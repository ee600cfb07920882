/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/slab/poison.h - the kernel's bytes for memory that nobody should see */
#ifndef KN_SLAB_POISON_H
#define KN_SLAB_POISON_H

#define KN_RED_INACTIVE 0xbb /* red zone of a free object */
#define KN_RED_ACTIVE	0xcc /* red zone of an object in use */
#define KN_POISON_INUSE 0x5a /* new object not yet written; padding */
#define KN_POISON_FREE	0x6b /* free object, */
#define KN_POISON_END	0xa5 /* and its last byte */

#endif
