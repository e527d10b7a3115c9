/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What other threads than the worker touch: the gate, the preserved bits and
 * the sequence counts.  Everything concurrent in the engine is in this file, so
 * that a threaded stress can hold all of it to account.
 *
 * The worker is the only writer, but for the per-processor counts.
 */
#ifndef COWP_FAST_H
#define COWP_FAST_H

#include "port.h"

/**
 * enum cowp_gate_word - what the map function does with I/O to the live volume
 * @COWP_GATE_OPEN:	pass everything: there is no snapshot to preserve for
 * @COWP_GATE_PRESERVE:	pass reads, and writes whose chunks are all preserved;
 *			the others go to the engine
 * @COWP_GATE_SHUT:	pass reads; queue everything that changes the live volume
 * @COWP_GATE_BLOCKED:	hold everything, or fail it by option
 */
enum cowp_gate_word {
	COWP_GATE_OPEN,
	COWP_GATE_PRESERVE,
	COWP_GATE_SHUT,
	COWP_GATE_BLOCKED,
};

/* Users that came and went on one processor, by parity. */
struct cowp_count_cpu {
	unsigned long in[2];
	unsigned long out[2];
};

/**
 * struct cowp_count - who is inside, counted without a shared cache line
 * @cpu:	per-processor counts
 * @parity:	of those that enter now
 *
 * After SRCU's counters: a user adds to @in of the parity that it finds, later
 * to @out of the same; the worker flips the parity and finds the old one empty
 * when the sums agree, however many enter meanwhile.
 */
struct cowp_count {
	struct cowp_count_cpu __percpu *cpu;
	u32 parity;
};

static inline u32 cowp_count_enter(struct cowp_count *c)
{
	u32 parity = READ_ONCE(c->parity) & 1;

	port_percpu_inc(c->cpu, in[parity]);
	/* Pairs with cowp_count_flip(): the count is seen before the test after it is made. */
	smp_mb();
	return parity;
}

static inline void cowp_count_leave(struct cowp_count *c, u32 parity)
{
	/* What was done inside happens before the worker finds the count empty. */
	smp_mb();
	port_percpu_inc(c->cpu, out[parity]);
	/* Pairs with cowp_count_flip(): see the word that asks to be woken. */
	smp_mb();
}

/* Worker.  Those who enter from now on are counted apart. */
static inline void cowp_count_flip(struct cowp_count *c)
{
	WRITE_ONCE(c->parity, c->parity + 1);
	/* Pairs with cowp_count_enter(): who counts under the old parity is seen. */
	smp_mb();
}

/**
 * cowp_count_idle - has everyone of a parity left?
 * @c:		the count
 * @parity:	which users
 *
 * Worker.  @out is summed before @in: whoever leaves between the two sums is
 * counted as inside, never the other way round.
 */
static inline bool cowp_count_idle(struct cowp_count *c, u32 parity)
{
	unsigned long out = 0, in = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		out += READ_ONCE(port_percpu_ptr(c->cpu, cpu)->out[parity]);
	/* Those who left are summed before those who came. */
	smp_mb();
	for_each_possible_cpu(cpu)
		in += READ_ONCE(port_percpu_ptr(c->cpu, cpu)->in[parity]);
	return in == out;
}

/**
 * struct cowp_gate - the gate of a live volume
 * @word:	enum cowp_gate_word
 * @inside:	mutating operations from map to completion
 *
 * The counts come first, the test second: whoever finds the gate open is
 * counted, so that a worker which shut it and then finds the counts empty
 * knows that nothing changes the live device any more.
 */
struct cowp_gate {
	u32 word;
	struct cowp_count inside;
};

/**
 * cowp_gate_enter - a mutating operation arrives
 * @g:		the gate
 * @parity:	out: for cowp_gate_leave()
 *
 * Any context.  Returns the gate's word; whatever it is the operation is
 * inside until cowp_gate_leave().
 */
static inline enum cowp_gate_word cowp_gate_enter(struct cowp_gate *g, u32 *parity)
{
	*parity = cowp_count_enter(&g->inside);
	return READ_ONCE(g->word);
}

/**
 * cowp_gate_leave - a mutating operation completed, or turned back
 * @g:		the gate
 * @parity:	from cowp_gate_enter()
 *
 * Any context.  Returns true if the worker must be woken, since it waits for
 * the gate to run empty.
 */
static inline bool cowp_gate_leave(struct cowp_gate *g, u32 parity)
{
	cowp_count_leave(&g->inside, parity);
	return READ_ONCE(g->word) == COWP_GATE_SHUT;
}

/* Worker. */
static inline void cowp_gate_set(struct cowp_gate *g, enum cowp_gate_word word)
{
	WRITE_ONCE(g->word, word);
	/* Pairs with cowp_count_enter(): whoever is not counted yet finds the new word. */
	smp_mb();
	cowp_count_flip(&g->inside);
}

/* Worker, with the gate shut. */
static inline bool cowp_gate_idle(struct cowp_gate *g)
{
	return cowp_count_idle(&g->inside, 0) && cowp_count_idle(&g->inside, 1);
}

/*
 * Preserved bits.  A page covers COWP_PAGE_CHUNKS chunks; frames hold pages,
 * COWP_FRAME_WAYS to a set, as a processor's cache does, so that the memory is
 * fixed and consecutive pages never collide before all frames are used.
 */
#ifndef COWP_PAGE_SHIFT			/* the simulator makes pages and sets small */
#define COWP_PAGE_SHIFT		15	/* one block of bits */
#define COWP_FRAME_WAYS		4U
#endif
#define COWP_PAGE_CHUNKS	((u32)BIT(COWP_PAGE_SHIFT))
#define COWP_NO_TAG		(~0ULL)

/**
 * struct cowp_frame - a page of preserved bits
 * @seq:	odd while the frame changes its page
 * @loading:	the worker's: the page is being rebuilt
 * @tag:	page and epoch, or COWP_NO_TAG
 * @bits:	set: the chunk's old content is durable for that epoch
 * @pins:	the worker's: what keeps the page from being evicted
 * @used:	the worker's: for the choice of a victim
 * @waiters:	the worker's: writes that wait for the page to be rebuilt
 */
struct cowp_frame {
	u32 seq;
	bool loading;
	u64 tag;
	unsigned long *bits;
	u32 pins;
	u64 used;
	struct list_head waiters;
};

/**
 * struct cowp_bits - the cache of preserved bits
 * @frames:	@sets times COWP_FRAME_WAYS
 * @sets:	any number
 */
struct cowp_bits {
	struct cowp_frame *frames;
	u32 sets;
};

static inline u64 cowp_bits_tag(u64 chunk, u32 epoch)
{
	return (chunk >> COWP_PAGE_SHIFT) << COWP_EPOCH_BITS | epoch;
}

static inline struct cowp_frame *cowp_bits_set_of(const struct cowp_bits *b, u64 chunk)
{
	u32 set;

	div_u64_rem(chunk >> COWP_PAGE_SHIFT, b->sets, &set);
	return &b->frames[set * COWP_FRAME_WAYS];
}

/* The word that has the chunk's bit, all clear when its page is not there. */
static inline unsigned long cowp_bits_word(const struct cowp_bits *b, u64 chunk, u32 epoch)
{
	const struct cowp_frame *f = cowp_bits_set_of(b, chunk);
	u64 tag = cowp_bits_tag(chunk, epoch);
	u32 bit = chunk & (COWP_PAGE_CHUNKS - 1);
	u32 way;

	for (way = 0; way < COWP_FRAME_WAYS; way++, f++) {
		/* Pairs with cowp_bits_assign(): tag and word are of this count or a later one. */
		u32 seq = smp_load_acquire(&f->seq);
		unsigned long word;

		if (seq & 1 || READ_ONCE(f->tag) != tag)
			continue;
		word = READ_ONCE(f->bits[bit / BITS_PER_LONG]);
		/* The word was the page's only if the frame did not change hands meanwhile. */
		smp_rmb();
		return READ_ONCE(f->seq) == seq ? word : 0;
	}
	return 0;
}

/**
 * cowp_bits_test - is the chunk's old content durable for the epoch?
 * @b:		the cache
 * @chunk:	number
 * @epoch:	as in cowp_fast.epoch
 *
 * Any context, without a lock.  False when that is not known.  The caller must
 * be inside the gate, or the epoch may end between the answer and its use.
 */
static inline bool cowp_bits_test(const struct cowp_bits *b, u64 chunk, u32 epoch)
{
	return cowp_bits_word(b, chunk, epoch) >> (chunk % BITS_PER_LONG) & 1;
}

/**
 * cowp_bits_run - of how many chunks in a row does cowp_bits_test() say the same?
 * @b:		the cache
 * @chunk:	the first
 * @max:	how many to look at
 * @epoch:	as in cowp_fast.epoch
 * @set:	what it says
 *
 * Any context, without a lock, as cowp_bits_test().
 */
static inline u64 cowp_bits_run(const struct cowp_bits *b, u64 chunk, u64 max, u32 epoch, bool set)
{
	u64 n = 0;

	while (n < max) {
		u32 from = (chunk + n) % BITS_PER_LONG;
		unsigned long word = cowp_bits_word(b, chunk + n, epoch);
		unsigned long others = (set ? ~word : word) >> from;

		if (others)
			return min_t(u64, n + __ffs(others), max);
		n += BITS_PER_LONG - from;
	}
	return max;
}

/* Worker: the frame holds the tag's page. */
static inline void cowp_bits_mark(struct cowp_frame *f, u64 chunk)
{
	u32 bit = chunk & (COWP_PAGE_CHUNKS - 1);
	unsigned long *word = &f->bits[bit / BITS_PER_LONG];

	/* Release: whoever finds the bit set finds the sequence count raised. */
	smp_store_release(word, *word | BIT(bit % BITS_PER_LONG));
}

/* Worker: the frame holds the chunk's page; has it been marked? */
static inline bool cowp_bits_marked(const struct cowp_frame *f, u64 chunk)
{
	u32 bit = chunk & (COWP_PAGE_CHUNKS - 1);

	return f->bits[bit / BITS_PER_LONG] & BIT(bit % BITS_PER_LONG);
}

/* Worker: give the frame to a page (COWP_NO_TAG: to none), all bits clear. */
static inline void cowp_bits_assign(struct cowp_frame *f, u64 tag)
{
	u32 i;

	WRITE_ONCE(f->seq, f->seq + 1);
	/* Pairs with cowp_bits_test(): a changed word is seen with a changed count. */
	smp_wmb();
	WRITE_ONCE(f->tag, tag);
	for (i = 0; i < COWP_PAGE_CHUNKS / BITS_PER_LONG; i++)
		WRITE_ONCE(f->bits[i], 0);
	/* Pairs with cowp_bits_test(): an even count comes with its page's words. */
	smp_store_release(&f->seq, f->seq + 1);
}

/*
 * Sequence counts: raised for a chunk when its record enters the index, before
 * its bit is set, and so before it can be overwritten.  A snapshot read that
 * found no record and read the live device compares the count of before with
 * that of after; if it moved, the live device may have been overwritten.
 * Hashed: a collision costs a repeated lookup.
 */
#ifndef COWP_SEQ_COUNTS			/* the simulator makes them collide */
#define COWP_SEQ_COUNTS		((u32)BIT(16))
#endif

struct cowp_seqs {
	u32 *count;	/* COWP_SEQ_COUNTS */
};

/* Worker. */
static inline void cowp_seqs_raise(struct cowp_seqs *s, u64 chunk)
{
	u32 *count = &s->count[chunk & (COWP_SEQ_COUNTS - 1)];

	/* After the record entered the index, before the bit is set. */
	smp_store_release(count, *count + 1);
}

/**
 * cowp_seqs_sample - sum of the counts of a range of chunks
 * @s:		the counts
 * @chunk:	first chunk
 * @count:	chunks
 *
 * Any context.  Counts only grow, so equal sums mean that none moved.  Before
 * the lookup call it plainly; after reading the live device, when the data is
 * there.
 */
static inline u32 cowp_seqs_sample(const struct cowp_seqs *s, u64 chunk, u32 count)
{
	u32 sum = 0;

	/* After the data (or whatever the caller did before) ... */
	smp_mb();
	while (count--)
		sum += READ_ONCE(s->count[chunk++ & (COWP_SEQ_COUNTS - 1)]);
	/* ... and before the lookup. */
	smp_mb();
	return sum;
}

#endif /* COWP_FAST_H */
