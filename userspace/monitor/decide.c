// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is to be done about a volume.
 *
 * It depends on how the volume is, not on how it came to be so: events may be
 * missed, and the daemon may have been started anew.
 */
#include "decide.h"

/* The device, or memory, may be there again; corruption and strangers stay. */
static bool may_heal(enum cowp_fault fault)
{
	switch (fault) {
	case COWP_FAULT_DIFF_AREA_MISSING:
	case COWP_FAULT_ONLINE_IO_FAILURE:
	case COWP_FAULT_MEMORY_ALLOCATION_FAILURE:
	case COWP_FAULT_COW_READ_FAILURE:
	case COWP_FAULT_COW_WRITE_FAILURE:
	case COWP_FAULT_IO_FAILURE:
	case COWP_FAULT_DIFF_AREA_REMOVED:
	case COWP_FAULT_TIMEOUT:
		return true;
	default:
		return false;
	}
}

static bool stands(const struct info *i)
{
	return i->fault != COWP_FAULT_NONE && i->state != COWP_STATE_LOST;
}

static bool wants_room(const struct policy *p, const struct info *i)
{
	bool asked = p->extend_percent || *p->extend_command;

	if (!asked || i->state == COWP_STATE_LOST || i->state == COWP_STATE_RECOVERING)
		return false;
	/* With another fault the diff device is not to be touched. */
	return i->fault == COWP_FAULT_DIFF_AREA_FULL ||
	       (i->fault == COWP_FAULT_NONE && i->low_water);
}

static bool wants_clear(const struct policy *p, const struct info *i)
{
	return p->retry_clear && may_heal(i->fault) &&
	       (i->state == COWP_STATE_BLOCKED || i->state == COWP_STATE_WAITING);
}

static void begin(struct wait *t, const struct policy *p, u64 now, u32 first)
{
	t->until = now + first;
	t->secs = p->retry_first_secs;
}

/* Is it time?  The next attempt is after twice the wait. */
static bool take_attempt(struct wait *t, const struct policy *p, u64 now)
{
	if (now < t->until)
		return false;
	t->until = now + t->secs;
	t->secs = min(2 * t->secs, p->retry_most_secs);
	return true;
}

static u32 tell(struct watch *w, const struct info *i)
{
	bool new_fault = i->fault != w->fault || !w->seen;
	bool new_state = i->state != w->state || !w->seen;
	u32 todo = 0;

	if (i->state == COWP_STATE_LOST && new_state)
		todo |= DECIDE_TELL_LOST | DECIDE_HOOK;
	else if (stands(i) && (new_fault || w->state == COWP_STATE_LOST))
		todo |= DECIDE_TELL_FAULT | DECIDE_HOOK;
	else if (w->seen && !i->fault && i->state != COWP_STATE_RECOVERING &&
		 (w->fault || w->state == COWP_STATE_LOST) && i->state != COWP_STATE_LOST)
		todo |= DECIDE_TELL_WELL;
	if (i->low_water && (!w->low_water || !w->seen))
		todo |= DECIDE_TELL_LOW;
	return todo;
}

/* What the disk has to say of the volume if the machine ends now */
static u32 decide_witness(struct watch *w, const struct policy *p, const struct info *i, u64 now)
{
	enum witness_due due = witness_due(w->witness, i->state, i->mark);
	u32 todo = 0;

	if (w->witness == WITNESS_UNHEARD && !w->unheard)
		todo |= DECIDE_TELL_UNHEARD;
	w->unheard = w->witness == WITNESS_UNHEARD;
	if (due != w->due)
		begin(&w->record, p, now, 0);
	w->due = due;
	if (due != WITNESS_KEEP && take_attempt(&w->record, p, now))
		todo |= due == WITNESS_WRITE ? DECIDE_WRITE : DECIDE_REMOVE;
	return todo;
}

u32 decide(struct watch *w, const struct policy *p, const struct info *i, u64 now)
{
	/* While the area is read again the fault is not over. */
	bool known = !w->seen || i->state != COWP_STATE_RECOVERING;
	bool new_fault = !w->seen || (known && i->fault != w->fault);
	u32 todo = tell(w, i) | decide_witness(w, p, i, now);

	if (new_fault)
		begin(&w->clear, p, now, p->retry_first_secs);
	if ((new_fault && i->fault == COWP_FAULT_DIFF_AREA_FULL) ||
	    (i->low_water && !w->low_water))
		begin(&w->extend, p, now, 0);
	if (known) {
		w->state = i->state;
		w->fault = i->fault;
	}
	w->low_water = i->low_water;
	w->seen = true;

	if (wants_room(p, i) && take_attempt(&w->extend, p, now))
		todo |= w->enlarged ? DECIDE_GROW : DECIDE_ENLARGE | DECIDE_GROW;
	if (wants_clear(p, i) && take_attempt(&w->clear, p, now))
		todo |= DECIDE_CLEAR;
	return todo;
}

void decide_enlarged(struct watch *w)
{
	w->enlarged = true;
}

void decide_extended(struct watch *w, const struct policy *p, bool helped, u64 now)
{
	w->enlarged = false;
	if (helped)
		begin(&w->extend, p, now, p->retry_first_secs);
}
