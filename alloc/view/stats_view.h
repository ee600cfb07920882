/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc/view/stats_view.h - the statistics as text, JSON, CSV and OpenMetrics
 *
 * kn_view_take() copies what there is to say into a struct kn_view; all
 * formats print from that copy, so that they agree, and `knuma stat` prints
 * one that it read from a file.  Nodes carry the kernel's ids.
 *
 * Nothing here allocates from the heap that it describes.
 */
#ifndef KN_VIEW_STATS_VIEW_H
#define KN_VIEW_STATS_VIEW_H

#include "alloc/base/print.h"
#include "alloc/stats/stats.h"
#include "alloc/view/json.h"

#define KN_STATS_SCHEMA KN_JSON_SCHEMA

enum kn_view_fmt {
	KN_VIEW_TEXT,
	KN_VIEW_JSON,
	KN_VIEW_CSV,
	KN_VIEW_PROM
};

/* What start-up found out.  Strings are static. */
struct kn_view_info {
	const char *version;
	const char *mode;	 /* "rseq" or "fallback" */
	const char *reason;	 /* why that mode */
	const char *mbind_state; /* "ok", "denied", "failed", "not needed",
				    "skipped" */
	bool fake_nodes;	 /* nodes and placement are pretended */
	int pid;		 /* filled by kn_view_take() */
	int nr_nodes;
	int node_id[KN_STAT_NODES]; /* kernel id of each dense id */
	size_t page_size;	    /* bytes */
	size_t huge_page_size;	    /* bytes; 0: none */
	void (*refresh)(struct kn_view_info *info); /* what may change; NULL */
};

/* Filled by alloc/core; until then it says that nothing has started. */
extern struct kn_view_info kn_view_info;

struct kn_view_stat {
	uint64_t value;
	bool known; /* false: nobody measures it */
};

struct kn_view {
	struct kn_view_info info;
	bool own;		/* of this process, which has groups */
	struct kn_view_stat stat[KN_NR_STATS];
	uint64_t node[KN_STAT_NODES][KN_NR_NODE_STATS];
};

void kn_view_take(struct kn_view *v);
void kn_view_print(struct kn_text *t, const struct kn_view *v,
		   enum kn_view_fmt fmt);

/* Both in one. */
void kn_stats_format(struct kn_text *t, enum kn_view_fmt fmt);

/* OpenMetrics text with the families of caches, for readers of live processes. */
void kn_metrics_format(struct kn_text *t);

/* Writes the statistics to @fd.  Context: any thread; one mapping. */
void kn_stats_write(int fd, enum kn_view_fmt fmt);

/*
 * Writes the statistics to @path as OpenMetrics text: by a new file that takes
 * the place of an old one, or right into what is not a regular file.
 * Return: 0 or -Exxx.
 */
int kn_stats_save(const char *path);

/* The same with a text of the caller's, in a file of mode @mode. */
int kn_text_save(const char *path, unsigned mode, const char *buf, size_t len);

/*
 * What @print prints, of any length, in a mapping for kn_text_unmap().  0, or
 * -Exxx: -ENOMEM without a mapping, else what @print returned.
 */
int kn_text_map(struct kn_text *t,
		int (*print)(struct kn_text *t, const void *arg),
		const void *arg) kn_must_check;
void kn_text_unmap(const struct kn_text *t);

/*
 * At start, with stats=yes: one line on standard error with version, mode and
 * why, nodes, page sizes, mbind.  Standard error is kept open for the exit.
 */
void kn_banner(void);

/* At exit: what the tunables stats, stats_file, view_dir and stats_pid ask for. */
void kn_stats_exit(void);

#endif
