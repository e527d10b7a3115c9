// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shell: what the kernel module's map function, end_io and message handler
 * do, with a delay at every hand-over so that everything may come in between.
 */
#include <stdlib.h>

#include "sim.h"

static struct user_io *user_new(struct sim *s, enum dio_op op, u64 sector, u32 sectors)
{
	struct user_io *u = calloc(1, sizeof(*u));

	if (!u)
		abort();
	u->sim = s;
	u->op = op;
	u->sector = sector;
	u->sectors = sectors;
	u->since = s->now;
	INIT_LIST_HEAD(&u->held);
	list_add_tail(&u->node, &s->users);
	s->nr_users++;
	return u;
}

static void user_free(struct user_io *u)
{
	if (!list_empty(&u->held))
		list_del(&u->held);
	list_del(&u->node);
	u->sim->nr_users--;
	free(u);
}

static void leave_gate(struct sim *s, struct user_io *u)
{
	u->inside = false;
	s->inside--;
	if (u->overwrite && --s->overwrites == s->few)
		sim_called(s);
	u->overwrite = false;
	if (cowp_gate_leave(&s->fast->gate, u->parity))
		sim_called(s);
}

static void user_done(struct sim *s, struct dio *io, int error)
{
	struct user_io *u = io->arg;

	if (u->op == DIO_WRITE) {
		model_write_completed(s, u->sector, u->stamp, io->completed,
				      !s->live.cache || io->fua, error);
		if (error)
			stats_count(s->stats, STAT_WRITES_FAILED);
	} else if (u->op == DIO_FLUSH && !error) {
		model_flushed(&s->model, io->submitted);
	}
	sim_trace(s, "user %s %llu+%u #%llx done %d",
		  u->op == DIO_WRITE ? "write" : u->op == DIO_READ ? "read" : "flush",
		  u->sector, u->sectors, u->stamp, error);
	if (u->inside)
		leave_gate(s, u);
	user_free(u);
}

static void user_submit(struct sim *s, void *arg)
{
	struct user_io *u = arg;
	struct dio *io = dio_new(&s->live, u->op, u->sector, u->sectors, user_done, u);
	u32 i;

	u->stage = USER_DEVICE;
	if (u->op == DIO_WRITE) {
		u8 sector[512];

		for (i = 0; i < u->sectors; i++) {
			stamp_fill(sector, s->seed, u->stamp, u->sector + i);
			dio_put_data(io, i, 1, sector);
		}
		io->fua = u->fua && s->live.fua;
		model_write_submitted(&s->model, u->sector, u->sectors, u->stamp);
		if (READ_ONCE(s->fast->gate.word) == COWP_GATE_PRESERVE)
			model_preserved(&s->model, u->sector, u->sectors, s->epoch);
		stats_count(s->stats, STAT_LIVE_WRITES);
	}
	device_submit(io);
}

static void hold(struct sim *s, struct user_io *u)
{
	u->stage = USER_HELD;
	list_add_tail(&u->held, &s->held);
	stats_count(s->stats, STAT_HELD);
}

static void user_queue(struct sim *s, void *arg)
{
	struct user_io *u = arg;

	u->stage = USER_WAITING;
	sim_trace(s, "user write %llu+%u #%llx waits for the engine", u->sector, u->sectors,
		  u->stamp);
	cowp_engine_write(s->eng, &u->waiter);
	sim_called(s);
}

static void pass(struct sim *s, struct user_io *u)
{
	u->stage = USER_PASSED;
	sim_after(s, rng_below(&s->rng, 30), user_submit, u);
}

static u32 chunk_sectors(const struct sim *s)
{
	return s->setup.chunk_blocks * COWP_BLOCK_SECTORS;
}

static bool all_preserved(struct sim *s, u64 chunk, u32 count)
{
	u32 epoch = READ_ONCE(s->fast->epoch);

	while (count--) {
		if (!cowp_bits_test(&s->fast->bits, chunk++, epoch))
			return false;
	}
	return true;
}

static void user_map(struct sim *s, void *arg)
{
	struct user_io *u = arg;
	u64 chunk = u->sector / chunk_sectors(s);
	u32 count = 0;
	u32 word;

	if (u->op != DIO_WRITE) {
		if (READ_ONCE(s->fast->gate.word) == COWP_GATE_BLOCKED)
			hold(s, u);
		else
			pass(s, u);
		return;
	}

	sim_cpu = rng_below(&s->rng, SIM_CPUS);
	word = cowp_gate_enter(&s->fast->gate, &u->parity);
	u->inside = true;
	s->inside++;
	switch (word) {
	case COWP_GATE_OPEN:
		pass(s, u);
		return;
	case COWP_GATE_PRESERVE:
		count = (u->sector + u->sectors - 1) / chunk_sectors(s) - chunk + 1;
		if (all_preserved(s, chunk, count)) {
			stats_count(s->stats, STAT_FAST);
			pass(s, u);
			return;
		}
		break;
	default:
		break;
	}
	leave_gate(s, u);
	if (word != COWP_GATE_PRESERVE) {
		hold(s, u);
		return;
	}
	u->waiter = (struct cowp_waiter) { .chunk = chunk, .count = count };
	u->stage = USER_QUEUED;
	stats_count(s->stats, STAT_WAITED);
	sim_after(s, rng_below(&s->rng, 20), user_queue, u);
}

static void user_arrive(struct sim *s, struct user_io *u)
{
	u->stage = USER_MAPPING;
	sim_after(s, rng_below(&s->rng, 20), user_map, u);
}

void shell_write(struct sim *s, u64 sector, u32 sectors, bool fua)
{
	struct user_io *u = user_new(s, DIO_WRITE, sector, sectors);

	u->fua = fua;
	u->stamp = ++s->stamp;
	stats_count(s->stats, STAT_WRITES);
	sim_trace(s, "user write %llu+%u #%llx", sector, sectors, u->stamp);
	user_arrive(s, u);
}

void shell_read(struct sim *s, u64 sector, u32 sectors)
{
	user_arrive(s, user_new(s, DIO_READ, sector, sectors));
}

void shell_flush(struct sim *s)
{
	user_arrive(s, user_new(s, DIO_FLUSH, 0, 0));
}

/* The page cache never has two writes to one sector under way, so neither has the user. */
bool shell_busy(struct sim *s, u64 sector, u32 sectors)
{
	struct user_io *u;

	list_for_each_entry(u, &s->users, node) {
		if (u->op == DIO_WRITE && sector < u->sector + u->sectors &&
		    u->sector < sector + sectors)
			return true;
	}
	return false;
}

void port_write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v)
{
	struct sim *s = p->sim;
	struct user_io *u = container_of(w, struct user_io, waiter);

	s->told++;
	if (u->stage != USER_WAITING)
		sim_fail(s, "a waiter came back that the engine does not have");
	memset(w, 0xa5, sizeof(*w));
	if (v == COWP_AGAIN) {
		stats_count(s->stats, STAT_AGAIN);
		user_arrive(s, u);
		return;
	}
	sim_trace(s, "user write %llu+%u #%llx may go", u->sector, u->sectors, u->stamp);
	cowp_gate_enter(&s->fast->gate, &u->parity);
	u->inside = true;
	u->overwrite = true;
	s->inside++;
	s->overwrites++;
	pass(s, u);
}

u32 port_overwrites(struct cowp_port *p, u32 few)
{
	struct sim *s = p->sim;

	s->few = s->overwrites > few ? few : ~0U;
	return s->overwrites;
}

/* A noflush suspend takes a waiter; it arrives again when the device resumes. */
void shell_cancel_write(struct sim *s, u32 which)
{
	struct user_io *u;
	u32 n = 0;

	list_for_each_entry(u, &s->users, node)
		n += u->stage == USER_WAITING;
	if (!n)
		return;
	which %= n;
	list_for_each_entry(u, &s->users, node) {
		if (u->stage == USER_WAITING && !which--)
			break;
	}
	cowp_engine_write_cancel(s->eng, &u->waiter);
	if (u->stage == USER_WAITING) {
		memset(&u->waiter, 0xa5, sizeof(u->waiter));
		u->stage = USER_TAKEN;
		stats_count(s->stats, STAT_CANCELLED);
		sim_after(s, rng_below(&s->rng, 3000), user_map, u);
	}
	sim_called(s);
}

static void release_held(struct sim *s, void *arg)
{
	struct user_io *u, *next;

	(void)arg;
	list_for_each_entry_safe(u, next, &s->held, held) {
		u32 word = READ_ONCE(s->fast->gate.word);

		if (word == COWP_GATE_BLOCKED ||
		    (word == COWP_GATE_SHUT && u->op == DIO_WRITE))
			continue;
		list_del_init(&u->held);
		user_arrive(s, u);
	}
}

void port_gate(struct cowp_port *p, u32 word)
{
	struct sim *s = p->sim;
	static const char * const words[] = { "open", "preserve", "shut", "blocked" };

	s->told++;
	if (word != s->fast->gate.word)
		sim_fail(s, "port_gate(%u), but the gate's word is %u", word, s->fast->gate.word);
	sim_trace(s, "gate %s, %u inside", words[word], s->inside);
	s->word = word;
	sim_after(s, rng_below(&s->rng, 20), release_held, NULL);
}

/*
 * The helper: before the snapshots may be given up without a mark on the disk,
 * the host's own record says so.
 */
void port_event(struct cowp_port *p)
{
	struct sim *s = p->sim;
	const struct cowp_status *st = cowp_engine_status(s->eng);

	s->told++;
	if (st->state == COWP_STATE_WAITING)
		s->record = true;
	else if (st->state == COWP_STATE_ACTIVE || st->state == COWP_STATE_NONE)
		s->record = false;
}

const char *shell_msg_name(u8 op)
{
	static const char * const names[] = {
		[COWP_MSG_CREATE] = "create_snapshot",
		[COWP_MSG_DELETE] = "delete_snapshot",
		[COWP_MSG_PROTECT] = "protect",
		[COWP_MSG_NOPROTECT] = "noprotect",
		[COWP_MSG_RESET] = "reset",
		[COWP_MSG_CLEAR] = "clear",
		[COWP_MSG_GROW] = "grow",
		[COWP_MSG_CHECKPOINT] = "checkpoint",
		[COWP_MSG_CLOSE] = "close",
	};

	return names[op];
}

static void send_message(struct sim *s, void *arg)
{
	struct sim_msg *m = arg;

	m->sent = true;
	cowp_engine_message(s->eng, &m->m);
	sim_called(s);
}

struct sim_msg *shell_message(struct sim *s, u8 op, u32 id, bool flag, u64 deadline_ms)
{
	struct sim_msg *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->m.op = op;
	m->m.id = id;
	m->m.flag = flag;
	m->m.deadline = deadline_ms;
	m->since = s->now;
	m->clean = !deadline_ms && !s->model.faulty && op != COWP_MSG_GROW &&
		   (s->state == COWP_STATE_ACTIVE || s->state == COWP_STATE_NONE);
	if (op == COWP_MSG_CREATE)
		snprintf(m->m.label, sizeof(m->m.label), "s%llu", ++s->labels);
	list_add_tail(&m->node, &s->msgs);
	s->nr_msgs++;
	sim_trace(s, "message %s %u%s", shell_msg_name(op), id, flag ? " (flag)" : "");
	model_msg_sent(s, op, id, m->m.label);
	sim_after(s, rng_below(&s->rng, 20), send_message, m);
	return m;
}

void port_msg_done(struct cowp_port *p, struct cowp_msg *msg, int error)
{
	struct sim *s = p->sim;
	struct sim_msg *m = container_of(msg, struct sim_msg, m);
	const struct cowp_status *st = cowp_engine_status(s->eng);
	struct cowp_msg copy = m->m;
	bool clean = m->clean && !s->model.faulty && st->fault == COWP_FAULT_NONE;

	s->told++;
	if (!m->sent)
		sim_fail(s, "a message came back that the engine does not have");
	sim_trace(s, "message %s %u done %d", shell_msg_name(copy.op), copy.id, error);
	list_del(&m->node);
	s->nr_msgs--;
	s->last_error = error;
	free(m);
	if (error == -ENOMEM && copy.op == COWP_MSG_GROW)
		stats_count(s->stats, STAT_NO_GROWTH);
	else if (error == -ENOMEM && memory_none)
		sim_fail(s, "message %s needs memory", shell_msg_name(copy.op));
	if (error)
		stats_count(s->stats, STAT_MSG_ERRORS);
	else if (copy.op == COWP_MSG_CREATE)
		stats_count(s->stats, STAT_CREATES);
	else if (copy.op == COWP_MSG_DELETE)
		stats_count(s->stats, STAT_DELETES);
	else if (copy.op == COWP_MSG_RESET)
		stats_count(s->stats, STAT_RESETS);
	/* The epoch may have changed within the same call. */
	model_observe(s);
	model_msg_done(s, copy.op, copy.id, copy.label, error, clean);
}

bool shell_has_message(struct sim *s, u8 op, u32 id)
{
	struct sim_msg *m;

	list_for_each_entry(m, &s->msgs, node) {
		if (m->m.op == op && (op != COWP_MSG_DELETE || m->m.id == id))
			return true;
	}
	return false;
}

void shell_cancel_message(struct sim *s, u32 which)
{
	struct sim_msg *m;

	if (!s->nr_msgs)
		return;
	which %= s->nr_msgs;
	list_for_each_entry(m, &s->msgs, node) {
		if (!which--)
			break;
	}
	if (!m->sent)
		return;
	m->clean = false;
	if (cowp_engine_message_cancel(s->eng, &m->m))
		sim_trace(s, "message taken back");
	sim_called(s);
}

void shell_forget(struct sim *s)
{
	struct user_io *u, *next;
	struct sim_msg *m, *next_msg;

	list_for_each_entry_safe(u, next, &s->users, node)
		free(u);
	list_for_each_entry_safe(m, next_msg, &s->msgs, node)
		free(m);
	INIT_LIST_HEAD(&s->users);
	INIT_LIST_HEAD(&s->held);
	INIT_LIST_HEAD(&s->msgs);
	s->nr_users = 0;
	s->nr_msgs = 0;
	s->inside = 0;
	s->overwrites = 0;
}
