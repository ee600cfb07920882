/* SPDX-License-Identifier: Apache-2.0 */
/* alloc/base/list.h - circular doubly linked lists, the links in the entries */
#ifndef KN_BASE_LIST_H
#define KN_BASE_LIST_H

#include "alloc/base/compiler.h"

struct kn_list {
	struct kn_list *next, *prev;
};

static inline void kn_list_init(struct kn_list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool kn_list_empty(const struct kn_list *head)
{
	return head->next == head;
}

static inline void kn_list_add(struct kn_list *head, struct kn_list *entry)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

static inline void kn_list_add_tail(struct kn_list *head, struct kn_list *entry)
{
	kn_list_add(head->prev, entry);
}

/* Leaves @entry linked to itself, so that a second removal is harmless. */
static inline void kn_list_del(struct kn_list *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	kn_list_init(entry);
}

#define kn_list_first(head, type, member) \
	kn_container_of((head)->next, type, member)

#define kn_list_for_each(pos, head, type, member)                      \
	for (pos = kn_container_of((head)->next, type, member);        \
	     &pos->member != (head);                                   \
	     pos = kn_container_of(pos->member.next, type, member))

#endif
