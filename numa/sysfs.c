/* SPDX-License-Identifier: Apache-2.0 */
#include "numa/sysfs.h"

#include <errno.h>
#include <string.h>

#include "numa/machine.h"

struct path {
	char s[256];
	size_t len;
};

static void add(struct path *p, const char *s)
{
	const size_t n = strlen(s);

	/* A path that is too long stays so, and is refused by read_path(). */
	if (p->len + n < sizeof(p->s))
		memcpy(p->s + p->len, s, n + 1);
	p->len += n;
}

static void add_number(struct path *p, unsigned n)
{
	char digits[12];
	char *s = digits + sizeof(digits);

	*--s = '\0';
	do {
		*--s = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	add(p, s);
}

static bool ends_item(char c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\n';
}

static ssize_t read_path(const struct path *p, char *buf, size_t len)
{
	ssize_t got;

	if (p->len >= sizeof(p->s))
		return -ENAMETOOLONG;
	got = kn_machine.read_file(p->s, buf, len);
	if (got < 0 || (size_t)got < len - 1)
		return got;
	while (got && !ends_item(buf[got - 1]))
		got--;
	buf[got] = '\0';
	return got;
}

ssize_t kn_sysfs_read(const char *file, char *buf, size_t len)
{
	struct path p = {.len = 0};

	add(&p, kn_machine.sysfs);
	add(&p, "/");
	add(&p, file);
	return read_path(&p, buf, len);
}

ssize_t kn_sysfs_read_node(int kernel_id, const char *file, char *buf,
			   size_t len)
{
	struct path p = {.len = 0};

	add(&p, kn_machine.sysfs);
	add(&p, "/node/node");
	add_number(&p, (unsigned)kernel_id);
	add(&p, "/");
	add(&p, file);
	return read_path(&p, buf, len);
}

ssize_t kn_sysfs_read_proc(const char *file, char *buf, size_t len)
{
	struct path p = {.len = 0};

	add(&p, kn_machine.procfs);
	add(&p, "/");
	add(&p, file);
	return read_path(&p, buf, len);
}

bool kn_sysfs_next_number(const char **text, uint64_t *value)
{
	const uint64_t limit = UINT64_MAX / 10 - 1;
	const char *s = *text;
	uint64_t v = 0;

	while (*s == ' ' || *s == '\t')
		s++;
	if (*s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v < limit ? v * 10 + (uint64_t)(*s - '0') : UINT64_MAX;
	*text = s;
	*value = v;
	return true;
}

bool kn_sysfs_next_range(const char **text, unsigned *first, unsigned *last)
{
	const char *s = *text;
	uint64_t lo, hi;

	if (*s == ',')
		s++;
	if (!kn_sysfs_next_number(&s, &lo))
		return false;
	hi = lo;
	if (*s == '-') {
		s++;
		if (!kn_sysfs_next_number(&s, &hi))
			return false;
	}
	if ((*s && !ends_item(*s)) || hi < lo || hi > INT32_MAX)
		return false;
	*text = s;
	*first = (unsigned)lo;
	*last = (unsigned)hi;
	return true;
}

const char *kn_sysfs_field(const char *text, const char *name)
{
	const char *s = strstr(text, name);

	return s ? s + strlen(name) : NULL;
}
