// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine: what happened, what is decided about it, what is done.
 *
 * All events end in cowp_event(), which asks the state machine (protect.c) and
 * carries its answer out; all else is started from cowp_engine_run().
 */
#include "internal.h"

#define MARK_RETRY_MS	1000U	/* between attempts to write the lost mark */
#define LIMBO_POLL_MS	10U	/* readers leave without a word */
#define NOT_SEEN	(~0ULL)	/* an io that no run has seen yet */

/* ---- memory and I/O for the other files ---- */

/* Zeroed, counted, freed by port_free().  May sleep.  NULL when there is none. */
void *cowp_alloc(struct cowp_engine *eng, size_t bytes)
{
	void *p = port_zalloc(bytes);

	if (p)
		eng->status.memory_used += bytes;
	return p;
}

void *cowp_alloc_block(struct cowp_engine *eng)
{
	void *p = port_block_alloc();

	if (p)
		eng->status.memory_used += COWP_BLOCK_SIZE;
	return p;
}

struct cowp_io *cowp_alloc_io(struct cowp_engine *eng, u32 max_blocks,
			      void (*done)(struct cowp_engine *eng, struct cowp_io *io))
{
	struct cowp_io *io = port_io_new(eng->port, max_blocks);

	if (!io)
		return NULL;
	INIT_LIST_HEAD(&io->node);
	io->done = done;
	eng->status.memory_used += sizeof(*io) + max_blocks * sizeof(*io->blocks);
	return io;
}

/* Start an io; its done() is called later, never from here. */
void cowp_submit(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_status *s = &eng->status;

	io->in_flight = true;
	io->abandoned = false;
	io->error = 0;
	io->started = NOT_SEEN;	/* the clock may have stood still since the last run */
	if (io->dev == COWP_DIFF) {
		list_move_tail(&io->node, &eng->inflight);
		if (io->op == COWP_WRITE) {
			s->diff_writes++;
			s->diff_bytes += io->bytes;
		}
		s->diff_flushes += io->op == COWP_FLUSH;
	}
	if (!eng->cancelled)
		port_submit(eng->port, io);
}

void cowp_engine_io_done(struct cowp_engine *eng, struct cowp_io *io)
{
	io->in_flight = false;
	list_del_init(&io->node);
	if (eng->cancelled)
		return;
	if (io->abandoned)
		io->error = -ETIMEDOUT;
	io->done(eng, io);
	io->abandoned = false;
}

/* Give up what the diff device neither completes nor fails. */
static u64 check_timeouts(struct cowp_engine *eng)
{
	struct cowp_io *io;

	list_for_each_entry_reverse(io, &eng->inflight, node) {
		if (io->started != NOT_SEEN)
			break;
		io->started = eng->now;
	}
	while (eng->cfg.diff_timeout_ms && !list_empty(&eng->inflight)) {
		io = list_first_entry(&eng->inflight, struct cowp_io, node);
		if (eng->now < io->started + eng->cfg.diff_timeout_ms)
			return io->started + eng->cfg.diff_timeout_ms;
		list_del_init(&io->node);
		io->abandoned = true;
		io->error = -ETIMEDOUT;
		io->done(eng, io);
		/* Whatever it was for: a device that hangs is a fault. */
		cowp_fault(eng, COWP_FAULT_TIMEOUT, -ETIMEDOUT);
	}
	return ~0ULL;
}

/* ---- events ---- */

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

static void start_mark(struct cowp_engine *eng);

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
	cowp_event(eng, COWP_EVENT_MARKED, 0);
}

static void start_mark(struct cowp_engine *eng)
{
	if (eng->marking)
		return;
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
		eng->cp.want_empty = true;
		cowp_checkpoint_want(eng, false);
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

/* Messages that wait for the phase to settle. */
static void reply_settled(struct cowp_engine *eng)
{
	struct cowp_msg *clear = eng->clear_msg, *reset = eng->reset_msg;
	int error = eng->status.error ? : -EIO;

	if (clear && eng->phase != COWP_PHASE_CLEARING && eng->phase != COWP_PHASE_RECOVERING &&
	    !(eng->phase == COWP_PHASE_WAIT_ROOM && !cowp_checkpoint_idle(eng))) {
		eng->clear_msg = NULL;
		port_msg_done(eng->port, clear, eng->phase == COWP_PHASE_ACTIVE ||
			      eng->phase == COWP_PHASE_NONE ? 0 : error);
	}
	if (!reset)
		return;
	switch (eng->phase) {
	case COWP_PHASE_RESETTING:
	case COWP_PHASE_EMPTYING:
	case COWP_PHASE_GIVING_UP:
		return;
	case COWP_PHASE_LOST:
		if (!eng->reset_tried) {
			eng->reset_tried = true;
			cowp_event(eng, COWP_EVENT_MSG_RESET, 0);
			return;
		}
		break;
	default:
		break;
	}
	eng->reset_msg = NULL;
	port_msg_done(eng->port, reset, eng->phase == COWP_PHASE_NONE ? 0 : -EIO);
}

static int handle(struct cowp_engine *eng, u32 event, int error, u32 *actions)
{
	struct cowp_decision d = cowp_decide(known_mode(eng), eng->phase, event,
					     eng->accept_unreadable);
	struct cowp_status *s = &eng->status;
	u32 state = s->state;

	eng->phase = d.phase;
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
 * cowp_event - something happened
 * @event:	enum cowp_event
 * @error:	-errno that goes with a fault
 */
void cowp_event(struct cowp_engine *eng, u32 event, int error)
{
	u32 actions;

	handle(eng, event, error, &actions);
}

/* Likewise a fault; returns the actions, for COWP_ACT_BAD. */
u32 cowp_fault(struct cowp_engine *eng, enum cowp_fault fault, int error)
{
	u32 actions;

	handle(eng, COWP_EVENT_FAULT + fault, error, &actions);
	return actions;
}

/* ---- checkpoints and the phases ---- */

/* May a checkpoint be written in this phase? */
bool cowp_may_checkpoint(struct cowp_engine *eng)
{
	if (!eng->tables || eng->closed)
		return false;
	/* A clean end has nothing under way behind it. */
	if (eng->cp.want_clean && !list_empty(&eng->log.batches))
		return false;
	switch (eng->phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
	case COWP_PHASE_WAIT_ROOM:
	case COWP_PHASE_EMPTYING:
		return true;
	case COWP_PHASE_BLOCKED:
		return !list_empty(&eng->cp.waiting);
	case COWP_PHASE_CLEARING:
	case COWP_PHASE_RECOVERING:
		return cowp_recovery_writes(eng);
	default:
		return false;
	}
}

/* A manifest is durable: what waited for one goes on. */
void cowp_checkpointed(struct cowp_engine *eng)
{
	bool full = cowp_segments_full(eng) && !eng->segs.limbo;

	eng->again = true;
	if (cowp_recovery_checkpointed(eng))
		return;
	if (eng->phase == COWP_PHASE_CLEARING) {
		/* A cause that persists is a fault again at once. */
		if (full && eng->status.fault == COWP_FAULT_DIFF_AREA_FULL)
			cowp_fault(eng, COWP_FAULT_DIFF_AREA_FULL, -ENOSPC);
		else
			cowp_event(eng, COWP_EVENT_RETRY_GOOD, 0);
	} else if (eng->phase == COWP_PHASE_WAIT_ROOM && !full) {
		cowp_event(eng, COWP_EVENT_ROOM, 0);
	}
}

/* A root says how the area is laid out.  Returns 0 or -EINVAL. */
int cowp_geometry_attach(struct cowp_engine *eng)
{
	if (cowp_geometry_init(&eng->geo, eng->super.chunk_blocks, eng->super.segment_blocks))
		return -EINVAL;
	eng->geo.segments = eng->super.segments;
	eng->geo.first_segment = eng->super.first_segment;
	cowp_log_attach(eng);
	return 0;
}

/* ---- messages ---- */

static int grow(struct cowp_engine *eng)
{
	u64 blocks = port_sectors(eng->port, COWP_DIFF) / COWP_BLOCK_SECTORS;
	u64 segments;
	int error;

	if (blocks <= eng->super.first_segment)
		return -ENODEV;
	segments = div_u64(blocks - eng->super.first_segment, eng->super.segment_blocks);
	if (segments <= eng->geo.segments)
		return 0;
	if (segments > COWP_MAX_SEGMENTS || cowp_body_max(segments) > eng->super.body_max)
		return -EFBIG;
	error = cowp_manifest_resize(eng, segments);
	if (!error)
		error = cowp_segments_resize(eng, segments);
	if (error)
		return error;
	eng->geo.segments = segments;
	return 0;
}

static void message_reset(struct cowp_engine *eng, struct cowp_msg *m)
{
	u32 event = m->flag ? COWP_EVENT_MSG_RESET_FORCE : COWP_EVENT_MSG_RESET;
	u32 actions;
	int error;

	eng->reset_msg = m;
	eng->reset_tried = eng->phase == COWP_PHASE_LOST;
	error = handle(eng, event, 0, &actions);
	if (actions & COWP_ACT_NORMAL) {
		eng->reset_msg = NULL;
		eng->mode_msg = m;
		return;
	}
	/* Forced: what could not be marked is at least reported as lost. */
	if (error || (m->flag && eng->phase == COWP_PHASE_LOST_UNMARKED)) {
		eng->reset_msg = NULL;
		if (!error)
			eng->status.mode = COWP_MODE_NORMAL;
		port_msg_done(eng->port, m, error);
	}
}

static void message_clear(struct cowp_engine *eng, struct cowp_msg *m)
{
	u32 actions;
	int error;

	eng->accept_unreadable = m->flag;
	error = handle(eng, COWP_EVENT_MSG_CLEAR, 0, &actions);
	if (error || !actions)
		port_msg_done(eng->port, m, error);
	else
		eng->clear_msg = m;
}

static void message_protect(struct cowp_engine *eng, struct cowp_msg *m)
{
	u32 actions;
	int error;

	error = handle(eng, COWP_EVENT_MSG_PROTECT, 0, &actions);
	if (error)
		port_msg_done(eng->port, m, error);
	else
		eng->mode_msg = m;
}

static void message_work(struct cowp_engine *eng, struct cowp_msg *m, u32 event)
{
	u32 actions;
	int error = eng->closed ? -ESHUTDOWN : handle(eng, event, 0, &actions);

	if (!error && m->op == COWP_MSG_GROW)
		error = grow(eng);
	if (error) {
		port_msg_done(eng->port, m, error);
		return;
	}
	switch (m->op) {
	case COWP_MSG_CREATE:
		cowp_snapshot_create(eng, m);
		return;
	case COWP_MSG_DELETE:
		cowp_snapshot_delete(eng, m);
		return;
	case COWP_MSG_CLOSE:
		eng->cp.want_clean = true;
		break;
	default:
		break;
	}
	list_add_tail(&m->node, &eng->cp.waiting);
	cowp_checkpoint_want(eng, m->op == COWP_MSG_CHECKPOINT);
}

void cowp_engine_message(struct cowp_engine *eng, struct cowp_msg *m)
{
	INIT_LIST_HEAD(&m->node);
	switch (m->op) {
	case COWP_MSG_CREATE:
		message_work(eng, m, COWP_EVENT_MSG_CREATE);
		break;
	case COWP_MSG_DELETE:
		message_work(eng, m, COWP_EVENT_MSG_DELETE);
		break;
	case COWP_MSG_GROW:
		message_work(eng, m, COWP_EVENT_MSG_GROW);
		break;
	case COWP_MSG_CHECKPOINT:
	case COWP_MSG_CLOSE:
		message_work(eng, m, COWP_EVENT_MSG_CHECKPOINT);
		break;
	case COWP_MSG_PROTECT:
	case COWP_MSG_RESET:
	case COWP_MSG_CLEAR:
		list_add_tail(&m->node, &eng->decisions);
		break;
	default:
		port_msg_done(eng->port, m, -EINVAL);
	}
	eng->again = true;
}

/* Those that change mode or phase: one after the other. */
static void run_decisions(struct cowp_engine *eng)
{
	while (!list_empty(&eng->decisions) && !eng->mode_msg && !eng->reset_msg &&
	       !eng->clear_msg) {
		struct cowp_msg *m = list_first_entry(&eng->decisions, struct cowp_msg, node);

		list_del_init(&m->node);
		if (m->op == COWP_MSG_PROTECT)
			message_protect(eng, m);
		else if (m->op == COWP_MSG_RESET)
			message_reset(eng, m);
		else
			message_clear(eng, m);
		eng->again = true;
	}
}

static bool is_listed(struct list_head *list, struct cowp_msg *m)
{
	struct cowp_msg *each;

	list_for_each_entry(each, list, node)
		if (each == m)
			return true;
	return false;
}

bool cowp_engine_message_cancel(struct cowp_engine *eng, struct cowp_msg *m)
{
	bool found = true;

	if (is_listed(&eng->cp.waiting, m) || is_listed(&eng->cp.serving, m) ||
	    is_listed(&eng->create.queue, m) || is_listed(&eng->decisions, m))
		list_del_init(&m->node);
	else if (eng->create.msg == m)
		cowp_snapshot_create_cancel(eng);
	else if (eng->mode_msg == m)
		eng->mode_msg = NULL;
	else if (eng->clear_msg == m)
		eng->clear_msg = NULL;
	else if (eng->reset_msg == m)
		eng->reset_msg = NULL;
	else
		found = false;
	if (found)
		port_msg_done(eng->port, m, -EINTR);
	return found;
}

/* ---- I/O ---- */

void cowp_engine_write(struct cowp_engine *eng, struct cowp_waiter *w)
{
	INIT_LIST_HEAD(&w->node);
	w->batch = 0;
	w->done = 0;
	/* Those that came first go first; where nobody moves on, let all try. */
	if (eng->phase == COWP_PHASE_ACTIVE && !list_empty(&eng->log.pending))
		list_add_tail(&w->node, &eng->log.pending);
	else
		cowp_log_write(eng, w);
}

void cowp_engine_write_cancel(struct cowp_engine *eng, struct cowp_waiter *w)
{
	list_del_init(&w->node);
}

static bool readable(struct cowp_engine *eng, const struct cowp_lookup *l)
{
	struct cowp_snapshot *s = cowp_snapshot_find(eng, l->snapshot);

	return s && !s->deleting;
}

static void begin_lookup(struct cowp_engine *eng, struct cowp_lookup *l)
{
	if (readable(eng, l)) {
		cowp_index_lookup(eng, l);
		return;
	}
	l->answered = 0;
	l->error = -ESTALE;
	port_lookup_done(eng->port, l);
}

void cowp_engine_lookup(struct cowp_engine *eng, struct cowp_lookup *l)
{
	bool later = !eng->loaded && (eng->phase == COWP_PHASE_RECOVERING ||
				      eng->phase == COWP_PHASE_CLEARING ||
				      eng->phase == COWP_PHASE_BLOCKED ||
				      eng->phase == COWP_PHASE_WAIT_DIFF);

	INIT_LIST_HEAD(&l->wait.node);
	if (later)
		list_add_tail(&l->wait.node, &eng->lookups);
	else
		begin_lookup(eng, l);
}

static void run_lookups(struct cowp_engine *eng)
{
	struct cowp_wait *w, *next;
	LIST_HEAD(todo);

	list_splice_init(&eng->lookups, &todo);
	list_for_each_entry_safe(w, next, &todo, node) {
		list_del_init(&w->node);
		cowp_engine_lookup(eng, container_of(w, struct cowp_lookup, wait));
	}
}

/* ---- the clock ---- */

/* Not in the middle of a creation: the snapshot has one size or the other. */
static void apply_resize(struct cowp_engine *eng)
{
	if (!eng->resized || eng->create.step != COWP_CREATE_IDLE)
		return;
	eng->live_sectors = eng->resized;
	eng->resized = 0;
	if (eng->tables)
		cowp_checkpoint_want(eng, false);
}

static u64 earlier(u64 a, u64 b)
{
	return a < b ? a : b;
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

static void update_status(struct cowp_engine *eng)
{
	struct cowp_status *s = &eng->status;
	u64 free = eng->segs.free + eng->segs.limbo + eng->segs.ready;
	u64 left = 0;

	s->snapshots = eng->snapshot_count;
	s->oldest = eng->snapshot_count ? eng->snapshots[0].id : 0;
	s->newest = eng->snapshot_count ? eng->snapshots[eng->snapshot_count - 1].id : 0;
	s->memory_limit = s->memory_used;
	if (!eng->tables)
		return;
	if (eng->log.open)
		left = eng->geo.slots - eng->log.open->slots_used;
	free = free > eng->segs.reserve ? free - eng->segs.reserve : 0;
	s->total_chunks = (u64)(eng->segs.count - min(eng->segs.count, eng->segs.reserve)) *
			  eng->geo.slots;
	s->used_chunks = s->total_chunks - min(s->total_chunks, free * eng->geo.slots + left);
	if (s->low_water != (s->total_chunks - s->used_chunks < eng->cfg.low_water)) {
		s->low_water = !s->low_water;
		eng->notify = true;
	}
}

u64 cowp_engine_run(struct cowp_engine *eng, u64 now)
{
	u64 next;

	eng->now = now;
	if (eng->cancelled)
		return ~0ULL;
	do {
		eng->again = false;
		next = check_timeouts(eng);
		next = earlier(next, check_wait(eng));
		next = earlier(next, check_mark(eng));
		apply_resize(eng);
		cowp_recovery_run(eng);
		cowp_segments_reap(eng);
		cowp_snapshot_run(eng);
		cowp_log_run(eng);
		next = earlier(next, cowp_log_tick(eng));
		cowp_checkpoint_run(eng);
		cowp_state_run(eng);
		reply_settled(eng);
		run_decisions(eng);
		run_lookups(eng);
	} while (eng->again);

	/* Of what was submitted meanwhile, too. */
	next = earlier(next, check_timeouts(eng));
	if (eng->segs.limbo)
		next = earlier(next, now + LIMBO_POLL_MS);
	if (eng->create.msg && eng->create.msg->deadline)
		next = earlier(next, eng->create.msg->deadline);
	update_status(eng);
	if (eng->notify) {
		eng->notify = false;
		port_event(eng->port);
	}
	return next;
}

/* ---- what the shell asks ---- */

struct cowp_fast *cowp_engine_fast(struct cowp_engine *eng)
{
	return &eng->fast;
}

const struct cowp_status *cowp_engine_status(struct cowp_engine *eng)
{
	return &eng->status;
}

const u8 *cowp_engine_uuid(struct cowp_engine *eng)
{
	return eng->super.uuid;
}

u32 cowp_engine_snapshots(struct cowp_engine *eng, const struct cowp_snapshot **table)
{
	*table = eng->snapshots;
	return eng->snapshot_count;
}

void cowp_engine_start(struct cowp_engine *eng)
{
	cowp_recovery_start(eng);
	eng->again = true;
}

void cowp_engine_diff_changed(struct cowp_engine *eng)
{
	/*
	 * What was never read may be read now.  Where the area was in use its
	 * return is for the operator to declare, with clear.
	 */
	if (port_sectors(eng->port, COWP_DIFF) &&
	    (!eng->loaded || eng->phase == COWP_PHASE_LOST_UNMARKED ||
	     eng->phase == COWP_PHASE_GIVING_UP))
		cowp_event(eng, COWP_EVENT_ARRIVED, 0);
	eng->again = true;
}

void cowp_engine_live_resized(struct cowp_engine *eng, u64 sectors)
{
	eng->resized = sectors;
	eng->again = true;
}

/* ---- making and unmaking ---- */

static int count_init(struct cowp_count *c)
{
	c->cpu = port_percpu_alloc(struct cowp_count_cpu);
	return c->cpu ? 0 : -ENOMEM;
}

static int init(struct cowp_engine *eng)
{
	u64 chunks = DIV_ROUND_UP_ULL(eng->cfg.live_sectors,
				      eng->cfg.chunk_blocks * COWP_BLOCK_SECTORS);

	INIT_LIST_HEAD(&eng->inflight);
	INIT_LIST_HEAD(&eng->lookups);
	INIT_LIST_HEAD(&eng->create.queue);
	INIT_LIST_HEAD(&eng->decisions);
	eng->index.capacity = clamp_t(u64, chunks, min(COWP_MEMTABLE_MIN, COWP_MEMTABLE_MAX),
				      COWP_MEMTABLE_MAX);
	eng->live_sectors = eng->cfg.live_sectors;
	eng->phase = COWP_PHASE_RECOVERING;
	eng->status.state = COWP_STATE_RECOVERING;
	eng->status.mode = eng->cfg.have_mode ? eng->cfg.mode : COWP_MODE_PROTECTED;
	eng->fast.gate.word = COWP_GATE_BLOCKED;
	eng->snapshots = cowp_alloc(eng, COWP_MAX_SNAPSHOTS * sizeof(*eng->snapshots));
	eng->create.flush = cowp_alloc_io(eng, 0, cowp_snapshot_flushed);
	if (!eng->snapshots || !eng->create.flush)
		return -ENOMEM;
	eng->create.flush->op = COWP_FLUSH;
	eng->create.flush->dev = COWP_LIVE;
	if (count_init(&eng->fast.gate.inside) || count_init(&eng->fast.readers) ||
	    cowp_segments_init(eng) || cowp_log_init(eng) || cowp_cache_init(eng) ||
	    cowp_index_init(eng) || cowp_preserved_init(eng) || cowp_manifest_init(eng) ||
	    cowp_state_init(eng) || cowp_recovery_init(eng))
		return -ENOMEM;
	return 0;
}

int cowp_engine_new(struct cowp_engine **out, const struct cowp_config *cfg,
		    struct cowp_port *port)
{
	struct cowp_engine *eng = port_zalloc(sizeof(*eng));
	int error;

	if (!eng)
		return -ENOMEM;
	eng->cfg = *cfg;
	eng->port = port;
	error = init(eng);
	eng->status.memory_limit = eng->status.memory_used;
	if (error) {
		cowp_engine_free(eng);
		return error;
	}
	*out = eng;
	return 0;
}

void cowp_engine_free(struct cowp_engine *eng)
{
	cowp_recovery_exit(eng);
	cowp_state_exit(eng);
	cowp_manifest_exit(eng);
	cowp_preserved_exit(eng);
	cowp_index_exit(eng);
	cowp_cache_exit(eng);
	cowp_log_exit(eng);
	cowp_segments_exit(eng);
	port_percpu_free(eng->fast.gate.inside.cpu);
	port_percpu_free(eng->fast.readers.cpu);
	port_io_free(eng->create.flush);
	port_free(eng->snapshots);
	port_free(eng);
}

static void cancel_messages(struct cowp_engine *eng)
{
	struct cowp_msg *m, *next, *single[] = {
		eng->create.msg, eng->mode_msg, eng->clear_msg, eng->reset_msg,
	};
	u32 i;

	list_splice_init(&eng->cp.serving, &eng->cp.waiting);
	list_splice_init(&eng->create.queue, &eng->cp.waiting);
	list_splice_init(&eng->decisions, &eng->cp.waiting);
	list_for_each_entry_safe(m, next, &eng->cp.waiting, node) {
		list_del_init(&m->node);
		port_msg_done(eng->port, m, -ESHUTDOWN);
	}
	for (i = 0; i < ARRAY_SIZE(single); i++)
		if (single[i])
			port_msg_done(eng->port, single[i], -ESHUTDOWN);
}

void cowp_engine_cancel(struct cowp_engine *eng)
{
	struct cowp_wait *w, *next;

	eng->cancelled = true;
	cowp_log_return_waiters(eng);
	cowp_log_abort(eng);
	cancel_messages(eng);
	cowp_cache_cancel(eng);
	list_for_each_entry_safe(w, next, &eng->lookups, node) {
		struct cowp_lookup *l = container_of(w, struct cowp_lookup, wait);

		list_del_init(&w->node);
		l->error = -ESTALE;
		port_lookup_done(eng->port, l);
	}
}
