// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect wipe: make an end of a diff area, for good. */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "check/check.h"
#include "device.h"

static void tell_snapshot(u32 id, u64 created, const char *label)
{
	char when[40];
	time_t t = created;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(when, sizeof(when), "%llu", created);
	printf("  %8u  %s  %s\n", id, when, *label ? label : "-");
}

/* Those of the manifest, and those that only the log has, after a crash. */
static void tell_snapshots(struct check *c)
{
	u32 i;

	if (c->fixed.slot < 0 || !manifest_choose(&c->man, c->area, &c->fixed, &c->findings)) {
		printf("%s: its snapshots cannot be listed, as it is damaged; all of them die.\n",
		       c->area->path);
		manifest_free(&c->man);
		return;
	}
	summaries_init(c);
	records_init(c);
	check_tables(c);
	check_log(c);
	if (!c->man.snapshot_count && !c->log_snapshots)
		printf("%s: has no snapshot.\n", c->area->path);
	else
		printf("%s: these snapshots die:\n", c->area->path);
	for (i = 0; i < c->man.snapshot_count; i++)
		tell_snapshot(c->man.snapshots[i].id, c->man.snapshots[i].created,
			      c->man.snapshots[i].label);
	for (i = 0; i < c->log_snapshots && i < COWP_MAX_SNAPSHOTS; i++)
		printf("  %8u  (made just before the end of the last activation)\n",
		       c->log_ids[i]);
	records_exit(c);
	summaries_exit(c);
	manifest_free(&c->man);
}

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

static int wipe(const struct area *area, bool yes)
{
	struct check c = { .area = area, .session = ~0U };
	int ret = TOOL_FAILED;

	fixed_read(&c.fixed, area);
	if (c.fixed.kind != COWP_AREA_OURS && c.fixed.kind != COWP_AREA_CORRUPT &&
	    c.fixed.kind != COWP_AREA_UNSUPPORTED) {
		tool_error(area->path, "holds no diff area; check the name");
		fixed_free(&c.fixed);
		return TOOL_DEVICE;
	}
	tell_snapshots(&c);
	if (!yes && !tool_confirmed("Wipe the diff area?"))
		tool_error(area->path, "was not wiped; give --yes if all of that may die");
	else if (erase(area))
		ret = TOOL_OK;
	fixed_free(&c.fixed);
	return ret;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	char path[PATH_MAX];
	struct area area;
	bool yes = false;
	int c, ret;

	while ((c = tool_option(a, argc, argv)) > 0)
		yes = true;
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = device_path(argv[optind], path);
	if (!ret)
		ret = area_open(&area, path, "diff device", O_RDWR | O_EXCL);
	if (ret)
		return ret;
	ret = wipe(&area, yes);
	if (close(area.fd) && !ret) {
		tool_error(path, "%s on closing; see the kernel log", strerror(errno));
		ret = TOOL_FAILED;
	}
	return ret;
}

static const struct tool_option options[] = {
	{ 'y', "yes", NULL, "do not ask" },
	{ }
};

const struct tool_action action_wipe = {
	.name = "wipe",
	.operands = "DIFFDEV",
	.summary = "erase a diff area and with it all its snapshots",
	.options = options,
	.help =
	"Tells which snapshots die, and asks. The device must not be in use by a volume.\n"
	"Only the blocks that make it a diff area are erased, not old content.\n",
	.run = run,
};
