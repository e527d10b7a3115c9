// SPDX-License-Identifier: GPL-2.0-only
/* The one linear device that a diff area is behind, with a volume and without. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "device.h"
#include "held.h"
#include "kmsg.h"
#include "loss.h"
#include "volume.h"

/* How long others are waited for, who look at a device or are about to take it */
#define CLAIM_TRIES	10U
#define CLAIM_US	100000U

/* Likewise a volume's last I/O */
#define CLOSED_TRIES	25U
#define CLOSED_US	200000U

static void held_name(char name[NAME_CHARS], const char *area)
{
	snprintf(name, NAME_CHARS, "cowprotect-%s", area);
}

bool held_is(const struct mapper_device *d)
{
	char name[NAME_CHARS];

	held_name(name, d->area);
	return d->role == NAME_DIFF && !strcmp(d->name, name);
}

static bool device_number(const char *path, char number[DEVICE_NUMBER_CHARS])
{
	struct stat st;

	if (stat(path, &st) || !S_ISBLK(st.st_mode))
		return false;
	snprintf(number, DEVICE_NUMBER_CHARS, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return true;
}

/* Of a folder of sysfs, of a device-mapper device: is it an area's linear device? */
static bool is_linear_device(const char *folder, struct mapper_device *d)
{
	char path[PATH_MAX], name[NAME_CHARS];
	bool good;
	FILE *file;

	snprintf(path, sizeof(path), "%s/dm/name", folder);
	file = fopen(path, "re");
	if (!file)
		return false;
	good = fgets(name, sizeof(name), file);
	fclose(file);
	name[good ? strcspn(name, "\n") : 0] = 0;
	return good && !mapper_find(name, d) && d->role == NAME_DIFF;
}

/* By sysfs: a file, or a machine without device-mapper, has none. */
static bool look_for(const char *path, struct mapper_device *d)
{
	char number[DEVICE_NUMBER_CHARS], folder[PATH_MAX], holder[PATH_MAX + NAME_MAX + 2];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	if (!device_number(path, number))
		return false;
	snprintf(folder, sizeof(folder), "/sys/dev/block/%s", number);
	if (is_linear_device(folder, d))
		return true;
	snprintf(folder, sizeof(folder), "/sys/dev/block/%s/holders", number);
	dir = opendir(folder);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(holder, sizeof(holder), "%s/%s", folder, entry->d_name);
		found = entry->d_name[0] != '.' && is_linear_device(holder, d);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool has_volume(const struct mapper_device *d, struct mapper_device *volume)
{
	return !held_is(d) && !mapper_find_role(d->area, NAME_LIVE, volume);
}

bool held_find(const char *path, struct mapper_device *d)
{
	struct mapper_device volume;

	return look_for(path, d) && !has_volume(d, &volume);
}

int held_open(struct area *a, const char *path, int flags, struct mapper_device *d, bool *held)
{
	u32 tries = CLAIM_TRIES;
	int fd, ret;

	for (;;) {
		*held = held_find(path, d);
		if (*held)
			return area_open(a, path, "diff device", O_RDONLY);
		fd = open(path, flags | O_EXCL | O_CLOEXEC);
		if (fd >= 0 || errno != EBUSY || !tries--)
			break;
		usleep(CLAIM_US);
	}
	/* It tells the error, too. */
	ret = area_open(a, path, "diff device", flags | (fd < 0 ? O_EXCL : 0));
	if (fd < 0)
		return ret;
	if (ret) {
		close(fd);
		return ret;
	}
	close(a->fd);
	a->fd = fd;
	return TOOL_OK;
}

/* MAJOR:MINOR START */
void held_below(const struct mapper_device *d, char number[NAME_CHARS])
{
	struct mapper_target t;

	number[0] = 0;
	if (mapper_table(d->name, &t))
		return;
	if (strcmp(t.type, "linear") || sscanf(t.line, "%127s", number) != 1 ||
	    !device_sectors(number))
		number[0] = 0;
	free(t.line);
}

/* ---- tables ---- */

static int load(const char *name, const char *path, u64 sectors, bool readonly)
{
	char line[PATH_MAX + 8];
	struct mapper_target t = {
		.sectors = sectors, .type = "linear", .line = line, .readonly = readonly,
	};
	int error, ret = TOOL_OK, log = kmsg_open();

	snprintf(line, sizeof(line), "%s 0", path);
	error = mapper_exchange(name, &t);
	if (error)
		ret = volume_tell(name, t.type, "given another table", error, log);
	kmsg_close(log);
	return ret;
}

/* On the device that it is on. */
static int load_again(const struct mapper_device *d, bool readonly)
{
	char number[NAME_CHARS];
	u64 sectors;

	held_below(d, number);
	sectors = device_sectors(number);
	if (!sectors) {
		tool_error(d->name, "the device below it has gone; attach it again");
		return TOOL_DEVICE;
	}
	return load(d->name, number, sectors, readonly);
}

/* Somebody has a claim on it: libdevmapper does not tell this from other errors. */
static bool in_use(const char *path)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

/* @d: out.  Whoever comes first makes it, and the other finds it. */
static int make(const char *area, const char *path, u64 sectors, struct mapper_device *d)
{
	char name[NAME_CHARS], uuid[NAME_CHARS], line[PATH_MAX + 8];
	struct mapper_target t = {
		.sectors = sectors, .type = "linear", .line = line, .readonly = true,
	};
	u32 tries = CLAIM_TRIES;
	int error, log, ret;

	held_name(name, area);
	name_uuid(uuid, area, NAME_DIFF, 0);
	snprintf(line, sizeof(line), "%s 0", path);
	for (;;) {
		log = kmsg_open();
		error = mapper_create(name, uuid, &t);
		ret = mapper_find_role(area, NAME_DIFF, d) ? TOOL_BUSY : TOOL_OK;
		if (!ret || !tries--)
			break;
		kmsg_close(log);
		usleep(CLAIM_US);
	}
	if (ret && in_use(path))
		tool_error(path, "is in use; unmount it or end what uses it");
	else if (ret)
		ret = volume_tell(name, t.type, "made", error ? error : -ENXIO, log);
	kmsg_close(log);
	return ret;
}

/* ---- taking and letting go ---- */

/* The area's device is there: is it on this one? */
static int take_place(const struct mapper_device *d, const char *path, u64 sectors)
{
	char number[DEVICE_NUMBER_CHARS], here[NAME_CHARS], shown[PATH_MAX];
	struct mapper_device volume;

	held_below(d, here);
	if (device_number(path, number) && !strcmp(number, here))
		return TOOL_OK;
	if (has_volume(d, &volume)) {
		tool_error(path,
			   "holds the diff area of the active volume %s; give it to that one: cowprotect replace-diff %s %s",
			   volume.name, volume.name, path);
		return TOOL_BUSY;
	}
	if (!*here)
		return load(d->name, path, sectors, true);
	device_shown(here, shown);
	tool_error(path,
		   "holds the same diff area as %s, of which one is a copy; take one away, or let go of that: cowprotect release %s",
		   shown, shown);
	return TOOL_BUSY;
}

int held_take(const char *area, const char *path, u64 sectors, struct mapper_device *d)
{
	int ret = TOOL_OK;

	if (mapper_find_role(area, NAME_DIFF, d))
		ret = make(area, path, sectors, d);
	return ret ? ret : take_place(d, path, sectors);
}

int held_attach(const char *area, const char *volume, const char *path, u64 sectors)
{
	struct mapper_device d;
	char name[NAME_CHARS];
	int ret;

	ret = held_take(area, path, sectors, &d);
	if (ret)
		return ret;
	name_of(name, volume, NAME_DIFF, 0);
	if (strcmp(d.name, name))
		ret = volume_rename(d.name, name);
	if (!ret)
		ret = load(name, path, sectors, false);
	if (ret)
		held_detach(area, HELD_LOOK);
	return ret;
}

/* What cannot be read may be worth everything. */
static bool is_worth_it(const struct mapper_device *d, enum held_end end)
{
	char path[NAME_CHARS + 16], number[NAME_CHARS];
	struct area a;
	struct fixed f;
	bool worth;

	held_below(d, number);
	if (!*number || end == HELD_LET_GO)
		return false;
	if (end == HELD_KEEP)
		return true;
	snprintf(path, sizeof(path), "/dev/mapper/%s", d->name);
	if (area_open(&a, path, "diff device", O_RDONLY))
		return true;
	fixed_read(&f, &a);
	worth = f.kind == COWP_AREA_UNREADABLE || loss_guarded(&a, &f);
	fixed_free(&f);
	area_close(&a);
	return worth;
}

int held_detach(const char *area, enum held_end end)
{
	struct mapper_device d;
	u32 tries = CLOSED_TRIES;
	char name[NAME_CHARS];
	int ret = TOOL_OK;

	if (mapper_find_role(area, NAME_DIFF, &d))
		return TOOL_OK;
	/* A volume closes it behind its last I/O; another table would wait for that. */
	while (d.opened && !held_is(&d) && tries--) {
		usleep(CLOSED_US);
		if (mapper_find_role(area, NAME_DIFF, &d))
			return TOOL_OK;
	}
	if (d.opened && !held_is(&d)) {
		tool_error(d.name,
			   "is in use, or its I/O has not ended; wait for that and deactivate again");
		return TOOL_BUSY;
	}
	if (!is_worth_it(&d, end))
		return volume_remove(d.name);
	if (!d.readonly)
		ret = load_again(&d, true);
	held_name(name, area);
	if (!ret && strcmp(d.name, name))
		ret = volume_rename(d.name, name);
	return ret;
}

/* ---- writing ---- */

int held_write_begin(const struct mapper_device *d, struct area *a)
{
	char path[NAME_CHARS + 16];
	int fd, ret = load_again(d, false);

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/dev/mapper/%s", d->name);
	fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0) {
		ret = tool_ended(errno);
		tool_error(a->path, "what holds it, %s, cannot be opened: %s; end what uses it",
			   path, strerror(errno));
		load_again(d, true);
		return ret;
	}
	area_close(a);
	a->fd = fd;
	return TOOL_OK;
}

/* udev looks at a device again when somebody who could have written to it closes it. */
static void let_udev_look(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
}

int held_write_end(const struct mapper_device *d, struct area *a, bool let_go)
{
	int ret = TOOL_OK;

	if (close(a->fd)) {
		tool_error(a->path, "%s on closing; see the kernel log", strerror(errno));
		ret = TOOL_FAILED;
	}
	a->fd = -1;
	if (ret || !let_go) {
		int error = load_again(d, true);

		ret = ret ? ret : error;
	} else {
		ret = volume_remove(d->name);
	}
	let_udev_look(a->path);
	return ret;
}
