// SPDX-License-Identifier: GPL-2.0-only
/* Programs are run with little: no files of the daemon's, no signals blocked. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

#define ENTRY_CHARS	256
#define KILLED_SECS	1	/* to end in */

static int start(pid_t *pid, char * const argv[], char * const envp[])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int error;

	sigemptyset(&none);
	error = posix_spawn_file_actions_init(&files);
	if (error)
		return -error;
	error = posix_spawnattr_init(&attr);
	if (error)
		goto out_files;
	/* A group of its own, so that all of it can be killed */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	error = posix_spawn(pid, argv[0], &files, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
out_files:
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

/* 0: it has ended. */
static int wait_for(int pidfd, u32 secs)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&ended, 1, secs * 1000);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : n ? -errno : -ETIMEDOUT;
}

static int finish(pid_t pid, u32 secs, pid_t *left)
{
	int pidfd = pidfd_open(pid, 0), error, status;

	error = pidfd < 0 ? -errno : wait_for(pidfd, secs);
	if (error) {
		kill(-pid, SIGKILL);
		if (pidfd < 0 || wait_for(pidfd, KILLED_SECS))
			*left = pid;
	}
	if (pidfd >= 0)
		close(pidfd);
	if (*left)
		return error;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (error)
		return error;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int command_run(char * const argv[], const struct command_about *about, u32 secs, pid_t *left)
{
	char volume[ENTRY_CHARS], state[ENTRY_CHARS], fault[ENTRY_CHARS], diff[ENTRY_CHARS];
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char * const envp[] = { path, volume, state, fault, diff, NULL };
	pid_t pid;
	int error;

	snprintf(volume, sizeof(volume), "COWPROTECT_VOLUME=%s", about->volume);
	snprintf(state, sizeof(state), "COWPROTECT_STATE=%s", cowp_state_words[about->info->state]);
	snprintf(fault, sizeof(fault), "COWPROTECT_FAULT=%s", cowp_fault_words[about->info->fault]);
	snprintf(diff, sizeof(diff), "COWPROTECT_DIFF=%s", about->diff);
	if (*left && !waitpid(*left, NULL, WNOHANG))
		return -EBUSY;
	*left = 0;
	error = start(&pid, argv, envp);
	return error ? error : finish(pid, secs, left);
}
