// SPDX-License-Identifier: GPL-2.0-only
/* What a generated volume holds, by calculation.  See plan.h. */
#include "engine.h"
#include "plan.h"

#define GOLDEN	0x9e3779b97f4a7c15ULL

/* The last step of splitmix64. */
static u64 mix(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

u64 plan_hash(u64 seed, u64 a, u64 b)
{
	return mix(mix(mix(seed + GOLDEN) + a * GOLDEN) + b * GOLDEN);
}

u64 plan_roll(struct plan_dice *d)
{
	d->state += GOLDEN;
	return mix(d->state);
}

/* Of an odd number, modulo 2^32: each step doubles the bits that are right. */
static u32 inverse(u32 odd)
{
	u32 x = odd, step;

	for (step = 0; step < 4; step++)
		x *= 2 - odd * x;
	return x;
}

static void init_order(const struct plan *p, struct plan_order *o, u32 epoch)
{
	struct plan_dice d = { .state = plan_hash(p->seed, ~0ULL, epoch) };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(o->multiply); i++) {
		o->multiply[i] = (u32)plan_roll(&d) | 1;
		o->undo[i] = inverse(o->multiply[i]);
	}
	o->add = (u32)plan_roll(&d);
}

static u32 content_crc(const struct plan *p, const u8 *content)
{
	u32 csum[COWP_MAX_CHUNK_BLOCKS];
	u32 i;

	for (i = 0; i < p->chunk_blocks; i++)
		csum[i] = port_crc32c(~0U, content + (size_t)i * COWP_BLOCK_SIZE, COWP_BLOCK_SIZE);
	return cowp_chunk_crc(csum, p->chunk_blocks);
}

const char *plan_init(struct plan *p)
{
	static const u8 zeros[COWP_MAX_CHUNK_BLOCKS * COWP_BLOCK_SIZE];
	u32 e;

	if (!p->snapshots || p->snapshots > COWP_MAX_SNAPSHOTS)
		return "number of snapshots";
	if (!is_power_of_2(p->chunk_blocks) || p->chunk_blocks > COWP_MAX_CHUNK_BLOCKS)
		return "chunk size";
	if (p->records < p->snapshots || p->stamped > p->records)
		return "number of records";
	/* By default a chunk has three records in two, so that many have none. */
	while (!p->chunk_bits || (p->chunk_bits < 32 && plan_chunks(p) < p->records / 3 * 2))
		p->chunk_bits++;
	if (p->chunk_bits > 32 || p->records / p->snapshots >= plan_chunks(p))
		return "number of chunks";

	for (e = 1; e <= p->snapshots + 1; e++)
		p->first[e] = p->records / p->snapshots * (e - 1) +
			      min_t(u64, p->records % p->snapshots, e - 1);
	for (e = 1; e <= p->snapshots; e++)
		init_order(p, &p->order[e], e);
	p->threshold = p->stamped == p->records ? ~0ULL : ~0ULL / p->records * p->stamped;
	p->zero_crc = content_crc(p, zeros);
	return NULL;
}

u32 plan_answer(const struct plan *p, u32 snapshot, u64 chunk)
{
	u32 e;

	for (e = snapshot; e <= p->snapshots; e++)
		if (plan_has(p, chunk, e))
			return e;
	return PLAN_LIVE;
}

u32 plan_epoch(const struct plan *p, u64 record)
{
	u32 e = record / (p->records / p->snapshots + 1) + 1;

	while (p->first[e + 1] <= record)
		e++;
	return e;
}

void plan_content(const struct plan *p, u64 chunk, u32 epoch, void *to)
{
	u32 words = plan_chunk_bytes(p) / sizeof(__le64);
	u64 base = plan_hash(~p->seed, chunk, epoch);
	__le64 *word = to;
	u32 i;

	if (!plan_stamped(p, chunk, epoch)) {
		memset(to, 0, plan_chunk_bytes(p));
		return;
	}
	for (i = 0; i < words; i++)
		word[i] = cpu_to_le64(mix(base + i * GOLDEN));
}

u32 plan_crc(const struct plan *p, u64 chunk, u32 epoch)
{
	u8 content[COWP_MAX_CHUNK_BLOCKS * COWP_BLOCK_SIZE];

	if (!plan_stamped(p, chunk, epoch))
		return p->zero_crc;
	plan_content(p, chunk, epoch, content);
	return content_crc(p, content);
}

u64 plan_pick(const struct plan *p, struct plan_dice *d)
{
	return plan_roll(d) & (plan_chunks(p) - 1);
}

/* Each epoch that the snapshot reads is as likely, whatever its share of the chunks. */
u64 plan_pick_stamped(const struct plan *p, struct plan_dice *d, u32 snapshot)
{
	for (;;) {
		u32 epoch = snapshot + plan_roll(d) % (p->snapshots - snapshot + 2);
		u64 chunk = plan_pick(p, d);

		if (epoch > p->snapshots)
			epoch = PLAN_LIVE;
		else
			chunk = plan_chunk(&p->order[epoch], p->chunk_bits,
					   plan_roll(d) % plan_count(p, epoch));
		if (plan_stamped(p, chunk, epoch) && plan_answer(p, snapshot, chunk) == epoch)
			return chunk;
	}
}
