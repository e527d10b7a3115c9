// SPDX-License-Identifier: GPL-2.0-only
/*
 * From an event to what is done about it: cowp_decide() is asked, and its answer
 * carried out.  The two things that take their time are here with their clocks:
 * the wait of normal mode, and the lost mark, tried until it is written.
 */
#include "internal.h"

#define MARK_RETRY_MS	1000U	/* between attempts to write the lost mark */

static enum cowp_known_mode known_mode(struct cowp_engine *eng)
{
	if (eng->mode_known)
		return eng->status.mode == COWP_MODE_NORMAL ? COWP_KNOWN_NORMAL :
							      COWP_KNOWN_PROTECTED;
	/* The table's word, until the area can be read. */
	if (eng->cfg.have_mode && eng->cfg.mode == COWP_MODE_NORMAL)
		return COWP_KNOWN_NORMAL;
	return COWP_KNOWN_NOT;
}

static enum cowp_gate_word gate_word(struct cowp_engine *eng)
{
	/*
	 * From the moment that it is found idle until the creation is decided
	 * the gate stays shut, also if a fault comes: a write that is let in
	 * would be on neither side of the snapshot.
	 */
	bool creating = eng->create.step != COWP_CREATE_IDLE;

	switch (eng->phase) {
	case COWP_PHASE_NONE:
		return creating ? COWP_GATE_SHUT : COWP_GATE_OPEN;
	case COWP_PHASE_ACTIVE:
	case COWP_PHASE_WAIT_DIFF:
	case COWP_PHASE_WAIT_ROOM:
	case COWP_PHASE_GIVING_UP:
		/* Where copies wait they do so in the engine; the rest goes on. */
		return creating ? COWP_GATE_SHUT : COWP_GATE_PRESERVE;
	case COWP_PHASE_LOST:
	case COWP_PHASE_LOST_UNMARKED:
	case COWP_PHASE_EMPTYING:
		return COWP_GATE_OPEN;
	default:
		return COWP_GATE_BLOCKED;
	}
}

void cowp_gate_update(struct cowp_engine *eng)
{
	enum cowp_gate_word word = gate_word(eng);

	if (eng->fast.gate.word == word)
		return;
	cowp_gate_set(&eng->fast.gate, word);
	if (word != COWP_GATE_PRESERVE)
		cowp_log_return_waiters(eng);
	port_gate(eng->port, word);
	eng->again = true;
}

/* The fault of an error, where the error itself tells more than the step. */
enum cowp_fault cowp_fault_of(int error, enum cowp_fault otherwise)
{
	switch (error) {
	case -ENODEV:
	case -ENXIO:
		return COWP_FAULT_DIFF_AREA_REMOVED;
	case -ETIMEDOUT:
		return COWP_FAULT_TIMEOUT;
	case -ENOMEM:
		return COWP_FAULT_MEMORY_ALLOCATION_FAILURE;
	case -EBADMSG:
		return COWP_FAULT_METADATA_CORRUPTION;
	default:
		return otherwise;
	}
}

static void start_wait(struct cowp_engine *eng, u64 ms)
{
	/* A disk that comes and goes grants no second wait. */
	if (eng->waiting)
		return;
	eng->waiting = true;
	eng->wait_ms = ms;
	eng->wait_until = 0;	/* it counts from the first write that waits */
}

static void marked(struct cowp_engine *eng, int error)
{
	eng->marking = false;
	if (error) {
		eng->mark_retry = eng->now + MARK_RETRY_MS;
		cowp_event(eng, COWP_EVENT_MARK_FAILED, error);
		return;
	}
	eng->mark_retry = 0;
	eng->status.marked = true;
	eng->status.mode = eng->state.now.mode;
	eng->notify = true;	/* also where the state stays what it was: lost */
	cowp_event(eng, COWP_EVENT_MARKED, 0);
}

/* An area that was never read is marked by the recovery that reads it. */
static void recover_lost(struct cowp_engine *eng)
{
	eng->cfg.given_up = true;
	eng->mark_retry = eng->now + MARK_RETRY_MS;
	if (cowp_recovery_idle(eng))
		cowp_recovery_start(eng);
}

static void start_mark(struct cowp_engine *eng)
{
	if (eng->marking)
		return;
	if (eng->phase == COWP_PHASE_LOST_UNMARKED && !eng->state.known) {
		recover_lost(eng);
		return;
	}
	eng->marking = true;
	eng->mark_retry = 0;
	eng->mark.fields = COWP_SET_LOST;
	eng->mark.lost = 1;
	if (eng->reset_msg) {
		eng->mark.fields |= COWP_SET_MODE;
		eng->mark.mode = COWP_MODE_NORMAL;
	}
	eng->mark.then = marked;
	cowp_state_request(eng, &eng->mark);
}

static void drop_snapshots(struct cowp_engine *eng)
{
	eng->proof.wanted = false;
	WRITE_ONCE(eng->fast.lost, eng->fast.lost + 1);
	/* A reader that misses a record from here on sees the count raised. */
	smp_wmb();
	cowp_log_abort(eng);
	cowp_index_clear(eng);
	eng->snapshot_count = 0;
}

static void mode_changed(struct cowp_engine *eng, int error)
{
	struct cowp_msg *msg = eng->mode_msg;

	eng->changing_mode = false;
	eng->mode_msg = NULL;
	/* Too late: the snapshots are being given up, or were. */
	if (!error && eng->mode_change.mode == COWP_MODE_PROTECTED &&
	    eng->phase == COWP_PHASE_GIVING_UP)
		error = -EIO;
	if (!error) {
		eng->status.mode = eng->mode_change.mode;
		eng->notify = true;
		if (eng->status.mode == COWP_MODE_PROTECTED)
			cowp_event(eng, COWP_EVENT_PROTECTED, 0);
	}
	if (msg)
		port_msg_done(eng->port, msg, error ? -EIO : 0);
}

static void change_mode(struct cowp_engine *eng, enum cowp_mode mode)
{
	eng->changing_mode = true;
	eng->mode_change.fields = COWP_SET_MODE;
	eng->mode_change.mode = mode;
	eng->mode_change.then = mode_changed;
	cowp_state_request(eng, &eng->mode_change);
}

static void act(struct cowp_engine *eng, u32 event, u32 actions, int error)
{
	struct cowp_status *s = &eng->status;

	if (actions & COWP_ACT_CLEAR_FAULT) {
		s->fault = COWP_FAULT_NONE;
		s->error = 0;
		s->detail = NULL;
	}
	if (actions & COWP_ACT_SET_FAULT) {
		s->fault = event >= COWP_EVENT_FAULT ? event - COWP_EVENT_FAULT :
						       COWP_FAULT_GROW_TOO_SLOW;
		s->error = error;
		port_trace_fault(eng->port, s->fault, error);
	}
	if (actions & COWP_ACT_STOP_WAIT)
		eng->waiting = false;
	if (actions & COWP_ACT_WAIT_DIFF)
		start_wait(eng, eng->cfg.diff_wait_ms);
	if (actions & COWP_ACT_WAIT_ROOM)
		start_wait(eng, eng->cfg.grow_wait_ms);
	if (actions & COWP_ACT_DROP)
		drop_snapshots(eng);
	if (actions & COWP_ACT_MARK)
		start_mark(eng);
	if (actions & COWP_ACT_EMPTY) {
		eng->cp.want_empty = eng->loaded;
		if (eng->loaded)
			cowp_checkpoint_want(eng, false);
		else
			cowp_event(eng, COWP_EVENT_EMPTY_FAILED, -EUCLEAN);
	}
	if (actions & COWP_ACT_NORMAL)
		change_mode(eng, COWP_MODE_NORMAL);
	if (actions & COWP_ACT_PROTECT)
		change_mode(eng, COWP_MODE_PROTECTED);
	if (actions & COWP_ACT_LOAD || (actions & COWP_ACT_RETRY && !eng->loaded))
		cowp_recovery_start(eng);
	else if (actions & COWP_ACT_RETRY)
		cowp_recovery_verify(eng);
}

/*
 * cowp_handle - ask the state machine about an event and carry its answer out
 * @event:	enum cowp_event
 * @error:	-errno that goes with a fault
 * @actions:	out: COWP_ACT_*
 *
 * Returns 0, or the error with which a message is refused.
 */
int cowp_handle(struct cowp_engine *eng, u32 event, int error, u32 *actions)
{
	struct cowp_decision d = cowp_decide(known_mode(eng), eng->phase, event,
					     eng->accept_unreadable);
	struct cowp_status *s = &eng->status;
	u32 state = s->state;

	eng->phase = d.phase;
	if (d.phase != COWP_PHASE_CLEARING)
		cowp_proof_stop(eng);
	s->state = cowp_phase_state(d.phase);
	if (d.actions & (COWP_ACT_SET_FAULT | COWP_ACT_CLEAR_FAULT) || s->state != state)
		eng->notify = true;
	/* First the gate: what the actions hand back must find it as it will be. */
	cowp_gate_update(eng);
	act(eng, event, d.actions, error);
	if (cowp_phase_state(eng->phase) == COWP_STATE_LOST && eng->phase != COWP_PHASE_EMPTYING)
		cowp_checkpoint_refuse(eng, -ENODATA);
	eng->again = true;
	*actions = d.actions;
	return d.error;
}

/*
 * cowp_mark_last_chance - the volume is being closed and its loss not marked
 *
 * Without the mark the next activation would take the snapshots for good.
 * cowp_marking() tells when the attempt has ended.
 */
void cowp_mark_last_chance(struct cowp_engine *eng)
{
	start_mark(eng);
	eng->again = true;
}

bool cowp_marking(struct cowp_engine *eng)
{
	return eng->phase == COWP_PHASE_LOST_UNMARKED &&
	       (eng->marking || !cowp_recovery_idle(eng));
}

/*
 * cowp_event - something happened
 * @event:	enum cowp_event
 * @error:	-errno that goes with a fault
 */
void cowp_event(struct cowp_engine *eng, u32 event, int error)
{
	u32 actions;

	cowp_handle(eng, event, error, &actions);
}

/* Likewise a fault; returns the actions, for COWP_ACT_BAD. */
u32 cowp_fault(struct cowp_engine *eng, enum cowp_fault fault, int error)
{
	u32 actions;

	cowp_handle(eng, COWP_EVENT_FAULT + fault, error, &actions);
	return actions;
}

static u64 check_wait(struct cowp_engine *eng)
{
	/* Recovery ends by itself, well or with a fault that goes on waiting. */
	if (!eng->waiting || eng->phase == COWP_PHASE_RECOVERING)
		return ~0ULL;
	if (!eng->wait_until) {
		if (list_empty(&eng->log.pending))
			return ~0ULL;
		eng->wait_until = eng->now + eng->wait_ms;
	}
	if (eng->now < eng->wait_until)
		return eng->wait_until;
	eng->waiting = false;
	cowp_event(eng, COWP_EVENT_WAIT_OVER, -ETIME);
	return eng->waiting ? eng->now : ~0ULL;
}

static u64 check_mark(struct cowp_engine *eng)
{
	if (!eng->mark_retry)
		return ~0ULL;
	if (eng->phase != COWP_PHASE_GIVING_UP && eng->phase != COWP_PHASE_LOST_UNMARKED) {
		eng->mark_retry = 0;
		return ~0ULL;
	}
	if (eng->now < eng->mark_retry)
		return eng->mark_retry;
	start_mark(eng);
	return ~0ULL;
}

/* The clock of both: returns the time at which to look again. */
u64 cowp_react_tick(struct cowp_engine *eng)
{
	return min(check_wait(eng), check_mark(eng));
}
