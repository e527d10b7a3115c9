// SPDX-License-Identifier: GPL-2.0-only
/*
 * The status lines of a live target.
 *
 * INFO is a fixed order of words; new ones go to the end, "-" stands for what
 * is not there:
 *
 *	mode state fault errno used/total low-water snapshots oldest newest held
 *	memory-used/memory-limit preserved batches diff-writes diff-flushes
 *	diff-bytes mark
 *
 * errno is positive; low-water is "low" below the mark; held are bios; memory
 * is in bytes; mark is, in the state lost, "marked" or "unmarked".
 */
#include "budget.h"
#include "live.h"
#include "shell.h"

/**
 * cowp_status_counters - counters since the last stats_reset
 * @p:		the activation
 * @s:		out: a copy of the engine's status with counters since then
 *
 * Process context; does not sleep.
 */
void cowp_status_counters(struct cowp_port *p, struct cowp_status *s)
{
	*s = *p->status;
	spin_lock_irq(&p->lock);
	s->preserved -= p->base.preserved;
	s->batches -= p->base.batches;
	s->diff_writes -= p->base.diff_writes;
	s->diff_flushes -= p->base.diff_flushes;
	s->diff_bytes -= p->base.diff_bytes;
	spin_unlock_irq(&p->lock);
}

/**
 * cowp_status_reset - count from zero
 * @p:		the activation
 *
 * Process context; does not sleep.
 */
void cowp_status_reset(struct cowp_port *p)
{
	spin_lock_irq(&p->lock);
	p->base = *p->status;
	spin_unlock_irq(&p->lock);
}

static const char *mark_word(const struct cowp_status *s)
{
	if (s->state != COWP_STATE_LOST)
		return "-";
	return s->marked ? "marked" : "unmarked";
}

/* Held by the gate, and what waits in the engine while that waits itself. */
static unsigned int held_bios(struct cowp_port *p, const struct cowp_status *s)
{
	unsigned int held = atomic_read(&p->nr_held);

	if (s->state == COWP_STATE_WAITING || s->state == COWP_STATE_BLOCKED)
		held += atomic_read(&p->nr_owned);
	return held;
}

static unsigned int emit_info(struct cowp_port *p, char *result, unsigned int maxlen)
{
	u64 shell = COWP_SHELL_BYTES + cowp_volume_reader_bytes(p->volume);
	struct cowp_status s;
	unsigned int sz = 0;

	cowp_status_counters(p, &s);
	DMEMIT("%s %s %s ", cowp_mode_words[s.mode], cowp_state_words[s.state],
	       cowp_fault_words[s.fault]);
	if (s.error)
		DMEMIT("%d ", -s.error);
	else
		DMEMIT("- ");
	if (s.total_chunks)
		DMEMIT("%llu/%llu ", s.used_chunks, s.total_chunks);
	else
		DMEMIT("- ");
	DMEMIT("%s %u ", s.low_water ? "low" : "-", s.snapshots);
	if (s.snapshots)
		DMEMIT("%u %u ", s.oldest, s.newest);
	else
		DMEMIT("- - ");
	DMEMIT("%u %llu/%llu %llu %llu %llu %llu %llu %s", held_bios(p, &s),
	       s.memory_used + shell, s.memory_limit, s.preserved, s.batches,
	       s.diff_writes, s.diff_flushes, s.diff_bytes, mark_word(&s));
	return sz;
}

static void emit_table(struct cowp_live *live, char *result, unsigned int maxlen)
{
	const struct cowp_line *line = &live->line;
	unsigned int sz = 0;

	DMEMIT("%s %s %u", live->dev->name, live->diff_dev ? live->diff_dev->name : line->diff,
	       line->cfg.chunk_blocks * COWP_BLOCK_SECTORS);
	if (line->nr_options)
		DMEMIT(" %u %s", line->nr_options, line->options);
}

static void emit_ima(struct dm_target *ti, struct cowp_live *live, char *result,
		     unsigned int maxlen)
{
	const struct cowp_line *line = &live->line;
	unsigned int sz = 0;

	DMEMIT_TARGET_NAME_VERSION(ti->type);
	DMEMIT(",live_device=%s,diff_device=%s,chunk_sectors=%u", live->dev->name,
	       live->diff_dev ? live->diff_dev->name : line->diff,
	       line->cfg.chunk_blocks * COWP_BLOCK_SECTORS);
	if (line->cfg.have_uuid)
		DMEMIT(",uuid=%pU", line->cfg.uuid);
	if (line->cfg.have_mode)
		DMEMIT(",mode=%s", cowp_mode_words[line->cfg.mode]);
	DMEMIT(",error_if_blocked=%c,discard_passdown=%c,discard_freed=%c;",
	       line->error_if_blocked ? 'y' : 'n', line->discard_passdown ? 'y' : 'n',
	       line->cfg.discard_freed ? 'y' : 'n');
}

/**
 * cowp_live_status - answer a status ioctl
 * @ti:		the target
 * @type:	which line
 * @flags:	device-mapper's; nothing is flushed for a status
 * @result:	out
 * @maxlen:	bytes
 *
 * May sleep, briefly.
 */
void cowp_live_status(struct dm_target *ti, status_type_t type, unsigned int flags,
		      char *result, unsigned int maxlen)
{
	struct cowp_live *live = ti->private;
	struct cowp_port *p;

	switch (type) {
	case STATUSTYPE_INFO:
		p = cowp_live_port(live);
		emit_info(p, result, maxlen);
		cowp_port_put(p);
		break;
	case STATUSTYPE_TABLE:
		emit_table(live, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		emit_ima(ti, live, result, maxlen);
		break;
	}
}
