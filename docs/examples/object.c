/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.c - a struct with members, and the function that ends it
 *
 * What it teaches:
 *   - The outer object comes from kzalloc(), so a member that is not there yet
 *     is NULL.
 *   - Every free function takes NULL.  So one destroy function ends an object
 *     that is complete, half built, or not there at all.
 *   - A member is freed before the struct that holds its pointer.
 *   - Memory with a secret in it is wiped: kfree_sensitive().
 *   - A member of a size that nobody knows in advance is kvmalloc()'s.
 */
#define pr_fmt(fmt) "object: " fmt

#include <knuma/linux/kernel.h>
#include <knuma/linux/slab.h>
#include <knuma/linux/string.h>

#include "docs/examples/example.h"

struct device {
	char *name;
	u32 *regs;
	size_t nr_regs;
	u8 *key;
	void *firmware;
};

#define KEY_BYTES 32

static void device_destroy(struct device *dev)
{
	if (!dev)
		return;
	kvfree(dev->firmware);
	kfree_sensitive(dev->key);
	kfree(dev->regs);
	kfree(dev->name);
	kfree(dev);
}

static struct device *device_create(const char *name, size_t nr_regs,
				    size_t firmware_bytes)
{
	struct device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;

	dev->name = kstrdup(name, GFP_KERNEL);
	dev->regs = kcalloc(nr_regs, sizeof(*dev->regs), GFP_KERNEL);
	dev->nr_regs = nr_regs;
	dev->key = kmalloc(KEY_BYTES, GFP_KERNEL);
	dev->firmware = kvmalloc(firmware_bytes, GFP_KERNEL);
	if (!dev->name || !dev->regs || !dev->key || !dev->firmware) {
		device_destroy(dev);
		return NULL;
	}
	memset(dev->key, 0xa5, KEY_BYTES);
	return dev;
}

int main(void)
{
	struct device *dev = device_create("eth0", 64, (size_t)8 << 20);

	expect(dev);
	expect(!strcmp(dev->name, "eth0"));
	for (size_t i = 0; i < dev->nr_regs; i++)
		expect(dev->regs[i] == 0);
	pr_info("%s: %zu registers in %zu bytes\n", dev->name, dev->nr_regs,
		ksize(dev->regs));
	device_destroy(dev);

	/* Half built: more registers than size_t can count. */
	dev = device_create("eth1", SIZE_MAX / 2, 1);
	expect(!dev);
	pr_info("eth1: too many registers, and nothing is left of it\n");

	device_destroy(NULL);
	return 0;
}
