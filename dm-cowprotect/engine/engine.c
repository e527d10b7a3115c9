// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's round: what came from outside is taken in, and cowp_engine_run()
 * lets every part go on until none can.
 */
#include "budget.h"
#include "internal.h"

#define LIMBO_POLL_MS	10U	/* readers leave without a word */

/* ---- checkpoints and the phases ---- */

/* May a checkpoint be written in this phase? */
bool cowp_may_checkpoint(struct cowp_engine *eng)
{
	if (!eng->tables || eng->closed)
		return false;
	/* A clean end has nothing under way behind it. */
	if (eng->cp.want_clean && (!list_empty(&eng->log.batches) || !cowp_discard_idle(eng)))
		return false;
	switch (eng->phase) {
	case COWP_PHASE_NONE:
	case COWP_PHASE_ACTIVE:
	case COWP_PHASE_WAIT_ROOM:
		return true;
	case COWP_PHASE_EMPTYING:
		return eng->loaded;
	case COWP_PHASE_BLOCKED:
		/* What was read half-way is not the truth about the area. */
		return eng->loaded && !list_empty(&eng->cp.waiting);
	case COWP_PHASE_CLEARING:
	case COWP_PHASE_RECOVERING:
		return cowp_recovery_writes(eng) || eng->proof.running;
	default:
		return false;
	}
}

/* A manifest is durable: what waited for one goes on. */
void cowp_checkpointed(struct cowp_engine *eng)
{
	bool full = cowp_segments_full(eng) && !eng->segs.limbo && cowp_discard_idle(eng) &&
		    !cowp_reclaim_pending(eng);

	eng->again = true;
	if (cowp_recovery_checkpointed(eng))
		return;
	if (eng->phase == COWP_PHASE_CLEARING) {
		if (!eng->proof.running)
			cowp_merge_again(eng);
		/* A cause that persists is a fault again at once. */
		if (full && eng->status.fault == COWP_FAULT_DIFF_AREA_FULL)
			cowp_fault(eng, COWP_FAULT_DIFF_AREA_FULL, -ENOSPC);
		else if (!cowp_proof_start(eng))
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

/* ---- writes and lookups ---- */

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

static void update_status(struct cowp_engine *eng)
{
	struct cowp_status *s = &eng->status;
	u64 free = eng->segs.free + eng->segs.limbo + eng->segs.discards + eng->segs.ready;
	u64 left = 0;

	s->snapshots = eng->snapshot_count;
	s->oldest = eng->snapshot_count ? eng->snapshots[0].id : 0;
	s->newest = eng->snapshot_count ? eng->snapshots[eng->snapshot_count - 1].id : 0;
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
		next = min(cowp_submit_tick(eng), cowp_react_tick(eng));
		apply_resize(eng);
		cowp_recovery_run(eng);
		cowp_segments_reap(eng);
		cowp_discard_run(eng);
		cowp_snapshot_run(eng);
		cowp_log_run(eng);
		cowp_proof_run(eng);
		next = min(next, cowp_log_tick(eng));
		next = min(next, cowp_merge_run(eng));
		cowp_checkpoint_run(eng);
		cowp_state_run(eng);
		cowp_messages_run(eng);
		run_lookups(eng);
	} while (eng->again);

	/* Of what was submitted meanwhile, too. */
	next = min(next, cowp_submit_tick(eng));
	if (eng->segs.limbo)
		next = min(next, now + LIMBO_POLL_MS);
	if (eng->create.msg && eng->create.msg->deadline)
		next = min(next, eng->create.msg->deadline);
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

void cowp_engine_tune(struct cowp_engine *eng, const struct cowp_config *cfg)
{
	u64 ms = eng->phase == COWP_PHASE_WAIT_ROOM ? cfg->grow_wait_ms : cfg->diff_wait_ms;

	eng->cfg.diff_wait_ms = cfg->diff_wait_ms;
	eng->cfg.grow_wait_ms = cfg->grow_wait_ms;
	eng->cfg.diff_timeout_ms = cfg->diff_timeout_ms;
	eng->cfg.low_water = cfg->low_water;
	eng->cfg.discard_freed = cfg->discard_freed;
	if (eng->waiting) {
		if (eng->wait_until)
			eng->wait_until += ms - eng->wait_ms;
		eng->wait_ms = ms;
	}
	eng->again = true;
}

/* ---- making and unmaking ---- */

static int count_init(struct cowp_engine *eng, struct cowp_count *c)
{
	c->cpu = port_percpu_alloc(struct cowp_count_cpu);
	if (!c->cpu)
		return -ENOMEM;
	eng->status.memory_used += port_percpu_bytes(struct cowp_count_cpu);
	return 0;
}

static int init(struct cowp_engine *eng)
{
	INIT_LIST_HEAD(&eng->inflight);
	INIT_LIST_HEAD(&eng->lookups);
	INIT_LIST_HEAD(&eng->create.queue);
	INIT_LIST_HEAD(&eng->decisions);
	eng->status.memory_used = cowp_footprint(sizeof(*eng));
	cowp_tables_init(eng);
	eng->index.capacity = cowp_budget_records(&eng->cfg);
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
	if (count_init(eng, &eng->fast.gate.inside) || count_init(eng, &eng->fast.readers) ||
	    cowp_segments_init(eng) || cowp_discard_init(eng) || cowp_log_init(eng) ||
	    cowp_cache_init(eng) || cowp_index_init(eng) || cowp_preserved_init(eng) ||
	    cowp_manifest_init(eng) || cowp_state_init(eng) || cowp_recovery_init(eng))
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
	cowp_discard_exit(eng);
	cowp_segments_exit(eng);
	port_percpu_free(eng->fast.gate.inside.cpu);
	port_percpu_free(eng->fast.readers.cpu);
	port_io_free(eng->create.flush);
	port_free(eng->snapshots);
	port_free(eng);
}

void cowp_engine_cancel(struct cowp_engine *eng)
{
	struct cowp_wait *w, *next;

	eng->cancelled = true;
	cowp_log_return_waiters(eng);
	cowp_log_abort(eng);
	cowp_messages_cancel(eng);
	cowp_cache_cancel(eng);
	list_for_each_entry_safe(w, next, &eng->lookups, node) {
		struct cowp_lookup *l = container_of(w, struct cowp_lookup, wait);

		list_del_init(&w->node);
		l->error = -ESTALE;
		port_lookup_done(eng->port, l);
	}
}
