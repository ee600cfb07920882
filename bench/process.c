/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/sample.h"

volatile sig_atomic_t kn_bench_stop;

static void stop(int signal)
{
	(void)signal;
	kn_bench_stop = 1;
}

void kn_process_catch_signals(void)
{
	/* Without SA_RESTART: poll() returns. */
	const struct sigaction action = {.sa_handler = stop};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* In the child; a program that does not start is exit code 127, as in sh. */
static void become(const struct kn_command *command, int out, pid_t parent)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	if (command->quiet)
		dup2(null, STDERR_FILENO);
	if (command->preload)
		setenv("LD_PRELOAD", command->preload, 1);
	else
		unsetenv("LD_PRELOAD");
	execvp(command->path, (char **)(void *)command->argv);
	_exit(127);
}

bool kn_process_start(struct kn_process *p, const struct kn_command *command)
{
	const pid_t self = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return false;
	fflush(stdout);
	p->pid = fork();
	if (!p->pid)
		become(command, fds[1], self);
	close(fds[1]);
	if (p->pid < 0) {
		close(fds[0]);
		return false;
	}
	p->out = fds[0];
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	return true;
}

static int end(struct kn_process *p, struct rusage *usage)
{
	int status = 0;

	close(p->out);
	while (wait4(p->pid, &status, 0, usage) < 0 && errno == EINTR)
		;
	return status;
}

int kn_process_kill(struct kn_process *p)
{
	kill(p->pid, SIGKILL);
	return end(p, NULL);
}

/* Reads until the end of file; false when @deadline_ns comes first. */
static bool collect(struct kn_process *p, void *buf, size_t size, size_t *len,
		    uint64_t deadline_ns)
{
	struct pollfd fd = {.fd = p->out, .events = POLLIN};
	char rest[512];
	ssize_t n = 1;

	for (*len = 0; n > 0;) {
		const uint64_t now = kn_bench_clock(CLOCK_MONOTONIC);

		if (kn_bench_stop || now >= deadline_ns)
			return false;
		poll(&fd, 1, (int)((deadline_ns - now) / 1000000) + 1);
		if (*len < size)
			n = read(p->out, (char *)buf + *len, size - *len);
		else
			n = read(p->out, rest, sizeof(rest));
		if (n > 0 && *len < size)
			*len += (size_t)n;
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			n = 1;
	}
	return true;
}

static bool explain(int status, const char *name, char why[KN_WHY_LEN])
{
	if (WIFSIGNALED(status))
		snprintf(why, KN_WHY_LEN, "ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 127)
		snprintf(why, KN_WHY_LEN, "%s cannot be started", name);
	else if (WEXITSTATUS(status))
		snprintf(why, KN_WHY_LEN, "%s: exit code %d", name,
			 WEXITSTATUS(status));
	return !status;
}

bool kn_process_run(const struct kn_command *command, void *buf, size_t size,
		    size_t *len, char why[KN_WHY_LEN])
{
	const uint64_t deadline_ns = kn_bench_clock(CLOCK_MONOTONIC) +
				     command->timeout_s * 1000000000ull;
	struct kn_process p;

	*len = 0;
	if (!kn_process_start(&p, command)) {
		snprintf(why, KN_WHY_LEN, "no process: %s", strerror(errno));
		return false;
	}
	if (!collect(&p, buf, size, len, deadline_ns)) {
		kn_process_kill(&p);
		snprintf(why, KN_WHY_LEN, "took longer than %u s",
			 command->timeout_s);
		return false;
	}
	return explain(end(&p, command->usage), command->argv[0], why);
}
