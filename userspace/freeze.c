// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freezing of mounted file systems.
 *
 * FIFREEZE may wait for ever for a volume that becomes blocked, and who froze a
 * file system may be killed.  So a keeper, a process for each file system, does
 * it: it ignores every signal that can be ignored, and thaws when the other end of
 * its socket is shut down or closed, or when the time is up.  Nothing is sent to it:
 * what it had not read when it ends would take its last answer away (ECONNRESET).
 * What a keeper says is one letter:
 *
 *	F	it is frozen, with EBUSY behind it if somebody else has done that
 *	E	it cannot be, with the error number behind it
 *	T	it was frozen until now, and is being thawed as it was told
 *	L	it is being thawed before it was told
 *
 * Then it thaws, which writes to the device, and ends.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "area.h"
#include "device.h"
#include "freeze.h"

/* Devices on devices: none is as high as that. */
#define MAX_DEPTH	8U

struct keeper {
	char *mount;
	char number[DEVICE_NUMBER_CHARS];	/* of the file system */
	int mount_fd;
	pid_t pid;
	int fd;
	bool frozen;
	bool ours;	/* to thaw */
};

struct frozen {
	struct keeper *keepers;
	size_t count;
	u64 end;
	bool told;
};

struct answer {
	char letter;
	int error;
};

struct frozen *freeze_new(void)
{
	return xcalloc(1, sizeof(struct frozen));
}

/* ---- what is mounted ---- */

/* mountinfo has blanks and the like as \040 */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0';
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

static bool is_added(const struct frozen *f, const char *number)
{
	size_t i;

	for (i = 0; i < f->count; i++)
		if (!strcmp(f->keepers[i].number, number))
			return true;
	return false;
}

/* Some file systems have numbers of their own: then the source tells. */
static bool mounted_from(const char *number, const char *device, const char *source)
{
	char from[DEVICE_NUMBER_CHARS];
	struct stat st;

	if (!strcmp(number, device))
		return true;
	if (*source != '/' || stat(source, &st) || !S_ISBLK(st.st_mode))
		return false;
	snprintf(from, sizeof(from), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return !strcmp(from, device);
}

/*
 * What is open under the name of a mount may be another file system, mounted over
 * it.  One that has a number of its own shows others in stat(2), too.
 */
static bool is_file_system(int fd, const char *number, const char *device)
{
	char here[DEVICE_NUMBER_CHARS];
	struct stat st;

	if (strcmp(number, device))
		return true;
	if (fstat(fd, &st))
		return false;
	snprintf(here, sizeof(here), "%u:%u", major(st.st_dev), minor(st.st_dev));
	return !strcmp(here, number);
}

static void add_mount(struct frozen *f, const char *number, const char *device,
		      const char *mount)
{
	int fd = open(mount, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct keeper *k;

	if (fd < 0 || !is_file_system(fd, number, device)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	f->keepers = xrealloc(f->keepers, (f->count + 1) * sizeof(*f->keepers));
	k = &f->keepers[f->count++];
	*k = (struct keeper){ .mount = strdup(mount), .mount_fd = fd, .fd = -1 };
	snprintf(k->number, sizeof(k->number), "%s", number);
}

/*
 * "36 25 254:0 / /mnt rw shared:1 - ext4 /dev/mapper/data rw"
 *
 * @missed: out, set where a file system was found that could not be added, and
 * not under another name of it.
 */
static void add_line(struct frozen *f, const char *device, char *line, char *missed)
{
	char number[DEVICE_NUMBER_CHARS], mount[PATH_MAX], source[PATH_MAX] = "";
	const char *rest = strstr(line, " - ");

	if (!rest || sscanf(line, "%*s %*s %23s %*s %4095s", number, mount) != 2 ||
	    sscanf(rest, " - %*s %4095s", source) != 1)
		return;
	unescape(mount);
	unescape(source);
	if (is_added(f, number) || !mounted_from(number, device, source))
		return;
	add_mount(f, number, device, mount);
	if (is_added(f, number))
		*missed = 0;
	else
		strcpy(missed, mount);
}

static int add_mounts(struct frozen *f, const char *device)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char missed[PATH_MAX] = "", *line = NULL;
	size_t room = 0;

	if (!file) {
		tool_error("/proc/self/mountinfo", "%s; mount /proc", strerror(errno));
		return TOOL_FAILED;
	}
	while (getline(&line, &room, file) > 0)
		add_line(f, device, line, missed);
	free(line);
	fclose(file);
	if (!*missed)
		return TOOL_OK;
	tool_error(missed,
		   "cannot be opened, or is hidden below another file system; unmount one of them, or give --no-freeze");
	return TOOL_FAILED;
}

static int add_stack(struct frozen *f, const char *number, u32 depth)
{
	char path[PATH_MAX], held[DEVICE_NUMBER_CHARS] = "";
	struct dirent *entry;
	int ret = add_mounts(f, number);
	DIR *folder;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%s/holders", number);
	folder = ret || depth == MAX_DEPTH ? NULL : opendir(path);
	if (!folder)
		return ret;
	while (!ret && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/block/%s/dev", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%23s", held) == 1)
			ret = add_stack(f, held, depth + 1);
		fclose(file);
	}
	closedir(folder);
	return ret;
}

int freeze_add(struct frozen *f, const char *number)
{
	return add_stack(f, number, 0);
}

/* ---- a keeper ---- */

static void say(int fd, char letter, int error)
{
	struct answer a = { .letter = letter, .error = error };

	send(fd, &a, sizeof(a), MSG_NOSIGNAL);
}

static void keep(const struct keeper *k, int fd, u64 end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	sigset_t all;
	int error;
	u64 now;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	/* Who reads the command's output must not have to wait for this. */
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	error = ioctl(k->mount_fd, FIFREEZE, 0) ? errno : 0;
	/* Somebody else's freeze does as well, and is theirs to end. */
	if (error && error != EBUSY) {
		say(fd, 'E', error);
		_exit(0);
	}
	say(fd, 'F', error);
	now = port_now();
	poll(&p, 1, now < end ? (int)(end - now) : 0);
	say(fd, p.revents & POLLIN ? 'T' : 'L', 0);
	if (!error)
		ioctl(k->mount_fd, FITHAW, 0);
	_exit(0);
}

static bool start(struct frozen *f, struct keeper *k)
{
	int pair[2];
	size_t i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return false;
	k->pid = fork();
	if (!k->pid) {
		/* So that each socket is closed when the caller is no more. */
		close(pair[0]);
		for (i = 0; i < f->count; i++)
			if (f->keepers[i].fd >= 0)
				close(f->keepers[i].fd);
		keep(k, pair[1], f->end);
	}
	close(pair[1]);
	if (k->pid < 0) {
		close(pair[0]);
		return false;
	}
	k->fd = pair[0];
	return true;
}

#define SILENT	0	/* not within the time */
#define GONE	'G'	/* it is no more */

/* The keeper's next answer */
static char listen_to(struct keeper *k, u64 end, int *error)
{
	struct pollfd p = { .fd = k->fd, .events = POLLIN };
	u64 now = port_now();
	struct answer a;

	if (poll(&p, 1, now < end ? (int)(end - now) : 0) <= 0)
		return SILENT;
	if (recv(k->fd, &a, sizeof(a), 0) != sizeof(a))
		return GONE;
	*error = a.error;
	if (a.letter == 'F') {
		k->frozen = true;
		k->ours = !a.error;
	}
	return a.letter;
}

int freeze(struct frozen *f, u32 seconds)
{
	int error = 0;
	char letter;
	size_t i;

	f->end = port_now() + 1000ULL * seconds;
	for (i = 0; i < f->count; i++) {
		if (!start(f, &f->keepers[i])) {
			tool_error(f->keepers[i].mount,
				   "no process for its freeze: %s; free memory",
				   strerror(errno));
			f->told = true;
			return TOOL_MEMORY;
		}
	}
	for (i = 0; i < f->count; i++) {
		struct keeper *k = &f->keepers[i];

		letter = listen_to(k, f->end, &error);
		if (letter == 'F')
			continue;
		f->told = true;
		if (letter == 'E')
			tool_error(k->mount,
				   "cannot be frozen: %s; unmount it, or give --no-freeze",
				   strerror(error));
		else
			tool_error(k->mount,
				   "was not frozen within %u s; see cowprotect status, or give a longer --freeze-timeout",
				   seconds);
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

/*
 * How long a keeper is waited for.  One that hangs, in FIFREEZE or in FITHAW, does
 * what is left when it comes back.
 */
#define ANSWER_MS	10000U

static bool thaw_one(struct frozen *f, struct keeper *k)
{
	bool whole = true;
	char letter = SILENT;
	int error;

	if (k->fd >= 0) {
		/* One that has frozen its file system speaks when its time is up at the latest. */
		u64 end = (k->frozen ? f->end : port_now()) + ANSWER_MS;

		do {
			letter = listen_to(k, end, &error);
		} while (letter == 'F');
		whole = letter == 'T';
		/* It was killed. */
		if (letter == GONE && k->ours)
			ioctl(k->mount_fd, FITHAW, 0);
		end = port_now() + ANSWER_MS;
		while (letter != GONE && letter != SILENT)
			letter = listen_to(k, end, &error);
		close(k->fd);
		if (letter == GONE)
			waitpid(k->pid, NULL, 0);
	}
	if (k->frozen && !whole && !f->told) {
		tool_error(k->mount,
			   "was thawed before the snapshot was complete; give a longer --freeze-timeout");
		f->told = true;
	}
	close(k->mount_fd);
	free(k->mount);
	return whole;
}

int thaw(struct frozen *f)
{
	bool whole = true;
	size_t i;

	/* All are told before any is waited for. */
	for (i = 0; i < f->count; i++)
		if (f->keepers[i].fd >= 0)
			shutdown(f->keepers[i].fd, SHUT_WR);
	for (i = 0; i < f->count; i++)
		whole = thaw_one(f, &f->keepers[i]) && whole;
	free(f->keepers);
	free(f);
	return whole ? TOOL_OK : TOOL_FAILED;
}
