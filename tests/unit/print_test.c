/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on standard error, and texts built piece by piece. */
#include "alloc/base/print.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/base/assert.h"
#include "tests/support/child.h"
#include "tests/support/misuse.h"

static void a_message_is_one_line(void)
{
	errno = 42;
	kn_print("%d bananas and %s", 3, "a pear");
	CHECK_EQ(errno, 42);
	CHECK(!strcmp(printed(), "knuma: 3 bananas and a pear\n"));
	kn_print("%s", "");
	CHECK(!strcmp(printed(), "knuma: 3 bananas and a pear\nknuma: \n"));
}

/* Whatever its length, it ends in a newline and does not overrun. */
static void a_long_message_is_cut(void)
{
	char text[3000];
	size_t before = 0;

	for (size_t len = 990; len < 1040; len++) {
		const char *line;

		memset(text, 'x', len);
		text[len] = '\0';
		kn_print("%s", text);
		line = printed() + before;
		CHECK(!strncmp(line, "knuma: xxx", 10));
		CHECK_EQ(line[strlen(line) - 1], '\n');
		CHECK(strlen(line) <= 1024);
		CHECK(strlen(line) == len + 8 || len > 1000);
		before += strlen(line);
		if (before > 14000)
			break;
	}
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	kn_print("%s", text);
}

static void without_standard_error(void)
{
	close(STDERR_FILENO);
	errno = 5;
	kn_print("to nobody");
	_exit(errno == 5 ? 0 : 1);
}

static void nowhere_to_print(void)
{
	struct child c;

	child_run(without_standard_error, &c);
	CHECK(child_passed(&c));
}

static void warn_once_means_once(void)
{
	for (int i = 0; i < 5; i++)
		kn_warn_once("the %dth time", i);
	CHECK_EQ(printed_times("time"), 1);
	CHECK_EQ(printed_times("the 0th time"), 1);
	kn_warn("again");
	kn_warn("again");
	CHECK_EQ(printed_times("again"), 2);
}

static void bug(void)
{
	kn_bug("too many %s", "bananas");
}

static void check(void)
{
	KN_CHECK(1 + 1 == 3);
}

static void bugs_abort(void)
{
	struct child c;

	child_run(bug, &c);
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "knuma: BUG too many bananas\n");
	child_run(check, &c);
	CHECK(child_killed(&c, SIGABRT));
	CHECK_HAS(c.text, "1 + 1 == 3");
	misuse_catch();
	bug();
	CHECK_EQ(misuse_count(), 1);
	CHECK(!strcmp(misuse_last(), "too many bananas"));
	CHECK_EQ(printed_times("BUG"), 0);
}

static void asserts_are_of_debug_builds(void)
{
	bool evaluated = false;

	KN_ASSERT((evaluated = true));
#ifdef KN_DEBUG
	CHECK(evaluated);
#else
	CHECK(!evaluated);
#endif
}

static void a_text_counts_what_it_needs(void)
{
	char buf[10];
	struct kn_text t = {buf, sizeof(buf), 0};

	kn_text_add(&t, "%s", "1234");
	CHECK(t.len == 4 && !strcmp(buf, "1234"));
	kn_text_add(&t, "%d", 56789);
	CHECK(t.len == 9 && !strcmp(buf, "123456789"));
	kn_text_add(&t, "abc");
	CHECK(t.len == 12 && !strcmp(buf, "123456789"));
	kn_text_add(&t, "%s", "more");
	CHECK(t.len == 16 && !strcmp(buf, "123456789"));
	t = (struct kn_text){NULL, 0, 0};
	kn_text_add(&t, "%s", "12345");
	CHECK_EQ(t.len, 5);
}

static size_t read_to_end(int fd)
{
	char buf[1000];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		len += (size_t)n;
	return len;
}

/* Through a pipe, which takes 64 KiB at a time. */
static void all_is_written(void)
{
	static char text[150000];
	int fd[2], status;
	pid_t pid;

	CHECK_EQ(pipe(fd), 0);
	memset(text, 'z', sizeof(text));
	pid = fork();
	if (!pid) {
		close(fd[1]);
		_exit(read_to_end(fd[0]) == sizeof(text) ? 0 : 1);
	}
	close(fd[0]);
	kn_write_all(fd[1], text, sizeof(text));
	close(fd[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	/* To a descriptor that is none: returns. */
	kn_write_all(-1, text, 10);
	kn_write_all(fd[1], text, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		child_test(a_message_is_one_line),
		child_test(a_long_message_is_cut),
		child_test(nowhere_to_print),
		child_test(warn_once_means_once),
		child_test(bugs_abort),
		child_test(asserts_are_of_debug_builds),
		child_test(a_text_counts_what_it_needs),
		child_test(all_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
