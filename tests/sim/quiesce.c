// SPDX-License-Identifier: GPL-2.0-only
/*
 * The operator: repairs what is broken and says so, until the volume works.
 * If that does not help, something is stuck.
 */
#include "sim.h"

static void repair(struct sim *s)
{
	bool was_absent = s->diff.absent;

	device_clear_faults(&s->live);
	device_clear_faults(&s->diff);
	device_release_hung(&s->live);
	device_release_hung(&s->diff);
	device_return(&s->diff);
	memory_fail_next = 0;
	if (was_absent) {
		cowp_engine_diff_changed(s->eng);
		sim_called(s);
	}
}

static void wait(struct sim *s, u64 us)
{
	sim_run_until(s, s->now + us);
}

static bool message(struct sim *s, u8 op, u32 id, bool flag)
{
	u64 limit = s->now + 400000000;

	/* Others may wait for what this one brings. */
	shell_message(s, op, id, flag, 0);
	while (shell_has_message(s, op, id) && sim_step(s, limit))
		;
	if (shell_has_message(s, op, id) && !s->cut_now)
		sim_fail(s, "message %s does not end", shell_msg_name(op));
	return !s->cut_now && !s->last_error;
}

static void make_room(struct sim *s)
{
	const struct cowp_snapshot *table;
	u32 n = cowp_engine_snapshots(s->eng, &table);
	u32 i;

	stats_count(s->stats, STAT_FULL);
	for (i = 0; i < n; i++) {
		if (!table[i].deleting)
			break;
	}
	if (i == n)
		return;
	if (!message(s, COWP_MSG_DELETE, table[i].id, false) && !s->cut_now &&
	    s->state != COWP_STATE_LOST && s->last_error != -EBUSY)
		sim_fail(s, "a full area refuses to delete a snapshot: %d", s->last_error);
}

void sim_quiesce(struct sim *s)
{
	const struct cowp_status *st = cowp_engine_status(s->eng);
	u32 round;

	for (round = 0; round < 200 && !s->cut_now; round++) {
		repair(s);
		wait(s, round < 10 ? 20000 : 2000000);
		if (s->cut_now)
			return;
		switch (st->state) {
		case COWP_STATE_ACTIVE:
		case COWP_STATE_NONE:
			if (sim_idle(s))
				return;
			break;
		case COWP_STATE_LOST:
			if (!s->nr_users && !s->nr_readers)
				message(s, COWP_MSG_RESET, 0, false);
			break;
		case COWP_STATE_BLOCKED:
		case COWP_STATE_WAITING:
			if (st->fault == COWP_FAULT_DIFF_AREA_FULL)
				make_room(s);
			if (!s->cut_now && (st->state == COWP_STATE_BLOCKED ||
					    st->state == COWP_STATE_WAITING))
				message(s, COWP_MSG_CLEAR, 0, s->live.faults.nr_bad);
			break;
		default:
			break;
		}
	}
	if (!s->cut_now)
		sim_fail(s,
			 "stuck: state %s, mode %s, fault %s %d, %u user I/Os, %u messages, %u readers",
			 cowp_state_words[st->state], cowp_mode_words[st->mode],
			 cowp_fault_words[st->fault], st->error, s->nr_users, s->nr_msgs,
			 s->nr_readers);
}
