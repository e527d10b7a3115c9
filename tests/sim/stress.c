// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads over fast.h: the map function's test, the gate, the readers' second
 * look at the sequence counts, against one worker that marks, evicts and shuts.
 *
 * What is checked:
 *  - no write passes for a chunk that is not preserved for the epoch,
 *  - when the gate is found idle nothing is inside, and nothing gets in,
 *  - a reader that finds no record and reads the live device never takes an
 *    overwritten chunk for the old one,
 *  - when a parity of the readers is found idle none of before the flip is left.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fast.h"
#include "rng.h"

#define WRITERS		2U
#define READERS		3U
#define WORKER_CPU	(WRITERS + READERS)
#define PAGES		6U
#define CHUNKS		(PAGES * COWP_PAGE_CHUNKS)
#define SETS		2U

__thread u32 sim_cpu;
static __thread struct rng rng;

static struct cowp_gate gate;
static struct cowp_count readers;
static struct cowp_bits bits;
static struct cowp_seqs seqs;
static u32 epoch = 1;
static bool stop;

/*
 * The truth.  All of it is read and written by relaxed atomics, so that nothing
 * here orders what fast.h has to order.
 */
static u32 preserved[CHUNKS];	/* epoch for which the chunk is preserved */
static u64 old_data[CHUNKS];	/* the diff area */
static u64 live_data[CHUNKS];	/* the live device */
static u64 frozen[CHUNKS];	/* the live device at the epoch's begin */
static u32 frozen_epoch;	/* whose; 0 while it changes */
static u32 wanted[CHUNKS];	/* writers that found no bit */
static u32 writer_inside[WRITERS];
static u64 reader_inside[READERS]; /* the flip before which it entered, plus one; 0: outside */

/* Counted by one thread each. */
static u64 passed[WRITERS], turned_back[WRITERS];
static u64 read_live[READERS], read_old[READERS], reread[READERS];
static u64 epochs, marks, evictions, graces;

static void fail(const char *what)
{
	fprintf(stderr, "not ok - %s\n", what);
	fflush(stderr);
	_exit(1);
}

static void pause_for(u32 max)
{
	u32 n;

	for (n = rng_below(&rng, max); n; n--)
		barrier();
}

/*
 * A store buffer: an increment becomes visible at the next barrier, if it does
 * not happen to before.  x86 hides most of what a missing barrier does, the
 * other processors that the kernel runs on do not.
 */
static __thread unsigned long *held_back;

static void drain(void)
{
	if (held_back)
		WRITE_ONCE(*held_back, READ_ONCE(*held_back) + 1);
	held_back = NULL;
}

void stress_increment(unsigned long *count)
{
	drain();
	switch (rng_below(&rng, 16)) {
	case 0:
	case 1:
		held_back = count;
		return;
	case 2:
		pause_for(20000);
		break;
	case 3:
		sched_yield();
		break;
	default:
		break;
	}
	WRITE_ONCE(*count, READ_ONCE(*count) + 1);
}

void stress_barrier(void)
{
	drain();
	__asm__ __volatile__("mfence" : : : "memory");
}

void stress_load(void)
{
	if (!rng_below(&rng, 1024))
		sched_yield();
}

void stress_sum(int cpu)
{
	if (cpu)
		return;
	switch (rng_below(&rng, 8)) {
	case 0:
		pause_for(20000);
		break;
	case 1:
		sched_yield();
		break;
	default:
		break;
	}
}

static void *writer(void *arg)
{
	u32 me = (uintptr_t)arg;
	u64 value = (u64)(me + 1) << 56;

	sim_cpu = me;
	rng_seed(&rng, me);
	while (!READ_ONCE(stop)) {
		u64 chunk = rng_below(&rng, CHUNKS);
		u32 parity, word, e;

		word = cowp_gate_enter(&gate, &parity);
		if (word != COWP_GATE_PRESERVE) {
			cowp_gate_leave(&gate, parity);
			turned_back[me]++;
			if (!rng_below(&rng, 4))
				sched_yield();
			continue;
		}
		e = READ_ONCE(epoch);
		if (cowp_bits_test(&bits, chunk, e)) {
			WRITE_ONCE(writer_inside[me], 1);
			if (READ_ONCE(preserved[chunk]) != e)
				fail("a write passed for a chunk that is not preserved");
			WRITE_ONCE(live_data[chunk], ++value);
			/* Some stay for long. */
			if (!rng_below(&rng, 32))
				sched_yield();
			pause_for(100);
			WRITE_ONCE(live_data[chunk], ++value);
			if (READ_ONCE(epoch) != e)
				fail("the epoch changed with a write inside");
			passed[me]++;
			WRITE_ONCE(writer_inside[me], 0);
		} else {
			WRITE_ONCE(wanted[chunk], e);
		}
		cowp_gate_leave(&gate, parity);
	}
	return NULL;
}

static u64 flips;

static void *reader(void *arg)
{
	u32 me = (uintptr_t)arg;

	sim_cpu = WRITERS + me;
	rng_seed(&rng, 100 + me);
	while (!READ_ONCE(stop)) {
		u64 chunk = rng_below(&rng, CHUNKS), value, expect;
		u32 parity, sum, e;

		parity = cowp_count_enter(&readers);
		WRITE_ONCE(reader_inside[me], READ_ONCE(flips) + 1);
		e = READ_ONCE(frozen_epoch);
		sum = cowp_seqs_sample(&seqs, chunk, 1);
		/* Pairs with preserve(): the old data is there when the mark is. */
		if (smp_load_acquire(&preserved[chunk]) == e) {
			value = READ_ONCE(old_data[chunk]);
			read_old[me]++;
		} else {
			pause_for(50);
			value = READ_ONCE(live_data[chunk]);
			pause_for(50);
			if (cowp_seqs_sample(&seqs, chunk, 1) != sum) {
				reread[me]++;
				goto out;
			}
			read_live[me]++;
		}
		/* Some stay for long. */
		if (!rng_below(&rng, 32))
			sched_yield();
		expect = READ_ONCE(frozen[chunk]);
		/* Pairs with the barriers around the change of frozen_epoch. */
		smp_mb();
		/* Comparable only if the epoch stayed. */
		if (e && READ_ONCE(frozen_epoch) == e && value != expect)
			fail("a reader missed an overwrite");
out:
		WRITE_ONCE(reader_inside[me], 0);
		cowp_count_leave(&readers, parity);
	}
	return NULL;
}

/* A frame for the page, evicting another one if need be; its bits are what is preserved. */
static struct cowp_frame *frame_of(u64 chunk, u32 e)
{
	struct cowp_frame *f = cowp_bits_set_of(&bits, chunk);
	u64 tag = cowp_bits_tag(chunk, e);
	u64 first = chunk & ~(u64)(COWP_PAGE_CHUNKS - 1);
	u32 i;

	for (i = 0; i < COWP_FRAME_WAYS; i++) {
		if (f[i].tag == tag)
			return &f[i];
	}
	f += rng_below(&rng, COWP_FRAME_WAYS);
	cowp_bits_assign(f, tag);
	evictions++;
	for (i = 0; i < COWP_PAGE_CHUNKS; i++) {
		if (preserved[first + i] == e)
			cowp_bits_mark(f, first + i);
	}
	return f;
}

static void preserve(u64 chunk, u32 e)
{
	struct cowp_frame *f = frame_of(chunk, e);

	if (preserved[chunk] == e)
		return;
	WRITE_ONCE(old_data[chunk], READ_ONCE(live_data[chunk]));
	/* The old data before the mark: what stands for "durable, in the index". */
	smp_store_release(&preserved[chunk], e);
	cowp_seqs_raise(&seqs, chunk);
	cowp_bits_mark(f, chunk);
	marks++;
}

static void nobody_inside(void)
{
	u32 i;

	for (i = 0; i < WRITERS; i++) {
		if (READ_ONCE(writer_inside[i]))
			fail("the gate was found idle with a write inside");
	}
}

static void new_epoch(void)
{
	u32 i;

	cowp_gate_set(&gate, COWP_GATE_SHUT);
	while (!cowp_gate_idle(&gate)) {
		if (!rng_below(&rng, 4))
			sched_yield();
	}
	/* Who was inside has left before the epoch ends ... */
	smp_mb();
	nobody_inside();
	WRITE_ONCE(frozen_epoch, 0);
	/* ... and a reader that compares sees the end before the copy changes. */
	smp_mb();
	for (i = 0; i < CHUNKS; i++)
		WRITE_ONCE(frozen[i], READ_ONCE(live_data[i]));
	pause_for(2000);
	nobody_inside();
	for (i = 0; i < CHUNKS; i++) {
		if (READ_ONCE(live_data[i]) != frozen[i])
			fail("a write got through a shut gate");
	}
	WRITE_ONCE(epoch, epoch + 1);
	/* The copy is whole before a reader may compare with it. */
	smp_mb();
	WRITE_ONCE(frozen_epoch, epoch);
	cowp_gate_set(&gate, COWP_GATE_PRESERVE);
	epochs++;
}

/*
 * What a reader may look at is reused only when all of before are gone.  Both
 * parities are waited for, one after the other: a reader that found the parity
 * before the flip may count itself after it.
 */
static void grace(void)
{
	u64 begin = flips;
	u32 i;

	WRITE_ONCE(flips, begin + 1);
	/* Readers that come from now on know that they came later. */
	smp_mb();
	for (i = 0; i < 2; i++) {
		u32 old = readers.parity & 1;

		cowp_count_flip(&readers);
		while (!cowp_count_idle(&readers, old)) {
			if (!rng_below(&rng, 8))
				sched_yield();
		}
	}
	/* The counts were idle before the readers are asked. */
	smp_mb();
	for (i = 0; i < READERS; i++) {
		u64 inside = READ_ONCE(reader_inside[i]);

		if (inside && inside - 1 <= begin)
			fail("the readers were found gone with one inside");
	}
	graces++;
}

static void work(u32 seconds)
{
	time_t end = time(NULL) + seconds;
	u32 round, i;

	sim_cpu = WORKER_CPU;
	rng_seed(&rng, 1000);
	for (round = 0; round % 64 || time(NULL) < end; round++) {
		u64 from = rng_below(&rng, CHUNKS);
		u32 n = 0;

		for (i = 0; i < CHUNKS && n < 12; i++) {
			u64 chunk = (from + i) % CHUNKS;

			if (READ_ONCE(wanted[chunk]) != epoch)
				continue;
			WRITE_ONCE(wanted[chunk], 0);
			preserve(chunk, epoch);
			n++;
		}
		frame_of(rng_below(&rng, CHUNKS), epoch);
		if (!rng_below(&rng, 8))
			new_epoch();
		if (!rng_below(&rng, 4))
			grace();
	}
}

static struct cowp_count_cpu inside_cpu[SIM_CPUS], readers_cpu[SIM_CPUS];
static struct cowp_frame frames[SETS * COWP_FRAME_WAYS];
static unsigned long words[SETS * COWP_FRAME_WAYS][COWP_PAGE_CHUNKS / BITS_PER_LONG];
static u32 counts[COWP_SEQ_COUNTS];

static u64 sum(const u64 *n, u32 count)
{
	u64 total = 0;

	while (count--)
		total += n[count];
	return total;
}

int main(int argc, char **argv)
{
	pthread_t thread[WRITERS + READERS];
	u32 seconds = argc > 1 ? strtoul(argv[1], NULL, 0) : 10;
	uintptr_t i;

	gate.inside.cpu = inside_cpu;
	readers.cpu = readers_cpu;
	bits.frames = frames;
	bits.sets = SETS;
	seqs.count = counts;
	for (i = 0; i < ARRAY_SIZE(frames); i++) {
		frames[i].bits = words[i];
		frames[i].tag = COWP_NO_TAG;
	}
	frozen_epoch = epoch;
	cowp_gate_set(&gate, COWP_GATE_PRESERVE);

	for (i = 0; i < WRITERS; i++)
		pthread_create(&thread[i], NULL, writer, (void *)i);
	for (i = 0; i < READERS; i++)
		pthread_create(&thread[WRITERS + i], NULL, reader, (void *)i);
	work(seconds);
	WRITE_ONCE(stop, true);
	for (i = 0; i < WRITERS + READERS; i++)
		pthread_join(thread[i], NULL);
	printf("%llu writes passed, %llu turned back, %llu reads live, %llu old, %llu again\n",
	       sum(passed, WRITERS), sum(turned_back, WRITERS), sum(read_live, READERS),
	       sum(read_old, READERS), sum(reread, READERS));
	printf("%llu epochs, %llu marks, %llu pages assigned, %llu graces\n", epochs, marks,
	       evictions, graces);
	if (!epochs || !marks || !graces || !sum(passed, WRITERS) || !sum(read_live, READERS) ||
	    !sum(reread, READERS))
		fail("nothing happened");
	printf("ok - fast.h under %u writers and %u readers for %u s\n", WRITERS, READERS, seconds);
	return 0;
}
