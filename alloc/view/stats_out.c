/* SPDX-License-Identifier: Apache-2.0 */
/* Where the statistics go: a descriptor, a file, and what exit asks for. */
#define _GNU_SOURCE
#include "alloc/view/stats_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc/config/tunables.h"
#include "alloc/view/views.h"
#include "numa/machine.h"
#include "numa/span.h"

/* A device, a pipe: something that must not be replaced by a file. */
static bool is_special(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode);
}

static int save_into(const char *path, const char *buf, size_t len)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	int err;

	if (fd < 0)
		return -errno;
	err = kn_write_all(fd, buf, len);
	close(fd);
	return err;
}

static int save_beside(const char *path, const char *temporary, unsigned mode,
		       const char *buf, size_t len)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int fd = open(temporary, flags, mode), err;

	/* Left behind by a process of the same id that was killed. */
	if (fd < 0 && errno == EEXIST && !unlink(temporary))
		fd = open(temporary, flags, mode);
	if (fd < 0)
		return -errno;
	err = kn_write_all(fd, buf, len);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(temporary, path))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

int kn_text_save(const char *path, unsigned mode, const char *buf, size_t len)
{
	const int saved_errno = errno;
	char temporary[KN_TUNABLE_LEN + 32];
	int err = -ENAMETOOLONG, n;

	n = snprintf(temporary, sizeof(temporary), "%s.%d.tmp", path, getpid());
	if (is_special(path))
		err = save_into(path, buf, len);
	else if (n > 0 && (size_t)n < sizeof(temporary))
		err = save_beside(path, temporary, mode, buf, len);
	errno = saved_errno;
	return err;
}

#define TEXT_FIRST ((size_t)256 << 10)

int kn_text_map(struct kn_text *t,
		int (*print)(struct kn_text *t, const void *arg),
		const void *arg)
{
	size_t bytes = TEXT_FIRST;
	int err;

	do {
		t->buf = kn_machine.mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS);
		if (kn_is_err(t->buf))
			return kn_ptr_err(t->buf);
		t->size = bytes;
		t->len = 0;
		err = print(t, arg);
		if (!err && t->len < t->size)
			return 0;
		kn_text_unmap(t);
		/* What is printed may have grown when it is printed again. */
		bytes = KN_ALIGN_UP(t->len + t->len / 2, KN_PAGE_SIZE);
	} while (!err);
	return err;
}

void kn_text_unmap(const struct kn_text *t)
{
	kn_machine.munmap(t->buf, t->size);
}

static int print_stats(struct kn_text *t, const void *fmt)
{
	kn_stats_format(t, *(const enum kn_view_fmt *)fmt);
	return 0;
}

void kn_stats_write(int fd, enum kn_view_fmt fmt)
{
	struct kn_text t;
	const int err = kn_text_map(&t, print_stats, &fmt);

	if (err) {
		kn_print("the statistics cannot be printed: %s",
			 strerrordesc_np(-err));
		return;
	}
	kn_write_all(fd, t.buf, t.len);
	kn_text_unmap(&t);
}

int kn_stats_save(const char *path)
{
	const enum kn_view_fmt fmt = KN_VIEW_PROM;
	struct kn_text t;
	int err = kn_text_map(&t, print_stats, &fmt);

	if (err)
		return err;
	err = kn_text_save(path, 0644, t.buf, t.len);
	kn_text_unmap(&t);
	return err;
}

static void size_word(size_t bytes, char *buf, size_t len)
{
	if (bytes >= 1u << 20)
		snprintf(buf, len, "%zuM", bytes >> 20);
	else
		snprintf(buf, len, "%zuK", bytes >> 10);
}

/*
 * Many programs close standard error at exit before a library's last word; so
 * at start it is duplicated.  A program that closes descriptors it did not open
 * may have given that number to another file: then nothing is printed.
 */
#define KEPT_FD_MIN 200 /* above what shells and programs count on */

static struct {
	int fd;
	dev_t dev;
	ino_t ino;
} kept = {.fd = -1};

static void keep_stderr(void)
{
	const int saved_errno = errno;
	struct stat st;

	kept.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, KEPT_FD_MIN);
	if (kept.fd >= 0 && !fstat(kept.fd, &st)) {
		kept.dev = st.st_dev;
		kept.ino = st.st_ino;
	}
	errno = saved_errno;
}

static int last_stderr(void)
{
	struct stat st;

	if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
		return STDERR_FILENO;
	if (kept.fd >= 0 && !fstat(kept.fd, &st) && st.st_dev == kept.dev &&
	    st.st_ino == kept.ino)
		return kept.fd;
	return -1;
}

void kn_banner(void)
{
	const struct kn_view_info *info = &kn_view_info;
	char page[16], huge[16] = "";

	keep_stderr();
	size_word(info->page_size, page, sizeof(page));
	if (info->huge_page_size)
		size_word(info->huge_page_size, huge, sizeof(huge));
	kn_print("version %s, process %d, mode %s (%s), %d %snode%s, "
		 "page sizes %s%s%s, mbind %s",
		 info->version, getpid(), info->mode, info->reason,
		 info->nr_nodes, info->fake_nodes ? "FAKE " : "",
		 info->nr_nodes == 1 ? "" : "s", page, huge[0] ? " " : "", huge,
		 info->mbind_state);
}

static void save_as_told(const char *setting, const char *where,
			 int (*save)(const char *path))
{
	const int err = *where ? save(where) : 0;

	if (err)
		kn_print("%s %s cannot be written: %s", setting, where,
			 strerrordesc_np(-err));
}

void kn_stats_exit(void)
{
	const bool mine = !kn_tun.stats_pid ||
			  kn_tun.stats_pid == (uint64_t)getpid();
	const int fd = last_stderr();

	if (kn_tun.stats && fd >= 0)
		kn_stats_write(fd, KN_VIEW_TEXT);
	if (!mine)
		return;
	save_as_told("stats_file", kn_tun.stats_file, kn_stats_save);
	save_as_told("view_dir", kn_tun.view_dir, kn_views_save);
}
