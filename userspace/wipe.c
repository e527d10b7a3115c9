// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect wipe: make an end of a diff area, for good. */
#include <fcntl.h>
#include <unistd.h>

#include "device.h"
#include "held.h"
#include "loss.h"

struct options {
	const char *lose;
	bool yes;
};

/* Identity, state, root: what is left can then be taken for nothing of ours. */
static bool erase(const struct area *a)
{
	static const u8 zero[COWP_BLOCK_SIZE];
	bool good = true;
	u32 i;

	for (i = 0; i < COWP_SLOTS && good; i++) {
		const u64 blocks[] = { COWP_IDENTITY_BLOCK(i), COWP_STATE_BLOCK(i),
				       COWP_ROOT_BLOCK(i) };
		u32 nr;

		for (nr = 0; nr < ARRAY_SIZE(blocks) && good; nr++)
			good = pwrite(a->fd, zero, sizeof(zero),
				      (off_t)blocks[nr] * COWP_BLOCK_SIZE) == sizeof(zero);
	}
	good = good && !fdatasync(a->fd);
	if (!good)
		tool_error(a->path, "cannot be wiped: %s; see the kernel log", strerror(errno));
	return good;
}

static bool is_area(const struct area *area)
{
	struct fixed f;
	enum cowp_area kind;

	fixed_read(&f, area);
	kind = f.kind;
	fixed_free(&f);
	if (kind == COWP_AREA_OURS || kind == COWP_AREA_CORRUPT || kind == COWP_AREA_UNSUPPORTED)
		return true;
	tool_error(area->path, "holds no diff area; check the name");
	return false;
}

/* Snapshots die only by their ids: whoever gives --yes may not know of them. */
static bool may_be_wiped(const struct options *o, const struct area *area)
{
	struct loss l;
	bool may;

	loss_tell(&l, area, "die");
	may = loss_allowed(&l, area, o->lose);
	if (may && loss_none(&l) && !o->yes && !tool_confirmed("Wipe the diff area?")) {
		tool_error(area->path, "was not wiped; give --yes if it may");
		may = false;
	}
	loss_free(&l);
	return may;
}

/* @held: the device that holds it, or NULL */
static int wipe(const struct options *o, struct area *area, const struct mapper_device *held)
{
	bool wiped;
	int ret;

	if (!is_area(area))
		return TOOL_DEVICE;
	if (!may_be_wiped(o, area))
		return held ? TOOL_BUSY : TOOL_FAILED;
	ret = held ? held_write_begin(held, area) : TOOL_OK;
	if (ret)
		return ret;
	wiped = erase(area);
	if (held)
		ret = held_write_end(held, area, wiped);
	return wiped ? ret : TOOL_FAILED;
}

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	const char *bad;
	int c;

	while ((c = tool_option(a, argc, argv)) > 0) {
		if (c == 'y') {
			o->yes = true;
			continue;
		}
		bad = loss_wrong(optarg);
		if (bad)
			return tool_usage(a, "--lose: '%s' %s", optarg, bad);
		o->lose = optarg;
	}
	return c ? TOOL_USAGE : tool_operands(a, argc, argv);
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct options o = { 0 };
	struct mapper_device held;
	char path[PATH_MAX];
	struct area area;
	bool is_held;
	int ret;

	ret = take_options(&o, a, argc, argv);
	if (!ret)
		ret = device_path(argv[optind], path);
	if (ret)
		return ret;
	ret = held_open(&area, path, O_RDWR, &held, &is_held);
	if (ret)
		return ret;
	ret = wipe(&o, &area, is_held ? &held : NULL);
	if (area.fd >= 0 && close(area.fd) && !ret) {
		tool_error(path, "%s on closing; see the kernel log", strerror(errno));
		ret = TOOL_FAILED;
	}
	return ret;
}

static const struct tool_option options[] = {
	{ 'L', "lose", "IDS", "snapshots that may die: 1,2,5 or all" },
	{ 'y', "yes", NULL, "do not ask, where there is none" },
	{ }
};

const struct tool_action action_wipe = {
	.name = "wipe",
	.operands = "DIFFDEV",
	.summary = "erase a diff area and with it all its snapshots",
	.options = options,
	.help =
	"Tells which snapshots die, and is refused until --lose names them all. Without one\n"
	"it asks. The device must not be in use by a volume; what holds its area is taken\n"
	"away, and it is claimed until all is done.\n"
	"Only the blocks that make it a diff area are erased, not old content.\n",
	.run = run,
};
