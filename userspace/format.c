// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect format: the engine itself formats, as it does in the kernel; here
 * is what comes before, whether the device may be overwritten at all.
 */
#include <fcntl.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "area.h"
#include "area-options.h"
#include "device.h"
#include "held.h"
#include "identity.h"
#include "loss.h"
#include "name.h"
#include "signature.h"
#include "witnessed.h"

#define MIB_BLOCKS	((1U << 20) / COWP_BLOCK_SIZE)

struct options {
	const char *diff;
	const char *live;
	const char *name;
	const char *lose;
	u64 live_sectors;
	u64 chunk_sectors;
	u8 uuid[16];
	bool have_uuid;
	bool protect;
	bool force;
	struct identity identity;
};

static int take_option(struct options *o, const struct tool_action *a, int c)
{
	const char *bad;

	switch (c) {
	case 'c':
		bad = area_option_chunk(optarg, &o->chunk_sectors);
		if (bad)
			return tool_usage(a, "--chunk: '%s' %s", optarg, bad);
		break;
	case 'u':
		bad = area_option_uuid(optarg, o->uuid);
		if (bad)
			return tool_usage(a, "--uuid: '%s' %s", optarg, bad);
		o->have_uuid = true;
		break;
	case 'l':
		o->live = optarg;
		break;
	case 's':
		bad = tool_sectors(optarg, &o->live_sectors);
		if (bad)
			return tool_usage(a, "--live-size: '%s' %s", optarg, bad);
		break;
	case 'n':
		bad = name_wrong(optarg);
		if (bad)
			return tool_usage(a, "--name: '%s' %s", optarg, bad);
		o->name = optarg;
		break;
	case 'p':
		o->protect = true;
		break;
	case 'f':
		o->force = true;
		break;
	case 'L':
		bad = loss_wrong(optarg);
		if (bad)
			return tool_usage(a, "--lose: '%s' %s", optarg, bad);
		o->lose = optarg;
		break;
	}
	return TOOL_OK;
}

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	int c;

	o->chunk_sectors = COWP_BLOCK_SECTORS;
	while ((c = tool_option(a, argc, argv)) > 0)
		if (take_option(o, a, c))
			return TOOL_USAGE;
	if (c)
		return TOOL_USAGE;
	if (o->live && o->live_sectors)
		return tool_usage(a, "--live and --live-size exclude each other");
	if (!o->live && !o->live_sectors)
		return tool_usage(a,
				  "the size of the live volume is missing (--live or --live-size)");
	if (o->lose && !o->force)
		return tool_usage(a, "--lose is only for an area that is overwritten by --force");
	if (tool_operands(a, argc, argv))
		return TOOL_USAGE;
	o->diff = argv[optind];
	return TOOL_OK;
}

static int live_fits(struct options *o, const struct area *diff)
{
	char path[PATH_MAX];
	struct area live;
	int ret;

	if (!o->live)
		return TOOL_OK;
	ret = device_path(o->live, path);
	if (!ret)
		ret = area_open(&live, path, "live device", O_RDONLY);
	if (ret)
		return ret;
	o->live_sectors = live.sectors;
	ret = TOOL_DEVICE;
	if (area_same(&live, diff))
		tool_error(o->diff,
			   "is the live device too; give another one to keep old chunks on");
	else if (!live.sectors)
		tool_error(o->live, "the live device is empty; check the name");
	else if (o->chunk_sectors < live.block_sectors)
		tool_error(o->live,
			   "its blocks of %u bytes are larger than a chunk; give a larger --chunk",
			   live.block_sectors << SECTOR_SHIFT);
	else
		ret = TOOL_OK;
	identity_probe(&o->identity, &live);
	area_close(&live);
	return ret;
}

static bool diff_fits(const struct options *o, const struct area *diff)
{
	const char *bad = cowp_area_fits(o->chunk_sectors / COWP_BLOCK_SECTORS, diff->blocks);
	char have[TOOL_SIZE_CHARS];
	u64 max = COWP_MAX_CHUNKS * o->chunk_sectors;

	if (bad) {
		tool_error(o->diff, "%s (%s); give a larger device or a smaller --chunk", bad,
			   tool_size(have, diff->sectors << SECTOR_SHIFT));
		return false;
	}
	if (o->live_sectors > max) {
		tool_error(o->diff,
			   "a live volume of %s has too many chunks; give a larger --chunk",
			   tool_size(have, o->live_sectors << SECTOR_SHIFT));
		return false;
	}
	if (o->chunk_sectors < diff->block_sectors) {
		tool_error(o->diff,
			   "its blocks of %u bytes are larger than a chunk; give a larger --chunk",
			   diff->block_sectors << SECTOR_SHIFT);
		return false;
	}
	return true;
}

/* ---- what is on the device ---- */

static bool holds_ours(const struct area *diff)
{
	struct fixed f;
	enum cowp_area kind;
	bool snapshots;

	fixed_read(&f, diff);
	kind = f.kind;
	snapshots = f.info.snapshots;
	fixed_free(&f);
	switch (kind) {
	case COWP_AREA_OURS:
		tool_error(diff->path, "holds a diff area%s; give --force to overwrite it",
			   snapshots ? " that may have snapshots" : "");
		return true;
	case COWP_AREA_CORRUPT:
		tool_error(diff->path,
			   "holds a damaged diff area; see cowprotect check, or give --force to overwrite it");
		return true;
	case COWP_AREA_UNSUPPORTED:
		tool_error(diff->path,
			   "holds a diff area of a newer version; give --force to overwrite it");
		return true;
	case COWP_AREA_UNREADABLE:
		tool_error(diff->path, "cannot be read; see the kernel log");
		return true;
	default:
		return false;
	}
}

/* What must be zero for the engine to format: see cowp_format_start(). */
static void region(const struct area *diff, u32 nr, u64 *first, u32 *count)
{
	*count = MIB_BLOCKS;
	switch (nr) {
	case 0:
		*first = 0;
		break;
	case 1:
		*first = COWP_ROOT_BLOCK(1);
		*count = COWP_FIRST_BODY_BLOCK - COWP_ROOT_BLOCK(1);
		break;
	default:
		*first = diff->blocks - MIB_BLOCKS;
		break;
	}
}

#define REGIONS		3U

static bool holds_data(const struct area *diff)
{
	void *block = xcalloc(1, COWP_BLOCK_SIZE);
	bool found = false;
	u32 nr, i, count;
	u64 first;

	for (nr = 0; nr < REGIONS && !found; nr++) {
		region(diff, nr, &first, &count);
		for (i = 0; i < count && !found; i++) {
			int error = area_read(diff, first + i, 1, block);

			found = error || memchr_inv(block, 0, COWP_BLOCK_SIZE);
			if (error)
				tool_error(diff->path,
					   "block %llu cannot be read: %s; see the kernel log",
					   first + i, strerror(-error));
			else if (found)
				tool_error(diff->path,
					   "is not blank (block %llu); give --force to overwrite it",
					   first + i);
		}
	}
	free(block);
	return found;
}

static bool wipe(const struct area *diff)
{
	void *zero = xcalloc(1, COWP_BLOCK_SIZE);
	bool good = true;
	u32 nr, i, count;
	u64 first;

	for (nr = 0; nr < REGIONS && good; nr++) {
		region(diff, nr, &first, &count);
		for (i = 0; i < count && good; i++)
			good = pwrite(diff->fd, zero, COWP_BLOCK_SIZE,
				      (off_t)(first + i) * COWP_BLOCK_SIZE) == COWP_BLOCK_SIZE;
	}
	if (good)
		good = !fdatasync(diff->fd);
	if (!good)
		tool_error(diff->path, "cannot be wiped: %s; see the kernel log", strerror(errno));
	free(zero);
	return good;
}

/* ---- formatting ---- */

static void print_result(const struct options *o, const struct cowp_status *s)
{
	char uuid[UUID_STR_LEN], chunk[TOOL_SIZE_CHARS], live[TOOL_SIZE_CHARS];
	char room[TOOL_SIZE_CHARS];

	uuid_unparse_lower(o->uuid, uuid);
	printf("uuid      %s\n"
	       "chunks    %s\n"
	       "live      %s\n"
	       "capacity  %s, %llu chunks\n"
	       "mode      %s\n",
	       uuid, tool_size(chunk, o->chunk_sectors << SECTOR_SHIFT),
	       tool_size(live, o->live_sectors << SECTOR_SHIFT),
	       tool_size(room, (s->total_chunks * o->chunk_sectors) << SECTOR_SHIFT),
	       s->total_chunks, cowp_mode_words[s->mode]);
}

/* Activate, which formats, and close at once. */
static int run_engine(const struct options *o, const struct area *diff)
{
	struct cowp_config cfg = {
		.chunk_blocks = o->chunk_sectors / COWP_BLOCK_SECTORS,
		.live_sectors = o->live_sectors,
		.live_block_sectors = 1,
		.diff_block_sectors = diff->block_sectors,
		.have_uuid = true,
		.have_mode = true,
		.mode = o->protect ? COWP_MODE_PROTECTED : COWP_MODE_NORMAL,
		.format = true,
		.cache_blocks = 16,
		.bits_blocks = 1,
	};
	struct cowp_msg close = { .op = COWP_MSG_CLOSE };
	const struct cowp_status *s;
	struct cowp_port port;
	int error = 0;

	port_init(&port);
	port.fd[COWP_DIFF] = diff->fd;
	port.sectors[COWP_DIFF] = diff->sectors;
	port.sectors[COWP_LIVE] = o->live_sectors;
	memcpy(cfg.uuid, o->uuid, sizeof(cfg.uuid));
	error = cowp_engine_new(&port.eng, &cfg, &port);
	if (error) {
		tool_error(o->diff, "cannot be formatted: %s; free memory", strerror(-error));
		return TOOL_FAILED;
	}
	cowp_engine_start(port.eng);
	port_pump(&port);
	s = cowp_engine_status(port.eng);
	if (s->state == COWP_STATE_NONE)
		error = port_message(&port, &close);
	if (s->state != COWP_STATE_NONE || error)
		tool_error(o->diff, "cannot be formatted: %s%s%s; %s", cowp_fault_words[s->fault],
			   s->detail ? ", " : "", s->detail ? s->detail : "",
			   s->error ? strerror(-s->error) : "see the kernel log");
	else
		print_result(o, s);
	error = error || s->state != COWP_STATE_NONE;
	cowp_engine_cancel(port.eng);
	cowp_engine_free(port.eng);
	return error ? TOOL_FAILED : TOOL_OK;
}

/* Behind the format, as the engine formats what is blank. */
static int write_identity(struct options *o, const struct area *diff)
{
	int error;

	o->identity.live_sectors = o->live_sectors;
	if (o->name)
		strcpy(o->identity.name, o->name);
	error = identity_write(&o->identity, diff, o->uuid);
	if (error)
		tool_error(o->diff, "cannot be written to: %s; see the kernel log",
			   strerror(-error));
	return tool_ended(error);
}

static int overwrite(struct options *o, const struct area *diff)
{
	char area[NAME_AREA + 1];
	int ret;

	if (o->force && !wipe(diff))
		return TOOL_FAILED;
	if (!o->have_uuid)
		uuid_generate_random(o->uuid);
	ret = run_engine(o, diff);
	if (!ret)
		ret = write_identity(o, diff);
	if (!ret && o->have_uuid) {
		area_letters(area, o->uuid);
		witnessed_forget(area);
	}
	return ret;
}

/*
 * The old area is held until the new one is there, and that one from then on if it is
 * protected.
 */
static int overwrite_held(struct options *o, struct area *diff, const struct mapper_device *held)
{
	int ret, end = TOOL_OK;
	char area[NAME_AREA + 1];
	struct mapper_device d;
	bool same;

	ret = held_write_begin(held, diff);
	if (ret)
		return ret;
	ret = overwrite(o, diff);
	area_letters(area, o->uuid);
	same = !strcmp(area, held->area);
	if (!ret && o->protect && !same)
		ret = held_take(area, diff->path, diff->sectors, &d);
	end = held_write_end(held, diff, !ret && !(o->protect && same));
	return ret ? ret : end;
}

static bool may_lose(const struct options *o, const struct area *diff)
{
	struct loss l;
	bool may;

	loss_tell(&l, diff, "die");
	may = loss_allowed(&l, diff, o->lose);
	loss_free(&l);
	return may;
}

/* @held: the device that holds its area, or NULL */
static int format(struct options *o, struct area *diff, const struct mapper_device *held)
{
	int ret = live_fits(o, diff);

	if (ret)
		return ret;
	if (!diff_fits(o, diff))
		return TOOL_DEVICE;
	if (!o->force && (holds_ours(diff) || signature_found(diff) || holds_data(diff)))
		return held ? TOOL_BUSY : TOOL_DEVICE;
	if (o->force && !may_lose(o, diff))
		return held ? TOOL_BUSY : TOOL_DEVICE;
	return held ? overwrite_held(o, diff, held) : overwrite(o, diff);
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct options o = { 0 };
	struct mapper_device held;
	char path[PATH_MAX];
	struct area diff;
	bool is_held;
	int ret = take_options(&o, a, argc, argv);

	if (!ret)
		ret = device_path(o.diff, path);
	if (ret)
		return ret;
	ret = held_open(&diff, path, O_RDWR, &held, &is_held);
	if (ret)
		return ret;
	ret = format(&o, &diff, is_held ? &held : NULL);
	if (diff.fd >= 0 && close(diff.fd) && ret == TOOL_OK) {
		tool_error(o.diff, "%s on closing; see the kernel log", strerror(errno));
		ret = TOOL_FAILED;
	}
	return ret;
}

static const struct tool_option options[] = {
	{ 'l', "live", "LIVEDEV", "the live device that it is for" },
	{ 's', "live-size", "SIZE", "or that one's size" },
	{ 'n', "name", "NAME", "what the volume is going to be called" },
	{ 'c', "chunk", "SIZE", "what is preserved at a time, 4K (default) to 1M" },
	{ 'u', "uuid", "UUID", "the area's, instead of a random one" },
	{ 'p', "protect", NULL, "protection on from the start" },
	{ 'f', "force", NULL,
	  "overwrite what is there: the first and the last MiB and\n"
	  "the places of the roots are wiped first" },
	{ 'L', "lose", "IDS", "snapshots there that may die: 1,2,5 or all" },
	{ }
};

const struct tool_action action_format = {
	.name = "format",
	.operands = "DIFFDEV",
	.summary = "make an empty diff area",
	.options = options,
	.help =
	"A device is a path, or UUID=, LABEL=, PARTUUID=, PARTLABEL= or ID= with a value as\n"
	"in /dev/disk; a diff device may also be a file. SIZE is a number of bytes, or one\n"
	"with s (sectors of 512 bytes), K, M, G, T or P. Without --force a diff device is\n"
	"refused that holds a signature known to libblkid, a diff area, sound or damaged, or\n"
	"any data in the places above; with it, an area with snapshots that --lose does not\n"
	"name. Prints the area's uuid and its capacity.\n",
	.run = run,
};
