// SPDX-License-Identifier: GPL-2.0-only
/* The witness that snapshots may have been given up: see witness.h. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

/* Devices on devices: none is as high as that. */
#define MAX_DEPTH	8U

#define NUMBER_CHARS	24	/* "4095:1048575" */

/* ---- what is to be done ---- */

enum witness_due witness_due(enum witness_word stands, enum cowp_state state,
			     enum info_mark mark)
{
	switch (state) {
	case COWP_STATE_WAITING:
		return stands == WITNESS_NONE ? WITNESS_WRITE : WITNESS_KEEP;
	case COWP_STATE_LOST:
		if (mark != INFO_MARKED)
			return stands == WITNESS_LOST ? WITNESS_KEEP : WITNESS_WRITE;
		return stands == WITNESS_NONE ? WITNESS_KEEP : WITNESS_REMOVE;
	case COWP_STATE_ACTIVE:
	case COWP_STATE_NONE:
		/*
		 * What was given up is never active again in the same activation,
		 * and one that was told has marked the area before anything else.
		 */
		return stands == WITNESS_NONE || stands == WITNESS_UNHEARD ?
			WITNESS_KEEP : WITNESS_REMOVE;
	case COWP_STATE_BLOCKED:
		/*
		 * Protected while it waited: nothing is given up any more.  An earlier
		 * activation's word may not have reached the area yet.
		 */
		return stands == WITNESS_WAITING ? WITNESS_REMOVE : WITNESS_KEEP;
	default:
		return WITNESS_KEEP;
	}
}

enum witness_word witness_word(const struct witness *w, const char *activation, bool told)
{
	if (!w->there)
		return WITNESS_NONE;
	if (*activation && !strcmp(w->activation, activation))
		return w->lost ? WITNESS_LOST : WITNESS_WAITING;
	return told ? WITNESS_HEARD : WITNESS_UNHEARD;
}

/* ---- where ---- */

/* The first line of a file of the kernel's; "" where there is none */
static void first_line(char *to, int chars, const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(to, chars, file))
		*to = 0;
	to[strcspn(to, "\n")] = 0;
	if (file)
		fclose(file);
}

void witness_activation(char activation[WITNESS_ACTIVATION], const char *number)
{
	char path[PATH_MAX], boot[40], sequence[24];

	snprintf(path, sizeof(path), "/sys/dev/block/%s/diskseq", number);
	first_line(sequence, sizeof(sequence), path);
	first_line(boot, sizeof(boot), "/proc/sys/kernel/random/boot_id");
	*activation = 0;
	if (*sequence && *boot)
		snprintf(activation, WITNESS_ACTIVATION, "%.36s:%s", boot, sequence);
}

/* Is the device this one, or made of it? */
static bool stands_on(const char *number, const char *uuid, u32 depth)
{
	char path[PATH_MAX], line[NAME_CHARS + 1];
	struct dirent *entry;
	bool found;
	DIR *folder;

	snprintf(path, sizeof(path), "/sys/dev/block/%s/dm/uuid", number);
	first_line(line, sizeof(line), path);
	found = !strcmp(line, uuid);
	snprintf(path, sizeof(path), "/sys/dev/block/%s/slaves", number);
	folder = found || depth == MAX_DEPTH ? NULL : opendir(path);
	while (folder && !found && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/class/block/%s/dev", entry->d_name);
		first_line(line, NUMBER_CHARS, path);
		found = *line && stands_on(line, uuid, depth + 1);
	}
	if (folder)
		closedir(folder);
	return found;
}

static bool is_below(const char *path, const char *mount)
{
	size_t length = strlen(mount);

	if (length == 1)
		return true;
	return !strncmp(path, mount, length) && (!path[length] || path[length] == '/');
}

bool witness_misplaced(const char *folder, const char *area)
{
	char number[NUMBER_CHARS] = "", uuid[NAME_CHARS];
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	size_t best = 0;
	struct stat st;

	while (mounts && (m = getmntent(mounts))) {
		/* The last of those at one place is on top. */
		if (!is_below(folder, m->mnt_dir) || strlen(m->mnt_dir) < best)
			continue;
		best = strlen(m->mnt_dir);
		*number = 0;
		if (m->mnt_fsname[0] == '/' && !stat(m->mnt_fsname, &st) && S_ISBLK(st.st_mode))
			snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev),
				 minor(st.st_rdev));
	}
	if (mounts)
		endmntent(mounts);
	name_uuid(uuid, area, NAME_LIVE, 0);
	return *number && stands_on(number, uuid, 0);
}

/* ---- the file ---- */

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		error = -errno;
	close(fd);
	return error;
}

/* With all above it, each durable */
static int make_folder(const char *folder)
{
	char path[PATH_MAX], above[PATH_MAX];
	char *slash = path;
	int error;

	/* What is there is not touched: a folder above may be on a volume that is blocked. */
	if (!access(folder, F_OK))
		return 0;
	snprintf(path, sizeof(path), "%s", folder);
	while (slash) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = 0;
		if (!mkdir(path, 0700)) {
			snprintf(above, sizeof(above), "%s", path);
			*(strrchr(above, '/') + 1) = 0;
			error = sync_folder(above);
			if (error)
				return error;
		} else if (errno != EEXIST) {
			return -errno;
		}
		if (slash)
			*slash = '/';
	}
	return 0;
}

/* What is in memory is gone when it is needed. */
static bool in_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int write_text(int fd, const struct witness *w)
{
	char when[40], text[1024];
	time_t now = time(NULL);
	struct tm tm;
	ssize_t n;

	if (!gmtime_r(&now, &tm) || !strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return -EOVERFLOW;
	snprintf(text, sizeof(text),
		 "# The snapshots of %s %s while their diff area could not be told: they are lost at\n"
		 "# its next activation, which finds this file.  See the witness in cowprotect(8).\n"
		 "volume %s\nstate %s\nactivation %s\ntime %s\n",
		 w->volume, w->lost ? "were given up" : "may have been given up", w->volume,
		 w->lost ? "lost" : "waiting", *w->activation ? w->activation : "-", when);
	n = write(fd, text, strlen(text));
	if (n < 0)
		return -errno;
	if (n != (ssize_t)strlen(text))
		return -ENOSPC;
	return fsync(fd) ? -errno : 0;
}

/* The new file takes the old one's place whole, or not at all. */
static int write_file(const struct witness *w, const char *path, const char *made)
{
	int fd, error;

	/* Of one with our number who was killed while he wrote */
	if (unlink(made) && errno != ENOENT)
		return -errno;
	fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = in_memory(fd) ? -ENODEV : write_text(fd, w);
	if (close(fd) && !error)
		error = -errno;
	if (!error && rename(made, path))
		error = -errno;
	if (error)
		unlink(made);
	return error;
}

int witness_write(const struct witness *w, const char *folder, const char *area)
{
	char path[PATH_MAX], made[PATH_MAX];
	int error;

	if (witness_misplaced(folder, area))
		return -EXDEV;
	error = make_folder(folder);
	snprintf(path, sizeof(path), "%s/%s", folder, area);
	/* The monitor and the command may write at the same time. */
	snprintf(made, sizeof(made), "%s/.%s.%d", folder, area, getpid());
	if (!error)
		error = write_file(w, path, made);
	return error ? error : sync_folder(folder);
}

int witness_read(struct witness *w, const char *folder, const char *area)
{
	char path[PATH_MAX], line[256], word[16];
	FILE *file;
	int error;

	memset(w, 0, sizeof(*w));
	snprintf(path, sizeof(path), "%s/%s", folder, area);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	w->there = true;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "state %15s", word) == 1)
			w->lost = !strcmp(word, "lost");
		else if (sscanf(line, "activation %63s", w->activation) != 1)
			sscanf(line, "volume %127s", w->volume);
	}
	error = ferror(file) ? -EIO : 0;
	fclose(file);
	return error;
}

int witness_remove(const char *folder, const char *area)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, area);
	if (unlink(path))
		return errno == ENOENT ? 0 : -errno;
	return sync_folder(folder);
}

const char *witness_reason(int error)
{
	switch (error) {
	case -EXDEV:
		return "it is on the volume itself; set witness = DIRECTORY to one that is not";
	case -ENODEV:
		return "it is in memory only; set witness = DIRECTORY to one on a disk";
	case -ENOSPC:
	case -EDQUOT:
		return "there is no room; make some";
	case -EROFS:
		return "it is read-only; mount it for writing";
	default:
		return strerror(-error);
	}
}
