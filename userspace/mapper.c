// SPDX-License-Identifier: GPL-2.0-only
/* What the actions need of device-mapper, by libdevmapper. */
#include <fcntl.h>
/* It has one of its own, which nothing here uses. */
#define hweight32	dm_hweight32
#include <libdevmapper.h>
#undef hweight32
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mapper.h"

/*
 * udev is to make the nodes, and to leave alone what is behind them: a scan of a
 * volume that is recovering or blocked would wait for it, and who creates the
 * device would wait for udev.  Its database keeps this for later events.
 */
#define UDEV_FLAGS	(DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG | \
			 DM_UDEV_DISABLE_DISK_RULES_FLAG | \
			 DM_UDEV_DISABLE_OTHER_RULES_FLAG)

int mapper_ready(void)
{
	static const char control[] = "/dev/mapper/" DM_CONTROL_NODE;
	int fd;

	if (geteuid()) {
		tool_error("device-mapper", "only root may use it; run as root");
		return TOOL_DENIED;
	}
	/* This loads it where the node is there and the module can be found. */
	fd = open(control, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		tool_error(control, "there is no device-mapper (%s); load it: modprobe dm_mod",
			   strerror(errno));
		return TOOL_DEVICE;
	}
	close(fd);
	return TOOL_OK;
}

static struct dm_task *task(int type, const char *name)
{
	struct dm_task *t;

	t = dm_task_create(type);
	if (t && name && !dm_task_set_name(t, name)) {
		dm_task_destroy(t);
		t = NULL;
	}
	return t;
}

/* Take the task's error, and the task. */
static int end(struct dm_task *t, int good)
{
	int error = 0;

	if (!good) {
		error = t ? dm_task_get_errno(t) : ENOMEM;
		error = error ? -error : -EIO;
	}
	if (t)
		dm_task_destroy(t);
	return error;
}

/* Run what makes nodes come and go, and wait for udev. */
static bool run_with_udev(struct dm_task *t, u16 flags)
{
	uint32_t cookie = 0;
	bool good = dm_task_set_cookie(t, &cookie, flags);

	good = good && dm_task_run(t);
	dm_udev_wait(cookie);
	return good;
}

static bool fill(struct mapper_device *d, struct dm_task *t, const char *name, int *error)
{
	struct dm_info info;
	const char *uuid;

	*error = -ENXIO;
	if (!dm_task_get_info(t, &info) || !info.exists)
		return false;
	*error = -EINVAL;
	uuid = dm_task_get_uuid(t);
	if (!uuid || !name_parse(uuid, d->area, &d->role, &d->id))
		return false;
	snprintf(d->name, sizeof(d->name), "%s", name);
	snprintf(d->number, sizeof(d->number), "%u:%u", info.major, info.minor);
	d->opened = info.open_count;
	d->has_table = info.live_table;
	d->readonly = info.read_only;
	d->suspended = info.suspended;
	return true;
}

int mapper_find(const char *name, struct mapper_device *d)
{
	struct dm_task *t = task(DM_DEVICE_INFO, name);
	int error = 0;
	bool good = t && dm_task_run(t);

	memset(d, 0, sizeof(*d));
	if (good && !fill(d, t, name, &error)) {
		dm_task_destroy(t);
		return error;
	}
	return end(t, good);
}

int mapper_find_role(const char *area, enum name_role role, struct mapper_device *d)
{
	struct dm_task *t = task(DM_DEVICE_INFO, NULL);
	char uuid[NAME_CHARS], name[NAME_CHARS] = "";
	bool good;

	name_uuid(uuid, area, role, 0);
	good = t && dm_task_set_uuid(t, uuid) && dm_task_run(t);
	if (good && dm_task_get_name(t))
		snprintf(name, sizeof(name), "%s", dm_task_get_name(t));
	end(t, good);
	return good ? mapper_find(name, d) : -ENXIO;
}

int mapper_list(struct mapper_device **list, size_t *count)
{
	struct dm_task *t = task(DM_DEVICE_LIST, NULL);
	struct mapper_device *d = NULL, *more;
	struct dm_names *names = NULL;
	bool good = t && dm_task_run(t);
	unsigned int next = 0;
	size_t nr = 0;

	names = good ? dm_task_get_names(t) : NULL;
	if (!names || !names->dev)
		goto out;
	do {
		names = (struct dm_names *)((char *)names + next);
		more = realloc(d, (nr + 1) * sizeof(*d));
		if (!more) {
			free(d);
			dm_task_destroy(t);
			return -ENOMEM;
		}
		d = more;
		/* One that went meanwhile, or is another's, is none of ours. */
		if (!mapper_find(names->name, &d[nr]))
			nr++;
		next = names->next;
	} while (next);
out:
	*list = d;
	*count = nr;
	return end(t, good);
}

static int get_target(int type, const char *name, struct mapper_target *target)
{
	struct dm_task *t = task(type, name);
	uint64_t start, length;
	char *word, *line;
	struct dm_info info;
	bool good = t && dm_task_no_flush(t) && dm_task_run(t);
	void *next;
	int error;

	memset(target, 0, sizeof(*target));
	if (!good)
		return end(t, false);
	error = -ENXIO;
	if (!dm_task_get_info(t, &info) || !info.exists)
		goto out;
	error = -ENODATA;
	next = dm_get_next_target(t, NULL, &start, &length, &word, &line);
	if (next || !word)
		goto out;
	error = -ENOMEM;
	target->sectors = length;
	snprintf(target->type, sizeof(target->type), "%s", word);
	target->line = strdup(line ? line : "");
	if (target->line)
		error = 0;
out:
	dm_task_destroy(t);
	return error;
}

int mapper_table(const char *name, struct mapper_target *t)
{
	return get_target(DM_DEVICE_TABLE, name, t);
}

int mapper_status(const char *name, struct mapper_target *t)
{
	return get_target(DM_DEVICE_STATUS, name, t);
}

static bool add_target(struct dm_task *t, const struct mapper_target *target)
{
	return dm_task_add_target(t, 0, target->sectors, target->type, target->line) &&
	       (!target->readonly || dm_task_set_ro(t));
}

int mapper_create(const char *name, const char *uuid, const struct mapper_target *target)
{
	struct dm_task *t = task(DM_DEVICE_CREATE, name);
	bool good;

	good = t && dm_task_set_uuid(t, uuid) && add_target(t, target) &&
	       run_with_udev(t, UDEV_FLAGS);
	return end(t, good);
}

int mapper_remove(const char *name)
{
	struct dm_task *t = task(DM_DEVICE_REMOVE, name);
	bool good = t && dm_task_retry_remove(t) && run_with_udev(t, 0);

	return end(t, good);
}

int mapper_rename(const char *name, const char *to)
{
	struct dm_task *t = task(DM_DEVICE_RENAME, name);
	bool good = t && dm_task_set_newname(t, to) && run_with_udev(t, UDEV_FLAGS);

	return end(t, good);
}

static int run_simply(int type, const char *name)
{
	struct dm_task *t = task(type, name);
	bool good = t;

	if (good && type == DM_DEVICE_SUSPEND)
		good = dm_task_no_flush(t) && dm_task_skip_lockfs(t);
	if (good && type == DM_DEVICE_RESUME)
		good = run_with_udev(t, UDEV_FLAGS);
	else if (good)
		good = dm_task_run(t);
	return end(t, good);
}

int mapper_exchange(const char *name, const struct mapper_target *target)
{
	struct dm_task *t = task(DM_DEVICE_RELOAD, name);
	bool good;
	int error;

	good = t && add_target(t, target) && dm_task_run(t);
	error = end(t, good);
	if (error)
		return error;
	error = run_simply(DM_DEVICE_SUSPEND, name);
	if (!error)
		error = run_simply(DM_DEVICE_RESUME, name);
	if (!error)
		return 0;
	/* Suspended or not, the old table goes on. */
	run_simply(DM_DEVICE_CLEAR, name);
	run_simply(DM_DEVICE_RESUME, name);
	return error;
}

int mapper_message(const char *name, const char *message, char **answer)
{
	struct dm_task *t = task(DM_DEVICE_TARGET_MSG, name);
	bool good = t && dm_task_set_sector(t, 0) && dm_task_set_message(t, message) &&
		    dm_task_run(t);

	if (answer) {
		const char *text = good ? dm_task_get_message_response(t) : NULL;

		*answer = text ? strdup(text) : NULL;
	}
	return end(t, good);
}

/* ---- events ---- */

int mapper_events(void)
{
	int fd = open("/dev/mapper/" DM_CONTROL_NODE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int mapper_events_arm(int fd)
{
	struct dm_ioctl arm = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(arm),
	};

	return ioctl(fd, DM_DEV_ARM_POLL, &arm) ? -errno : 0;
}

int mapper_events_wait(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, ms);

	return n < 0 ? -errno : n;
}
