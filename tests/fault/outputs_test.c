/* SPDX-License-Identifier: Apache-2.0 */
/* Files that statistics cannot be written to, and a standard error that left. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <knuma/knuma.h>

#include "alloc/view/stats_view.h"
#include "alloc/view/views.h"
#include "tests/support/child.h"
#include "tests/support/faults.h"
#include "tests/support/heap.h"
#include "tests/support/libc/refusals.h"

static char folder[64];

static const char *path(const char *name)
{
	static char whole[128];

	snprintf(whole, sizeof(whole), "%s/%s", folder, name);
	return whole;
}

static void begin(void)
{
	strcpy(folder, "/tmp/knuma-outputs-XXXXXX");
	CHECK(mkdtemp(folder));
}

static void end(void)
{
	CHECK_EQ(rmdir(folder), 0);
}

static void files_that_cannot_be_written(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char *longer = malloc(1000);
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	begin();
	memset(longer, 'x', 999);
	longer[999] = '\0';
	errno = 4711;
	CHECK_EQ(kn_text_save(path("none/file"), 0644, "x", 1), -ENOENT);
	CHECK_EQ(kn_text_save(longer, 0644, "x", 1), -ENAMETOOLONG);
	/* What is no file is not replaced by one, and may not open. */
	strcpy(a.sun_path, path("socket"));
	CHECK_EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_EQ(kn_text_save(a.sun_path, 0644, "x", 1), -ENXIO);
	CHECK_EQ(kn_text_save("/dev/full", 0644, "x", 1), -ENOSPC);
	CHECK_EQ(kn_text_save("/dev/null", 0644, "x", 1), 0);
	CHECK_EQ(errno, 4711);
	CHECK_EQ(unlink(a.sun_path), 0);
	close(fd);
	end();
	free(longer);
}

/* The file that takes the place of the old one, and is no more. */

static const char *temporary(void)
{
	static char whole[160];

	snprintf(whole, sizeof(whole), "%s.%d.tmp", path("file"), getpid());
	return whole;
}

static void is_saved(const char *text)
{
	CHECK_EQ(kn_text_save(path("file"), 0600, text, strlen(text)), 0);
	CHECK_EQ(access(temporary(), F_OK), -1);
}

static void contains(const char *text)
{
	char buf[100];
	FILE *f = fopen(path("file"), "r");

	CHECK(f && fgets(buf, sizeof(buf), f));
	fclose(f);
	CHECK_EQ(strcmp(buf, text), 0);
}

static void old_text_remains(int err)
{
	CHECK_EQ(kn_text_save(path("file"), 0600, "new", 3), -err);
	contains("old");
}

static void an_old_file_stays_where_a_new_one_is_refused(void)
{
	begin();
	is_saved("old");
	libc_refuse(LIBC_open, 1, 1, EROFS);
	old_text_remains(EROFS);
	libc_refuse(LIBC_write, 1, 1, EDQUOT);
	old_text_remains(EDQUOT);
	libc_refuse(LIBC_rename, 1, 1, EACCES);
	old_text_remains(EACCES);
	CHECK_EQ(access(temporary(), F_OK), -1);
	is_saved("new");
	contains("new");
	CHECK_EQ(unlink(path("file")), 0);
	end();
}

/* Left behind, by a process of that number or by a refusal, it is no obstacle. */
static void a_temporary_file_that_stays_is_replaced(void)
{
	begin();
	is_saved("old");
	libc_refuse(LIBC_rename, 1, 1, EACCES);
	libc_refuse(LIBC_unlink, 1, 2, EACCES);
	old_text_remains(EACCES);
	CHECK_EQ(access(temporary(), F_OK), 0);
	/* Nor can the next one remove it. */
	old_text_remains(EACCES);
	CHECK_EQ(libc_refused(LIBC_unlink), 2);
	/* It is removed, but not made. */
	libc_refuse(LIBC_open, 2, 1, ENOSPC);
	old_text_remains(ENOSPC);
	CHECK_EQ(access(temporary(), F_OK), -1);
	is_saved("new");
	contains("new");
	CHECK_EQ(unlink(path("file")), 0);
	end();
}

static void statistics_without_memory_to_print_them(void)
{
	begin();
	start_quiet();
	faults_install();
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	CHECK_EQ(kn_stats_save(path("stats")), -ENOMEM);
	CHECK_EQ(kn_stats_save(path("stats")), 0);
	CHECK_EQ(unlink(path("stats")), 0);
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	errno = 4711;
	knuma_stats_print(STDERR_FILENO);
	CHECK_EQ(errno, 4711);
	CHECK_EQ(printed_times("the statistics cannot be printed: Cannot "
			       "allocate memory\n"),
		 1);
	CHECK_EQ(printed_times("allocated_bytes"), 0);
	faults_fail(FAULT_MMAP, 1, 1, ENOMEM);
	CHECK_EQ(kn_views_save(path("views")), -ENOMEM);
	CHECK_EQ(access(path("views"), F_OK), -1);
	end();
}

/* What was printed is in the file, whether its memory goes or not. */
static void text_that_stays_mapped_was_printed(void)
{
	begin();
	start_quiet();
	faults_install();
	faults_fail(FAULT_MUNMAP, 1, FAULTS_FOR_EVER, ENOMEM);
	for (uint64_t n = 1; n <= 3; n++) {
		CHECK_EQ(kn_stats_save(path("stats")), 0);
		CHECK_EQ(faults_failed(), n);
		CHECK_EQ(unlink(path("stats")), 0);
	}
	knuma_stats_print(STDERR_FILENO);
	CHECK_EQ(faults_failed(), 4);
	CHECK(printed_times("allocated_bytes") > 0);
	end();
}

/* The end of a program that has closed its standard error. */
static void end_without_stderr(void)
{
	const int saved = dup(STDERR_FILENO);

	CHECK(saved >= 0);
	close(STDERR_FILENO);
	kn_stats_exit();
	CHECK_EQ(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
}

/* The lowest descriptor from 200 up that @fd also is. */
static int duplicate_of(int fd)
{
	struct stat a, b;

	CHECK_EQ(fstat(fd, &a), 0);
	for (int at = 200; at < 300; at++)
		if (!fstat(at, &b) && a.st_dev == b.st_dev &&
		    a.st_ino == b.st_ino)
			return at;
	CHECK(!"a duplicate of standard error");
	return -1;
}

/* A program closed what it did not open, and @other has that number. */
static void takes_the_number(int other)
{
	int kept;

	conf("stats", "yes");
	start_quiet();
	kept = duplicate_of(STDERR_FILENO);
	CHECK_EQ(dup2(other, kept), kept);
	end_without_stderr();
	CHECK_EQ(lseek(other, 0, SEEK_END), 0);
	CHECK_EQ(printed_times("allocated_bytes"), 0);
}

static void a_number_that_is_another_file_is_left_alone(void)
{
	takes_the_number(memfd_create("other", 0));
}

static void also_one_of_another_file_system(void)
{
	int fd;

	begin();
	fd = open(path("other"), O_RDWR | O_CREAT, 0600);
	CHECK_EQ(unlink(path("other")), 0);
	end();
	takes_the_number(fd);
}

static void a_number_that_is_closed_is_none(void)
{
	conf("stats", "yes");
	start_quiet();
	close(duplicate_of(STDERR_FILENO));
	end_without_stderr();
	CHECK_EQ(printed_times("allocated_bytes"), 0);
}

/* Nothing is kept then; the program ends as it would. */
static void nothing_is_kept(enum libc_call call, int err)
{
	conf("stats", "yes");
	libc_refuse(call, 1, 1, err);
	start_quiet();
	CHECK_EQ(libc_refused(call), 1);
	CHECK_HAS(printed(), "version ");
	end_without_stderr();
	CHECK_EQ(printed_times("allocated_bytes"), 0);
	/* An open one is printed to. */
	kn_stats_exit();
	CHECK(printed_times("allocated_bytes") > 0);
}

static void no_descriptor_for_the_last_words(void)
{
	nothing_is_kept(LIBC_fcntl, EMFILE);
}

static void nobody_knows_what_was_kept(void)
{
	nothing_is_kept(LIBC_fstat, EOVERFLOW);
}

static void what_was_kept_has_the_last_words(void)
{
	conf("stats", "yes");
	start_quiet();
	end_without_stderr();
	CHECK(printed_times("allocated_bytes") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(files_that_cannot_be_written),
		child_test(an_old_file_stays_where_a_new_one_is_refused),
		child_test(a_temporary_file_that_stays_is_replaced),
		child_test(statistics_without_memory_to_print_them),
		child_test(text_that_stays_mapped_was_printed),
		child_test(a_number_that_is_another_file_is_left_alone),
		child_test(also_one_of_another_file_system),
		child_test(a_number_that_is_closed_is_none),
		child_test(no_descriptor_for_the_last_words),
		child_test(nobody_knows_what_was_kept),
		child_test(what_was_kept_has_the_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
