// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect probe: what udev is to know of a diff device, as properties.
 *
 * Values come from a disk that may be anybody's, and end in names of links: they are
 * encoded as udev's own are.
 */
#include <blkid/blkid.h>
#include <fcntl.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "area.h"
#include "device.h"
#include "identity.h"
#include "live.h"
#include "loss.h"

static void property(const char *name, const char *value)
{
	char encoded[4 * COWP_IDENTITY_BYTES + 1];

	if (*value && !blkid_encode_string(value, encoded, sizeof(encoded)))
		printf("%s=%s\n", name, encoded);
}

static void tell_identity(const struct area *a, const u8 *uuid)
{
	struct identity id;

	if (!identity_read(&id, a, uuid))
		return;
	property("COWPROTECT_NAME", id.name);
	if (id.kind == COWP_IDENTITY_NONE)
		return;
	property("COWPROTECT_LIVE_KIND", identity_words[id.kind]);
	property("COWPROTECT_LIVE_UUID", id.id);
}

static void tell_ours(const struct area *a, const struct fixed *f)
{
	char uuid[UUID_STR_LEN];

	uuid_unparse_lower(f->info.uuid, uuid);
	property("ID_FS_UUID", uuid);
	property("ID_FS_UUID_ENC", uuid);
	if (f->newest >= 0) {
		property("COWPROTECT_MODE", cowp_mode_words[f->copy[f->newest].mode]);
		if (f->copy[f->newest].lost)
			property("COWPROTECT_LOST", "1");
	}
	tell_identity(a, f->info.uuid);
}

static void tell(const struct area *a, const struct fixed *f)
{
	char version[16];

	property("ID_FS_TYPE", "cowprotect");
	property("ID_FS_USAGE", "other");
	if (f->kind != COWP_AREA_UNSUPPORTED) {
		snprintf(version, sizeof(version), "%d", COWP_FORMAT_VERSION);
		property("ID_FS_VERSION", version);
	}
	if (f->kind == COWP_AREA_OURS)
		tell_ours(a, f);
	else
		property("COWPROTECT_DAMAGED", f->kind == COWP_AREA_CORRUPT ? "1" : "");
	if (loss_guarded(a, f))
		property("COWPROTECT_HOLD", "1");
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	char path[PATH_MAX];
	bool live = false;
	struct area area;
	struct fixed f;
	int c, ret;

	while ((c = tool_option(a, argc, argv)) > 0)
		live = true;
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	if (live)
		return live_tell(argv[optind], getenv("DEVLINKS"), getenv("COWPROTECT_LEG"));
	ret = device_path(argv[optind], path);
	if (!ret)
		ret = area_open(&area, path, "device", O_RDONLY);
	if (ret)
		return ret;
	fixed_read(&f, &area);
	if (f.kind == COWP_AREA_OURS || f.kind == COWP_AREA_CORRUPT ||
	    f.kind == COWP_AREA_UNSUPPORTED) {
		tell(&area, &f);
	} else {
		tool_error(path, "holds no diff area; check the name");
		ret = TOOL_DEVICE;
	}
	fixed_free(&f);
	area_close(&area);
	return ret;
}

static const struct tool_option options[] = {
	{ 'l', "live", NULL, "whether it is a live device of /etc/cowprotecttab, by its names" },
	{ }
};

const struct tool_action action_probe = {
	.name = "probe",
	.operands = "DEVICE",
	.summary = "tell udev what a device with a diff area is",
	.options = options,
	.help =
	"Prints properties for udev's rules: the type, the uuid, the mode, the volume's name,\n"
	"and whether the area is to be held. Fails where there is no diff area.\n"
	"With --live the device is not read; $DEVLINKS has its other names. Properties say\n"
	"which volume of the tab it is of, and which links it is to have.\n",
	.run = run,
};
