// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of the freeze: every file system that was frozen is thawed once,
 * whoever ends first, and nothing depends on how fast one of them is.
 *
 * ioctl() and poll() are ours (ld --wrap): no file system really stands still, and
 * the command looks at an answer only when the test wants it to.  What a keeper
 * did is counted in memory that is shared with it.
 */
#include <linux/fs.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "device.h"
#include "freeze.h"

#define SECONDS		60U	/* longer than any of these takes */

static struct seen {
	int freezes;
	int thaws;
	int error;	/* of FIFREEZE */
} *seen;

static pid_t command;
static bool late;	/* the command looks when the keeper is no more */

int __real_poll(struct pollfd *fds, nfds_t count, int ms);

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	(void)arg;
	if (request == FITHAW) {
		__atomic_add_fetch(&seen->thaws, 1, __ATOMIC_SEQ_CST);
		return 0;
	}
	assert_true(request == FIFREEZE);
	__atomic_add_fetch(&seen->freezes, 1, __ATOMIC_SEQ_CST);
	errno = seen->error;
	return errno ? -1 : 0;
}

/* The keeper stays a zombie, for the command to find. */
static pid_t wait_for_keeper(void)
{
	siginfo_t info;

	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
	return info.si_pid;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int ms)
{
	if (late && getpid() == command)
		wait_for_keeper();
	return __real_poll(fds, count, ms);
}

static struct frozen *some_mount(void)
{
	char number[DEVICE_NUMBER_CHARS];
	struct frozen *f = freeze_new();
	struct stat st;

	assert_int_equal(stat("/proc", &st), 0);
	snprintf(number, sizeof(number), "%u:%u", major(st.st_dev), minor(st.st_dev));
	assert_int_equal(freeze_add(f, number), TOOL_OK);
	return f;
}

static int begin(void **state)
{
	(void)state;
	memset(seen, 0, sizeof(*seen));
	late = false;
	return 0;
}

static int no_process_is_left(void **state)
{
	(void)state;
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : -1;
}

static void nothing_to_freeze(void **state)
{
	struct frozen *f = freeze_new();

	(void)state;
	assert_int_equal(freeze(f, SECONDS), TOOL_OK);
	assert_int_equal(thaw(f), TOOL_OK);
}

static void frozen_until_told(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	assert_int_equal(freeze(f, SECONDS), TOOL_OK);
	assert_int_equal(seen->freezes, 1);
	assert_int_equal(seen->thaws, 0);
	assert_int_equal(thaw(f), TOOL_OK);
	assert_int_equal(seen->thaws, 1);
}

/* What it said is there to be read, although it has ended by then. */
static void command_is_slow(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	assert_int_equal(freeze(f, SECONDS), TOOL_OK);
	late = true;
	assert_int_equal(thaw(f), TOOL_OK);
	assert_int_equal(seen->thaws, 1);
}

static void time_is_up(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	assert_int_equal(freeze(f, 1), TOOL_OK);
	wait_for_keeper();
	assert_int_equal(seen->thaws, 1);
	assert_int_equal(thaw(f), TOOL_FAILED);
	assert_int_equal(seen->thaws, 1);
}

static void cannot_be_frozen(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	seen->error = EOPNOTSUPP;
	assert_int_equal(freeze(f, SECONDS), TOOL_FAILED);
	assert_int_equal(thaw(f), TOOL_FAILED);
	assert_int_equal(seen->thaws, 0);
}

/* Who froze it thaws it. */
static void frozen_by_somebody_else(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	seen->error = EBUSY;
	assert_int_equal(freeze(f, SECONDS), TOOL_OK);
	assert_int_equal(thaw(f), TOOL_OK);
	assert_int_equal(seen->thaws, 0);
}

static void kill_keeper(void)
{
	char path[64];
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", command);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(wait_for_keeper(), pid);
}

static void keeper_is_killed(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	assert_int_equal(freeze(f, SECONDS), TOOL_OK);
	kill_keeper();
	assert_int_equal(thaw(f), TOOL_FAILED);
	assert_int_equal(seen->thaws, 1);
}

static void keeper_of_somebody_elses_is_killed(void **state)
{
	struct frozen *f = some_mount();

	(void)state;
	seen->error = EBUSY;
	assert_int_equal(freeze(f, SECONDS), TOOL_OK);
	kill_keeper();
	assert_int_equal(thaw(f), TOOL_FAILED);
	assert_int_equal(seen->thaws, 0);
}

/* The keeper holds the pipe open as long as it is there. */
static void command_is_killed(void **state)
{
	int alive[2], status;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(alive), 0);
	pid = fork();
	if (!pid) {
		if (freeze(some_mount(), SECONDS) == TOOL_OK)
			raise(SIGKILL);
		_exit(1);
	}
	close(alive[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(read(alive[0], &c, 1), 0);
	close(alive[0]);
	assert_int_equal(seen->freezes, 1);
	assert_int_equal(seen->thaws, 1);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, no_process_is_left)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(nothing_to_freeze),
		TEST(frozen_until_told),
		TEST(command_is_slow),
		TEST(time_is_up),
		TEST(cannot_be_frozen),
		TEST(frozen_by_somebody_else),
		TEST(keeper_is_killed),
		TEST(keeper_of_somebody_elses_is_killed),
		TEST(command_is_killed),
	};

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		return 1;
	command = getpid();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
