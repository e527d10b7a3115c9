// SPDX-License-Identifier: GPL-2.0-only
/*
 * Volumes: who they are, who uses them, when they end.  See volume.h.
 *
 * cowp_volumes_lock is taken by constructors, destructors, resumes and the
 * module's own work.  A resume holds up I/O, so nothing may allocate or wait
 * for a device while it has the lock.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include "bounce.h"
#include "shell.h"
#include "worker.h"

/*
 * How long a destructor waits for the closing checkpoint, so that whoever
 * removed the device finds the devices below free.  The checkpoint itself has
 * no limit here; with a hung diff device it goes on behind the destructor.
 */
#define LEAVE_SECONDS	5

static DEFINE_MUTEX(cowp_volumes_lock);
static LIST_HEAD(cowp_volumes);

static void volume_release(struct kref *ref)
{
	struct cowp_volume *v = container_of(ref, struct cowp_volume, ref);

	list_del(&v->list);
	mutex_unlock(&cowp_volumes_lock);

	cowp_reader_free(v->reader);
	kfree(v);
	module_put(THIS_MODULE);
}

/**
 * cowp_volume_put - drop a reference
 * @v:		the volume
 *
 * May sleep.
 */
void cowp_volume_put(struct cowp_volume *v)
{
	kref_put_mutex(&v->ref, volume_release, &cowp_volumes_lock);
}

/* An activation that nobody needs: hand the volume's reference to the worker. */
static void retire(struct cowp_volume *v, struct cowp_port *p)
{
	atomic_inc(&v->old_ports);
	cowp_port_flag(p, COWP_PORT_RETIRE);
}

static void set_port(struct cowp_volume *v, struct cowp_port *p)
{
	unsigned long flags;

	spin_lock_irqsave(&v->port_lock, flags);
	v->port = p;
	spin_unlock_irqrestore(&v->port_lock, flags);
}

static void reap_work(struct work_struct *work)
{
	struct cowp_volume *v = container_of(work, struct cowp_volume, reap);
	struct cowp_port *p;

	mutex_lock(&cowp_volumes_lock);
	p = v->port;
	if (p && v->closing && !v->targets && !v->snapshots && READ_ONCE(p->closed)) {
		set_port(v, NULL);
		v->closing = false;
		retire(v, p);
	}
	mutex_unlock(&cowp_volumes_lock);
	wake_up_all(&v->idle);
	cowp_volume_put(v);
}

static void reap(struct cowp_volume *v)
{
	kref_get(&v->ref);
	if (!queue_work(cowp_wq, &v->reap))
		cowp_volume_put(v);
}

static struct cowp_volume *volume_find(dev_t dev)
{
	struct cowp_volume *v;

	list_for_each_entry(v, &cowp_volumes, list)
		if (v->dev == dev)
			return v;
	return NULL;
}

static struct cowp_volume *volume_new(dev_t dev)
{
	struct cowp_volume *v = kzalloc(sizeof(*v), GFP_KERNEL);

	if (!v)
		return NULL;
	kref_init(&v->ref);
	v->dev = dev;
	INIT_LIST_HEAD(&v->opens);
	INIT_LIST_HEAD(&v->deletes);
	init_waitqueue_head(&v->idle);
	spin_lock_init(&v->port_lock);
	mutex_init(&v->event_lock);
	INIT_WORK(&v->reap, reap_work);
	INIT_DELAYED_WORK(&v->event, cowp_event_work);
	snprintf(v->name, sizeof(v->name), "%u:%u", MAJOR(dev), MINOR(dev));
	return v;
}

/**
 * cowp_volume_join - a live target comes
 * @dev:	number of its live device
 *
 * May sleep.  Returns the volume, new or not, which counts the target until
 * cowp_volume_leave(); NULL when there is no memory.
 */
struct cowp_volume *cowp_volume_join(dev_t dev)
{
	struct cowp_volume *new = volume_new(dev);
	struct cowp_volume *v;

	if (!new)
		return NULL;
	mutex_lock(&cowp_volumes_lock);
	v = volume_find(dev);
	if (v) {
		kref_get(&v->ref);
	} else {
		v = new;
		new = NULL;
		__module_get(THIS_MODULE);
		list_add(&v->list, &cowp_volumes);
	}
	v->targets++;
	mutex_unlock(&cowp_volumes_lock);
	kfree(new);
	return v;
}

static bool released(struct cowp_volume *v)
{
	struct cowp_port *p;
	bool yes;

	/* Of the pointer only; the activation itself may go at any time. */
	spin_lock_irq(&v->port_lock);
	p = v->port;
	yes = p ? READ_ONCE(p->closed) && v->snapshots : !atomic_read(&v->old_ports);
	spin_unlock_irq(&v->port_lock);
	return yes;
}

/**
 * cowp_volume_leave - a live target goes
 * @v:		the volume
 *
 * May sleep: with the last live target the volume is closed, and for that this
 * waits some seconds, but not for a device that hangs longer.
 */
void cowp_volume_leave(struct cowp_volume *v)
{
	bool closing = false;

	mutex_lock(&cowp_volumes_lock);
	if (!--v->targets && v->port && !v->closing) {
		v->closing = true;
		closing = true;
		cowp_port_flag(v->port, COWP_PORT_CLOSE);
	}
	mutex_unlock(&cowp_volumes_lock);
	if (closing)
		wait_event_killable_timeout(v->idle, released(v), LEAVE_SECONDS * HZ);
	cowp_volume_put(v);
}

/**
 * cowp_volume_port_closed - an activation's closing checkpoint has ended
 * @v:		the volume
 *
 * Worker.
 */
void cowp_volume_port_closed(struct cowp_volume *v)
{
	reap(v);
}

/**
 * cowp_volume_port_gone - an old activation has let go of its devices
 * @v:		the volume
 *
 * May sleep.
 */
void cowp_volume_port_gone(struct cowp_volume *v)
{
	struct cowp_port *p;

	atomic_dec(&v->old_ports);
	wake_up_all(&v->idle);
	/* The one that came after it waits for the diff device. */
	p = cowp_volume_port(v);
	if (p) {
		cowp_port_kick(p);
		cowp_port_put(p);
	}
}

/**
 * cowp_volume_port - the activation that counts
 * @v:		the volume
 *
 * Any context.  Returns it with a reference, or NULL.
 */
struct cowp_port *cowp_volume_port(struct cowp_volume *v)
{
	struct cowp_port *p;
	unsigned long flags;

	spin_lock_irqsave(&v->port_lock, flags);
	p = v->port;
	if (p)
		cowp_port_get(p);
	spin_unlock_irqrestore(&v->port_lock, flags);
	return p;
}

/**
 * cowp_volume_attached - the activation that a reloaded table goes on with
 * @v:		the volume
 *
 * May sleep.  Returns it with a reference; NULL if there is none, or only one
 * that is being closed.
 */
struct cowp_port *cowp_volume_attached(struct cowp_volume *v)
{
	struct cowp_port *p = NULL;

	mutex_lock(&cowp_volumes_lock);
	if (v->port && !v->closing)
		p = cowp_port_get(v->port);
	mutex_unlock(&cowp_volumes_lock);
	return p;
}

/* Does another volume have the diff device, or is it about to let go of it? */
static bool diff_taken(struct cowp_volume *v, dev_t diff)
{
	struct cowp_volume *o;

	list_for_each_entry(o, &cowp_volumes, list)
		if (o != v && diff && o->diff == diff && (o->port || atomic_read(&o->old_ports)))
			return true;
	return false;
}

/**
 * cowp_volume_activate - a live target is resumed
 * @v:		the volume
 * @pending:	the activation that its constructor made, or found
 * @diff:	number of its diff device, 0 for none
 * @first:	out: @pending is the volume's activation from now on
 *
 * May sleep.  Returns the activation to use, with a reference of its own:
 * @pending, or the one that another table has brought meanwhile.  ERR_PTR(-EBUSY)
 * if another volume has the diff device: constructors cannot tell, as theirs may
 * all come before the first resume.
 */
struct cowp_port *cowp_volume_activate(struct cowp_volume *v, struct cowp_port *pending,
				       dev_t diff, bool *first)
{
	struct cowp_port *p;

	mutex_lock(&cowp_volumes_lock);
	if (diff_taken(v, diff)) {
		mutex_unlock(&cowp_volumes_lock);
		return ERR_PTR(-EBUSY);
	}
	v->diff = diff;
	p = v->port;
	*first = !p || v->closing;
	if (*first) {
		if (p)
			retire(v, p);
		v->closing = false;
		set_port(v, cowp_port_get(pending));
		p = pending;
	}
	cowp_port_get(p);
	mutex_unlock(&cowp_volumes_lock);
	return p;
}

/**
 * cowp_volume_claims - does another volume have the diff area?
 * @v:		the volume that wants it
 * @diff:	number of the diff device
 * @uuid:	of the area, NULL if unknown
 *
 * May sleep.  Returns NULL or what is wrong.
 */
const char *cowp_volume_claims(struct cowp_volume *v, dev_t diff, const u8 *uuid)
{
	static const u8 none[16];
	const char *wrong = NULL;
	struct cowp_volume *o;

	mutex_lock(&cowp_volumes_lock);
	if (diff_taken(v, diff))
		wrong = "Diff device belongs to another live volume: name this one's";
	list_for_each_entry(o, &cowp_volumes, list) {
		struct cowp_port *p = o == v ? NULL : cowp_volume_port(o);

		if (p && !wrong && uuid && memcmp(uuid, none, 16) &&
		    !memcmp(uuid, cowp_engine_uuid(p->eng), 16))
			wrong = "Diff area belongs to another live volume: name this one's";
		cowp_port_put(p);
	}
	mutex_unlock(&cowp_volumes_lock);
	return wrong;
}

/**
 * cowp_volume_open_snapshot - a snapshot target comes
 * @dev:	number of the live device
 * @o:		its claim, with the id set
 * @error:	out: what is wrong
 *
 * May sleep.  Returns the volume, which counts the target until
 * cowp_volume_close_snapshot(), or an ERR_PTR.
 */
struct cowp_volume *cowp_volume_open_snapshot(dev_t dev, struct cowp_open_snapshot *o,
					      char **error)
{
	struct cowp_volume *v;
	struct cowp_delete *d;

	mutex_lock(&cowp_volumes_lock);
	v = volume_find(dev);
	if (!v || !v->port) {
		*error = "Live volume is not active: activate it first";
		v = ERR_PTR(-ENXIO);
		goto out;
	}
	list_for_each_entry(d, &v->deletes, list) {
		if (d->id == o->id) {
			*error = "Snapshot is being deleted";
			v = ERR_PTR(-EBUSY);
			goto out;
		}
	}
	kref_get(&v->ref);
	v->snapshots++;
	list_add(&o->list, &v->opens);
out:
	mutex_unlock(&cowp_volumes_lock);
	return v;
}

/**
 * cowp_volume_close_snapshot - a snapshot target goes
 * @v:		the volume
 * @o:		its claim
 *
 * May sleep.
 */
void cowp_volume_close_snapshot(struct cowp_volume *v, struct cowp_open_snapshot *o)
{
	bool last;

	mutex_lock(&cowp_volumes_lock);
	list_del(&o->list);
	last = !--v->snapshots && !v->targets;
	mutex_unlock(&cowp_volumes_lock);
	if (last) {
		reap(v);
		wait_event_killable_timeout(v->idle, released(v), LEAVE_SECONDS * HZ);
	}
	cowp_volume_put(v);
}

/**
 * cowp_volume_reader - give the volume what snapshot reads need
 * @v:		the volume, with a snapshot target counted
 * @new:	for its chunk size; the volume's from now on, or freed
 *
 * May sleep.
 */
void cowp_volume_reader(struct cowp_volume *v, struct cowp_reader *new)
{
	struct cowp_reader *old = new;

	mutex_lock(&cowp_volumes_lock);
	/* With other snapshot targets there it is in use, and of the same size. */
	if (!v->reader || v->snapshots == 1)
		swap(v->reader, old);
	mutex_unlock(&cowp_volumes_lock);
	cowp_reader_free(old);
}

/**
 * cowp_volume_reader_bytes - memory that snapshot reads have
 * @v:		the volume
 *
 * May sleep, briefly.  Returns bytes.
 */
u64 cowp_volume_reader_bytes(struct cowp_volume *v)
{
	u64 bytes;

	mutex_lock(&cowp_volumes_lock);
	bytes = v->reader ? cowp_reader_bytes(v->reader) : 0;
	mutex_unlock(&cowp_volumes_lock);
	return bytes;
}

/**
 * cowp_volume_delete_begin - a snapshot is to be deleted
 * @v:		the volume
 * @d:		the claim, with the id set
 *
 * May sleep.  Returns 0, after which no snapshot target can be made of it until
 * cowp_volume_delete_end(); or -EBUSY: a table names it, or another deletion.
 */
int cowp_volume_delete_begin(struct cowp_volume *v, struct cowp_delete *d)
{
	struct cowp_open_snapshot *o;
	struct cowp_delete *other;
	int r = 0;

	mutex_lock(&cowp_volumes_lock);
	list_for_each_entry(o, &v->opens, list)
		if (o->id == d->id)
			r = -EBUSY;
	list_for_each_entry(other, &v->deletes, list)
		if (other->id == d->id)
			r = -EBUSY;
	if (!r)
		list_add(&d->list, &v->deletes);
	mutex_unlock(&cowp_volumes_lock);
	return r;
}

/**
 * cowp_volume_delete_end - the deletion has ended, well or not
 * @v:		the volume
 * @d:		its claim
 *
 * May sleep.
 */
void cowp_volume_delete_end(struct cowp_volume *v, struct cowp_delete *d)
{
	mutex_lock(&cowp_volumes_lock);
	list_del(&d->list);
	mutex_unlock(&cowp_volumes_lock);
}
