// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect open and close: a snapshot as a device. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "area.h"
#include "device.h"
#include "signature.h"
#include "volume.h"

/* Of the kernel's snapshot target on top: its chunks, in sectors */
#define WRITABLE_CHUNK	8U

/* What holds the changes is a new one: another snapshot's would be taken for its. */
static bool erase_store(const struct area *store)
{
	static const u8 zero[COWP_BLOCK_SIZE];

	if (pwrite(store->fd, zero, sizeof(zero), 0) == sizeof(zero) && !fdatasync(store->fd))
		return true;
	tool_error(store->path, "cannot be written to: %s; see the kernel log", strerror(errno));
	return false;
}

static int prepare_store(const char *name, char path[PATH_MAX], bool force)
{
	struct area store;
	int ret = device_path(name, path);

	if (!ret)
		ret = area_open(&store, path, "device for changes", O_RDWR | O_EXCL);
	if (ret)
		return ret;
	if (!store.device) {
		tool_error(name, "the device for changes is a file; make a loop device of it");
		ret = TOOL_DEVICE;
	} else if (!force && signature_found(&store)) {
		ret = TOOL_DEVICE;
	} else if (!erase_store(&store)) {
		ret = TOOL_FAILED;
	}
	area_close(&store);
	return ret;
}

static int make_snapshot(const struct volume *v, const struct snapshot *s)
{
	char line[3 * NAME_CHARS];

	snprintf(line, sizeof(line), "%s %s %u", v->live, v->diff, s->id);
	return volume_create(v->device.name, v->device.area, NAME_SNAPSHOT, s->id, true, s->sectors,
			     COWP_SNAPSHOT_TARGET, line);
}

static int make_writable(const struct volume *v, const struct snapshot *s, const char *store)
{
	char line[PATH_MAX + 2 * NAME_CHARS], name[NAME_CHARS];

	name_of(name, v->device.name, NAME_SNAPSHOT, s->id);
	snprintf(line, sizeof(line), "/dev/mapper/%s %s P %u", name, store, WRITABLE_CHUNK);
	return volume_create(v->device.name, v->device.area, NAME_WRITABLE, s->id, false,
			     s->sectors, "snapshot", line);
}

static int open_it(const struct volume *v, const struct snapshot *s, const char *store, bool force)
{
	enum name_role role = store ? NAME_WRITABLE : NAME_SNAPSHOT;
	bool had = volume_has(v, NAME_SNAPSHOT, s->id);
	char name[NAME_CHARS], path[PATH_MAX];
	int ret = TOOL_OK;

	name_of(name, v->device.name, role, s->id);
	if (volume_has(v, role, s->id)) {
		tool_error(name, "snapshot %u is open already; see cowprotect list", s->id);
		return TOOL_BUSY;
	}
	if (s->deleting) {
		tool_error(name, "snapshot %u is being deleted; see cowprotect list", s->id);
		return TOOL_BUSY;
	}
	if (store)
		ret = prepare_store(store, path, force);
	if (!ret && !had)
		ret = make_snapshot(v, s);
	if (!ret && store) {
		ret = make_writable(v, s, path);
		if (ret && !had) {
			char below[NAME_CHARS];

			name_of(below, v->device.name, NAME_SNAPSHOT, s->id);
			volume_remove(below);
		}
	}
	if (!ret)
		printf("/dev/mapper/%s\n", name);
	return ret;
}

/* With the volume open and the snapshot found */
static int with_snapshot(char **operands, const char *store, bool force,
			 int (*fn)(const struct volume *v, const struct snapshot *s,
				   const char *store, bool force))
{
	const struct snapshot *found;
	struct snapshot *list = NULL;
	struct volume v;
	size_t count;
	int ret = volume_open(&v, operands[0]);

	if (ret)
		return ret;
	ret = volume_snapshots(&v, &list, &count);
	if (!ret)
		ret = volume_find(&v, list, count, operands[1], &found);
	if (!ret)
		ret = fn(&v, found, store, force);
	free(list);
	volume_close(&v);
	return ret;
}

static int run_open(const struct tool_action *a, int argc, char **argv)
{
	const char *store = NULL;
	bool force = false;
	int c;

	while ((c = tool_option(a, argc, argv)) > 0) {
		if (c == 'w')
			store = optarg;
		force |= c == 'f';
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	if (force && !store)
		return tool_usage(a, "--force is only for the device of --writable");
	return with_snapshot(argv + optind, store, force, open_it);
}

static int close_it(const struct volume *v, const struct snapshot *s, const char *store, bool force)
{
	char name[NAME_CHARS];
	bool any = false;
	int ret = TOOL_OK;
	u32 role;

	(void)store;
	(void)force;
	for (role = NAME_WRITABLE; role >= NAME_SNAPSHOT && !ret; role--) {
		if (!volume_has(v, role, s->id))
			continue;
		any = true;
		name_of(name, v->device.name, role, s->id);
		ret = volume_remove(name);
	}
	if (any)
		return ret;
	tool_error(v->device.name, "snapshot %u is not open; see cowprotect list %s", s->id,
		   v->device.name);
	return TOOL_DEVICE;
}

static int run_close(const struct tool_action *a, int argc, char **argv)
{
	if (tool_option(a, argc, argv) || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	return with_snapshot(argv + optind, NULL, false, close_it);
}

static const struct tool_option open_options[] = {
	{ 'w', "writable", "COWDEV",
	  "can be written to; the changes go to COWDEV, from its\n"
	  "beginning" },
	{ 'f', "force", NULL, "overwrite what COWDEV holds" },
	{ }
};

const struct tool_action action_open = {
	.name = "open",
	.operands = "NAME SNAPSHOT",
	.summary = "make a device of a snapshot, and print its path",
	.options = open_options,
	.help =
	"SNAPSHOT is an id or a label. The device is /dev/mapper/NAME-snap-ID, and read-only;\n"
	"with --writable /dev/mapper/NAME-rw-ID on top of it, by the kernel's snapshot target:\n"
	"the snapshot itself does not change, and what was written is forgotten by close.\n",
	.run = run_open,
};

const struct tool_action action_close = {
	.name = "close",
	.operands = "NAME SNAPSHOT",
	.summary = "remove the devices of a snapshot",
	.help = "The snapshot itself stays.\n",
	.run = run_close,
};
