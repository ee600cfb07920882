/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rcu_list.c - a list that is read without locks, and kfree_rcu()
 *
 * What it teaches:
 *   - Readers walk the list between rcu_read_lock() and rcu_read_unlock(), and
 *     wait for nobody.
 *   - An update copies an element, changes the copy and publishes it with
 *     rcu_assign_pointer().  Writers exclude each other with a mutex.
 *   - kfree_rcu() frees the old element once every reader that may see it has
 *     left.  It waits for nothing itself, so it may stand under the mutex.
 *   - kvfree_rcu_barrier() waits until all of them are free, before the end.
 *
 * The flavour is that of the header: <knuma/linux/rcupdate.h> has <urcu.h>,
 * which is liburcu's memb.  Threads that read are registered with it.
 */
#define pr_fmt(fmt) "rcu_list: " fmt

#include <pthread.h>

#include <knuma/linux/kernel.h>
#include <knuma/linux/rcupdate.h>
#include <knuma/linux/slab.h>

#include "docs/examples/example.h"

#define NR_READERS  2
#define NR_ELEMENTS 8
#define NR_UPDATES  20000

/* @check is ~@value: an element that was freed and reused would differ. */
struct element {
	struct element *next;
	u32 value;
	u32 check;
	struct rcu_head rcu;
};

static struct element *list;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static int done;

static void *reader(void *arg)
{
	unsigned long *walks = arg;

	rcu_register_thread();
	do {
		const struct element *e;
		int n = 0;

		rcu_read_lock();
		for (e = rcu_dereference(list); e;
		     e = rcu_dereference(e->next)) {
			expect(e->check == ~e->value);
			n++;
		}
		rcu_read_unlock();
		expect(n == NR_ELEMENTS);
		++*walks;
	} while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE));
	rcu_unregister_thread();
	return NULL;
}

static struct element *element_new(u32 value, struct element *next)
{
	struct element *e = kmalloc(sizeof(*e), GFP_KERNEL);

	expect(e);
	e->next = next;
	e->value = value;
	e->check = ~value;
	return e;
}

/* Replaces the element at @position by one with @value. */
static void update(unsigned int position, u32 value)
{
	struct element **link = &list, *old;

	pthread_mutex_lock(&list_lock);
	while (position--)
		link = &(*link)->next;
	old = *link;
	rcu_assign_pointer(*link, element_new(value, old->next));
	kfree_rcu(old, rcu);
	pthread_mutex_unlock(&list_lock);
}

int main(void)
{
	unsigned long walks[NR_READERS] = {0};
	pthread_t readers[NR_READERS];
	struct element *e;

	for (u32 i = 0; i < NR_ELEMENTS; i++)
		list = element_new(i, list);

	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		expect(!pthread_create(&readers[i], NULL, reader, &walks[i]));
	for (u32 i = 0; i < NR_UPDATES; i++)
		update(i % NR_ELEMENTS, i);
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		expect(!pthread_join(readers[i], NULL));
		expect(walks[i] > 0);
	}
	pr_info("%d elements replaced under the eyes of %d readers\n",
		NR_UPDATES, NR_READERS);

	while ((e = list)) {
		list = e->next;
		kfree_rcu(e, rcu);
	}
	kvfree_rcu_barrier();
	pr_info("all of them are free\n");
	return 0;
}
