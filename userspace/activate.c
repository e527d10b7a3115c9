// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect activate: NAME-diff, a linear device on the diff device, and NAME
 * on the live device and on that; by what the command line says, or cowprotecttab.
 */
#include <fcntl.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "area.h"
#include "area-options.h"
#include "device.h"
#include "held.h"
#include "identity.h"
#include "lock.h"
#include "replace.h"
#include "report.h"
#include "tab.h"
#include "table-options.h"
#include "volume.h"
#include "watching.h"
#include "witnessed.h"

/*
 * @name, @live, @diff: NULL where cowprotecttab has them
 * @line:	of cowprotecttab, or NULL
 * @was_made:	somebody else has made the volume of that line meanwhile
 */
struct options {
	const char *name;
	const char *live;
	const char *diff;
	const struct tab_volume *line;
	struct table_options table;
	u64 chunk_sectors;
	u8 uuid[16];
	bool have_uuid;
	bool all;
	bool with_diff;
	bool force;
	bool no_monitor;
	bool was_made;
	bool protected;	/* the area says so, or nothing */
};

static int take_option(struct options *o, const struct tool_action *a, int c)
{
	const char *bad;

	switch (c) {
	case 'a':
		o->all = true;
		break;
	case 'o':
		bad = table_options_take(&o->table, optarg);
		if (bad)
			return tool_usage(a, "--options: '%s' %s", o->table.wrong, bad);
		break;
	case 'u':
		bad = area_option_uuid(optarg, o->uuid);
		if (bad)
			return tool_usage(a, "--uuid: '%s' %s", optarg, bad);
		o->have_uuid = true;
		break;
	case 'c':
		bad = area_option_chunk(optarg, &o->chunk_sectors);
		if (bad)
			return tool_usage(a, "--chunk: '%s' %s", optarg, bad);
		break;
	case 'd':
		o->with_diff = true;
		break;
	case 'f':
		o->force = true;
		break;
	case 'n':
		o->no_monitor = true;
		break;
	}
	return TOOL_OK;
}

/* NAME alone, or --all */
static int of_tab(const struct options *o, const struct tool_action *a)
{
	if (o->table.count || o->have_uuid || o->chunk_sectors)
		return tool_usage(a,
				  "--options, --uuid and --chunk of a volume of %s are in its line there",
				  tab_file());
	return TOOL_OK;
}

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	const char *bad;
	bool absent;
	int c;

	while ((c = tool_option(a, argc, argv)) > 0)
		if (take_option(o, a, c))
			return TOOL_USAGE;
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	if (o->all ? optind < argc : optind == argc)
		return tool_usage(a, o->all ? "--all and NAME exclude each other" :
				  "NAME or --all is missing");
	if (o->all)
		return of_tab(o, a);
	o->name = argv[optind];
	bad = name_wrong(o->name);
	if (bad)
		return tool_usage(a, "NAME: '%s' %s", o->name, bad);
	if (optind + 1 == argc)
		return of_tab(o, a);
	if (o->with_diff)
		return tool_usage(a, "--with-diff is for volumes of %s", tab_file());
	o->live = argv[optind + 1];
	o->diff = argv[optind + 2];
	absent = !strcmp(o->diff, VOLUME_NO_DIFF);
	if (absent && !(o->have_uuid && o->chunk_sectors))
		return tool_usage(a, "without a diff device --uuid and --chunk must tell its area");
	if (!absent && o->chunk_sectors)
		return tool_usage(a, "--chunk is only for a volume without a diff device");
	return TOOL_OK;
}

/* Is it the live device that the area was formatted for? */
static int check_identity(const struct options *o, const struct identity *want,
			  const struct area *live)
{
	struct identity is = { 0 };

	identity_probe(&is, live);
	if (want->kind == COWP_IDENTITY_NONE ||
	    (is.kind == want->kind && !strcmp(is.id, want->id)))
		return TOOL_OK;
	tool_error(o->live,
		   "is not the live device that %s is for (%s %s, here %s%s%s); check both names, or give --force",
		   o->diff, identity_words[want->kind], want->id,
		   is.kind ? identity_words[is.kind] : "nothing known", is.kind ? " " : "", is.id);
	return TOOL_DEVICE;
}

static const char *not_ours(enum cowp_area kind)
{
	switch (kind) {
	case COWP_AREA_CORRUPT:
		return "its diff area is damaged; see cowprotect check";
	case COWP_AREA_UNREADABLE:
		return "cannot be read; see the kernel log";
	case COWP_AREA_UNSUPPORTED:
		return "its diff area is of a newer version; use the cowprotect that belongs to it";
	default:
		return "holds no diff area; check the name, or see cowprotect format";
	}
}

/* Protected, and its snapshots not lost; also where the blocks do not tell */
static bool is_protected(const struct fixed *f)
{
	const struct cowp_area_state *s = f->newest < 0 ? NULL : &f->copy[f->newest];

	return !s || (s->mode == COWP_MODE_PROTECTED && !s->lost);
}

/* The volume waits for its repair, and says what to do: it is known which area it is. */
static bool may_heal(const struct options *o, enum cowp_area kind)
{
	return o->line && (kind == COWP_AREA_CORRUPT || kind == COWP_AREA_UNREADABLE);
}

/* What the blocks say that the table needs. */
static int check_area(struct options *o, const struct fixed *f, const struct area *diff,
		      const struct area *live)
{
	u64 chunk_sectors = (u64)f->info.chunk_blocks * COWP_BLOCK_SECTORS;
	char here[UUID_STR_LEN];
	struct identity id;

	o->protected = is_protected(f);
	if (may_heal(o, f->kind))
		return TOOL_OK;
	if (f->kind != COWP_AREA_OURS) {
		tool_error(o->diff, "%s", not_ours(f->kind));
		return TOOL_DEVICE;
	}
	if (o->have_uuid && memcmp(o->uuid, f->info.uuid, sizeof(o->uuid))) {
		uuid_unparse_lower(f->info.uuid, here);
		tool_error(o->diff,
			   "is the diff area %s, not that of %s; check the name", here,
			   o->line ? "uuid=" : "--uuid");
		return TOOL_DEVICE;
	}
	/* Without the diff device the line alone says it: it has to be right. */
	if (o->line && o->chunk_sectors != chunk_sectors) {
		tool_error(o->diff, "has chunks of %lluK; say so in the options: chunk=%lluK",
			   chunk_sectors / 2, chunk_sectors / 2);
		return TOOL_DEVICE;
	}
	if (f->info.snapshots && live->sectors < f->info.live_sectors) {
		tool_error(o->live,
			   "has %llu sectors, the snapshots in %s are of a volume with %llu; check the names",
			   live->sectors, o->diff, f->info.live_sectors);
		return TOOL_DEVICE;
	}
	memcpy(o->uuid, f->info.uuid, sizeof(o->uuid));
	o->chunk_sectors = chunk_sectors;
	if (o->force || !identity_read(&id, diff, o->uuid))
		return TOOL_OK;
	return check_identity(o, &id, live);
}

/* @sectors: out, of the diff device; 0: it is absent */
static int look_at_devices(struct options *o, char *live_path, char *diff_path, u64 *live_sectors,
			   u64 *sectors)
{
	struct mapper_device held;
	struct area live, diff;
	struct fixed f;
	bool is_held;
	int ret;

	*sectors = 0;
	ret = device_path(o->live, live_path);
	if (!ret)
		ret = area_open(&live, live_path, "live device", O_RDONLY | O_EXCL);
	if (ret)
		return ret;
	*live_sectors = live.sectors;
	if (!live.device) {
		tool_error(o->live, "the live device is a file; make a loop device of it");
		ret = TOOL_DEVICE;
	}
	if (ret || !strcmp(o->diff, VOLUME_NO_DIFF))
		goto out;
	ret = device_path(o->diff, diff_path);
	if (!ret)
		ret = held_open(&diff, diff_path, O_RDONLY, &held, &is_held);
	if (ret)
		goto out;
	*sectors = diff.sectors;
	if (area_same(&live, &diff)) {
		tool_error(o->diff, "is the live device too; check the names");
		ret = TOOL_DEVICE;
	} else if (!diff.device) {
		tool_error(o->diff, "the diff device is a file; make a loop device of it");
		ret = TOOL_DEVICE;
	} else {
		fixed_read(&f, &diff);
		ret = check_area(o, &f, &diff, &live);
		fixed_free(&f);
	}
	area_close(&diff);
out:
	area_close(&live);
	return ret;
}

static int make_live(const struct options *o, const char *area, const char *live,
		     const char *diff, u64 sectors)
{
	char line[2 * PATH_MAX + TABLE_OPTIONS_CHARS + 128], uuid[UUID_STR_LEN];

	uuid_unparse_lower(o->uuid, uuid);
	snprintf(line, sizeof(line), "%s %s %llu %u uuid %s%s", live, diff, o->chunk_sectors,
		 o->table.count + 2, uuid, o->table.words);
	return volume_create(o->name, area, NAME_LIVE, 0, false, sectors, COWP_TARGET, line);
}

/* It was not there before the lock. */
static bool is_made(const struct options *o)
{
	char area[NAME_AREA + 1];
	struct mapper_device d;

	area_letters(area, o->uuid);
	return o->line && !mapper_find_role(area, NAME_LIVE, &d) && !strcmp(d.name, o->name);
}

/* With the lock. */
static int make_devices(struct options *o)
{
	char live[PATH_MAX], diff[PATH_MAX], device[NAME_CHARS + 16], name[NAME_CHARS];
	char area[UUID_STR_LEN];
	u64 live_sectors, sectors;
	struct mapper_device d;
	int ret;

	o->was_made = is_made(o);
	if (o->was_made)
		return TOOL_OK;
	if (mapper_find(o->name, &d) != -ENXIO) {
		tool_error(o->name,
			   "there is such a device already; see cowprotect list, or dmsetup ls");
		return TOOL_BUSY;
	}
	ret = look_at_devices(o, live, diff, &live_sectors, &sectors);
	if (ret)
		return ret;
	area_letters(area, o->uuid);
	ret = witnessed_recall(o->name, area, o->protected, &o->table);
	if (ret)
		return ret;
	if (!sectors)
		return make_live(o, area, live, VOLUME_NO_DIFF, live_sectors);
	ret = held_attach(area, o->name, diff, sectors);
	if (ret)
		return ret;
	name_of(name, o->name, NAME_DIFF, 0);
	snprintf(device, sizeof(device), "/dev/mapper/%s", name);
	ret = make_live(o, area, live, device, live_sectors);
	if (ret)
		held_detach(area, HELD_LOOK);
	return ret;
}

static int activate(struct options *o)
{
	int lock, ret = mapper_ready();

	if (ret)
		return ret;
	ret = lock_volume(o->name, &lock);
	if (ret)
		return ret;
	ret = make_devices(o);
	lock_end(lock);
	return ret;
}

static int activate_and_watch(struct options *o)
{
	struct volume v;
	int ret = activate(o);

	if (!ret)
		ret = volume_open(&v, o->name);
	if (ret)
		return ret;
	if (!o->no_monitor)
		watching_begin(o->name);
	ret = volume_settle(&v, COWP_FAULT_NONE);
	if (!ret) {
		report_fault(&v, stderr);
		witnessed_review(&v);
		if (o->no_monitor)
			witnessed_by_nobody(&v);
	}
	volume_close(&v);
	return ret;
}

/* ---- by cowprotecttab ---- */

static bool is_there(const char *device)
{
	char path[PATH_MAX];

	return !device_link(device, path) && !access(path, F_OK);
}

/* Its diff device may have come since, or dmeventd, which no initramfs has. */
static int already_active(const struct options *o, const struct tab_volume *line,
			  const struct mapper_device *volume)
{
	struct volume v;
	int ret;

	if (strcmp(volume->name, line->name)) {
		tool_error(line->name,
			   "its diff area belongs to the active volume %s; deactivate that, or give another uuid=",
			   volume->name);
		return TOOL_BUSY;
	}
	if (!o->no_monitor)
		watching_begin(line->name);
	if (is_there(line->diff))
		return replace_if_lacking(line->name, line->diff);
	ret = volume_open(&v, line->name);
	if (!ret)
		report_fault(&v, stderr);
	volume_close(&v);
	return ret;
}

static int make_volume(const struct options *from, const struct tab_volume *line)
{
	struct options o = *from;
	int ret;

	o.line = line;
	o.name = line->name;
	o.live = line->live;
	o.diff = is_there(line->diff) ? line->diff : VOLUME_NO_DIFF;
	o.table = line->options;
	o.chunk_sectors = line->chunk_sectors;
	memcpy(o.uuid, line->uuid, sizeof(o.uuid));
	o.have_uuid = true;
	if (o.with_diff && !strcmp(o.diff, VOLUME_NO_DIFF)) {
		tool_error(line->diff, "the diff device is not there; attach it");
		return TOOL_DEVICE;
	}
	ret = activate_and_watch(&o);
	/* One that came meanwhile has found no volume that waits for it. */
	if (!ret && (o.was_made || !strcmp(o.diff, VOLUME_NO_DIFF)) && is_there(line->diff))
		ret = replace_if_lacking(line->name, line->diff);
	return ret;
}

static int make_or_complete(const struct options *o, const struct tab_volume *line)
{
	char area[NAME_AREA + 1];
	struct mapper_device volume;
	int lock, error, ret;

	area_letters(area, line->uuid);
	/* One that is being made has no table yet. */
	ret = lock_volume(line->name, &lock);
	if (ret)
		return ret;
	error = mapper_find_role(area, NAME_LIVE, &volume);
	lock_end(lock);
	return error ? make_volume(o, line) : already_active(o, line, &volume);
}

static int by_line(const struct options *o, const struct tab_volume *line)
{
	char where[PATH_MAX + 16];
	int ret = make_or_complete(o, line);

	if (ret) {
		snprintf(where, sizeof(where), "%s:%u", tab_file(), line->line);
		tool_error(where,
			   "volume %s is not as this line says; mend what is told above, then type cowprotect activate %s",
			   line->name, line->name);
	}
	return ret;
}

/* As many as can be; the first error counts. */
static int all_lines(const struct options *o, const struct tab *tab)
{
	int ret = tab->errors ? TOOL_FAILED : TOOL_OK;
	size_t i;

	for (i = 0; i < tab->count; i++) {
		int one = tab->volumes[i].noauto ? TOOL_OK : by_line(o, &tab->volumes[i]);

		ret = ret ? ret : one;
	}
	return ret;
}

static int by_tab(const struct options *o)
{
	const struct tab_volume *line;
	struct tab tab;
	int ret = mapper_ready();

	if (!ret)
		ret = tab_read(&tab, tab_file());
	if (ret)
		return ret;
	line = o->all ? NULL : tab_find(&tab, o->name);
	if (o->all) {
		ret = all_lines(o, &tab);
	} else if (line) {
		ret = by_line(o, line);
	} else {
		tool_error(o->name,
			   "%s has no such volume; write a line for it, or name its live and its diff device",
			   tab_file());
		ret = TOOL_DEVICE;
	}
	tab_free(&tab);
	return ret;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct options o = { 0 };
	int ret = take_options(&o, a, argc, argv);

	if (ret)
		return ret;
	return o.live ? activate_and_watch(&o) : by_tab(&o);
}

static const struct tool_option options[] = {
	{ 'a', "all", NULL, "all volumes of /etc/cowprotecttab but those with noauto" },
	{ 'o', "options", "LIST", "options of the volume: WORD[=VALUE],..." },
	{ 'u', "uuid", "UUID", "refuse another diff area than this" },
	{ 'c', "chunk", "SIZE", "of the diff area, if it is absent" },
	{ 'd', "with-diff", NULL, "of /etc/cowprotecttab: not before the diff device is there" },
	{ 'f', "force", NULL, "also with another live device than the area was formatted for" },
	{ 'n', "no-monitor", NULL, "without dmeventd" },
	{ }
};

const struct tool_action action_activate = {
	.name = "activate",
	.operands = "[NAME [LIVEDEV DIFFDEV]]",
	.summary = "make a volume from its live device and its diff area",
	.options = options,
	.help =
	"The volume is /dev/mapper/NAME. With NAME alone /etc/cowprotecttab says the rest: see\n"
	"cowprotecttab(5). If its diff device is not there the volume waits for it; called again\n"
	"when that has come, or left to udev, it gets it. One that is complete stays as it is.\n"
	"From then on nothing else may write to the live device. With \"-\" as DIFFDEV the diff\n"
	"area has not arrived yet: the volume waits for it. WORD is one of protect, noprotect,\n"
	"given_up, error_if_blocked, diff_wait_secs, grow_wait_secs, diff_timeout_secs,\n"
	"low_water, cache_kib, discard_passdown, discard_freed. Returns when recovery has ended,\n"
	"well or not.\n"
	"dmeventd watches the volume from then on, if its plugin is installed.\n",
	.run = run,
};
