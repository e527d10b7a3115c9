// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkimage: put content into a formatted diff area, by the engine itself.
 *
 *	mkimage [--seed N] [--ops N] [--cut N] [--bad] [--reset] [--close] DIFF LIVE
 *
 * A history of writes, snapshots, deletions, checkpoints and pauses follows from
 * the seed.  --cut ends it at the Nth write to the diff area as a power cut
 * does: of the writes that no flush covers any subset stays, block by block.
 * --bad gives the live device unreadable sectors.  --reset gives a lost area's
 * snapshots up for good, and goes on.  --close ends with a clean
 * checkpoint, otherwise the machine just stops.
 */
#include <fcntl.h>
#include <unistd.h>

#include "area.h"
#include "engine.h"

#define WRITERS		96U
#define MAX_UNFLUSHED	4096U

struct unflushed {
	u64 block;
	u8 *before;
	u8 *after;
};

struct maker {
	struct cowp_port port;
	struct area diff;
	struct area live;
	struct cowp_config cfg;
	u32 chunk_sectors;
	u64 chunks;
	u64 random;
	u64 cut;
	bool bad;
	bool closing;
	bool reset;
	u64 diff_writes;
	u64 live_writes;
	u32 writing;
	struct unflushed unflushed[MAX_UNFLUSHED];
	u32 unflushed_count;
};

struct writer {
	struct cowp_waiter waiter;
	u64 chunk;
	bool busy;
};

static struct maker maker;
static struct writer writers[WRITERS];

static u64 rnd(u64 below)
{
	u64 x = maker.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	maker.random = x;
	return x % below;
}

/* ---- power cuts ---- */

static void remember(const struct cowp_io *io)
{
	u32 i;

	for (i = 0; i < io->nr_blocks; i++) {
		struct unflushed *u = &maker.unflushed[maker.unflushed_count++];

		if (maker.unflushed_count == MAX_UNFLUSHED) {
			fprintf(stderr, "mkimage: too many writes without a flush\n");
			exit(1);
		}
		u->block = io->sector / COWP_BLOCK_SECTORS + i;
		u->before = xcalloc(1, COWP_BLOCK_SIZE);
		u->after = xcalloc(1, COWP_BLOCK_SIZE);
		area_read(&maker.diff, u->block, 1, u->before);
		memcpy(u->after, io->blocks[i], COWP_BLOCK_SIZE);
	}
}

static void forget(void)
{
	u32 i;

	for (i = 0; i < maker.unflushed_count; i++) {
		free(maker.unflushed[i].before);
		free(maker.unflushed[i].after);
	}
	maker.unflushed_count = 0;
}

static void put_block(u64 block, const void *data)
{
	if (pwrite(maker.diff.fd, data, COWP_BLOCK_SIZE, (off_t)block * COWP_BLOCK_SIZE) < 0) {
		perror("mkimage: write");
		exit(1);
	}
}

static void lose_some(void)
{
	u32 mood = rnd(3);
	u32 i;

	for (i = maker.unflushed_count; i--;)
		put_block(maker.unflushed[i].block, maker.unflushed[i].before);
	for (i = 0; i < maker.unflushed_count; i++)
		if (mood == 0 ? rnd(2) : mood == 1 ? rnd(16) : !rnd(16))
			put_block(maker.unflushed[i].block, maker.unflushed[i].after);
	forget();
}

/* Three sectors of every 64th chunk cannot be read. */
static bool unreadable(const struct cowp_io *io)
{
	u64 from = io->sector, to = io->sector + (io->bytes >> SECTOR_SHIFT);
	u64 step = (u64)maker.chunk_sectors * 64;
	u64 first = roundup(from < 4 ? 0 : from - 3, step);

	return maker.bad && first < to && first + 3 > from;
}

static enum port_fate fate(struct cowp_port *p, const struct cowp_io *io)
{
	(void)p;
	if (io->dev == COWP_LIVE)
		return io->op == COWP_READ && unreadable(io) ? PORT_FAIL : PORT_DO;
	if (io->op == COWP_FLUSH) {
		forget();
		return PORT_SKIP;	/* the page cache does for a test */
	}
	if (io->op != COWP_WRITE)
		return PORT_DO;
	if (++maker.diff_writes == maker.cut) {
		remember(io);
		lose_some();
		return PORT_DIE;
	}
	if (maker.cut)
		remember(io);
	return PORT_DO;
}

/* ---- what a user does ---- */

static void stop(const char *why)
{
	const struct cowp_status *s = cowp_engine_status(maker.port.eng);

	fprintf(stderr, "mkimage: %s: state %s, fault %s (%s)\n", why, cowp_state_words[s->state],
		cowp_fault_words[s->fault], s->detail ? s->detail : "-");
	exit(1);
}

/* Full, and given up: normal mode does so. */
static bool is_lost(void)
{
	return cowp_engine_status(maker.port.eng)->state == COWP_STATE_LOST;
}

static void overwrite(u64 chunk)
{
	u8 block[COWP_BLOCK_SIZE];
	u64 at = chunk * maker.chunk_sectors;
	u32 i;

	for (i = 0; i < maker.chunk_sectors / COWP_BLOCK_SECTORS; i++) {
		u64 left = maker.cfg.live_sectors - min(maker.cfg.live_sectors, at);
		u32 bytes = min_t(u64, left << SECTOR_SHIFT, COWP_BLOCK_SIZE);

		memset(block, rnd(256), sizeof(block));
		memcpy(block, &maker.live_writes, sizeof(maker.live_writes));
		if (bytes && pwrite(maker.live.fd, block, bytes, at << SECTOR_SHIFT) < 0)
			stop("live device");
		at += COWP_BLOCK_SECTORS;
	}
	maker.live_writes++;
}

static void write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v)
{
	struct writer *wr = container_of(w, struct writer, waiter);

	(void)p;
	wr->busy = false;
	maker.writing--;
	if (v == COWP_GO)
		overwrite(wr->chunk);
}

/* One write through the gate; what the gate hands back is not tried again. */
static void start_write(struct writer *wr, u64 chunk)
{
	struct cowp_fast *fast = cowp_engine_fast(maker.port.eng);

	wr->chunk = chunk;
	if (fast->gate.word == COWP_GATE_OPEN) {
		overwrite(chunk);
	} else if (fast->gate.word == COWP_GATE_PRESERVE) {
		wr->waiter.chunk = chunk;
		wr->waiter.count = 1;
		wr->busy = true;
		maker.writing++;
		cowp_engine_write(maker.port.eng, &wr->waiter);
	}
}

static void do_writes(void)
{
	u32 count = 1 + rnd(rnd(4) ? 8 : WRITERS);
	u64 chunk = rnd(maker.chunks);
	u32 i;

	for (i = 0; i < count; i++) {
		if (writers[i].busy)
			continue;
		start_write(&writers[i], chunk);
		chunk = rnd(4) ? (chunk + 1) % maker.chunks : rnd(maker.chunks);
		if (!rnd(8))
			port_pump(&maker.port);
	}
	while (port_pump(&maker.port), maker.writing && !maker.port.dead)
		maker.port.clock += 10;
}

static void message(u8 op, u32 id)
{
	static struct cowp_msg m;	/* a machine that stops leaves it to the engine */
	int error;

	memset(&m, 0, sizeof(m));
	m.op = op;
	m.id = id;
	if (op == COWP_MSG_CREATE)
		snprintf(m.label, sizeof(m.label), "s%llu", maker.live_writes);
	error = port_message(&maker.port, &m);
	if (error && !maker.port.dead && !is_lost())
		stop(strerror(-error));
}

static void delete_snapshot(bool oldest)
{
	const struct cowp_snapshot *table;
	u32 n = cowp_engine_snapshots(maker.port.eng, &table);

	if (n)
		message(COWP_MSG_DELETE, table[oldest ? 0 : rnd(n)].id);
}

static void step(void)
{
	u32 what = rnd(100);

	if (what < 68)
		do_writes();
	else if (what < 78)
		message(COWP_MSG_CREATE, 0);
	else if (what < 82)
		delete_snapshot(true);
	else if (what < 86)
		delete_snapshot(false);
	else if (what < 92)
		message(COWP_MSG_CHECKPOINT, 0);
	else
		maker.port.clock += 1100;
	port_pump(&maker.port);
}

/* ---- the frame ---- */

static void prepare(const char *diff, const char *live)
{
	struct fixed f;

	if (area_open(&maker.diff, diff, "diff device", O_RDWR) ||
	    area_open(&maker.live, live, "live device", O_RDWR))
		exit(1);
	fixed_read(&f, &maker.diff);
	if (f.kind != COWP_AREA_OURS) {
		fprintf(stderr, "mkimage: %s is not formatted\n", diff);
		exit(1);
	}
	maker.chunk_sectors = f.info.chunk_blocks * COWP_BLOCK_SECTORS;
	maker.cfg.chunk_blocks = f.info.chunk_blocks;
	maker.cfg.live_sectors = f.info.live_sectors;
	fixed_free(&f);
	maker.chunks = DIV_ROUND_UP(maker.cfg.live_sectors, maker.chunk_sectors);
	maker.cfg.live_block_sectors = 1;
	maker.cfg.diff_block_sectors = 1;
	maker.cfg.cache_blocks = 256;
	maker.cfg.diff_wait_ms = 1000;
	maker.cfg.grow_wait_ms = 1000;
	port_init(&maker.port);
	maker.port.fd[COWP_DIFF] = maker.diff.fd;
	maker.port.fd[COWP_LIVE] = maker.live.fd;
	maker.port.sectors[COWP_DIFF] = maker.diff.sectors;
	maker.port.sectors[COWP_LIVE] = maker.cfg.live_sectors;
	maker.port.fate = fate;
	maker.port.still = true;
	maker.port.clock = 1;
	maker.port.write_done = write_done;
}

static u64 number(const char *text)
{
	u64 n;

	if (!text || tool_number(text, ~0ULL, &n)) {
		fprintf(stderr, "mkimage: '%s' is not a number\n", text ? text : "");
		exit(1);
	}
	return n;
}

int main(int argc, char **argv)
{
	const struct cowp_status *s;
	u64 ops = 100, i;

	maker.random = 1;
	for (argv++, argc--; argc && !strncmp(*argv, "--", 2); argv++, argc--) {
		if (!strcmp(*argv, "--bad")) {
			maker.bad = true;
			continue;
		}
		if (!strcmp(*argv, "--reset")) {
			maker.reset = true;
			continue;
		}
		if (!strcmp(*argv, "--close")) {
			maker.closing = true;
			continue;
		}
		if (!strcmp(*argv, "--seed"))
			maker.random = 0x9e3779b97f4a7c15ULL * (number(argv[1]) + 1) | 1;
		else if (!strcmp(*argv, "--ops"))
			ops = number(argv[1]);
		else if (!strcmp(*argv, "--cut"))
			maker.cut = number(argv[1]);
		else
			argc = 1;
		argv++;
		argc--;
	}
	if (argc != 2) {
		fprintf(stderr,
			"usage: mkimage [--seed N] [--ops N] [--cut N] [--bad] [--reset] [--close] DIFF LIVE\n");
		return 1;
	}
	prepare(argv[0], argv[1]);
	if (cowp_engine_new(&maker.port.eng, &maker.cfg, &maker.port)) {
		fprintf(stderr, "mkimage: no memory\n");
		return 1;
	}
	s = cowp_engine_status(maker.port.eng);
	cowp_engine_start(maker.port.eng);
	port_pump(&maker.port);
	if (s->state != COWP_STATE_NONE && s->state != COWP_STATE_ACTIVE && !maker.port.dead &&
	    !is_lost())
		stop("recovery");
	for (i = 0; i < ops && !maker.port.dead; i++) {
		if (is_lost() && !maker.reset)
			break;
		if (is_lost())
			message(COWP_MSG_RESET, 0);
		if (s->state == COWP_STATE_NONE && !maker.port.dead)
			message(COWP_MSG_CREATE, 0);
		if (!maker.port.dead)
			step();
	}
	if (maker.closing && !maker.port.dead && !is_lost())
		message(COWP_MSG_CLOSE, 0);
	printf("state %s, fault %s, %u snapshots, %llu chunks preserved, %llu diff writes%s\n",
	       cowp_state_words[s->state], cowp_fault_words[s->fault], s->snapshots, s->preserved,
	       maker.diff_writes, maker.port.dead ? ", cut" : "");
	cowp_engine_cancel(maker.port.eng);
	cowp_engine_free(maker.port.eng);
	forget();
	area_close(&maker.diff);
	area_close(&maker.live);
	return 0;
}
