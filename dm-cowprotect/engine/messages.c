// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages.  What changes the snapshots or the area waits for a manifest, a
 * creation for its epoch record; protect, noprotect, reset and clear change mode
 * or phase, one at a time, and wait until the phase has settled.
 */
#include "internal.h"

static int grow(struct cowp_engine *eng)
{
	u64 blocks = port_sectors(eng->port, COWP_DIFF) / COWP_BLOCK_SECTORS;
	u64 segments;

	if (blocks <= eng->super.first_segment)
		return -ENODEV;
	segments = div_u64(blocks - eng->super.first_segment, eng->super.segment_blocks);
	if (segments <= eng->geo.segments)
		return 0;
	if (segments > COWP_MAX_SEGMENTS || cowp_body_max(segments) > eng->super.body_max)
		return -EFBIG;
	if (cowp_tables_resize(eng, segments))
		return -ENOMEM;
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
	error = cowp_handle(eng, event, 0, &actions);
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
	error = cowp_handle(eng, COWP_EVENT_MSG_CLEAR, 0, &actions);
	if (error || !actions)
		port_msg_done(eng->port, m, error);
	else
		eng->clear_msg = m;
}

static void message_mode(struct cowp_engine *eng, struct cowp_msg *m, u32 event)
{
	u32 actions;
	int error;

	error = cowp_handle(eng, event, 0, &actions);
	if (error)
		port_msg_done(eng->port, m, error);
	else
		eng->mode_msg = m;
}

static void message_work(struct cowp_engine *eng, struct cowp_msg *m, u32 event)
{
	u32 actions;
	int error = eng->closed ? -ESHUTDOWN : cowp_handle(eng, event, 0, &actions);

	/* Blocked before the area was read: there is nothing to work on. */
	if (!error && !eng->loaded)
		error = -EIO;
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
	case COWP_MSG_CLOSE:
		if (eng->phase == COWP_PHASE_LOST_UNMARKED) {
			eng->close_msg = m;
			cowp_mark_last_chance(eng);
			break;
		}
		fallthrough;
	case COWP_MSG_CHECKPOINT:
		message_work(eng, m, COWP_EVENT_MSG_CHECKPOINT);
		break;
	case COWP_MSG_PROTECT:
	case COWP_MSG_NOPROTECT:
	case COWP_MSG_RESET:
	case COWP_MSG_CLEAR:
		list_add_tail(&m->node, &eng->decisions);
		break;
	default:
		port_msg_done(eng->port, m, -EINVAL);
	}
	eng->again = true;
}

/*
 * Those that change mode or phase: one after the other.  A change of mode goes
 * on when the message that asked for it is cancelled.
 */
static void run_decisions(struct cowp_engine *eng)
{
	while (!list_empty(&eng->decisions) && !eng->changing_mode && !eng->mode_msg &&
	       !eng->reset_msg && !eng->clear_msg) {
		struct cowp_msg *m = list_first_entry(&eng->decisions, struct cowp_msg, node);

		list_del_init(&m->node);
		if (m->op == COWP_MSG_PROTECT)
			message_mode(eng, m, COWP_EVENT_MSG_PROTECT);
		else if (m->op == COWP_MSG_NOPROTECT)
			message_mode(eng, m, COWP_EVENT_MSG_NOPROTECT);
		else if (m->op == COWP_MSG_RESET)
			message_reset(eng, m);
		else
			message_clear(eng, m);
		eng->again = true;
	}
}

/* Messages that wait for the phase to settle. */
static void reply_settled(struct cowp_engine *eng)
{
	struct cowp_msg *clear = eng->clear_msg, *reset = eng->reset_msg;
	struct cowp_msg *close = eng->close_msg;
	int error = eng->status.error ? : -EIO;

	if (close && !cowp_marking(eng)) {
		eng->close_msg = NULL;
		port_msg_done(eng->port, close, eng->phase == COWP_PHASE_LOST ? 0 : -EIO);
	}
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
	if (eng->phase == COWP_PHASE_NONE)
		error = 0;
	else
		error = eng->phase == COWP_PHASE_LOST && !eng->loaded ? -EUCLEAN : -EIO;
	port_msg_done(eng->port, reset, error);
}

/* Those that may be answered, and those that may be begun. */
void cowp_messages_run(struct cowp_engine *eng)
{
	reply_settled(eng);
	run_decisions(eng);
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

/* The activation ends: every message that the engine has goes back. */
void cowp_messages_cancel(struct cowp_engine *eng)
{
	struct cowp_msg *m, *next, *single[] = {
		eng->create.msg, eng->mode_msg, eng->clear_msg, eng->reset_msg,
		eng->close_msg,
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
