/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "numa/machine.h"
#include "numa/sysfs.h"

/* /proc/self/mountinfo of a machine with some hundred mounts, and the other. */
#define MOUNTS_BYTES ((size_t)192 << 10)
#define GROUPS_BYTES ((size_t)16 << 10)
#define STAT_BYTES   8192

/* Version 1 has no word for "none", but numbers near the largest. */
#define V1_NONE	     ((uint64_t)1 << 60)

/* A part of a text. */
struct part {
	const char *s;
	size_t len;
};

/* The part up to @end, which is taken off @text with it. */
static struct part next_part(struct part *text, char end)
{
	const char *const stop = memchr(text->s, end, text->len);
	const size_t len = stop ? (size_t)(stop - text->s) : text->len;
	const struct part part = {text->s, len};

	text->s += len + (stop != NULL);
	text->len -= len + (stop != NULL);
	return part;
}

static bool is(struct part p, const char *word)
{
	return p.len == strlen(word) && !memcmp(p.s, word, p.len);
}

/* @word is among the words of @list, which commas part. */
static bool lists(struct part list, const char *word)
{
	while (list.len)
		if (is(next_part(&list, ','), word))
			return true;
	return false;
}

static bool begins(struct part p, struct part with)
{
	return p.len >= with.len && !memcmp(p.s, with.s, with.len) &&
	       (p.len == with.len || p.s[with.len] == '/');
}

/* The path of this process in /proc/self/cgroup; @word: "" for version 2. */
static bool own_path(struct part text, const char *word, struct part *path)
{
	while (text.len) {
		struct part line = next_part(&text, '\n');
		const struct part id = next_part(&line, ':');
		const struct part words = next_part(&line, ':');

		if (word[0] ? !lists(words, word) : words.len || !is(id, "0"))
			continue;
		*path = line;
		return true;
	}
	return false;
}

/* Octal escapes of a path in mountinfo: blanks and backslashes. */
static size_t unescape(struct part from, char *to, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < from.len && n < len; i++) {
		const char *s = from.s + i;

		if (*s == '\\' && i + 3 < from.len) {
			to[n++] = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
					 (s[3] - '0'));
			i += 3;
			continue;
		}
		to[n++] = *s;
	}
	return n;
}

/* Where a line of mountinfo mounts which part of the controller's tree. */
static bool mount_of(struct part line, const char *word, struct part *root,
		     struct part *point)
{
	struct part type, words;

	for (int i = 0; i < 3; i++)
		next_part(&line, ' ');
	*root = next_part(&line, ' ');
	*point = next_part(&line, ' ');
	while (line.len && !is(next_part(&line, ' '), "-"))
		;
	type = next_part(&line, ' ');
	next_part(&line, ' ');
	words = line;
	return word[0] ? is(type, "cgroup") && lists(words, word) :
			 is(type, "cgroup2");
}

/* @d becomes the mount, and what of @own lies below @root. */
static void place(struct kn_cgroup_dir *d, int version, struct part root,
		  struct part point, struct part own)
{
	size_t n = unescape(point, d->path, sizeof(d->path));

	d->version = 0;
	if (is(root, "/"))
		root.len = 0;
	if (begins(own, root)) {
		own.s += root.len;
		own.len -= root.len;
	} else {
		own.len = 0;
	}
	/* Outside of the namespace. */
	if (begins(own, (struct part){"/..", 3}) || is(own, "/"))
		own.len = 0;
	if (n + own.len >= sizeof(d->path))
		return;
	memcpy(d->path + n, own.s, own.len);
	d->path[n + own.len] = '\0';
	d->mount_len = n;
	d->version = version;
}

static void find(struct kn_cgroup_dir *d, const char *word, struct part groups,
		 struct part mounts)
{
	struct part own, root, point;

	d->version = 0;
	if (!own_path(groups, word, &own))
		return;
	while (mounts.len && !d->version)
		if (mount_of(next_part(&mounts, '\n'), word, &root, &point))
			place(d, word[0] ? 1 : 2, root, point, own);
}

/* The text of DIR/NAME; the length of what is there, or -Exxx. */
static ssize_t read_in(const char *dir, const char *name, char *buf, size_t len)
{
	char path[KN_CGROUP_PATH + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return kn_machine.read_file(path, buf, len);
}

/* The number in DIR/NAME; none for "max", what is no number, and no file. */
static uint64_t number_in(const char *dir, const char *name)
{
	char buf[64];
	const char *text = buf;
	uint64_t n;

	if (read_in(dir, name, buf, sizeof(buf)) <= 0 ||
	    !kn_sysfs_next_number(&text, &n) || n >= V1_NONE)
		return KN_CGROUP_NONE;
	return n;
}

/* Of one cgroup: thousandths of a CPU. */
static uint64_t quota_in(const char *dir, int version)
{
	uint64_t quota, period;
	char buf[64];
	const char *text = buf;

	if (version == 1) {
		quota = number_in(dir, "cpu.cfs_quota_us");
		period = number_in(dir, "cpu.cfs_period_us");
	} else if (read_in(dir, "cpu.max", buf, sizeof(buf)) <= 0 ||
		   !kn_sysfs_next_number(&text, &quota) ||
		   !kn_sysfs_next_number(&text, &period)) {
		return KN_CGROUP_NONE;
	}
	if (quota == KN_CGROUP_NONE || period == KN_CGROUP_NONE || !period ||
	    quota >= V1_NONE / KN_CPU_MILLI)
		return KN_CGROUP_NONE;
	return quota * KN_CPU_MILLI / period;
}

/* From @path to its parent; false at the mount. */
static bool climb(char *path, size_t mount_len)
{
	char *const slash = strrchr(path, '/');

	if (!slash || (size_t)(slash - path) < mount_len)
		return false;
	*slash = '\0';
	return true;
}

static void memory_limits(struct kn_cgroup *c)
{
	const bool v1 = c->memory.version == 1;
	char path[KN_CGROUP_PATH];

	memcpy(path, c->memory.path, sizeof(path));
	do {
		const uint64_t max = number_in(
			path, v1 ? "memory.limit_in_bytes" : "memory.max");
		const uint64_t high = v1 ? KN_CGROUP_NONE :
					   number_in(path, "memory.high");

		if (KN_MIN(max, high) < kn_cgroup_limit(c))
			memcpy(c->limited, path, sizeof(path));
		c->max = KN_MIN(c->max, max);
		c->high = KN_MIN(c->high, high);
	} while (climb(path, c->memory.mount_len));
}

static void cpu_limits(struct kn_cgroup *c)
{
	char path[KN_CGROUP_PATH];

	memcpy(path, c->cpu.path, sizeof(path));
	do {
		c->cpu_milli =
			KN_MIN(c->cpu_milli, quota_in(path, c->cpu.version));
	} while (climb(path, c->cpu.mount_len));
}

void kn_cgroup_reread(struct kn_cgroup *c)
{
	c->max = c->high = c->cpu_milli = KN_CGROUP_NONE;
	c->limited[0] = '\0';
	if (c->memory.version)
		memory_limits(c);
	if (c->cpu.version)
		cpu_limits(c);
}

int kn_cgroup_read(struct kn_cgroup *c)
{
	char *const buf = kn_machine.mmap(NULL, MOUNTS_BYTES + GROUPS_BYTES,
					  PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS);
	ssize_t groups, mounts;

	memset(c, 0, sizeof(*c));
	kn_cgroup_reread(c);
	if (kn_is_err(buf))
		return kn_ptr_err(buf);
	groups = kn_sysfs_read_proc("self/cgroup", buf, GROUPS_BYTES);
	mounts = kn_sysfs_read_proc("self/mountinfo", buf + GROUPS_BYTES,
				    MOUNTS_BYTES);
	if (groups >= 0 && mounts >= 0) {
		const struct part g = {buf, (size_t)groups};
		const struct part m = {buf + GROUPS_BYTES, (size_t)mounts};

		find(&c->unified, "", g, m);
		find(&c->memory, "memory", g, m);
		find(&c->cpu, "cpu", g, m);
		if (!c->memory.version)
			c->memory = c->unified;
		if (!c->cpu.version)
			c->cpu = c->unified;
		kn_cgroup_reread(c);
	}
	kn_machine.munmap(buf, MOUNTS_BYTES + GROUPS_BYTES);
	return (int)(groups < 0 ? groups : mounts < 0 ? mounts : 0);
}

/* The number behind @name in @text; 0 if it is not there. */
static uint64_t field(const char *text, const char *name)
{
	const char *at = kn_sysfs_field(text, name);
	uint64_t n;

	return at && kn_sysfs_next_number(&at, &n) ? n : 0;
}

bool kn_cgroup_used(const struct kn_cgroup *c, uint64_t *bytes)
{
	const bool v1 = c->memory.version == 1;
	char buf[STAT_BYTES];
	uint64_t used, unused = 0;

	if (!c->limited[0])
		return false;
	used = number_in(c->limited,
			 v1 ? "memory.usage_in_bytes" : "memory.current");
	if (used == KN_CGROUP_NONE)
		return false;
	if (read_in(c->limited, "memory.stat", buf, sizeof(buf)) > 0)
		unused = field(buf,
			       v1 ? "total_inactive_file " : "inactive_file ");
	*bytes = used - KN_MIN(used, unused);
	return true;
}

uint64_t kn_cgroup_events(const struct kn_cgroup *c)
{
	char buf[256];
	uint64_t n;

	if (!c->limited[0])
		return 0;
	if (c->memory.version == 1) {
		n = number_in(c->limited, "memory.failcnt");
		return n == KN_CGROUP_NONE ? 0 : n;
	}
	if (read_in(c->limited, "memory.events", buf, sizeof(buf)) <= 0)
		return 0;
	return field(buf, "high ") + field(buf, "max ");
}

bool kn_pressure_path(const struct kn_cgroup *c, char path[KN_CGROUP_PATH + 32])
{
	const size_t size = KN_CGROUP_PATH + 32;
	uint64_t us;

	snprintf(path, size, "%s/memory.pressure", c->unified.path);
	if (c->unified.version && kn_pressure_stall(path, &us))
		return true;
	snprintf(path, size, "%s/pressure/memory", kn_machine.procfs);
	return kn_pressure_stall(path, &us);
}

bool kn_pressure_stall(const char *path, uint64_t *us)
{
	char buf[256];
	const char *at;

	if (kn_machine.read_file(path, buf, sizeof(buf)) <= 0)
		return false;
	at = kn_sysfs_field(buf, "total=");
	return at && kn_sysfs_next_number(&at, us);
}
