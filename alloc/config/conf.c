/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items and mistakes of all sources, and the file among them.
 *
 * inih splits a line into key and value and follows the sections.  Its reader
 * is next_line(), which gives it whole lines only, without comments and
 * indentation, and keeps an account of what became of each: inih stops at
 * neither a cut nor a senseless line, and names only the first.
 */
#define _GNU_SOURCE
#include "alloc/config/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc/base/print.h"
#include "alloc/config/cache_conf.h"
#include "alloc/config/fake_spec.h"

#define WHERE_LEN 320 /* a path and a line number */

/* More is no configuration file; a device may have no end at all. */
#define FILE_MAX  ((size_t)1 << 20)

enum section {
	SECTION_KNUMA,
	SECTION_CACHE,
	SECTION_SKIP /* not ours, or not to be had */
};

struct file {
	struct kn_conf_sink *sink;
	const char *path;
	int fd;
	int line;
	int err;       /* of read() */
	bool expected; /* this line has a key; inih did not give it */
	enum section section;
	struct kn_cache_rule *rule;	   /* of SECTION_CACHE */
	int set_in[KN_NR_TUNABLES];	   /* line that set it; 0: none */
	int rule_set_in[KN_NR_CACHE_KEYS]; /* the same of this section */
	size_t pos, len, total;
	char chunk[1024];
};

void kn_conf_mistake(struct kn_conf_sink *sink, const char *where,
		     const char *fmt, ...)
{
	char message[1000];
	int n = snprintf(message, sizeof(message), "%s: ", where);
	va_list ap;

	sink->nr_mistakes++;
	if (!sink->report || n < 0 || (size_t)n >= sizeof(message))
		return;
	va_start(ap, fmt);
	vsnprintf(message + n, sizeof(message) - (size_t)n, fmt, ap);
	va_end(ap);
	sink->report(sink->arg, message);
}

static void unknown_key(struct kn_conf_sink *sink, const char *where,
			const char *name)
{
	const struct kn_tunable *near = kn_tunable_nearest(name);

	if (near)
		kn_conf_mistake(sink, where,
				"unknown key '%s'; the nearest is '%s'", name,
				near->name);
	else
		kn_conf_mistake(sink, where,
				"unknown key '%s'; `knuma conf dump' lists "
				"the keys",
				name);
}

static void not_a_value(struct kn_conf_sink *sink, const char *where,
			const struct kn_tunable *row, const char *value)
{
	static const char *const wanted[] = {
		[KN_TUNABLE_BOOL] = "yes or no",
		[KN_TUNABLE_CHOICE] = "one of ",
		[KN_TUNABLE_U64] = "a whole number",
		[KN_TUNABLE_SIZE] = "a size, as 65536, 64K or 8M",
		[KN_TUNABLE_MS] = "a time, as 100ms or 2s",
		[KN_TUNABLE_STRING] = "a text",
		[KN_TUNABLE_NODES] = ("a number of nodes, or levels as "
				      "pack:2 numa:2 pu:4"),
		[KN_TUNABLE_DEBUG] = ("letters of FZPUTAO-, as FZPU or "
				      "FZ,kmalloc-*;-"),
	};

	kn_conf_mistake(sink, where, "%s = %s: expected %s%s", row->name,
			*value ? value : "(nothing)", wanted[row->kind],
			row->kind == KN_TUNABLE_CHOICE ? row->unit : "");
}

static void out_of_range(struct kn_conf_sink *sink, const char *where,
			 const struct kn_tunable *row, const char *value)
{
	char min[32], max[32];

	if (row->kind == KN_TUNABLE_STRING || row->kind == KN_TUNABLE_DEBUG) {
		kn_conf_mistake(sink, where, "%s: longer than %d bytes",
				row->name, KN_TUNABLE_LEN - 1);
		return;
	}
	if (row->kind == KN_TUNABLE_NODES) {
		kn_conf_mistake(sink, where,
				"%s = %s: more than %d nodes or %d CPUs",
				row->name, value, KN_FAKE_MAX_NODES,
				KN_FAKE_MAX_CPUS);
		return;
	}
	kn_tunable_print(row, row->min, min, sizeof(min));
	kn_tunable_print(row, row->max, max, sizeof(max));
	kn_conf_mistake(sink, where, "%s = %s: outside of %s to %s%s%s",
			row->name, value, min, max,
			row->kind == KN_TUNABLE_U64 ? " " : "",
			row->kind == KN_TUNABLE_U64 ? row->unit : "");
}

void kn_conf_bad_value(struct kn_conf_sink *sink, const char *where,
		       const struct kn_tunable *row, const char *value, int err)
{
	if (err == -EINVAL)
		not_a_value(sink, where, row, value);
	if (err == -ERANGE)
		out_of_range(sink, where, row, value);
}

static void add_message(void *arg, const char *message)
{
	kn_text_add(arg, "%s", message);
}

void kn_tunable_explain(const struct kn_tunable *row, const char *where,
			const char *value, int err, struct kn_text *t)
{
	struct kn_conf_sink sink = {.report = add_message, .arg = t};

	kn_conf_bad_value(&sink, where, row, value, err);
}

bool kn_conf_item(struct kn_conf_sink *sink, const char *where,
		  const char *name, const char *value)
{
	const struct kn_tunable *row = kn_tunable_find(name);
	int err;

	if (!row) {
		unknown_key(sink, where, name);
		return false;
	}
	err = kn_tunable_assign(sink->to, row, value, sink->rank, where);
	kn_conf_bad_value(sink, where, row, value, err);
	return !err;
}

/* Keeps the end of a long path: that is where the name is. */
static const char *where_line(const struct file *f, char *where)
{
	const size_t len = strlen(f->path), most = WHERE_LEN - 16;

	snprintf(where, WHERE_LEN, "%s:%d",
		 len > most ? f->path + (len - most) : f->path, f->line);
	return where;
}

/* The next byte of the file; -1 at its end, or when it cannot be read. */
static int next_byte(struct file *f)
{
	ssize_t n;

	if (f->pos < f->len)
		return (unsigned char)f->chunk[f->pos++];
	do {
		n = read(f->fd, f->chunk, sizeof(f->chunk));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		f->err = -errno;
	if (n <= 0)
		return -1;
	f->total += (size_t)n;
	if (f->total > FILE_MAX) {
		f->err = -EFBIG;
		return -1;
	}
	f->pos = 1;
	f->len = (size_t)n;
	return (unsigned char)f->chunk[0];
}

/*
 * The bytes of the next line without its end; those past @room are counted,
 * not stored.  -1 at the end of the file.
 */
static ssize_t read_line(struct file *f, char *line, size_t room, bool *binary)
{
	size_t n = 0;
	int c = next_byte(f);

	if (c < 0)
		return -1;
	*binary = false;
	for (; c >= 0 && c != '\n'; c = next_byte(f)) {
		*binary |= c == '\0';
		if (n < room)
			line[n] = (char)c;
		n++;
	}
	line[KN_MIN(n, room)] = '\0';
	return (ssize_t)n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Moves the text to the front of @line and cuts comments and blanks off. */
static void strip(char *line, bool first)
{
	char *start = line, *p;

	if (first && !strncmp(start, "\xef\xbb\xbf", 3))
		start += 3;
	while (is_blank(*start))
		start++;
	for (p = start; *p; p++)
		if ((*p == '#' || *p == ';') && (p == start || is_blank(p[-1])))
			break;
	while (p > start && is_blank(p[-1]))
		p--;
	*p = '\0';
	memmove(line, start, (size_t)(p - start) + 1);
}

/* The rule of a section that begins on this line; NULL and a mistake. */
static struct kn_cache_rule *new_rule(struct file *f, const char *where,
				      const char *pattern, size_t len)
{
	struct kn_cache_rules *rules = f->sink->to->caches;
	struct kn_cache_rule *rule = &rules->rule[rules->nr];

	if (!len || len >= sizeof(rule->pattern)) {
		kn_conf_mistake(f->sink, where,
				"a cache has a name of 1 to %zu bytes; the "
				"section is ignored",
				sizeof(rule->pattern) - 1);
		return NULL;
	}
	for (int i = 0; i < rules->nr; i++) {
		const struct kn_cache_rule *r = &rules->rule[i];

		if (r->file != f->sink->nr_files || strlen(r->pattern) != len ||
		    strncmp(r->pattern, pattern, len) != 0)
			continue;
		kn_conf_mistake(f->sink, where,
				"[cache %s] is already in line %d; this "
				"section is ignored",
				r->pattern, r->line);
		return NULL;
	}
	if (rules->nr == KN_CACHE_RULES) {
		kn_conf_mistake(f->sink, where,
				"more than %d sections of caches; this one is "
				"ignored: use patterns",
				KN_CACHE_RULES);
		return NULL;
	}
	memset(rule, 0, sizeof(*rule));
	memcpy(rule->pattern, pattern, len);
	rule->file = f->sink->nr_files;
	rule->line = f->line;
	rules->nr++;
	return rule;
}

/* "[cache NAME]" */
static void enter_cache(struct file *f, const char *where, const char *name)
{
	name += strspn(name, " \t");
	f->rule = new_rule(f, where, name, strcspn(name, "]"));
	f->section = f->rule ? SECTION_CACHE : SECTION_SKIP;
	memset(f->rule_set_in, 0, sizeof(f->rule_set_in));
}

/* [knuma], [cache NAME], or a section whose keys are for somebody else. */
static void enter_section(struct file *f, const char *line)
{
	char where[WHERE_LEN];
	const char *end = strchr(line, ']');

	where_line(f, where);
	f->section = SECTION_SKIP;
	if (!end || end[1])
		kn_conf_mistake(f->sink, where, "a section is written [name]");
	else if (!strcmp(line, "[knuma]"))
		f->section = SECTION_KNUMA;
	else if (!strncmp(line, "[cache", 6) && strchr(" \t]", line[6]))
		enter_cache(f, where, line + 6);
	else
		kn_conf_mistake(f->sink, where,
				"unknown section %s; its keys are ignored: "
				"there are [knuma] and [cache NAME]",
				line);
}

/* The last line had text, and inih found no key in it. */
static void settle_line(struct file *f)
{
	char where[WHERE_LEN];

	if (f->expected)
		kn_conf_mistake(f->sink, where_line(f, where),
				"not of the form key = value");
	f->expected = false;
}

/* Bytes that begin a character of UTF-8, by the number of those behind. */
static int bytes_behind(unsigned char c)
{
	if (c < 0x80)
		return 0;
	if (c >= 0xc2 && c <= 0xdf)
		return 1;
	if (c >= 0xe0 && c <= 0xef)
		return 2;
	return c >= 0xf0 && c <= 0xf4 ? 3 : -1;
}

/* What is wrong with the bytes of a line; NULL if they are text. */
static const char *not_text(const char *line)
{
	for (const char *p = line; *p; p++) {
		int behind = bytes_behind((unsigned char)*p);

		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return "contains a control character";
		if (behind < 0)
			return "is not UTF-8";
		for (; behind; behind--)
			if (((unsigned char)*++p & 0xc0) != 0x80)
				return "is not UTF-8";
	}
	return NULL;
}

/* inih's fgets(): at most @num - 1 bytes, ending in a newline. */
static char *next_line(char *line, int num, void *stream)
{
	struct file *f = stream;
	const size_t room = (size_t)num - 2;
	char where[WHERE_LEN];
	const char *bad;
	bool binary;
	ssize_t n;

	settle_line(f);
	n = read_line(f, line, room, &binary);
	if (n < 0)
		return NULL;
	f->line++;
	if (binary) {
		kn_conf_mistake(f->sink, where_line(f, where),
				"contains a 0 byte; the line is ignored");
		line[0] = '\0';
	} else if ((size_t)n > room) {
		kn_conf_mistake(f->sink, where_line(f, where),
				"longer than %zu bytes; the line is ignored",
				room);
		line[0] = '\0';
	}
	strip(line, f->line == 1);
	bad = not_text(line);
	if (bad) {
		kn_conf_mistake(f->sink, where_line(f, where),
				"%s; the line is ignored", bad);
		line[0] = '\0';
	}
	if (line[0] == '[') {
		enter_section(f, line);
		line[0] = '\0';
	}
	f->expected = line[0] != '\0';
	strcat(line, "\n");
	return line;
}

/* True, and a mistake, if line @set_in of the same place had the key. */
static bool is_second(struct file *f, const char *where, const char *name,
		      int set_in)
{
	if (!set_in)
		return false;
	kn_conf_mistake(f->sink, where,
			"%s is already set in line %d; this line is ignored",
			name, set_in);
	return true;
}

static void take_setting(struct file *f, const char *where, const char *name,
			 const char *value)
{
	const struct kn_tunable *row = kn_tunable_find(name);
	int *line = row ? &f->set_in[row - kn_tunables] : NULL;

	if (line && is_second(f, where, name, *line))
		return;
	if (kn_conf_item(f->sink, where, name, value))
		*line = f->line;
}

static void unknown_cache_key(struct file *f, const char *where,
			      const char *name)
{
	const struct kn_tunable *near =
		kn_conf_nearest(kn_cache_keys, KN_NR_CACHE_KEYS, name);

	if (kn_tunable_find(name))
		kn_conf_mistake(f->sink, where,
				"%s is no setting of one cache; it belongs to "
				"[knuma]",
				name);
	else if (near)
		kn_conf_mistake(f->sink, where,
				"unknown key '%s' of a cache; the nearest is "
				"'%s'",
				name, near->name);
	else
		kn_conf_mistake(f->sink, where,
				"unknown key '%s' of a cache; knuma.conf(5) "
				"lists the keys",
				name);
}

static void take_cache_setting(struct file *f, const char *where,
			       const char *name, const char *value)
{
	const struct kn_tunable *row = kn_cache_key_find(name);
	int err, *line;

	if (!row) {
		unknown_cache_key(f, where, name);
		return;
	}
	line = &f->rule_set_in[row - kn_cache_keys];
	if (is_second(f, where, name, *line))
		return;
	err = kn_tunable_store(&f->rule->conf, row, value);
	kn_conf_bad_value(f->sink, where, row, value, err);
	if (err)
		return;
	*line = f->line;
	f->rule->conf.set |= 1u << (row - kn_cache_keys);
}

static int take_item(void *user, const char *section, const char *name,
		     const char *value)
{
	struct file *f = user;
	char where[WHERE_LEN];

	(void)section;
	f->expected = false;
	where_line(f, where);
	if (f->section == SECTION_KNUMA)
		take_setting(f, where, name, value);
	else if (f->section == SECTION_CACHE)
		take_cache_setting(f, where, name, value);
	return 1;
}

/*
 * The library's switches are variables that a program linked with it may have
 * changed; here none of its buffers may come from malloc.
 */
static void parse(struct file *f)
{
	const bool use_stack = ini_use_stack;

	ini_use_stack = true;
	ini_parse_stream(next_line, f, take_item, f);
	ini_use_stack = use_stack;
	settle_line(f);
}

int kn_conf_file(struct kn_conf_sink *sink, const char *path)
{
	const int saved_errno = errno;
	struct file f = {.sink = sink, .path = path};

	sink->nr_files++;
	f.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (f.fd < 0) {
		f.err = -errno;
	} else {
		parse(&f);
		close(f.fd);
	}
	if (f.err == -EFBIG)
		kn_conf_mistake(sink, path,
				"longer than %zu bytes; the rest is ignored",
				FILE_MAX);
	else if (f.err && f.err != -ENOENT)
		kn_conf_mistake(sink, path, "cannot be read: %s",
				strerrordesc_np(-f.err));
	if (f.err && f.err != -ENOENT && !sink->err)
		sink->err = f.err;
	errno = saved_errno;
	return f.err;
}

int kn_conf_check(const char *path,
		  void (*report)(void *arg, const char *message), void *arg)
{
	static struct kn_tunables tun;
	static struct kn_origin origins[KN_NR_TUNABLES];
	static struct kn_cache_rules caches;
	static const struct kn_conf_values tried = {&tun, origins, &caches};
	struct kn_conf_sink sink = {
		.report = report,
		.arg = arg,
		.to = &tried,
		.rank = KN_CONF_FILE,
	};
	int err;

	kn_conf_clear(&tried);
	err = kn_conf_file(&sink, path);
	if (err == -ENOENT)
		kn_conf_mistake(&sink, path, "does not exist");
	return err ?: sink.nr_mistakes;
}
