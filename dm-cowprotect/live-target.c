// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cowprotect target: device-mapper's side of a live volume.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/uuid.h>
#include "area.h"
#include "budget.h"
#include "gate.h"
#include "live.h"
#include "shell.h"

static int refuse(struct dm_target *ti, const char *wrong)
{
	ti->error = (char *)wrong;
	return -EINVAL;
}

static int get_live(struct cowp_live *live)
{
	struct dm_target *ti = live->ti;
	struct block_device *bdev;
	int r;

	r = dm_get_device(ti, live->line.live, dm_table_get_mode(ti->table), &live->dev);
	if (r) {
		ti->error = "Cannot open the live device: it must exist and not be in use";
		return r;
	}
	bdev = live->dev->bdev;
	if (bdev_is_zoned(bdev))
		return refuse(ti, "Live device is zoned: use a conventional one");
	if (bdev_logical_block_size(bdev) > COWP_BLOCK_SIZE)
		return refuse(ti, "Live device has logical blocks above 4 KiB: use another one");
	return 0;
}

/* What may come is no reason to refuse a table: it is a fault after the resume. */
static int get_diff(struct cowp_live *live)
{
	struct dm_target *ti = live->ti;
	struct cowp_leg *leg;
	int r;

	if (!cowp_line_has_diff(&live->line))
		return 0;
	r = dm_get_device(ti, live->line.diff, BLK_OPEN_READ | BLK_OPEN_WRITE, &live->diff_dev);
	if (r == -EBUSY) {
		ti->error = "Diff device is in use by something else: name this volume's";
		return r;
	}
	if (r) {
		live->diff_dev = NULL;
		DMWARN("%s: cannot open diff device %s (error %d): reload when it is there",
		       dm_table_device_name(ti->table), live->line.diff, r);
		return 0;
	}
	if (live->diff_dev->bdev == live->dev->bdev)
		return refuse(ti, "Live and diff device are the same: name two");
	if (bdev_is_zoned(live->diff_dev->bdev))
		return refuse(ti, "Diff device is zoned: use a conventional one");
	if (bdev_logical_block_size(live->diff_dev->bdev) > COWP_BLOCK_SIZE)
		return refuse(ti, "Diff device has logical blocks above 4 KiB: use another one");

	leg = cowp_leg_open(live->diff_dev->bdev->bd_dev, BLK_OPEN_READ | BLK_OPEN_WRITE);
	if (!IS_ERR(leg)) {
		live->diff = leg;
		return 0;
	}
	if (PTR_ERR(leg) == -EINTR) {
		ti->error = "Interrupted: try again";
		return -EINTR;
	}
	DMWARN("%s: diff device %s does not answer (error %ld): reload when it does",
	       dm_table_device_name(ti->table), live->line.diff, PTR_ERR(leg));
	return 0;
}

static const char *check_info(struct cowp_live *live, const struct cowp_area_info *info)
{
	const struct cowp_config *cfg = &live->line.cfg;

	if (info->chunk_blocks != cfg->chunk_blocks)
		return "Diff area has another chunk size: give the one that it was formatted with";
	if (info->snapshots && live->ti->len < info->live_sectors)
		return "Live volume is smaller than its snapshots: give it its recorded size";
	return NULL;
}

static u64 diff_blocks(struct cowp_live *live)
{
	return bdev_nr_sectors(live->diff_dev->bdev) / COWP_BLOCK_SECTORS;
}

static const char *check_area(struct cowp_live *live, enum cowp_area area,
			      const struct cowp_area_info *info)
{
	static const u8 none[sizeof(info->uuid)];
	const struct cowp_config *cfg = &live->line.cfg;

	if (area == COWP_AREA_FOREIGN)
		return "Diff device holds something else: name the right one, or wipe it";
	if (area == COWP_AREA_UNSUPPORTED)
		return "Diff area has an unknown version or features: load a newer module";
	if (cfg->have_uuid && memcmp(info->uuid, none, sizeof(none)) &&
	    memcmp(info->uuid, cfg->uuid, sizeof(none)))
		return "Diff area has another uuid: name the one that belongs to this volume";
	if (area == COWP_AREA_OURS)
		return check_info(live, info);
	/* Of an area that is there already the size is for recovery to judge. */
	if (cfg->format && area != COWP_AREA_CORRUPT &&
	    cowp_area_fits(cfg->chunk_blocks, diff_blocks(live)))
		return "Diff device is too small: take a larger one, or smaller chunks";
	return NULL;
}

/* An area that is in use already was looked at by its activation. */
static bool diff_in_use(struct cowp_live *live, struct cowp_port *p)
{
	struct cowp_leg *leg = p ? cowp_port_leg(p, COWP_DIFF) : NULL;
	bool same = leg && cowp_leg_bdev(leg) == cowp_leg_bdev(live->diff);

	cowp_leg_put(leg);
	return same;
}

static int look_at_diff(struct cowp_live *live, struct cowp_port *attached)
{
	struct cowp_area_info info = {};
	enum cowp_area area;
	const char *wrong;
	int r;

	if (!live->diff)
		return 0;
	if (!diff_in_use(live, attached)) {
		r = cowp_area_read(live->diff, &area, &info);
		if (r) {
			live->ti->error = r == -EINTR ? "Interrupted: try again" :
					  "No memory to read the diff area: free some";
			return r;
		}
		wrong = check_area(live, area, &info);
		if (wrong)
			return refuse(live->ti, wrong);
	}
	wrong = cowp_volume_claims(live->volume, live->diff->dev, info.uuid);
	return wrong ? refuse(live->ti, wrong) : 0;
}

static int check_attached(struct cowp_live *live, struct cowp_port *p)
{
	struct dm_target *ti = live->ti;

	if (p->chunk_shift != ilog2(live->line.cfg.chunk_blocks * COWP_BLOCK_SECTORS))
		return refuse(ti, "The volume is active with another chunk size: give that one");
	if (READ_ONCE(p->status->snapshots) && ti->len < READ_ONCE(p->live_sectors))
		return refuse(ti, "Live volume would be smaller than its snapshots: delete them");
	return 0;
}

/* What is short of memory now may have it later; this never will. */
static bool can_ever_fit(const struct cowp_config *cfg)
{
	struct cowp_budget b;

	cowp_budget(&b, cfg, 0);
	return b.total <= (u64)totalram_pages() << PAGE_SHIFT;
}

static int new_port(struct cowp_live *live)
{
	struct cowp_config *cfg = &live->line.cfg;
	struct cowp_port *p;
	struct cowp_leg *leg;

	cfg->live_sectors = live->ti->len;
	if (!can_ever_fit(cfg))
		return refuse(live->ti, "cache_kib: more than this machine's memory: give less");
	leg = cowp_leg_open(live->dev->bdev->bd_dev, BLK_OPEN_READ);
	if (IS_ERR(leg)) {
		live->ti->error = "Live device does not answer: repair it and try again";
		return PTR_ERR(leg);
	}
	cfg->live_block_sectors = bdev_logical_block_size(live->dev->bdev) >> SECTOR_SHIFT;
	if (live->diff)
		cfg->diff_block_sectors =
			bdev_logical_block_size(live->diff_dev->bdev) >> SECTOR_SHIFT;
	if (cfg->format && !cfg->have_uuid)
		generate_random_uuid(cfg->uuid);
	p = cowp_port_new(live->volume, cfg, leg);
	if (IS_ERR(p)) {
		cowp_leg_put(leg);
		live->ti->error = "No memory for the volume: free some, or reduce cache_kib";
		return PTR_ERR(p);
	}
	p->error_if_blocked = live->line.error_if_blocked;
	live->port = p;
	return 0;
}

static int get_port(struct cowp_live *live)
{
	struct cowp_port *p = cowp_volume_attached(live->volume);
	int r;

	r = look_at_diff(live, p);
	if (!r && p)
		r = check_attached(live, p);
	if (!r && !p)
		return new_port(live);
	if (r)
		cowp_port_put(p);
	else
		live->port = p;
	return r;
}

static void live_free(struct cowp_live *live)
{
	cowp_port_put(live->port);
	if (live->volume)
		cowp_volume_leave(live->volume);
	cowp_leg_put(live->diff);
	if (live->diff_dev)
		dm_put_device(live->ti, live->diff_dev);
	if (live->dev)
		dm_put_device(live->ti, live->dev);
	cowp_line_free(&live->line);
	kfree(live);
}

static void set_target(struct dm_target *ti, const struct cowp_line *line)
{
	ti->num_flush_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->num_secure_erase_bios = 1;
	ti->num_discard_bios = line->discard_passdown ? 1 : 0;
	ti->per_io_data_size = sizeof(struct cowp_live_io);
	ti->accounts_remapped_io = true;
}

static int live_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct cowp_live *live;
	int r;

	if (ti->begin)
		return refuse(ti, "A live volume begins at sector 0 of its device: give start 0");
	live = kzalloc(sizeof(*live), GFP_KERNEL);
	if (!live) {
		ti->error = "No memory for the target: free some";
		return -ENOMEM;
	}
	live->ti = ti;
	r = cowp_line_parse(&live->line, argc, argv, &ti->error);
	if (r) {
		kfree(live);
		return r;
	}
	r = get_live(live);
	if (r)
		goto bad;
	live->volume = cowp_volume_join(live->dev->bdev->bd_dev);
	if (!live->volume) {
		ti->error = "No memory for the volume: free some";
		r = -ENOMEM;
		goto bad;
	}
	r = get_diff(live);
	if (r)
		goto bad;
	r = get_port(live);
	if (r)
		goto bad;
	set_target(ti, &live->line);
	ti->private = live;
	return 0;
bad:
	live_free(live);
	return r;
}

static void live_dtr(struct dm_target *ti)
{
	struct cowp_live *live = ti->private;

	cowp_event_detach(live->volume, ti);
	live_free(live);
}

static int live_map(struct dm_target *ti, struct bio *bio)
{
	struct cowp_live *live = ti->private;

	bio_set_dev(bio, live->dev->bdev);
	return cowp_gate_map(live->port, ti, bio);
}

static int live_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	cowp_gate_done(bio);
	return DM_ENDIO_DONE;
}

/*
 * A noflush suspend gets back whatever waits, or it would wait for a repair.
 * A plain suspend has to wait: only noflush lets bios be given back.
 */
static void live_presuspend(struct dm_target *ti)
{
	struct cowp_live *live = ti->private;

	if (dm_noflush_suspending(ti))
		cowp_port_flag(live->port, COWP_PORT_REQUEUE);
}

static void live_presuspend_undo(struct dm_target *ti)
{
	struct cowp_live *live = ti->private;

	clear_bit(COWP_PORT_REQUEUE, &live->port->flags);
	cowp_port_flag(live->port, COWP_PORT_REGATE);
}

static void begin(struct cowp_live *live)
{
	struct cowp_port *p = live->port;

	p->live_sectors = live->ti->len;
	if (live->diff)
		cowp_port_set_diff(p, cowp_leg_get(live->diff));
	p->table_error_if_blocked = live->line.error_if_blocked;
	cowp_port_flag(p, COWP_PORT_START);
}

/* What differs from the table before; what messages have set since stays. */
static void go_on(struct cowp_live *live)
{
	struct cowp_port *p = live->port;
	struct cowp_leg *old = cowp_port_leg(p, COWP_DIFF);
	struct block_device *was = old ? cowp_leg_bdev(old) : NULL;
	struct block_device *is = live->diff ? cowp_leg_bdev(live->diff) : NULL;

	cowp_leg_put(old);
	if (was != is)
		cowp_port_set_diff(p, live->diff ? cowp_leg_get(live->diff) : NULL);
	if (p->live_sectors != live->ti->len) {
		WRITE_ONCE(p->live_sectors, live->ti->len);
		cowp_port_set_sectors(p, live->ti->len);
	}
	cowp_port_tune(p, &live->line.cfg);
	if (p->table_error_if_blocked != live->line.error_if_blocked) {
		p->table_error_if_blocked = live->line.error_if_blocked;
		WRITE_ONCE(p->error_if_blocked, live->line.error_if_blocked);
		cowp_port_flag(p, COWP_PORT_REGATE);
	}
}

static int live_preresume(struct dm_target *ti)
{
	struct cowp_live *live = ti->private;
	struct cowp_port *old = live->port;
	struct cowp_port *p;
	bool first;

	p = cowp_volume_activate(live->volume, old, live->diff ? live->diff->dev : 0, &first);
	if (IS_ERR(p)) {
		DMERR("%s: diff device belongs to another live volume: load a table with its own",
		      dm_table_device_name(ti->table));
		return PTR_ERR(p);
	}
	spin_lock_irq(&live->volume->port_lock);
	live->port = p;
	spin_unlock_irq(&live->volume->port_lock);
	cowp_port_put(old);
	cowp_event_attach(live->volume, ti);
	if (first)
		begin(live);
	else
		go_on(live);
	clear_bit(COWP_PORT_REQUEUE, &p->flags);
	cowp_port_flag(p, COWP_PORT_REGATE);
	return 0;
}

/*
 * The live device alone: the diff device's limits are none of the mapped
 * device's business.
 */
static int live_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct cowp_live *live = ti->private;

	return fn(ti, live->dev, 0, ti->len, data);
}

/* Smaller discards than a chunk are taken; larger ones save work. */
static void live_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct cowp_live *live = ti->private;

	if (live->line.discard_passdown)
		limits->discard_granularity =
			max_t(unsigned int, limits->discard_granularity,
			      live->line.cfg.chunk_blocks * COWP_BLOCK_SIZE);
}

struct target_type cowp_live_target = {
	.name = COWP_TARGET,
	.version = COWP_TARGET_VERSION,
	.features = DM_TARGET_SINGLETON,
	.module = THIS_MODULE,
	.ctr = live_ctr,
	.dtr = live_dtr,
	.map = live_map,
	.end_io = live_end_io,
	.presuspend = live_presuspend,
	.presuspend_undo = live_presuspend_undo,
	.preresume = live_preresume,
	.status = cowp_live_status,
	.message = cowp_live_message,
	.iterate_devices = live_iterate_devices,
	.io_hints = live_io_hints,
};
