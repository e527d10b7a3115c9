// SPDX-License-Identifier: GPL-2.0-only
/*
 * The simulated device and its power cuts, held to what they promise: a test
 * that never loses a write proves as little as one that loses flushed ones.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crash.h"
#include "sim.h"

__thread struct sim *the_sim;
__thread u32 sim_cpu;

static bool expect_failure;
static jmp_buf back;

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list args;

	(void)s;
	if (expect_failure)
		longjmp(back, 1);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	abort();
}

void sim_trace_line(struct sim *s, const char *fmt, ...)
{
	(void)s;
	(void)fmt;
}

const char *kinds_name(u32 kinds)
{
	(void)kinds;
	return "";
}

void sim_submitted(struct sim *s, struct dio *io)
{
	(void)s;
	(void)io;
}

static u32 tests, failures;

static void report(const char *name, bool good)
{
	tests++;
	failures += !good;
	printf("%s %u - %s\n", good ? "ok" : "not ok", tests, name);
}

static struct sim sim;
static u32 completions, errors;

static void count(struct sim *s, struct dio *io, int error)
{
	(void)s;
	(void)io;
	completions++;
	errors += !!error;
}

#define SECTORS	512U

static struct device *fresh(u64 seed, bool cache, bool fua)
{
	rng_seed(&sim.rng, seed);
	event_queue_clear(&sim.queue);
	device_init(&sim.diff, &sim, "test", &sim.rng, SECTORS);
	sim.diff.cache = cache;
	sim.diff.fua = fua;
	completions = 0;
	errors = 0;
	return &sim.diff;
}

static void finish(void)
{
	event_queue_clear(&sim.queue);
	device_exit(&sim.diff);
}

static void run_all(void)
{
	struct event e;

	while (event_next(&sim.queue, ~0ULL, &e)) {
		sim.now = e.at;
		e.fn(&sim, e.arg);
	}
}

static void run_one(void)
{
	struct event e;

	if (event_next(&sim.queue, ~0ULL, &e)) {
		sim.now = e.at;
		e.fn(&sim, e.arg);
	}
}

static struct dio *submit_write(struct device *d, u64 sector, u32 sectors, u8 fill, bool fua)
{
	struct dio *io = dio_new(d, DIO_WRITE, sector, sectors, count, NULL);
	u8 data[512];
	u32 i;

	memset(data, fill, sizeof(data));
	for (i = 0; i < sectors; i++)
		dio_put_data(io, i, 1, data);
	io->fua = fua;
	device_submit(io);
	return io;
}

static void submit_flush(struct device *d)
{
	device_submit(dio_new(d, DIO_FLUSH, 0, 0, count, NULL));
}

/* All bytes of the sector are of one write: which; -1 if not. */
static int fill_of(const struct image *img, u64 sector)
{
	const u8 *p = image_sector(img, sector);
	u32 i;

	for (i = 1; i < 512; i++) {
		if (p[i] != p[0])
			return -1;
	}
	return p[0];
}

#define ROUNDS	2000U

/* Completed, not flushed: kept in some outcomes, lost in others, torn in some. */
static void unflushed(void)
{
	struct device *d = fresh(1, true, false);
	u32 kept = 0, lost = 0, torn = 0, bad = 0, i, n;

	submit_write(d, 8, 8, 1, false);
	run_all();
	for (i = 0; i < ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);
		u32 there = 0;

		for (n = 8; n < 16; n++) {
			int fill = fill_of(img, n);

			there += fill == 1;
			bad += fill != 0 && fill != 1;
		}
		kept += there == 8;
		lost += there == 0;
		torn += there && there < 8;
		image_free(img);
	}
	report("a completed, unflushed write is kept, lost and torn",
	       kept > ROUNDS / 10 && lost > ROUNDS / 10 && torn > ROUNDS / 100);
	report("a completed write never leaves garbage", !bad);
	finish();
}

static void flushed(void)
{
	struct device *d = fresh(2, true, false);
	u32 bad = 0, i, n;

	submit_write(d, 8, 8, 1, false);
	submit_write(d, 32, 4, 2, false);
	run_all();
	submit_flush(d);
	run_all();
	submit_write(d, 64, 8, 3, false);
	run_all();
	for (i = 0; i < ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);

		for (n = 8; n < 16; n++)
			bad += fill_of(img, n) != 1;
		for (n = 32; n < 36; n++)
			bad += fill_of(img, n) != 2;
		image_free(img);
	}
	report("a flushed write is never lost or torn", !bad);
	finish();
}

/* A write that completes between the flush's submission and its completion is not covered. */
static void flush_is_exact(void)
{
	u32 late_lost = 0, early_lost = 0, rounds = 0, seed, i;

	for (seed = 0; seed < 200; seed++) {
		struct device *d = fresh(seed, true, false);

		submit_write(d, 0, 8, 1, false);
		run_all();
		submit_write(d, 8, 8, 2, false);
		submit_flush(d);
		run_all();
		for (i = 0; i < 20; i++) {
			struct image *img = crash_image(d, &sim.rng, NULL);

			early_lost += fill_of(img, 0) != 1;
			late_lost += fill_of(img, 8) != 2;
			rounds++;
			image_free(img);
		}
		finish();
	}
	report("a flush covers what had completed when it was submitted", !early_lost);
	report("a write in flight at the flush's submission may be lost", late_lost > rounds / 10);
}

static void fua_alone(void)
{
	struct device *d = fresh(3, true, true);
	u32 fua_lost = 0, other_lost = 0, i;

	submit_write(d, 0, 8, 1, false);
	submit_write(d, 8, 8, 2, true);
	run_all();
	for (i = 0; i < ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);

		other_lost += fill_of(img, 0) != 1;
		fua_lost += fill_of(img, 8) != 2;
		image_free(img);
	}
	report("an FUA write is durable", !fua_lost);
	report("an FUA write makes no other durable", other_lost > ROUNDS / 10);
	finish();
}

static void no_cache(void)
{
	struct device *d = fresh(4, false, false);
	u32 bad = 0, lost = 0, i;

	submit_write(d, 0, 8, 1, false);
	run_all();
	submit_write(d, 8, 8, 2, false);
	for (i = 0; i < ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);

		bad += fill_of(img, 0) != 1;
		lost += fill_of(img, 8) != 2;
		image_free(img);
	}
	report("without a cache a completed write is durable", !bad);
	report("without a cache a write in flight may be lost", lost > ROUNDS / 10);
	finish();
}

static void two_at_one_place(void)
{
	struct device *d = fresh(5, true, false);
	u32 seen[3] = {}, bad = 0, i;

	submit_write(d, 0, 1, 1, false);
	run_all();
	submit_write(d, 0, 1, 2, false);
	run_all();
	for (i = 0; i < ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);
		int fill = fill_of(img, 0);

		if (fill >= 0 && fill <= 2)
			seen[fill]++;
		else
			bad++;
		image_free(img);
	}
	report("of two writes to one place either may be the last", seen[0] && seen[1] && seen[2] &&
	       !bad);
	report("a read finds the newer one", fill_of(d->visible, 0) == 2);
	finish();

	/* The newer one durable by itself: the older one is gone for good. */
	d = fresh(6, true, true);
	submit_write(d, 0, 8, 1, false);
	run_all();
	submit_write(d, 0, 8, 2, true);
	run_all();
	for (i = 0, bad = 0; i < ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);

		bad += fill_of(img, 3) != 2;
		image_free(img);
	}
	report("an older cached write never replaces a durable newer one", !bad);
	finish();
}

static void in_flight(void)
{
	struct device *d = fresh(7, true, false);
	u32 kept = 0, lost = 0, torn = 0, garbage = 0, outside = 0, i, n;

	submit_write(d, 8, 16, 1, false);
	for (i = 0; i < 5 * ROUNDS; i++) {
		struct image *img = crash_image(d, &sim.rng, NULL);
		u32 there = 0, other = 0;

		for (n = 0; n < SECTORS; n++) {
			int fill = fill_of(img, n);

			if (n >= 8 && n < 24) {
				there += fill == 1;
				other += fill != 0 && fill != 1;
			} else {
				outside += fill != 0;
			}
		}
		kept += there == 16;
		lost += there == 0 && !other;
		torn += there && there < 16 && !other;
		garbage += other != 0;
		image_free(img);
	}
	report("a write in flight is kept, lost, torn and leaves garbage",
	       kept && lost && torn && garbage);
	report("no sector changes that no write covers", !outside);
	finish();
}

static void order_of_completion(void)
{
	u32 first[2] = {}, seed;

	for (seed = 0; seed < 200; seed++) {
		struct device *d = fresh(seed, true, false);
		struct dio *a = submit_write(d, 0, 8, 1, false);

		submit_write(d, 8, 8, 2, false);
		while (!completions)
			run_one();
		first[list_first_entry(&d->cached, struct dio, node) == a]++;
		finish();
	}
	report("I/O completes in any order", first[0] > 20 && first[1] > 20);
}

static void errors_that_landed(void)
{
	u32 whole = 0, part = 0, none = 0, seed, n;

	for (seed = 0; seed < 600; seed++) {
		struct device *d = fresh(seed, false, false);
		u32 there = 0;

		d->faults.fail_writes = 1;
		while (d->faults.fail_writes) {
			submit_write(d, 0, 8, 1, false);
			if (d->faults.fail_writes)
				run_all();
			if (d->faults.fail_writes) {
				submit_write(d, 0, 8, 0, false);
				run_all();
				if (!d->faults.fail_writes) {
					there = 99;
					break;
				}
			}
		}
		run_all();
		for (n = 0; n < 8 && there != 99; n++)
			there += fill_of(d->visible, n) == 1;
		whole += there == 8;
		none += there == 0;
		part += there > 0 && there < 8;
		finish();
	}
	report("a write that fails lands whole, in part, not at all",
	       whole > 50 && part > 50 && none > 50);
}

static void hung_lands_late(void)
{
	u32 late = 0, never = 0, seed;

	for (seed = 0; seed < 300; seed++) {
		struct device *d = fresh(seed, false, false);
		bool hung;

		d->faults.hang_writes = 1;
		hung = submit_write(d, 0, 8, 1, false)->hung;
		run_all();
		if (hung && !completions && fill_of(d->visible, 0) == 0) {
			device_release_hung(d);
			run_all();
			if (completions == 1 && fill_of(d->visible, 0) == 1)
				late++;
			if (completions == 1 && errors && fill_of(d->visible, 0) == 0)
				never++;
		}
		finish();
	}
	report("what hangs completes only when released, landed or not", late && never);
}

static void reuse_of_unseen(void)
{
	struct device *d = fresh(8, true, false);
	bool caught = false;

	d->exclusive = true;
	submit_write(d, 0, 8, 1, false);
	expect_failure = true;
	if (!setjmp(back))
		submit_write(d, 4, 1, 2, false);
	else
		caught = true;
	expect_failure = false;
	report("a write to where one is in flight is caught", caught);
	event_queue_clear(&sim.queue);
	INIT_LIST_HEAD(&d->flying);
	device_exit(d);
}

static void gone_and_back(void)
{
	u32 lost = 0, kept = 0, bad = 0, seed;

	for (seed = 0; seed < 200; seed++) {
		struct device *d = fresh(seed, true, false);

		submit_write(d, 0, 8, 1, false);
		run_all();
		submit_flush(d);
		run_all();
		submit_write(d, 8, 8, 2, false);
		run_all();
		submit_write(d, 16, 8, 3, false);
		device_remove(d, seed & 1);
		run_all();
		if (errors != 1)
			bad++;
		submit_write(d, 0, 8, 4, false);
		run_all();
		if (errors != 2)
			bad++;
		device_return(d);
		bad += fill_of(d->visible, 0) != 1;
		if (seed & 1)
			lost += fill_of(d->visible, 8) != 2;
		else
			kept += fill_of(d->visible, 8) == 2;
		finish();
	}
	report("a device gone and back has what was flushed", !bad);
	report("with its power it loses its cache, without it does not", lost > 20 && kept == 100);
}

static void bad_sectors(void)
{
	struct device *d = fresh(9, true, false);
	bool good;

	device_set_bad(d, 5, true);
	device_submit(dio_new(d, DIO_READ, 0, 8, count, NULL));
	device_submit(dio_new(d, DIO_READ, 0, 5, count, NULL));
	run_all();
	good = errors == 1 && completions == 2;
	submit_write(d, 5, 1, 1, false);
	run_all();
	device_submit(dio_new(d, DIO_READ, 0, 8, count, NULL));
	run_all();
	report("a bad sector fails reads until it is written", good && errors == 1);
	finish();
}

static void equal_outcomes(void)
{
	struct device *d = fresh(10, true, false);
	struct crash_write list[2];
	struct image *a, *b, *c;

	submit_write(d, 0, 8, 1, false);
	submit_write(d, 8, 8, 2, false);
	crash_list(d, list, 2);
	list[0].fate = CRASH_KEEP;
	list[1].fate = CRASH_DROP;
	a = crash_apply(d, list, 2, &sim.rng);
	b = crash_apply(d, list, 2, &sim.rng);
	list[1].fate = CRASH_KEEP;
	c = crash_apply(d, list, 2, &sim.rng);
	report("equal outcomes have equal hashes, others have not",
	       crash_hash(d, a) == crash_hash(d, b) && crash_hash(d, a) != crash_hash(d, c));
	image_free(a);
	image_free(b);
	image_free(c);
	finish();
}

static void checksums(void)
{
	u8 data[9000];
	u32 i, bad = 0;

	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 7 ^ i >> 8;
	for (i = 0; i < sizeof(data); i += i < 100 ? 1 : 37)
		bad += crc32c(~0U, data, i) != crc32c_table(~0U, data, i);
	/* The check value of the polynomial. */
	report("crc32c", !bad && ~crc32c(~0U, "123456789", 9) == 0xe3069283U);
}

int main(void)
{
	event_queue_init(&sim.queue);
	checksums();
	unflushed();
	flushed();
	flush_is_exact();
	fua_alone();
	no_cache();
	two_at_one_place();
	in_flight();
	order_of_completion();
	errors_that_landed();
	hung_lands_late();
	reuse_of_unseen();
	gone_and_back();
	bad_sectors();
	equal_outcomes();
	event_queue_exit(&sim.queue);
	printf("1..%u\n", tests);
	return failures != 0;
}
