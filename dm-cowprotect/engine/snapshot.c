// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: creation without a suspend, deletion by manifest.
 *
 * Creation: shut the gate; wait for the writes that are already on their way
 * to the live device; flush it, or an acknowledged write that the snapshot
 * shows could be lost with the power; make an epoch record durable in the log;
 * from then on the epoch is the current one.
 *
 * Deletion: the snapshot is `deleting`, and still preserved for, until the
 * manifest without it is durable.  A crash before that brings it back whole.
 */
#include "internal.h"

u32 cowp_snapshot_oldest(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < eng->snapshot_count; i++)
		if (!eng->snapshots[i].deleting)
			return eng->snapshots[i].id;
	return COWP_MAX_EPOCH + 1;
}

struct cowp_snapshot *cowp_snapshot_find(struct cowp_engine *eng, u32 id)
{
	u32 i;

	for (i = 0; i < eng->snapshot_count; i++)
		if (eng->snapshots[i].id == id)
			return &eng->snapshots[i];
	return NULL;
}

/* Ids grow, so the table stays in their order. */
void cowp_snapshot_add(struct cowp_engine *eng, const struct cowp_snapshot *s)
{
	eng->snapshots[eng->snapshot_count++] = *s;
}

/* ---- creation ---- */

static bool may_create(struct cowp_engine *eng)
{
	return eng->phase == COWP_PHASE_ACTIVE || eng->phase == COWP_PHASE_NONE;
}

static void create_ended(struct cowp_engine *eng, int error)
{
	struct cowp_create *c = &eng->create;
	struct cowp_msg *msg = c->msg;

	c->step = COWP_CREATE_IDLE;
	c->msg = NULL;
	cowp_gate_update(eng);
	if (msg)
		port_msg_done(eng->port, msg, error);
	eng->again = true;
}

static void start_create(struct cowp_engine *eng, struct cowp_msg *msg)
{
	struct cowp_create *c = &eng->create;
	int error = 0;

	if (!may_create(eng))
		error = -EIO;
	else if (eng->snapshot_count == COWP_MAX_SNAPSHOTS)
		error = -ENOSPC;
	else if (eng->epoch == COWP_MAX_EPOCH)
		error = -EOVERFLOW;
	if (error) {
		port_msg_done(eng->port, msg, error);
		return;
	}
	c->msg = msg;
	c->error = 0;
	c->step = COWP_CREATE_DRAIN;
	memset(&c->snapshot, 0, sizeof(c->snapshot));
	c->snapshot.id = eng->epoch + 1;
	c->snapshot.created = port_real_seconds();
	c->snapshot.live_sectors = eng->live_sectors;
	memcpy(c->snapshot.label, msg->label, sizeof(c->snapshot.label));
	cowp_gate_update(eng);
}

/* Carry out a message, after those that came before. */
void cowp_snapshot_create(struct cowp_engine *eng, struct cowp_msg *msg)
{
	list_add_tail(&msg->node, &eng->create.queue);
}

/* Nobody waits any more.  What is being written ends as it will, unheard. */
void cowp_snapshot_create_cancel(struct cowp_engine *eng)
{
	eng->create.msg = NULL;
	if (eng->create.step != COWP_CREATE_WRITING)
		eng->create.error = -EINTR;
}

void cowp_snapshot_flushed(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_create *c = &eng->create;

	if (io->error && !c->error)
		c->error = io->error;
	c->step = COWP_CREATE_RECORD;
}

static void start_flush(struct cowp_engine *eng)
{
	struct cowp_create *c = &eng->create;

	if (!(port_caps(eng->port, COWP_LIVE) & COWP_CAP_CACHE)) {
		c->step = COWP_CREATE_RECORD;
		return;
	}
	c->step = COWP_CREATE_FLUSH;
	cowp_submit(eng, c->flush);
}

static void start_record(struct cowp_engine *eng)
{
	struct cowp_create *c = &eng->create;
	int error = cowp_log_epoch(eng, c);

	if (!error)
		c->step = COWP_CREATE_WRITING;
	else if (error != -EAGAIN)
		c->error = error;
}

void cowp_snapshot_run(struct cowp_engine *eng)
{
	struct cowp_create *c = &eng->create;

	while (c->step == COWP_CREATE_IDLE && !list_empty(&c->queue)) {
		struct cowp_msg *msg = list_first_entry(&c->queue, struct cowp_msg, node);

		list_del_init(&msg->node);
		start_create(eng, msg);
	}
	if (c->step == COWP_CREATE_IDLE || c->step == COWP_CREATE_WRITING ||
	    c->step == COWP_CREATE_FLUSH)
		return;
	if (!c->error && !may_create(eng))
		c->error = -EIO;
	if (!c->error && c->msg && c->msg->deadline && eng->now >= c->msg->deadline)
		c->error = -ETIMEDOUT;
	if (!c->error && c->step == COWP_CREATE_DRAIN && cowp_gate_idle(&eng->fast.gate))
		start_flush(eng);
	if (!c->error && c->step == COWP_CREATE_RECORD)
		start_record(eng);
	if (c->error && c->step != COWP_CREATE_WRITING)
		create_ended(eng, c->error);
}

/*
 * cowp_snapshot_recorded - the epoch record is durable, or its batch failed
 *
 * If it failed it may have landed all the same, so the epoch is current and
 * used up either way, and the snapshot exists as one that is being deleted: a
 * crash now may find it, and must then find it whole.
 */
void cowp_snapshot_recorded(struct cowp_engine *eng, struct cowp_create *c, int error)
{
	c->snapshot.deleting = error;
	eng->epoch = c->snapshot.id;
	WRITE_ONCE(eng->fast.epoch, eng->epoch);
	cowp_snapshot_add(eng, &c->snapshot);
	cowp_reclaim_changed(eng, false);
	if (error)
		cowp_checkpoint_want(eng, true);
	else if (c->msg)
		c->msg->id = c->snapshot.id;
	/* The phase first: the gate must not open wide for a moment. */
	cowp_event(eng, COWP_EVENT_FIRST_SNAPSHOT, 0);
	create_ended(eng, error);
}

/* ---- deletion ---- */

/* Carry out a message; the machine has allowed it. */
void cowp_snapshot_delete(struct cowp_engine *eng, struct cowp_msg *msg)
{
	struct cowp_snapshot *s = cowp_snapshot_find(eng, msg->id);

	if (!s) {
		port_msg_done(eng->port, msg, -ENOENT);
		return;
	}
	/* What is dead without it may be merged from now on. */
	eng->index.reclaim.look = true;
	/* Only without the oldest does anything become free by a run. */
	cowp_checkpoint_want(eng, s->id == cowp_snapshot_oldest(eng));
	s->deleting = true;
	list_add_tail(&msg->node, &eng->cp.waiting);
}

/* A manifest is durable: those that it left out are gone. */
void cowp_snapshots_committed(struct cowp_engine *eng)
{
	bool dead = false;
	u32 i, n = 0;

	for (i = 0; i < eng->snapshot_count; i++) {
		/* With an older one behind it: its epoch tells nothing. */
		dead |= eng->snapshots[i].leaving && n;
		if (!eng->snapshots[i].leaving)
			eng->snapshots[n++] = eng->snapshots[i];
	}
	if (n == eng->snapshot_count)
		return;
	eng->snapshot_count = n;
	cowp_reclaim_changed(eng, dead);
	if (!n)
		cowp_event(eng, COWP_EVENT_LAST_SNAPSHOT_GONE, 0);
}
