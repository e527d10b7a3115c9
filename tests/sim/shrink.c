// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shrink.h"

#define EXIT_FAILED	3

void limit_processor_time(u32 seconds)
{
	struct itimerval limit = { .it_value.tv_sec = seconds };

	setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

enum run_end run_apart(const struct history *h, struct stats *shared, bool trace, bool loud,
		       u32 seconds)
{
	int status;
	pid_t pid;

	shared->failed = 0;
	shared->failure[0] = 0;
	shared->failure_id = 0;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		if (!loud) {
			int null = open("/dev/null", O_WRONLY);

			dup2(null, STDERR_FILENO);
			dup2(null, STDOUT_FILENO);
		}
		limit_processor_time(seconds);
		status = history_run(h, shared, trace) ? 0 : EXIT_FAILED;
		fflush(stdout);
		_exit(status);
	}
	if (waitpid(pid, &status, 0) < 0)
		abort();
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return RUN_GOOD;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILED)
		return RUN_FAILED;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM)
		return RUN_STUCK;
	return RUN_DIED;
}

struct target {
	enum run_end end;
	u64 id;
	time_t until;
	struct stats *shared;
};

static bool still_fails(const struct history *h, const struct target *t)
{
	enum run_end end = run_apart(h, t->shared, false, false, 20);

	return end == t->end && (end != RUN_FAILED || t->shared->failure_id == t->id);
}

/* Drop @size operations that are left, from the @from-th on; how many were there? */
static u32 drop(struct history *h, u32 from, u32 size, u32 *dropped)
{
	u32 i, seen = 0, n = 0;

	for (i = 0; i < h->nr; i++) {
		if (h->ops[i].dropped)
			continue;
		if (seen++ < from || n == size)
			continue;
		h->ops[i].dropped = true;
		dropped[n++] = i;
	}
	return n;
}

void shrink(struct history *h, struct stats *shared, u32 seconds)
{
	struct target t = { .shared = shared, .until = time(NULL) + seconds };
	u32 *dropped = calloc(h->nr, sizeof(*dropped));
	u32 left = 0, size, i;
	bool any = true;

	if (!dropped)
		abort();
	t.end = run_apart(h, shared, false, false, 60);
	t.id = shared->failure_id;
	for (i = 0; i < h->nr; i++)
		left += !h->ops[i].dropped;
	for (size = left / 2; size && time(NULL) < t.until; ) {
		u32 from = 0;

		/* From the end: what follows the failure goes at once. */
		any = false;
		while (from < left && time(NULL) < t.until) {
			u32 at = left - from > size ? left - from - size : 0;
			u32 n = drop(h, at, min(size, left - at), dropped);

			if (n && still_fails(h, &t)) {
				left -= n;
				any = true;
				if (from > left)
					break;
				continue;
			}
			while (n)
				h->ops[dropped[--n]].dropped = false;
			from += size;
		}
		if (size > 1)
			size /= 2;
		else if (!any)
			break;
	}
	free(dropped);
	/* Leave the failure's words in @shared. */
	run_apart(h, shared, false, false, 60);
}
