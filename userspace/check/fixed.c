// SPDX-License-Identifier: GPL-2.0-only
/* State copies and roots: each for itself, against each other, and the rule of generations. */
#include "../identity.h"
#include "check.h"

static bool is_zero(const void *block)
{
	return !memchr_inv(block, 0, COWP_BLOCK_SIZE);
}

static void check_copies(struct check *c)
{
	const struct fixed *f = &c->fixed;
	const struct cowp_area_state *a = &f->copy[0], *b = &f->copy[1];
	static const char no_copy[] =
		"without a valid copy the volume is blocked and recovery refuses the area";
	static const char other_copy[] =
		"the other copy counts, the next activation writes both";
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		const struct cowp_state_block *s = f->state[i];

		if (f->bad_state[i])
			finding(&c->findings, COWP_STATE_BLOCK(i),
				"state, copy %u: %s; %s", i, f->bad_state[i],
				f->newest < 0 ? no_copy : other_copy);
		else if (le32_to_cpu(s->header.session) != f->copy[i].session)
			finding(&c->findings, COWP_STATE_BLOCK(i),
				"state, copy %u: written in session %u, but says %u; it was not written by the module",
				i, le32_to_cpu(s->header.session), f->copy[i].session);
	}
	if (f->bad_state[0] || f->bad_state[1])
		return;
	if (memcmp(a->uuid, b->uuid, sizeof(a->uuid)))
		finding(&c->findings, COWP_STATE_BLOCK(1),
			"state: the copies have different uuids; one of them is another area's");
	else if (b->sequence > a->sequence)
		finding(&c->findings, COWP_STATE_BLOCK(0),
			"state, copy 0: sequence %llu, but copy 1 has %llu; copy 0 is written first, so a write to it was lost",
			a->sequence, b->sequence);
	else if (a->sequence > b->sequence)
		note(&c->findings, COWP_STATE_BLOCK(1),
		     "state, copy 1: sequence %llu, copy 0 has %llu; a change was cut short, the next activation ends it",
		     b->sequence, a->sequence);
	else if (a->generation != b->generation || a->session != b->session ||
		 a->mode != b->mode || a->lost != b->lost)
		finding(&c->findings, COWP_STATE_BLOCK(1),
			"state: the copies have sequence %llu both and differ; one was not written by the module",
			a->sequence);
}

static void check_root(struct check *c, u32 i)
{
	const struct fixed *f = &c->fixed;
	const struct cowp_area_state *s = f->newest < 0 ? NULL : &f->copy[f->newest];
	const struct cowp_super *root = &f->super[i];

	if (f->bad_root[i]) {
		/* The second slot is blank until the second manifest. */
		if (i && !f->root_error[i] && is_zero(f->root[i]) && f->slot == 0 &&
		    f->super[0].generation == 1)
			return;
		finding(&c->findings, COWP_ROOT_BLOCK(i), "root, slot %u: %s; %s", i,
			f->bad_root[i], f->slot < 0 ? "no manifest is left" :
			"the other slot's manifest counts, the next checkpoint writes this one");
		return;
	}
	if (s && root->session > s->session)
		finding(&c->findings, COWP_ROOT_BLOCK(i),
			"root, slot %u: of session %u, above the state's %u; the state blocks went back, or another host writes here",
			i, root->session, s->session);
	if (root->area_blocks != root->first_segment +
				 (u64)root->segments * root->segment_blocks)
		finding(&c->findings, COWP_ROOT_BLOCK(i),
			"root, slot %u: %llu blocks, but %u segments of %u from %llu on; the sizes do not agree",
			i, root->area_blocks, root->segments, root->segment_blocks,
			root->first_segment);
	if (cowp_body_max(root->segments) > root->body_max)
		finding(&c->findings, COWP_ROOT_BLOCK(i),
			"root, slot %u: a body of %u blocks does not hold %u segments; the next checkpoint would write over what lies behind",
			i, root->body_max, root->segments);
}

/* What never changes, and what only grows. */
static void check_pair(struct check *c)
{
	const struct fixed *f = &c->fixed;
	const struct cowp_super *new, *old;
	u32 slot = f->slot;

	if (f->bad_root[0] || f->bad_root[1])
		return;
	new = &f->super[slot];
	old = &f->super[!slot];
	if (old->generation == new->generation) {
		finding(&c->findings, COWP_ROOT_BLOCK(1),
			"roots: generation %llu in both slots; one of them was not written by the module",
			new->generation);
		return;
	}
	if (old->chunk_blocks != new->chunk_blocks || old->segment_blocks != new->segment_blocks ||
	    old->first_segment != new->first_segment || old->body_max != new->body_max ||
	    old->body_block[0] != new->body_block[0] || old->body_block[1] != new->body_block[1] ||
	    old->created != new->created)
		finding(&c->findings, COWP_ROOT_BLOCK(!slot),
			"roots: the layouts in the two slots differ; it never changes");
	if (old->segments > new->segments)
		finding(&c->findings, COWP_ROOT_BLOCK(slot),
			"root, slot %u: %u segments, %u in the manifest before; an area never shrinks",
			slot, new->segments, old->segments);
	if (old->epoch > new->epoch || old->incarnation > new->incarnation ||
	    old->replay_batch > new->replay_batch)
		finding(&c->findings, COWP_ROOT_BLOCK(slot),
			"root, slot %u: epoch %u, incarnation %u, replay point %llu, in the manifest before %u, %u, %llu; a number was given out twice",
			slot, new->epoch, new->incarnation, new->replay_batch,
			old->epoch, old->incarnation, old->replay_batch);
}

/* Both copies are blank, or both are there and alike. */
static void check_identity(struct check *c)
{
	struct identity id[COWP_SLOTS];
	bool blank[COWP_SLOTS];
	void *block = xcalloc(1, COWP_BLOCK_SIZE);
	bool good = true;
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		int error = area_read(c->area, COWP_IDENTITY_BLOCK(i), 1, block);
		const char *bad = NULL;

		blank[i] = !error && is_zero(block);
		if (error)
			bad = strerror(-error);
		else if (!blank[i])
			bad = identity_decode(&id[i], block, i,
					      c->fixed.super[c->fixed.slot].uuid);
		if (bad)
			finding(&c->findings, COWP_IDENTITY_BLOCK(i),
				"identity, copy %u: %s; no snapshot is lost with it", i, bad);
		good = good && !bad;
	}
	free(block);
	if (!good || (blank[0] && blank[1]))
		return;
	if (blank[0] || blank[1])
		finding(&c->findings, COWP_IDENTITY_BLOCK(blank[1]),
			"identity, copy %u: blank, the other is there; no snapshot is lost with it",
			blank[1]);
	else if (memcmp(&id[0], &id[1], sizeof(id[0])))
		finding(&c->findings, COWP_IDENTITY_BLOCK(1),
			"identity: the copies differ; one was not written by format");
}

/* Blocks of 4 KiB beside the fixed ones that nothing uses. */
static void check_reserved(struct check *c)
{
	void *block = xcalloc(1, COWP_BLOCK_SIZE);
	u32 slot, i;

	for (slot = 0; slot < COWP_SLOTS; slot++) {
		for (i = 3; i < COWP_FIRST_BODY_BLOCK - COWP_ROOT_BLOCK(1); i++) {
			u64 nr = COWP_ROOT_BLOCK(slot) + i;
			int error = area_read(c->area, nr, 1, block);

			if (error)
				finding(&c->findings, nr,
					"reserved block: %s; nothing is lost with it",
					strerror(-error));
			else if (!is_zero(block))
				finding(&c->findings, nr,
					"reserved block: not zero; something else has written to the area");
		}
	}
	free(block);
}

/*
 * A manifest that is durable while the state does not say so yet leaves the
 * older one as good as it was: its body must be, too.
 */
static void check_older(struct check *c)
{
	const struct fixed *f = &c->fixed;
	u32 old = !f->slot;
	struct manifest m;

	if (f->bad_root[old] || f->newest < 0 ||
	    f->super[old].generation < f->copy[f->newest].generation)
		return;
	manifest_read(&m, c->area, &f->super[old], old, &c->findings);
	manifest_free(&m);
}

bool check_fixed(struct check *c)
{
	struct fixed *f = &c->fixed;
	u32 i;

	check_copies(c);
	for (i = 0; i < COWP_SLOTS; i++)
		check_root(c, i);
	if (f->slot < 0) {
		for (i = 0; i < COWP_SLOTS; i++)
			if (!f->bad_root[i])
				finding(&c->findings, COWP_ROOT_BLOCK(i),
					"root, slot %u: generation %llu, but the state says that %llu was durable; the newest manifest is lost",
					i, f->super[i].generation,
					f->copy[f->newest].generation);
		return false;
	}
	c->session = f->newest < 0 ? ~0U : f->copy[f->newest].session;
	check_pair(c);
	check_older(c);
	check_identity(c);
	check_reserved(c);
	return true;
}

void check_session(struct check *c, const void *block, u64 nr, const char *what)
{
	const struct cowp_header *h = block;

	if (le32_to_cpu(h->session) > c->session)
		finding(&c->findings, nr,
			"%s: of session %u, above the state's %u; the state blocks went back, or another host writes here",
			what, le32_to_cpu(h->session), c->session);
}
