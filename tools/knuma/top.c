/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knuma top - nodes and caches of a running process, again and again
 *
 * A frame is two answers of the process, printed into a text; the screen shows
 * the text of the page that was chosen, --batch prints both.  Rates are of the
 * time between two frames, by the clock of this program.
 */
#define _GNU_SOURCE
#include "tools/knuma/knuma.h"

#include <errno.h>
#include <locale.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/knuma/live.h"

enum {
	OPT_BATCH = 'b',
	OPT_DELAY = 'd',
	OPT_FRAMES = 'n',
	OPT_SORT = 's'
};

/* clang-format off: tables */
static const struct argp_option options[] = {
	{"batch", OPT_BATCH, NULL, 0,
	 "print frames as text, without a terminal", 0},
	{"delay", OPT_DELAY, "SECONDS", 0, "time between frames; 1 by default",
	 0},
	{"frames", OPT_FRAMES, "N", 0, "end after N frames", 0},
	{"sort", OPT_SORT, "COLUMN", 0,
	 "order of caches: bytes, active, allocs or name", 0},
	{NULL, 0, NULL, 0, NULL, 0},
};

static const char *const sorts[] = {"bytes", "active", "allocs", "name", NULL};

static const char help[] =
	"q  end\n"
	"n  nodes: memory and the counters of numastat\n"
	"c  caches: objects, memory, rates\n"
	"s  next order of the caches: bytes, active, allocs, name\n"
	"h  this page; any other key leaves it\n"
	"\n"
	"free      free pages            used      slabs, pages and areas in use\n"
	"resident  in memory; ~ by a sample of 4096 pages\n"
	"ACTIVE    objects that the program holds\n"
	"CACHED    free objects in magazines and depots\n"
	"ALLOC/s, FREE/s  objects taken from and put into magazines a second,\n"
	"          batches that move between magazines and depots among them\n";

static const struct row {
	const char *label, *member;
	bool bytes;
} node_rows[] = {
	{"system_total", "system_total_bytes", true},
	{"system_free", "system_free_bytes", true},
	{"managed", "managed_bytes", true},
	{"free", "free_bytes", true},
	{"used", "used_bytes", true},
	{"resident", "resident_bytes", true},
	{"slabs", "slab_bytes", true},
	{"pages", "page_bytes", true},
	{"vmalloc", "vmalloc_bytes", true},
	{"vmalloc_cached", "vmalloc_cached_bytes", true},
	{"numa_hit", "numa_hit", false},
	{"numa_miss", "numa_miss", false},
	{"numa_foreign", "numa_foreign", false},
	{"local_node", "local_node", false},
	{"other_node", "other_node", false},
	{"free_local", "free_local", false},
	{"free_remote", "free_remote", false},
	{"home_stale", "home_stale", false},
};
/* clang-format on */

struct arguments {
	const char *process;
	bool batch;
	double delay_s;
	long frames; /* 0: without end */
	int sort;
};

struct frame {
	json_t *nodes, *caches;
	double at_s;
};

static double number(struct argp_state *state, const char *arg, double min,
		     double max)
{
	char *end;
	const double value = strtod(arg, &end);

	if (end == arg || *end || !(value >= min) || value > max)
		argp_error(state, "'%s' is no number from %g to %g", arg, min,
			   max);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case OPT_BATCH:
		a->batch = true;
		return 0;
	case OPT_DELAY:
		a->delay_s = number(state, arg, 0.1, 3600);
		return 0;
	case OPT_FRAMES:
		a->frames = (long)number(state, arg, 1, 1e9);
		return 0;
	case OPT_SORT:
		a->sort = pick(state, arg, sorts);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_error(state, "unexpected argument '%s'", arg);
		if (!is_process(arg))
			argp_error(state,
				   "'%s' is no process: neither its "
				   "number nor the path of its socket",
				   arg);
		a->process = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no process given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "PID|SOCKET",
	.doc = "Shows memory and counters of the nodes and caches of a running "
	       "process.  Keys: q ends, n and c choose the page, s the order "
	       "of caches, h helps.",
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool take(const char *process, struct frame *f, char *why, size_t len)
{
	f->caches = NULL;
	f->nodes = live_object(process, "nodes", why, len);
	if (f->nodes)
		f->caches = live_object(process, "caches", why, len);
	f->at_s = now_s();
	return f->caches != NULL;
}

static void drop(struct frame *f)
{
	json_decref(f->nodes);
	json_decref(f->caches);
	*f = (struct frame){NULL, NULL, 0};
}

/* 1023, 4.0K, 12.5M */
static const char *size_text(double bytes, char buf[16])
{
	const char *unit = " KMGTPE";

	while (bytes >= 1000 && unit[1]) {
		bytes /= 1024;
		unit++;
	}
	if (*unit == ' ')
		snprintf(buf, 16, "%.0f", bytes);
	else
		snprintf(buf, 16, "%.1f%c", bytes, *unit);
	return buf;
}

/* Nodes in columns, as numastat(8) has them. */

static void print_cell(FILE *out, const struct row *row, const json_t *node,
		       double value)
{
	const bool sampled =
		node && !strcmp(row->label, "resident") &&
		!json_is_true(json_object_get(node, "resident_exact"));
	char buf[16], cell[20];

	if (node && !json_is_number(json_object_get(node, row->member)))
		snprintf(cell, sizeof(cell), "-");
	else if (row->bytes)
		snprintf(cell, sizeof(cell), "%s%s", sampled ? "~" : "",
			 size_text(value, buf));
	else
		snprintf(cell, sizeof(cell), "%.0f", value);
	fprintf(out, " %12s", cell);
}

static void print_nodes(FILE *out, const struct frame *f)
{
	const json_t *nodes = json_object_get(f->nodes, "nodes");
	const bool fake = json_is_true(json_object_get(f->nodes, "fake_nodes"));
	json_t *node;
	size_t i;

	fprintf(out, "%-15s", fake ? "FAKE nodes" : "");
	json_array_foreach(nodes, i, node)
		fprintf(out, " %8s%-4.0f", "node", number_of(node, "node"));
	fprintf(out, " %12s\n", "Total");
	for (size_t r = 0; r < KN_ARRAY_SIZE(node_rows); r++) {
		const struct row *row = &node_rows[r];
		double total = 0;

		fprintf(out, "%-15s", row->label);
		json_array_foreach(nodes, i, node)
		{
			print_cell(out, row, node,
				   number_of(node, row->member));
			total += number_of(node, row->member);
		}
		print_cell(out, row, NULL, total);
		fputc('\n', out);
	}
}

/* Caches. */

struct line {
	const json_t *cache;
	double allocs_s, frees_s; /* a second; below 0: not known yet */
};

/* What the cache of that name was in the frame before. */
static const json_t *before(const struct frame *old, const char *name)
{
	json_t *cache;
	size_t i;

	json_array_foreach(json_object_get(old->caches, "caches"), i,
			   cache) if (!strcmp(text_in(cache, "cache"),
					      name)) return cache;
	return NULL;
}

static double rate(const json_t *now, const json_t *then, const char *member,
		   double seconds)
{
	const double n = number_of(now, member) - number_of(then, member);

	/* A new cache of an old name counts from 0. */
	return then && seconds > 0 && n >= 0 ? n / seconds : -1;
}

static int order; /* of compare() */

static int compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	double d = 0;

	if (order == 0)
		d = number_of(y->cache, "bytes") - number_of(x->cache, "bytes");
	else if (order == 1)
		d = number_of(y->cache, "active") -
		    number_of(x->cache, "active");
	else if (order == 2)
		d = y->allocs_s - x->allocs_s;
	if (d != 0)
		return d < 0 ? -1 : 1;
	return strcmp(text_in(x->cache, "cache"), text_in(y->cache, "cache"));
}

static void print_rate(FILE *out, double per_s)
{
	if (per_s < 0)
		fprintf(out, " %10s", "-");
	else
		fprintf(out, " %10.0f", per_s);
}

static void print_line(FILE *out, const struct line *l)
{
	char buf[16];

	fprintf(out, "%-24.24s %10.0f %10.0f %10.0f %8.0f %8s",
		text_in(l->cache, "cache"), number_of(l->cache, "objects"),
		number_of(l->cache, "active"), number_of(l->cache, "cached"),
		number_of(l->cache, "slabs"),
		size_text(number_of(l->cache, "bytes"), buf));
	print_rate(out, l->allocs_s);
	print_rate(out, l->frees_s);
	fputc('\n', out);
}

static void print_caches(FILE *out, const struct frame *f,
			 const struct frame *old, int sort)
{
	const json_t *caches = json_object_get(f->caches, "caches");
	struct line *lines =
		calloc(json_array_size(caches) + 1, sizeof(*lines));
	json_t *cache;
	size_t i, n = 0;

	if (!lines)
		fail("out of memory");
	json_array_foreach(caches, i, cache)
	{
		const json_t *then = before(old, text_in(cache, "cache"));
		const double seconds = f->at_s - old->at_s;

		if (number_of(cache, "slabs") <= 0 &&
		    number_of(cache, "allocs") <= 0)
			continue;
		lines[n++] = (struct line){
			cache,
			rate(cache, then, "allocs", seconds),
			rate(cache, then, "frees", seconds),
		};
	}
	order = sort;
	qsort(lines, n, sizeof(*lines), compare);
	fprintf(out, "%-24s %10s %10s %10s %8s %8s %10s %10s\n", "CACHE",
		"OBJECTS", "ACTIVE", "CACHED", "SLABS", "SIZE", "ALLOC/s",
		"FREE/s");
	for (i = 0; i < n; i++)
		print_line(out, &lines[i]);
	free(lines);
}

static void print_head(FILE *out, const struct arguments *a, int sort)
{
	char clock[16];
	const time_t now = time(NULL);

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime(&now));
	fprintf(out, "knuma top - process %s, %s, every %g s, caches by %s\n",
		a->process, clock, a->delay_s, sorts[sort]);
}

/* Without a terminal. */

static int batch(const struct arguments *a)
{
	struct frame old = {NULL, NULL, 0}, f;
	char why[1024];

	for (long i = 0; !a->frames || i < a->frames; i++) {
		if (i)
			usleep((useconds_t)(a->delay_s * 1e6));
		if (!take(a->process, &f, why, sizeof(why))) {
			drop(&f);
			drop(&old);
			fail("%s", why);
		}
		print_head(stdout, a, a->sort);
		print_nodes(stdout, &f);
		fputc('\n', stdout);
		print_caches(stdout, &f, &old, a->sort);
		fputc('\n', stdout);
		if (fflush(stdout))
			break;
		drop(&old);
		old = f;
	}
	drop(&old);
	return EXIT_DONE;
}

/* With one. */

enum page {
	PAGE_NODES = 'n',
	PAGE_CACHES = 'c',
	PAGE_HELP = 'h'
};

struct screen {
	enum page page;
	int sort;
	bool colors;
};

static char *page_text(const struct screen *s, const struct arguments *a,
		       const struct frame *f, const struct frame *old)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	print_head(out, a, s->sort);
	fputc('\n', out);
	if (s->page == PAGE_HELP)
		fputs(help, out);
	else if (s->page == PAGE_NODES)
		print_nodes(out, f);
	else
		print_caches(out, f, old, s->sort);
	fclose(out);
	return text;
}

static void draw(const struct screen *s, char *text)
{
	char *rest = NULL;
	int y = 0;

	erase();
	for (char *line = strtok_r(text, "\n", &rest); line && y < LINES;
	     line = strtok_r(NULL, "\n", &rest), y++) {
		/* The head, and the names of the columns. */
		const bool head = y == 0 || (y == 1 && s->page != PAGE_HELP);

		if (head)
			attron(A_BOLD | (s->colors ? COLOR_PAIR(1) : 0));
		mvaddnstr(y, 0, line, COLS);
		if (head)
			attrset(A_NORMAL);
	}
	refresh();
}

/* False: the user ends it. */
static bool take_key(struct screen *s, int key)
{
	switch (key) {
	case 'q':
		return false;
	case 's':
		s->sort = sorts[s->sort + 1] ? s->sort + 1 : 0;
		return true;
	case PAGE_NODES:
	case PAGE_CACHES:
	case PAGE_HELP:
		s->page = (enum page)key;
		return true;
	case ERR:
		/* No key in time; or never again: the terminal is gone. */
		return isatty(STDIN_FILENO);
	case KEY_RESIZE:
		return true;
	default:
		if (s->page == PAGE_HELP)
			s->page = PAGE_NODES;
		return true;
	}
}

/* Draws and takes keys until the next frame is due; false: the user ends it. */
static bool watch(struct screen *s, const struct arguments *a,
		  const struct frame *f, const struct frame *old)
{
	for (;;) {
		const double left = f->at_s + a->delay_s - now_s();
		char *text = page_text(s, a, f, old);

		if (!text || left <= 0) {
			free(text);
			return true;
		}
		draw(s, text);
		free(text);
		timeout((int)(left * 1000) + 1);
		if (!take_key(s, getch()))
			return false;
	}
}

static void open_screen(struct screen *s)
{
	const char *no_color = getenv("NO_COLOR");

	setlocale(LC_ALL, "");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		fail("standard input and output are not a terminal; --batch "
		     "needs none");
	if (!getenv("TERM") || !newterm(NULL, stdout, stdin))
		fail("no terminal that can be drawn on (TERM=%s); --batch "
		     "needs none",
		     getenv("TERM") ? getenv("TERM") : "");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	s->colors = !(no_color && *no_color) && has_colors() &&
		    start_color() == OK && use_default_colors() == OK &&
		    init_pair(1, COLOR_CYAN, -1) == OK;
}

static int watch_all(const struct arguments *a)
{
	struct screen s = {.page = PAGE_NODES, .sort = a->sort};
	struct frame old = {NULL, NULL, 0}, f;
	char why[1024] = "";
	bool more;

	/* A process that cannot be asked is told before the screen is taken. */
	if (!take(a->process, &f, why, sizeof(why)))
		fail("%s", why);
	open_screen(&s);
	for (long i = 1;; i++) {
		more = watch(&s, a, &f, &old) && (!a->frames || i < a->frames);
		drop(&old);
		old = f;
		if (!more || !take(a->process, &f, why, sizeof(why)))
			break;
	}
	endwin();
	drop(&old);
	if (more)
		fail("%s", why);
	return EXIT_DONE;
}

int cmd_top(int argc, char **argv)
{
	struct arguments a = {.delay_s = 1};

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return a.batch ? batch(&a) : watch_all(&a);
}
