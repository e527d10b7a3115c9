// SPDX-License-Identifier: GPL-2.0-only
/*
 * micro: what the engine itself costs, on this machine, without devices.
 *
 *	micro [REPETITIONS]
 *
 * Transfers end at once and move nothing (but for the index's, which are read
 * again); so neither copying nor the checksums of data are in the figures, but the
 * checksums of summaries and of the index are.  Prints a line for each measurement:
 *
 *	micro WHAT OPERATIONS-A-SECOND INSTRUCTIONS-AN-OPERATION
 *
 * where the processor counts instructions for us, else "-".
 */
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "counter.h"
#include "internal.h"

#define LIVE_CHUNKS	1048576U
#define DIFF_BLOCKS	1048576U
#define CHUNKS		32768U	/* a memtable takes them without a checkpoint */
#define DEPTH		32U
#define RUNS		COWP_FAN_IN	/* that are merged, of CHUNKS records each */

static struct cowp_port port;
static struct cowp_waiter waiters[DEPTH];
static u32 waiting;
static u32 found;
static u32 snapshot;
static bool skip;

static void stop(const char *why)
{
	fprintf(stderr, "micro: %s\n", why);
	exit(1);
}

static enum port_fate fate(struct cowp_port *p, const struct cowp_io *io)
{
	(void)p;
	return skip || io->op == COWP_FLUSH ? PORT_SKIP : PORT_DO;
}

static void write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v)
{
	(void)p;
	(void)w;
	if (v != COWP_GO)
		stop("a write was not let go");
	waiting--;
}

static void lookup_done(struct cowp_port *p, struct cowp_lookup *l)
{
	(void)p;
	if (l->error || l->answered != l->count)
		stop("a lookup failed");
	found += l->found[0].where == COWP_IN_DIFF;
	waiting--;
}

/* ---- measuring ---- */

struct measure {
	struct timespec from;
	u64 instructions;
};

static struct measure begin(void)
{
	struct measure m = { .instructions = counter_read() };

	clock_gettime(CLOCK_MONOTONIC, &m.from);
	return m;
}

static void end(const struct measure *m, const char *what, u32 operations)
{
	u64 n = counter_read() - m->instructions;
	struct timespec now;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = now.tv_sec - m->from.tv_sec + (now.tv_nsec - m->from.tv_nsec) / 1e9;
	printf("micro %s %.0f ", what, operations / seconds);
	if (n)
		printf("%.0f\n", (double)n / operations);
	else
		printf("-\n");
}

/* ---- what is measured ---- */

static u64 chunk_of(u32 i)
{
	/* An odd factor permutes the numbers below a power of two */
	return (i * 2654435769U & (CHUNKS - 1)) * (LIVE_CHUNKS / CHUNKS);
}

static void preserve(u32 depth, u32 offset)
{
	u32 i, n;

	for (i = 0; i < CHUNKS; i += depth) {
		waiting = depth;
		for (n = 0; n < depth; n++) {
			waiters[n].chunk = chunk_of(i + n) + offset;
			waiters[n].count = 1;
			cowp_engine_write(port.eng, &waiters[n]);
		}
		port_pump(&port);
		if (waiting)
			stop("writes wait");
	}
}

static void look_up(u32 offset, u32 expected)
{
	struct cowp_lookup l;
	u32 i;

	found = 0;
	for (i = 0; i < CHUNKS; i++) {
		memset(&l, 0, sizeof(l));
		l.snapshot = snapshot;
		l.chunk = chunk_of(i * 5 + 1) + offset;
		l.count = 1;
		waiting = 1;
		cowp_engine_lookup(port.eng, &l);
		if (waiting)
			port_pump(&port);
		if (waiting)
			stop("a lookup waits");
	}
	if (found != expected)
		stop("a lookup found something else");
}

static void message(u8 op)
{
	struct cowp_msg m = { .op = op };

	skip = false;
	if (port_message(&port, &m))
		stop("a message failed");
	if (op == COWP_MSG_CREATE)
		snapshot = m.id;
}

static int memory(u64 bytes)
{
	int fd = memfd_create("micro", 0);

	if (fd < 0 || ftruncate(fd, bytes))
		stop("no memory");
	return fd;
}

static void activate(void)
{
	struct cowp_config cfg = {
		.chunk_blocks = 1,
		.live_sectors = (u64)LIVE_CHUNKS * COWP_BLOCK_SECTORS,
		.live_block_sectors = 1,
		.diff_block_sectors = 1,
		.format = true,
		.uuid = { 1 },
		.cache_blocks = 1024,
	};

	port_init(&port);
	port.fate = fate;
	port.still = true;
	port.write_done = write_done;
	port.lookup_done = lookup_done;
	port.fd[COWP_DIFF] = memory((u64)DIFF_BLOCKS * COWP_BLOCK_SIZE);
	port.sectors[COWP_LIVE] = cfg.live_sectors;
	port.sectors[COWP_DIFF] = (u64)DIFF_BLOCKS * COWP_BLOCK_SECTORS;
	if (cowp_engine_new(&port.eng, &cfg, &port))
		stop("no memory");
	cowp_engine_start(port.eng);
	port_pump(&port);
	if (cowp_engine_status(port.eng)->state != COWP_STATE_NONE)
		stop("the area was not formatted");
	message(COWP_MSG_CREATE);
}

static void deactivate(void)
{
	message(COWP_MSG_CLOSE);
	cowp_engine_free(port.eng);
	close(port.fd[COWP_DIFF]);
}

static void measure_preserve(const char *what, u32 depth)
{
	struct measure m;

	skip = true;
	m = begin();
	preserve(depth, 0);
	end(&m, what, CHUNKS);
}

static void measure_look_up(const char *what, u32 offset, u32 expected)
{
	struct measure m;

	look_up(offset, expected);
	m = begin();
	look_up(offset, expected);
	end(&m, what, CHUNKS);
}

static void preserve_runs(u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		skip = true;
		preserve(DEPTH, i);
		message(COWP_MSG_CHECKPOINT);
	}
}

/* What is of the current epoch is not merged with older runs: its end begins the merge. */
static void measure_merge(void)
{
	struct measure m;

	preserve_runs(RUNS / 2);
	message(COWP_MSG_CREATE);
	preserve_runs(RUNS / 2);
	if (port.eng->index.run_count != RUNS)
		stop("there are not as many runs as there were checkpoints");
	m = begin();
	message(COWP_MSG_CREATE);
	while (port_pump(&port) <= port.clock)
		;
	end(&m, "merge", RUNS * CHUNKS);
	if (port.eng->index.run_count != 1)
		stop("the runs were not merged");
}

int main(int argc, char **argv)
{
	u32 repetitions = argc > 1 ? atoi(argv[1]) : 3;

	counter_open();
	while (repetitions--) {
		activate();
		measure_preserve("preserve-1", 1);
		measure_look_up("look-up-memtable", 0, CHUNKS);
		measure_look_up("look-up-absent", 1, 0);
		message(COWP_MSG_CHECKPOINT);
		measure_look_up("look-up-run", 0, CHUNKS);
		deactivate();
		activate();
		measure_preserve("preserve-32", DEPTH);
		deactivate();
		activate();
		measure_merge();
		deactivate();
	}
	return 0;
}
