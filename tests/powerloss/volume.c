// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "volume.h"

#define BUFFER_BYTES	16384U
#define WAIT_MS		20000U		/* for what comes about by itself */
#define WAIT_STEP_MS	10U

char volume_error[512];

struct call {
	struct dm_ioctl head;
	char data[BUFFER_BYTES - sizeof(struct dm_ioctl)];
};

static void pause_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static void prepare(struct call *c, const char *name, uint32_t flags)
{
	memset(c, 0, sizeof(*c));
	c->head.version[0] = DM_VERSION_MAJOR;
	c->head.data_size = sizeof(*c);
	c->head.data_start = offsetof(struct call, data);
	c->head.flags = flags;
	snprintf(c->head.name, sizeof(c->head.name), "%s", name);
}

static bool control(struct call *c, unsigned long request, const char *what)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (fd >= 0 && !ioctl(fd, request, c))
		return true;
	snprintf(volume_error, sizeof(volume_error), "%s %s: %s", what, c->head.name,
		 strerror(errno));
	return false;
}

static bool load_table(const char *name, bool read_only, uint64_t sectors, const char *target)
{
	struct dm_target_spec *spec;
	struct call c;
	const char *parameters = strchr(target, ' ');

	prepare(&c, name, read_only ? DM_READONLY_FLAG : 0);
	spec = (struct dm_target_spec *)c.data;
	spec->length = sectors;
	snprintf(spec->target_type, sizeof(spec->target_type), "%.*s",
		 (int)(parameters - target), target);
	snprintf((char *)(spec + 1), sizeof(c.data) - sizeof(*spec), "%s", parameters + 1);
	c.head.target_count = 1;
	return control(&c, DM_TABLE_LOAD, target);
}

bool dm_create(const char *name, bool read_only, uint64_t sectors, const char *target,
	       char *path)
{
	char reason[sizeof(volume_error)];
	struct call c;

	prepare(&c, name, read_only ? DM_READONLY_FLAG : 0);
	if (!control(&c, DM_DEV_CREATE, "create"))
		return false;
	snprintf(path, PATH_BYTES, "/dev/dm-%llu",
		 (c.head.dev & 0xff) | (c.head.dev >> 12 & 0xfff00));
	if (load_table(name, read_only, sectors, target)) {
		prepare(&c, name, 0);
		if (control(&c, DM_DEV_SUSPEND, "resume"))
			return true;
	}
	snprintf(reason, sizeof(reason), "%s", volume_error);
	prepare(&c, name, 0);
	control(&c, DM_DEV_REMOVE, "remove");
	snprintf(volume_error, sizeof(volume_error), "%s", reason);
	return false;
}

/* The last user may be on its way out: wait for it. */
bool dm_remove(const char *name)
{
	unsigned int waited;
	struct call c;

	for (waited = 0; waited < WAIT_MS; waited += WAIT_STEP_MS) {
		prepare(&c, name, 0);
		if (control(&c, DM_DEV_REMOVE, "remove"))
			return true;
		if (errno != EBUSY)
			return false;
		pause_ms(WAIT_STEP_MS);
	}
	return false;
}

bool volume_status(char *status, size_t bytes)
{
	unsigned int waited;
	struct call c;

	for (waited = 0; waited < WAIT_MS; waited += WAIT_STEP_MS) {
		prepare(&c, "vol", DM_NOFLUSH_FLAG);
		if (!control(&c, DM_TABLE_STATUS, "status"))
			return false;
		snprintf(status, bytes, "%s", c.data + sizeof(struct dm_target_spec));
		if (!strstr(status, "recovering"))
			return true;
		pause_ms(WAIT_STEP_MS);
	}
	snprintf(volume_error, sizeof(volume_error), "no end of the recovery: %.400s", status);
	return false;
}

bool volume_open(struct volume *v, const char *options)
{
	char target[256];

	snprintf(target, sizeof(target), "cowprotect %s %s %u%s%s", v->live, v->diff, v->chunk,
		 *options ? " 1 " : "", options);
	return dm_create("vol", false, v->sectors, target, v->path);
}

bool volume_close(void)
{
	return dm_remove("vol");
}

bool volume_message(const char *message, char *result, size_t bytes)
{
	struct dm_target_msg *m;
	struct call c;

	prepare(&c, "vol", 0);
	m = (struct dm_target_msg *)c.data;
	snprintf(m->message, sizeof(c.data) - sizeof(*m), "%s", message);
	if (!control(&c, DM_TARGET_MSG, message))
		return false;
	if (result)
		snprintf(result, bytes, "%s", c.head.flags & DM_DATA_OUT_FLAG ?
			 (char *)&c + c.head.data_start : "");
	return true;
}

bool snapshot_open(const struct volume *v, uint32_t id, char *path)
{
	char name[32], target[256];

	snprintf(name, sizeof(name), "snap%u", id);
	snprintf(target, sizeof(target), "cowprotect-snap %s %s %u", v->live, v->diff, id);
	return dm_create(name, true, v->sectors, target, path);
}

bool snapshot_close(uint32_t id)
{
	char name[32];

	snprintf(name, sizeof(name), "snap%u", id);
	return dm_remove(name);
}
