// SPDX-License-Identifier: GPL-2.0-only
/*
 * Telling userspace: a device-mapper event, a uevent and one line in the log
 * for every change of state.
 *
 * The worker only takes a note.  The telling allocates memory, and takes a
 * mutex that a table's destructor takes too, so it has work of its own, under
 * NOIO: an allocation that wrote back to the blocked volume would keep every
 * later event, and the destructor, waiting for the repair that they announce.
 * A uevent that there was no memory for is sent again until there is, or until
 * a newer one takes its place; the other two need none.
 */
#include <linux/kobject.h>
#include <linux/sched/mm.h>
#include "shell.h"
#include "worker.h"

#define RETRY_MS	1000U
#define BLOCKED		"blocked, I/O is held, the snapshots are safe"

/**
 * port_event - state, fault or mode changed
 * @p:		the activation
 *
 * Worker.
 */
void port_event(struct cowp_port *p)
{
	const struct cowp_status *s = p->status;
	struct cowp_event_note note = {
		.mode = s->mode,
		.state = s->state,
		.fault = s->fault,
		.marked = s->marked,
		.error = s->error,
		.detail = s->detail,
	};
	struct cowp_volume *v = p->volume;

	spin_lock_irq(&p->lock);
	/* With nobody reading for so long the newest are the ones that count. */
	if (p->event_head - p->event_tail == COWP_EVENT_RING)
		p->event_tail++;
	p->events[p->event_head++ % COWP_EVENT_RING] = note;
	spin_unlock_irq(&p->lock);

	/* What is held may have to fail from now on, or to go. */
	set_bit(COWP_PORT_REGATE, &p->flags);

	kref_get(&v->ref);
	/* One that waits for memory does not keep this one waiting. */
	if (mod_delayed_work(cowp_wq, &v->event, 0))
		cowp_volume_put(v);
}

static bool next_note(struct cowp_port *p, struct cowp_event_note *note)
{
	bool any;

	spin_lock_irq(&p->lock);
	any = p->event_tail != p->event_head;
	if (any)
		*note = p->events[p->event_tail++ % COWP_EVENT_RING];
	spin_unlock_irq(&p->lock);
	return any;
}

static void log_note(const char *name, const struct cowp_event_note *note)
{
	const char *mode = cowp_mode_words[note->mode];
	const char *state = cowp_state_words[note->state];
	const char *remedy = cowp_fault_remedies[note->fault];
	char fault[128];

	snprintf(fault, sizeof(fault), "fault %s (error %d%s%s)", cowp_fault_words[note->fault],
		 note->error, note->detail ? ", " : "", note->detail ?: "");
	if (note->state == COWP_STATE_LOST)
		DMERR("%s: snapshots given up%s, %s: send reset",
		      name, note->marked ? "" : " (not yet marked)", fault);
	else if (note->fault == COWP_FAULT_NONE)
		DMINFO("%s: %s, %s mode", name, state, mode);
	else if (note->state == COWP_STATE_BLOCKED)
		DMERR("%s: " BLOCKED "; %s: %s (cowprotect status %s tells more)",
		      name, fault, remedy, name);
	else
		DMWARN("%s: %s, %s mode, %s: %s", name, state, mode, fault, remedy);
}

static void send_uevent(struct cowp_volume *v)
{
	char state[40], fault[64];
	char *env[3] = { };
	struct gendisk *disk = dm_disk(dm_table_get_md(v->ti->table));

	snprintf(state, sizeof(state), "DM_COWPROTECT_STATE=%s",
		 cowp_state_words[v->untold_state]);
	snprintf(fault, sizeof(fault), "DM_COWPROTECT_FAULT=%s",
		 cowp_fault_words[v->untold_fault]);
	env[0] = state;
	env[1] = fault;
	v->untold = kobject_uevent_env(&disk_to_dev(disk)->kobj, KOBJ_CHANGE, env) == -ENOMEM;
}

static void send_note(struct cowp_volume *v, const struct cowp_event_note *note)
{
	v->untold_state = note->state;
	v->untold_fault = note->fault;
	send_uevent(v);
	dm_table_event(v->ti->table);
}

/* With the event lock. */
static void tell(struct cowp_volume *v, struct cowp_port *p)
{
	struct cowp_event_note note;
	bool old = v->untold;

	while (next_note(p, &note)) {
		log_note(v->name, &note);
		if (v->ti)
			send_note(v, &note);
		old = false;
	}
	if (old && v->ti)
		send_uevent(v);
}

static void tell_again(struct cowp_volume *v)
{
	kref_get(&v->ref);
	if (!queue_delayed_work(cowp_wq, &v->event, msecs_to_jiffies(RETRY_MS)))
		cowp_volume_put(v);
}

/**
 * cowp_event_work - tell what is to be told
 * @work:	cowp_volume.event, with a reference to the volume
 *
 * May sleep.
 */
void cowp_event_work(struct work_struct *work)
{
	struct cowp_volume *v = container_of(to_delayed_work(work), struct cowp_volume, event);
	struct cowp_port *p = cowp_volume_port(v);
	unsigned int noio;

	if (p) {
		noio = memalloc_noio_save();
		mutex_lock(&v->event_lock);
		tell(v, p);
		if (v->untold)
			tell_again(v);
		mutex_unlock(&v->event_lock);
		memalloc_noio_restore(noio);
		cowp_port_put(p);
	}
	cowp_volume_put(v);
}

/**
 * cowp_event_attach - send events through this target from now on
 * @v:		the volume
 * @ti:		a live target that is being resumed
 *
 * May sleep, briefly.
 */
void cowp_event_attach(struct cowp_volume *v, struct dm_target *ti)
{
	struct mapped_device *md = dm_table_get_md(ti->table);
	char name[DM_NAME_LEN];
	bool named = !dm_copy_name_and_uuid(md, name, NULL);

	mutex_lock(&v->event_lock);
	v->ti = ti;
	if (named)
		strscpy(v->name, name, sizeof(v->name));
	mutex_unlock(&v->event_lock);
}

/**
 * cowp_event_detach - the target goes away
 * @v:		the volume
 * @ti:		a live target
 *
 * May sleep, briefly.
 */
void cowp_event_detach(struct cowp_volume *v, struct dm_target *ti)
{
	mutex_lock(&v->event_lock);
	if (v->ti == ti) {
		v->ti = NULL;
		v->untold = false;
	}
	mutex_unlock(&v->event_lock);
}
