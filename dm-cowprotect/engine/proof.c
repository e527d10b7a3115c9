// SPDX-License-Identifier: GPL-2.0-only
/*
 * clear's proof: the copy that met the fault, once more.
 *
 * That the area takes a checkpoint again says little about a place in a segment
 * or a block of the index that does not work.  So before clear lets anything go,
 * a chunk whose copy failed is copied, all the way until it would be released:
 * a cause that persists is a fault again, with everything still held.  What the
 * proof has preserved stays preserved.
 *
 * It is a write like any other to the log, but for the gate, which is still
 * blocked, and that nobody is told when it may go.
 */
#include "internal.h"

/*
 * cowp_proof_note - the copy of a chunk is about to be a fault
 *
 * Call it before cowp_fault().
 */
void cowp_proof_note(struct cowp_engine *eng, u64 chunk)
{
	eng->proof.wanted = true;
	eng->proof.chunk = chunk;
}

/* Likewise, of a chunk of the first batch that has any. */
void cowp_proof_note_batches(struct cowp_engine *eng)
{
	struct cowp_batch *b;

	list_for_each_entry(b, &eng->log.batches, node) {
		if (list_empty(&b->copies))
			continue;
		cowp_proof_note(eng, list_first_entry(&b->copies, struct cowp_copy, node)->chunk);
		return;
	}
}

/* Is this the proof, and being tried? */
bool cowp_is_proof(struct cowp_engine *eng, const struct cowp_waiter *w)
{
	return w == &eng->proof.waiter && eng->proof.running;
}

static void try_copy(struct cowp_engine *eng)
{
	struct cowp_proof *p = &eng->proof;

	p->running = true;
	p->verdict = COWP_PROOF_OPEN;
	p->waiter = (struct cowp_waiter) { .chunk = p->chunk, .count = 1 };
	INIT_LIST_HEAD(&p->waiter.node);
	cowp_log_write(eng, &p->waiter);
}

/*
 * cowp_proof_start - prove that copies can be made again
 *
 * Returns false if there is nothing to be proven.  Otherwise the end of it is
 * COWP_EVENT_RETRY_GOOD or a fault.
 */
bool cowp_proof_start(struct cowp_engine *eng)
{
	struct cowp_proof *p = &eng->proof;

	if (p->running)
		return true;
	if (!p->wanted || p->chunk * eng->geo.chunk_blocks * COWP_BLOCK_SECTORS >=
			  eng->live_sectors)
		return false;
	try_copy(eng);
	return true;
}

/* The phase is another one: a fault, or nothing left to protect. */
void cowp_proof_stop(struct cowp_engine *eng)
{
	if (!eng->proof.running)
		return;
	eng->proof.running = false;
	list_del_init(&eng->proof.waiter.node);
}

/*
 * cowp_waiter_done - a write need not wait any longer
 *
 * The shell's, or the proof: that one goes on with the next round.
 */
void cowp_waiter_done(struct cowp_engine *eng, struct cowp_waiter *w, enum cowp_verdict v)
{
	struct cowp_proof *p = &eng->proof;

	if (w != &p->waiter) {
		port_write_done(eng->port, w, v);
		return;
	}
	p->verdict = cowp_bits_test(&eng->fast.bits, w->chunk, eng->fast.epoch) ?
		     COWP_PROOF_GOOD : COWP_PROOF_AGAIN;
	eng->again = true;
}

void cowp_proof_run(struct cowp_engine *eng)
{
	struct cowp_proof *p = &eng->proof;

	if (!p->running || p->verdict == COWP_PROOF_OPEN)
		return;
	if (p->verdict == COWP_PROOF_AGAIN) {
		try_copy(eng);
		return;
	}
	p->running = false;
	p->wanted = false;
	cowp_event(eng, COWP_EVENT_RETRY_GOOD, 0);
}
