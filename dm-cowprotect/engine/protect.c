// SPDX-License-Identifier: GPL-2.0-only
/*
 * The protection state machine.  See protect.h; the rules are those of the
 * design document, "Protection".
 */
#include "protect.h"

static const u8 phase_states[COWP_PHASE_COUNT] = {
#define COWP_PHASE_STATE(name, state) \
	[COWP_PHASE_##name] = COWP_STATE_##state,
	COWP_PHASES(COWP_PHASE_STATE)
#undef COWP_PHASE_STATE
};

enum cowp_state cowp_phase_state(enum cowp_phase phase)
{
	return phase_states[phase];
}

static struct cowp_decision stay(enum cowp_phase phase)
{
	return (struct cowp_decision) { .phase = phase };
}

static struct cowp_decision refuse(enum cowp_phase phase, int error)
{
	return (struct cowp_decision) { .phase = phase, .error = error };
}

static struct cowp_decision go(enum cowp_phase phase, u32 actions)
{
	return (struct cowp_decision) { .phase = phase, .actions = actions };
}

static struct cowp_decision block(void)
{
	return go(COWP_PHASE_BLOCKED, COWP_ACT_SET_FAULT | COWP_ACT_STOP_WAIT);
}

/* Normal mode: the mark first, within the wait; only then the held writes. */
static struct cowp_decision give_up(void)
{
	return go(COWP_PHASE_GIVING_UP,
		  COWP_ACT_SET_FAULT | COWP_ACT_MARK | COWP_ACT_WAIT_DIFF);
}

/* Out of reach for now, as opposed to there and wrong. */
static bool may_come_back(enum cowp_fault fault)
{
	switch (fault) {
	case COWP_FAULT_DIFF_AREA_MISSING:
	case COWP_FAULT_ONLINE_IO_FAILURE:
	case COWP_FAULT_DIFF_AREA_REMOVED:
	case COWP_FAULT_TIMEOUT:
	case COWP_FAULT_MEMORY_ALLOCATION_FAILURE:
		return true;
	default:
		return false;
	}
}

static struct cowp_decision fault_in_recovery(enum cowp_known_mode mode, enum cowp_fault fault)
{
	if (mode != COWP_KNOWN_NORMAL)
		return block();
	if (may_come_back(fault))
		return go(COWP_PHASE_WAIT_DIFF, COWP_ACT_SET_FAULT | COWP_ACT_WAIT_DIFF);
	return give_up();
}

/*
 * An unreadable sector is cured by overwriting it: a volume must not stand still
 * for ever because of one.
 */
static bool unreadable_is_accepted(enum cowp_known_mode mode, enum cowp_fault fault,
				   bool accept_unreadable)
{
	return fault == COWP_FAULT_COW_READ_FAILURE &&
	       (mode == COWP_KNOWN_NORMAL || accept_unreadable);
}

static struct cowp_decision fault_while_active(enum cowp_known_mode mode, enum cowp_fault fault,
					       bool accept_unreadable)
{
	if (unreadable_is_accepted(mode, fault, accept_unreadable))
		return go(COWP_PHASE_ACTIVE, COWP_ACT_BAD);
	if (mode != COWP_KNOWN_NORMAL)
		return block();
	if (fault == COWP_FAULT_DIFF_AREA_FULL)
		return go(COWP_PHASE_WAIT_ROOM, COWP_ACT_SET_FAULT | COWP_ACT_WAIT_ROOM);
	return give_up();
}

static struct cowp_decision on_fault(enum cowp_known_mode mode, enum cowp_phase phase,
				     enum cowp_fault fault, bool accept_unreadable)
{
	switch (phase) {
	case COWP_PHASE_RECOVERING:
		return fault_in_recovery(mode, fault);
	case COWP_PHASE_ACTIVE:
		return fault_while_active(mode, fault, accept_unreadable);
	case COWP_PHASE_CLEARING:
		if (unreadable_is_accepted(mode, fault, accept_unreadable))
			return go(phase, COWP_ACT_BAD);
		/* The mode may have become known by this attempt only. */
		return fault_in_recovery(mode, fault);
	case COWP_PHASE_WAIT_ROOM:
		/* Still no room is what it waits for; anything else ends that. */
		if (fault == COWP_FAULT_DIFF_AREA_FULL || fault == COWP_FAULT_GROW_FAILED)
			return stay(phase);
		return give_up();
	default:
		/*
		 * There is no snapshot to protect, or the first fault stands
		 * and later ones follow from it.
		 */
		return stay(phase);
	}
}

static struct cowp_decision on_loaded(enum cowp_phase phase, u32 event)
{
	static const u8 to[] = {
		[COWP_EVENT_LOADED_NONE] = COWP_PHASE_NONE,
		[COWP_EVENT_LOADED_ACTIVE] = COWP_PHASE_ACTIVE,
		[COWP_EVENT_LOADED_LOST] = COWP_PHASE_LOST,
	};

	/* An area that arrives when it was given up is marked as it is read. */
	if (phase != COWP_PHASE_RECOVERING && phase != COWP_PHASE_CLEARING &&
	    !(phase == COWP_PHASE_LOST_UNMARKED && event == COWP_EVENT_LOADED_LOST))
		return stay(phase);
	return go(to[event], COWP_ACT_CLEAR_FAULT | COWP_ACT_STOP_WAIT);
}

static struct cowp_decision on_marked(enum cowp_phase phase)
{
	switch (phase) {
	case COWP_PHASE_GIVING_UP:
		return go(COWP_PHASE_LOST, COWP_ACT_DROP | COWP_ACT_STOP_WAIT);
	case COWP_PHASE_LOST_UNMARKED:
		return go(COWP_PHASE_LOST, 0);
	case COWP_PHASE_RESETTING:
		/* The held I/O goes now; the mark alone makes that safe. */
		return go(COWP_PHASE_EMPTYING, COWP_ACT_DROP | COWP_ACT_STOP_WAIT |
			  COWP_ACT_EMPTY);
	default:
		return stay(phase);
	}
}

static struct cowp_decision on_mark_failed(enum cowp_phase phase)
{
	/* Giving up goes on trying until its wait is over, reset does not. */
	if (phase == COWP_PHASE_RESETTING)
		return refuse(COWP_PHASE_BLOCKED, -EIO);
	return stay(phase);
}

static struct cowp_decision on_wait_over(enum cowp_phase phase)
{
	switch (phase) {
	case COWP_PHASE_WAIT_ROOM:
		return go(COWP_PHASE_GIVING_UP, COWP_ACT_SET_FAULT | COWP_ACT_MARK |
			  COWP_ACT_WAIT_DIFF);
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_GIVING_UP:
		return go(COWP_PHASE_LOST_UNMARKED, COWP_ACT_DROP | COWP_ACT_STOP_WAIT);
	default:
		return stay(phase);
	}
}

static struct cowp_decision on_arrived(enum cowp_phase phase)
{
	switch (phase) {
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_BLOCKED:
		return go(COWP_PHASE_RECOVERING, COWP_ACT_LOAD);
	case COWP_PHASE_GIVING_UP:
	case COWP_PHASE_LOST_UNMARKED:
		return go(phase, COWP_ACT_MARK);
	default:
		return stay(phase);
	}
}

static struct cowp_decision on_room(enum cowp_phase phase)
{
	if (phase != COWP_PHASE_WAIT_ROOM)
		return stay(phase);
	return go(COWP_PHASE_ACTIVE, COWP_ACT_CLEAR_FAULT | COWP_ACT_STOP_WAIT);
}

static struct cowp_decision on_clear(enum cowp_phase phase)
{
	switch (phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
		return stay(phase);
	case COWP_PHASE_BLOCKED:
		return go(COWP_PHASE_CLEARING, COWP_ACT_RETRY);
	case COWP_PHASE_WAIT_DIFF:
		return go(COWP_PHASE_RECOVERING, COWP_ACT_LOAD);
	case COWP_PHASE_WAIT_ROOM:
		return go(phase, COWP_ACT_RETRY);
	case COWP_PHASE_LOST:
	case COWP_PHASE_LOST_UNMARKED:
	case COWP_PHASE_EMPTYING:
		return refuse(phase, -ENODATA);	/* nothing left to save */
	default:
		return refuse(phase, -EBUSY);
	}
}

static struct cowp_decision on_reset(enum cowp_phase phase, bool force)
{
	switch (phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
		return go(phase, COWP_ACT_NORMAL);
	case COWP_PHASE_LOST:
		return go(COWP_PHASE_EMPTYING, COWP_ACT_EMPTY);
	case COWP_PHASE_LOST_UNMARKED:
		/* Without the mark an empty manifest could come up as a valid old one. */
		return (struct cowp_decision) {
			.phase = phase, .actions = COWP_ACT_MARK, .error = -EIO,
		};
	case COWP_PHASE_BLOCKED:
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_WAIT_ROOM:
	case COWP_PHASE_GIVING_UP:
		if (force)
			return go(COWP_PHASE_LOST_UNMARKED, COWP_ACT_DROP |
				  COWP_ACT_STOP_WAIT | COWP_ACT_MARK);
		if (phase == COWP_PHASE_BLOCKED)
			return go(COWP_PHASE_RESETTING, COWP_ACT_MARK);
		/* Normal mode is on its way there, within its wait. */
		return go(COWP_PHASE_GIVING_UP, COWP_ACT_MARK |
			  (phase == COWP_PHASE_WAIT_ROOM ? COWP_ACT_WAIT_DIFF : 0));
	default:
		return refuse(phase, -EBUSY);
	}
}

static struct cowp_decision on_protect(enum cowp_phase phase)
{
	switch (phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
	case COWP_PHASE_WAIT_ROOM:
	case COWP_PHASE_BLOCKED:
	case COWP_PHASE_LOST:
		return go(phase, COWP_ACT_PROTECT);
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_LOST_UNMARKED:
		return refuse(phase, -EIO);	/* it could not be made durable */
	default:
		return refuse(phase, -EBUSY);
	}
}

/* The mode alone: where a fault stands, that would give the snapshots up. */
static struct cowp_decision on_noprotect(enum cowp_phase phase)
{
	switch (phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
	case COWP_PHASE_LOST:
		return go(phase, COWP_ACT_NORMAL);
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_WAIT_ROOM:
	case COWP_PHASE_GIVING_UP:
	case COWP_PHASE_BLOCKED:
	case COWP_PHASE_LOST_UNMARKED:
		return refuse(phase, -EIO);
	default:
		return refuse(phase, -EBUSY);
	}
}

/* Messages that need a working area and change no state by themselves. */
static struct cowp_decision on_work(enum cowp_phase phase, u32 event)
{
	switch (phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
		return stay(phase);
	case COWP_PHASE_WAIT_ROOM:
	case COWP_PHASE_BLOCKED:
		/* Room is made this way; a new snapshot needs more of it. */
		return event == COWP_EVENT_MSG_CREATE ? refuse(phase, -EIO) : stay(phase);
	case COWP_PHASE_LOST:
	case COWP_PHASE_LOST_UNMARKED:
	case COWP_PHASE_EMPTYING:
		return refuse(phase, -ENODATA);
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_GIVING_UP:
		return refuse(phase, -EIO);
	default:
		return refuse(phase, -EBUSY);
	}
}

struct cowp_decision cowp_decide(enum cowp_known_mode mode, enum cowp_phase phase,
				 u32 event, bool accept_unreadable)
{
	if (event >= COWP_EVENT_FAULT)
		return on_fault(mode, phase, event - COWP_EVENT_FAULT, accept_unreadable);

	switch (event) {
	case COWP_EVENT_LOADED_NONE:
	case COWP_EVENT_LOADED_ACTIVE:
	case COWP_EVENT_LOADED_LOST:
		return on_loaded(phase, event);
	case COWP_EVENT_ARRIVED:
		return on_arrived(phase);
	case COWP_EVENT_ROOM:
		return on_room(phase);
	case COWP_EVENT_WAIT_OVER:
		return on_wait_over(phase);
	case COWP_EVENT_MARKED:
		return on_marked(phase);
	case COWP_EVENT_MARK_FAILED:
		return on_mark_failed(phase);
	case COWP_EVENT_RETRY_GOOD:
		if (phase == COWP_PHASE_CLEARING)
			return go(COWP_PHASE_ACTIVE, COWP_ACT_CLEAR_FAULT);
		return on_room(phase);
	case COWP_EVENT_EMPTIED:
		return phase == COWP_PHASE_EMPTYING ?
			go(COWP_PHASE_NONE, COWP_ACT_CLEAR_FAULT) : stay(phase);
	case COWP_EVENT_EMPTY_FAILED:
		return phase == COWP_PHASE_EMPTYING ?
			refuse(COWP_PHASE_LOST, -EIO) : stay(phase);
	case COWP_EVENT_FIRST_SNAPSHOT:
		return stay(phase == COWP_PHASE_NONE ? COWP_PHASE_ACTIVE : phase);
	case COWP_EVENT_LAST_SNAPSHOT_GONE:
		/* With nothing left to protect no fault is left either. */
		switch (phase) {
		case COWP_PHASE_ACTIVE:
		case COWP_PHASE_WAIT_ROOM:
		case COWP_PHASE_BLOCKED:
		case COWP_PHASE_CLEARING:
			return go(COWP_PHASE_NONE, COWP_ACT_CLEAR_FAULT | COWP_ACT_STOP_WAIT);
		default:
			return stay(phase);
		}
	case COWP_EVENT_MSG_RESET:
	case COWP_EVENT_MSG_RESET_FORCE:
		return on_reset(phase, event == COWP_EVENT_MSG_RESET_FORCE);
	case COWP_EVENT_MSG_CLEAR:
		return on_clear(phase);
	case COWP_EVENT_MSG_PROTECT:
		return on_protect(phase);
	case COWP_EVENT_MSG_NOPROTECT:
		return on_noprotect(phase);
	case COWP_EVENT_PROTECTED:
		/* What waited for room without protection blocks with it. */
		return phase == COWP_PHASE_WAIT_ROOM ?
			go(COWP_PHASE_BLOCKED, COWP_ACT_STOP_WAIT) : stay(phase);
	default:
		return on_work(phase, event);
	}
}
