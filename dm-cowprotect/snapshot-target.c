// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cowprotect-snap target: a snapshot as a read-only device.
 *
 *	<live dev> <diff dev> <snapshot id>
 *
 * The diff device is looked at here and now only: the volume may have another
 * one later, and the snapshot follows it.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include "bounce.h"
#include "shell.h"
#include "snapshot.h"
#include "worker.h"

struct find_request {
	struct cowp_request request;
	u32 id;
	struct cowp_snapshot found;
	bool recovering;
};

static void find_fn(struct cowp_port *p, struct cowp_request *r)
{
	struct find_request *f = container_of(r, struct find_request, request);
	const struct cowp_snapshot *table;
	u32 i, count;

	f->recovering = !p->started || p->status->state == COWP_STATE_RECOVERING;
	if (f->recovering || p->retired)
		return;
	count = cowp_engine_snapshots(p->eng, &table);
	for (i = 0; i < count; i++)
		if (table[i].id == f->id)
			f->found = table[i];
}

static int check_found(struct dm_target *ti, const struct find_request *f)
{
	if (f->recovering)
		return 0;
	if (!f->found.id) {
		ti->error = "There is no such snapshot: send list to the live volume";
		return -ENOENT;
	}
	if (f->found.deleting) {
		ti->error = "Snapshot is being deleted: send list for those that stay";
		return -EBUSY;
	}
	if (ti->len > f->found.live_sectors) {
		ti->error = "Snapshot is shorter than this table: give it the size that list shows";
		return -EINVAL;
	}
	return 0;
}

static int find_snapshot(struct dm_target *ti, struct cowp_port *p, u32 id)
{
	struct find_request f = { .request.fn = find_fn, .id = id };
	int r = cowp_port_call(p, &f.request);

	if (r) {
		ti->error = "Interrupted: try again";
		return r;
	}
	return check_found(ti, &f);
}

static bool same_diff(struct cowp_port *p, const char *name)
{
	struct cowp_leg *leg = cowp_port_leg(p, COWP_DIFF);
	unsigned int major, minor;
	char dummy;
	dev_t dev = 0;
	bool same;

	/* An absent diff device may have any name, or none. */
	if (!leg)
		return true;
	if (sscanf(name, "%u:%u%c", &major, &minor, &dummy) == 2)
		dev = MKDEV(major, minor);
	else if (lookup_bdev(name, &dev))
		dev = 0;
	same = dev == leg->dev;
	cowp_leg_put(leg);
	return same;
}

static int get_reader(struct dm_target *ti, struct cowp_snap *s, struct cowp_port *p)
{
	struct cowp_reader *r;

	r = cowp_reader_new((1U << p->chunk_shift) / COWP_BLOCK_SECTORS, s->volume->dev);
	if (!r) {
		ti->error = "No memory for snapshot reads: free some";
		return -ENOMEM;
	}
	cowp_volume_reader(s->volume, r);
	return 0;
}

static int attach(struct dm_target *ti, struct cowp_snap *s)
{
	struct cowp_port *p = cowp_volume_port(s->volume);
	int r;

	if (!p) {
		ti->error = "Live volume is not active: activate it first";
		return -ENXIO;
	}
	if (same_diff(p, s->diff_name)) {
		r = find_snapshot(ti, p, s->open.id);
		if (!r)
			r = get_reader(ti, s, p);
	} else {
		ti->error = "Diff device is not the live volume's: name the one in its table";
		r = -EINVAL;
	}
	cowp_port_put(p);
	return r;
}

static void snap_free(struct dm_target *ti, struct cowp_snap *s)
{
	if (!IS_ERR_OR_NULL(s->volume))
		cowp_volume_close_snapshot(s->volume, &s->open);
	if (s->dev)
		dm_put_device(ti, s->dev);
	kfree(s->diff_name);
	kfree(s);
}

static int snap_open(struct dm_target *ti, struct cowp_snap *s, char **argv)
{
	int r;

	if (kstrtou32(argv[2], 10, &s->open.id) || !s->open.id ||
	    s->open.id > COWP_MAX_EPOCH) {
		ti->error = "Snapshot id: expected a number that list shows";
		return -EINVAL;
	}
	r = dm_get_device(ti, argv[0], BLK_OPEN_READ, &s->dev);
	if (r) {
		ti->error = "Cannot open the live device: name the raw one under the volume";
		return r;
	}
	s->diff_name = kstrdup(argv[1], GFP_KERNEL);
	if (!s->diff_name) {
		ti->error = "No memory for the target: free some";
		return -ENOMEM;
	}
	s->volume = cowp_volume_open_snapshot(s->dev->bdev->bd_dev, &s->open, &ti->error);
	if (IS_ERR(s->volume))
		return PTR_ERR(s->volume);
	return attach(ti, s);
}

static int snap_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct cowp_snap *s;
	int r;

	if (argc != 3) {
		ti->error = "Expected three words: <live dev> <diff dev> <snapshot id>";
		return -EINVAL;
	}
	if (ti->begin) {
		ti->error = "A snapshot begins at sector 0 of its device: give start 0";
		return -EINVAL;
	}
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s) {
		ti->error = "No memory for the target: free some";
		return -ENOMEM;
	}
	r = snap_open(ti, s, argv);
	if (r) {
		snap_free(ti, s);
		return r;
	}
	ti->num_flush_bios = 1;
	ti->per_io_data_size = sizeof(struct cowp_snap_io);
	ti->private = s;
	return 0;
}

static void snap_dtr(struct dm_target *ti)
{
	snap_free(ti, ti->private);
}

static int snap_map(struct dm_target *ti, struct bio *bio)
{
	struct cowp_snap *s = ti->private;

	if (bio_op(bio) == REQ_OP_READ)
		return cowp_snapshot_read(s, ti, bio);
	/* Nothing is written here, so nothing has to be made durable. */
	if (!bio_sectors(bio)) {
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}
	return DM_MAPIO_KILL;
}

static void snap_presuspend(struct dm_target *ti)
{
	struct cowp_snap *s = ti->private;

	if (!dm_noflush_suspending(ti))
		return;
	WRITE_ONCE(s->requeue, true);
	cowp_snapshot_give_back(s);
}

static void snap_presuspend_undo(struct dm_target *ti)
{
	struct cowp_snap *s = ti->private;

	WRITE_ONCE(s->requeue, false);
}

static int snap_preresume(struct dm_target *ti)
{
	struct cowp_snap *s = ti->private;

	WRITE_ONCE(s->requeue, false);
	return 0;
}

/*
 * INFO is the state of the live volume, as "recovering", "active" and so on:
 * whoever wants more asks the live volume.
 */
static void snap_status(struct dm_target *ti, status_type_t type, unsigned int flags,
			char *result, unsigned int maxlen)
{
	struct cowp_snap *s = ti->private;
	struct cowp_port *p;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		p = cowp_volume_port(s->volume);
		DMEMIT("%s", p ? cowp_state_words[READ_ONCE(p->status->state)] : "-");
		cowp_port_put(p);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %s %u", s->dev->name, s->diff_name, s->open.id);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",live_device=%s,diff_device=%s,snapshot_id=%u;", s->dev->name,
		       s->diff_name, s->open.id);
		break;
	}
}

static int snap_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct cowp_snap *s = ti->private;

	return fn(ti, s->dev, 0, ti->len, data);
}

struct target_type cowp_snapshot_target = {
	.name = COWP_SNAPSHOT_TARGET,
	.version = COWP_TARGET_VERSION,
	.module = THIS_MODULE,
	.ctr = snap_ctr,
	.dtr = snap_dtr,
	.map = snap_map,
	.presuspend = snap_presuspend,
	.presuspend_undo = snap_presuspend_undo,
	.preresume = snap_preresume,
	.status = snap_status,
	.iterate_devices = snap_iterate_devices,
};
