/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/child.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A body that hangs is a body that fails; KNUMA_TEST_SECONDS is stronger. */
#define SECONDS_MAX  100

#define EXIT_SKIPPED 77

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = pread(fd, text + len, size - 1 - len, (off_t)len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
}

static unsigned seconds_max(void)
{
	const char *text = getenv("KNUMA_TEST_SECONDS");

	return text && atoi(text) > 0 ? (unsigned)atoi(text) : SECONDS_MAX;
}

static void child_main(void (*fn)(void), int fd)
{
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	alarm(seconds_max());
	fn();
	fflush(stdout);
	_exit(0);
}

void child_run(void (*fn)(void), struct child *c)
{
	const int fd = memfd_create("child", MFD_CLOEXEC);
	pid_t pid;

	memset(c, 0, sizeof(*c));
	fflush(NULL);
	pid = fork();
	if (!pid)
		child_main(fn, fd);
	if (fd < 0 || pid < 0 || waitpid(pid, &c->status, 0) != pid) {
		perror("child_run");
		abort();
	}
	read_all(fd, c->text, sizeof(c->text));
	close(fd);
}

bool child_passed(const struct child *c)
{
	return WIFEXITED(c->status) && (WEXITSTATUS(c->status) == 0 ||
					WEXITSTATUS(c->status) == EXIT_SKIPPED);
}

bool child_killed(const struct child *c, int sig)
{
	return WIFSIGNALED(c->status) && WTERMSIG(c->status) == sig;
}

bool child_faults(void (*fn)(void))
{
	struct child c;

	child_run(fn, &c);
	return child_killed(&c, SIGSEGV) || child_killed(&c, SIGBUS);
}

void child_cmocka(void **state)
{
	void (*fn)(void) = (void (*)(void)) * state;
	struct child c;

	child_run(fn, &c);
	if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == EXIT_SKIPPED) {
		print_message("%s", c.text);
		skip();
	}
	if (child_passed(&c))
		return;
	if (WIFSIGNALED(c.status))
		fail_msg("killed by signal %d (%s)\n%s", WTERMSIG(c.status),
			 strsignal(WTERMSIG(c.status)), c.text);
	fail_msg("%s", c.text);
}

const char *printed(void)
{
	static char text[sizeof(((struct child *)0)->text)];

	fflush(stdout);
	read_all(STDERR_FILENO, text, sizeof(text));
	return text;
}

int printed_times(const char *needle)
{
	const char *at = printed();
	int n = 0;

	while ((at = strstr(at, needle))) {
		at += strlen(needle);
		n++;
	}
	return n;
}

void skip_child(const char *why)
{
	dprintf(STDERR_FILENO, "skipped: %s\n", why);
	_exit(EXIT_SKIPPED);
}

void check_failed(const char *file, int line, const char *what)
{
	dprintf(STDERR_FILENO, "%s:%d: %s\n", file, line, what);
	_exit(1);
}

void check_equal(const char *file, int line, const char *a_text, uint64_t a,
		 const char *b_text, uint64_t b)
{
	if (a == b)
		return;
	dprintf(STDERR_FILENO,
		"%s:%d: %s == %s does not hold: %" PRIu64 " (%#" PRIx64
		") and %" PRIu64 " (%#" PRIx64 ")\n",
		file, line, a_text, b_text, a, a, b, b);
	_exit(1);
}

void check_text(const char *file, int line, const char *text,
		const char *needle)
{
	if (strstr(text, needle))
		return;
	dprintf(STDERR_FILENO, "%s:%d: \"%s\" is not in:\n%s\n", file, line,
		needle, text);
	_exit(1);
}
