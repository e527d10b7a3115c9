// SPDX-License-Identifier: GPL-2.0-only
/*
 * A live volume, a diff area and the engine between them.  See world.h.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "world.h"

u32 kunit_leaf_records = COWP_BLOCK_SIZE;
u32 kunit_node_keys = COWP_BLOCK_SIZE;

long world_allocated;
u32 world_fail_alloc;

static const u8 area_uuid[16] = "an area in mem.";

/* ---- memory ---- */

static bool out_of_memory(void)
{
	return world_fail_alloc && !--world_fail_alloc;
}

void *port_zalloc(size_t bytes)
{
	void *p = out_of_memory() ? NULL : kvzalloc(bytes, GFP_KERNEL);

	world_allocated += !!p;
	return p;
}

void port_free(void *p)
{
	world_allocated -= !!p;
	kvfree(p);
}

/* ---- I/O ---- */

struct world_io {
	struct cowp_io io;
	struct list_head pending;
	bool submitted;
};

static struct world *world_of(struct cowp_port *p)
{
	return container_of(p, struct world, port);
}

struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks)
{
	struct world_io *wio = port_zalloc(sizeof(*wio));

	if (!wio)
		return NULL;
	wio->io.max_blocks = max_blocks;
	INIT_LIST_HEAD(&wio->pending);
	if (!max_blocks)
		return &wio->io;
	wio->io.blocks = port_zalloc(max_blocks * sizeof(*wio->io.blocks));
	if (wio->io.blocks)
		return &wio->io;
	port_free(wio);
	return NULL;
}

void port_io_free(struct cowp_io *io)
{
	if (!io)
		return;
	port_free(io->blocks);
	port_free(container_of(io, struct world_io, io));
}

void port_submit(struct cowp_port *p, struct cowp_io *io)
{
	struct world_io *wio = container_of(io, struct world_io, io);
	struct world *w = world_of(p);

	KUNIT_ASSERT_FALSE(p->test, wio->submitted);
	if (io->op != COWP_FLUSH) {
		KUNIT_ASSERT_GT(p->test, io->bytes, 0);
		KUNIT_ASSERT_EQ(p->test, io->bytes % 512, 0);
		KUNIT_ASSERT_EQ(p->test, io->nr_blocks, io->op == COWP_DISCARD ? 0 :
				DIV_ROUND_UP(io->bytes, COWP_BLOCK_SIZE));
		KUNIT_ASSERT_LE(p->test, io->nr_blocks, io->max_blocks);
		KUNIT_ASSERT_LE(p->test, io->sector + io->bytes / 512,
				w->dev[io->dev].count * COWP_BLOCK_SECTORS);
	}
	KUNIT_ASSERT_FALSE(p->test, io->dev == COWP_LIVE &&
			   (io->op == COWP_WRITE || io->op == COWP_DISCARD));
	KUNIT_ASSERT_FALSE(p->test, io->op == COWP_DISCARD &&
			   !(w->dev[io->dev].caps & COWP_CAP_DISCARD));
	KUNIT_ASSERT_FALSE(p->test, io->fua && !(w->dev[io->dev].caps & COWP_CAP_FUA));
	if (io->op == COWP_READ && io->dev == COWP_DIFF) {
		w->diff_reads++;
		w->diff_read_blocks += io->nr_blocks;
	}
	wio->submitted = true;
	list_add_tail(&wio->pending, &w->pending);
}

static void do_read(struct device *d, struct cowp_io *io)
{
	u32 i;

	for (i = 0; i < io->nr_blocks; i++) {
		u32 bytes = min(io->bytes - i * COWP_BLOCK_SIZE, COWP_BLOCK_SIZE);

		device_read(d, io->sector + i * COWP_BLOCK_SECTORS, io->blocks[i], bytes);
		memset(io->blocks[i] + bytes, 0, COWP_BLOCK_SIZE - bytes);
		if (io->csum)
			io->csum[i] = port_crc32c(~0U, io->blocks[i], COWP_BLOCK_SIZE);
	}
}

static void do_io(struct device *d, struct cowp_io *io)
{
	u32 i;

	switch (io->op) {
	case COWP_READ:
		do_read(d, io);
		break;
	case COWP_WRITE:
		for (i = 0; i < io->nr_blocks; i++)
			device_write(d, io->sector + i * COWP_BLOCK_SECTORS, io->blocks[i],
				     COWP_BLOCK_SIZE, io->fua);
		break;
	case COWP_DISCARD:
		device_discard(d, io->sector, io->bytes);
		break;
	default:
		device_flush(d);
	}
}

static void end_io(struct world *w, struct world_io *wio, int error)
{
	struct device *d = &w->dev[wio->io.dev];

	list_del_init(&wio->pending);
	wio->submitted = false;
	if (!d->sectors)
		error = -ENODEV;
	/* What a failed read leaves in memory is anything. */
	if (error && wio->io.op == COWP_READ)
		memset(wio->io.blocks[0], 0x5a, COWP_BLOCK_SIZE);
	if (!error)
		do_io(d, &wio->io);
	wio->io.error = error;
	cowp_engine_io_done(w->eng, &wio->io);
}

static int fate_of(struct world *w, struct world_io *wio)
{
	return w->fate ? w->fate(w, &wio->io) : 0;
}

/* The next one in the world's order that is not held. */
static struct world_io *choose(struct world *w, int *fate)
{
	struct world_io *wio, *best = NULL;
	u32 seen = 0;

	list_for_each_entry(wio, &w->pending, pending) {
		int this = fate_of(w, wio);

		if (this == WORLD_HOLD)
			continue;
		if (best && w->setup.order == WORLD_FIFO)
			break;
		if (best && w->setup.order == WORLD_RANDOM && world_random(w, ++seen + 1))
			continue;
		best = wio;
		*fate = this;
	}
	return best;
}

u32 port_caps(struct cowp_port *p, enum cowp_dev dev)
{
	return world_of(p)->dev[dev].caps;
}

u64 port_sectors(struct cowp_port *p, enum cowp_dev dev)
{
	return world_of(p)->dev[dev].sectors;
}

u64 port_real_seconds(void)
{
	return 1700000000;
}

u32 port_random(struct cowp_port *p)
{
	return prandom_u32_state(&world_of(p)->rnd);
}

/* ---- time ---- */

static void retry_writes(struct world *w);

static void run(struct world *w)
{
	const struct cowp_status *s = cowp_engine_status(w->eng);

	w->wake = cowp_engine_run(w->eng, w->now);
	KUNIT_ASSERT_LE(w->port.test, s->memory_used, s->memory_limit);
}

/* Complete one io; false when there is none to complete. */
bool world_step(struct world *w)
{
	struct world_io *wio;
	int fate = 0;

	retry_writes(w);
	run(w);
	wio = choose(w, &fate);
	if (!wio)
		return false;
	end_io(w, wio, fate);
	run(w);
	retry_writes(w);
	return true;
}

void world_settle(struct world *w)
{
	u32 steps = 0;

	while (world_step(w))
		KUNIT_ASSERT_LT(w->port.test, ++steps, 1000000);
}

void world_advance(struct world *w, u64 ms)
{
	u64 end = w->now + ms;

	world_settle(w);
	while (w->wake <= end) {
		w->now = max(w->now + 1, w->wake);
		world_settle(w);
	}
	w->now = end;
	world_settle(w);
}

u32 world_random(struct world *w, u32 below)
{
	return prandom_u32_state(&w->rnd) % below;
}

/* ---- contents ---- */

u32 world_chunk_bytes(struct world *w)
{
	return w->setup.chunk_blocks * COWP_BLOCK_SIZE;
}

static u32 live_bytes(struct world *w, u64 chunk)
{
	u32 bytes = world_chunk_bytes(w);

	return chunk + 1 == w->setup.chunks ? bytes - w->setup.cut * 512 : bytes;
}

/* Zeros behind the end of the live volume, and where nobody has written. */
void world_pattern(struct world *w, u64 chunk, u32 version, void *data)
{
	u32 bytes = live_bytes(w, chunk);
	u64 *words = data;
	u32 i;

	memset(data, 0, world_chunk_bytes(w));
	for (i = 0; version && i < bytes / sizeof(*words); i++)
		words[i] = (chunk << 40 | (u64)version << 16) + i;
}

static void overwrite(struct world *w, struct world_write *uw)
{
	u32 bytes = live_bytes(w, uw->chunk);

	world_pattern(w, uw->chunk, uw->version, w->got);
	device_write(&w->dev[COWP_LIVE], uw->chunk * w->setup.chunk_blocks * COWP_BLOCK_SECTORS,
		     w->got, bytes, true);
	w->versions[uw->chunk] = uw->version;
	uw->used = false;
}

/* ---- writes ---- */

static void try_write(struct world *w, struct world_write *uw)
{
	struct cowp_fast *fast = cowp_engine_fast(w->eng);
	u32 parity;
	u32 word = cowp_gate_enter(&fast->gate, &parity);

	if (word == COWP_GATE_OPEN ||
	    (word == COWP_GATE_PRESERVE &&
	     cowp_bits_test(&fast->bits, uw->chunk, fast->epoch))) {
		overwrite(w, uw);
	} else if (word == COWP_GATE_PRESERVE) {
		uw->waiting = true;
		uw->waiter = (struct cowp_waiter) { .chunk = uw->chunk, .count = 1 };
	}
	cowp_gate_leave(&fast->gate, parity);
	if (uw->waiting)
		cowp_engine_write(w->eng, &uw->waiter);
}

static void retry_writes(struct world *w)
{
	u32 i;

	for (i = 0; i < WORLD_WRITES; i++)
		if (w->write[i].used && !w->write[i].waiting)
			try_write(w, &w->write[i]);
}

void port_write_done(struct cowp_port *p, struct cowp_waiter *waiter, enum cowp_verdict v)
{
	struct world_write *uw = container_of(waiter, struct world_write, waiter);

	KUNIT_ASSERT_TRUE(p->test, uw->waiting);
	uw->waiting = false;
	memset(waiter, 0xa5, sizeof(*waiter));
	if (v == COWP_GO)
		overwrite(world_of(p), uw);
}

/* Two writes to one chunk at a time: the page cache has none either. */
void world_write(struct world *w, u64 chunk)
{
	struct world_write *uw = NULL;
	u32 i;

	for (i = 0; i < WORLD_WRITES; i++) {
		if (w->write[i].used && w->write[i].chunk == chunk)
			return;
		if (!w->write[i].used)
			uw = &w->write[i];
	}
	if (!uw) {
		world_settle(w);
		uw = &w->write[0];
		KUNIT_ASSERT_FALSE(w->port.test, uw->used);
	}
	uw->used = true;
	uw->chunk = chunk;
	uw->version = ++w->version;
	try_write(w, uw);
}

/* Writes that have not ended. */
u32 world_waiting(struct world *w)
{
	u32 i, n = 0;

	for (i = 0; i < WORLD_WRITES; i++)
		n += w->write[i].used;
	return n;
}

void port_gate(struct cowp_port *p, enum cowp_gate_word word)
{
}

void port_event(struct cowp_port *p)
{
	world_of(p)->events++;
}

/* ---- messages ---- */

void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error)
{
	struct world *w = world_of(p);

	KUNIT_ASSERT_FALSE(p->test, w->msg_done);
	w->msg_done = true;
	w->msg_error = error;
}

static int send(struct world *w, struct cowp_msg *m)
{
	w->msg_done = false;
	cowp_engine_message(w->eng, m);
	world_settle(w);
	/* What hangs is given up in time, and the message answered. */
	if (!w->msg_done)
		world_advance(w, 2 * w->cfg.diff_timeout_ms);
	KUNIT_ASSERT_TRUE_MSG(w->port.test, w->msg_done, "message %u is not answered", m->op);
	return w->msg_error;
}

int world_message(struct world *w, enum cowp_msg_op op, bool flag, u32 id)
{
	struct cowp_msg m = { .op = op, .flag = flag, .id = id };

	return send(w, &m);
}

struct world_snapshot *world_snapshot(struct world *w, u32 id)
{
	u32 i;

	for (i = 0; i < WORLD_SNAPSHOTS; i++)
		if (w->snapshot[i].id == id)
			return &w->snapshot[i];
	return NULL;
}

/* Writes under way end before: the model takes the content at the end. */
u32 world_create(struct world *w)
{
	struct world_snapshot *s = world_snapshot(w, 0);
	struct cowp_msg m = { .op = COWP_MSG_CREATE };

	KUNIT_ASSERT_NOT_NULL(w->port.test, s);
	world_settle(w);
	snprintf(m.label, sizeof(m.label), "label-%u", w->version);
	KUNIT_ASSERT_EQ(w->port.test, send(w, &m), 0);
	s->id = m.id;
	memcpy(s->versions, w->versions, w->setup.chunks * sizeof(*s->versions));
	return m.id;
}

int world_delete(struct world *w, u32 id)
{
	int error = world_message(w, COWP_MSG_DELETE, false, id);
	struct world_snapshot *s = world_snapshot(w, id);

	if (!error && s)
		s->id = 0;
	return error;
}

/* ---- reads of snapshots ---- */

void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l)
{
	world_of(p)->lookup_done = true;
}

int world_lookup(struct world *w, u32 id, u64 chunk, struct cowp_found *found)
{
	struct cowp_lookup *l = kzalloc(sizeof(*l), GFP_KERNEL | __GFP_NOFAIL);
	struct cowp_fast *fast = cowp_engine_fast(w->eng);
	u32 parity = cowp_count_enter(&fast->readers);
	int error;

	l->snapshot = id;
	l->chunk = chunk;
	l->count = 1;
	w->lookup_done = false;
	cowp_engine_lookup(w->eng, l);
	world_settle(w);
	cowp_count_leave(&fast->readers, parity);
	KUNIT_ASSERT_TRUE_MSG(w->port.test, w->lookup_done, "a lookup is not answered");
	error = l->error;
	if (!error)
		*found = l->found[0];
	kfree(l);
	return error;
}

int world_read(struct world *w, u32 id, u64 chunk, void *data)
{
	u32 blocks = w->setup.chunk_blocks;
	struct cowp_found found;
	u32 csum[COWP_MAX_CHUNK_BLOCKS];
	int error = world_lookup(w, id, chunk, &found);
	u32 i;

	if (error)
		return error;
	if (found.where == COWP_IN_LIVE) {
		memset(data, 0, world_chunk_bytes(w));
		device_read(&w->dev[COWP_LIVE], chunk * blocks * COWP_BLOCK_SECTORS, data,
			    live_bytes(w, chunk));
		return 0;
	}
	device_read(&w->dev[COWP_DIFF], found.sector, data, world_chunk_bytes(w));
	for (i = 0; i < blocks; i++)
		csum[i] = port_crc32c(~0U, data + i * COWP_BLOCK_SIZE, COWP_BLOCK_SIZE);
	return cowp_chunk_crc(csum, blocks) == found.crc ? 0 : -EILSEQ;
}

static void check_snapshot(struct world *w, const struct world_snapshot *s)
{
	u32 bytes = world_chunk_bytes(w);
	u64 chunk;

	for (chunk = 0; chunk < w->setup.chunks; chunk++) {
		int error = world_read(w, s->id, chunk, w->got);

		KUNIT_ASSERT_EQ_MSG(w->port.test, error, 0, "snapshot %u, chunk %llu", s->id,
				    chunk);
		world_pattern(w, chunk, s->versions[chunk], w->want);
		KUNIT_ASSERT_EQ_MSG(w->port.test, memcmp(w->got, w->want, bytes), 0,
				    "snapshot %u, chunk %llu: want version %u, got %llu", s->id,
				    chunk, s->versions[chunk],
				    *(u64 *)w->got >> 16 & 0xffffff);
	}
}

void world_check(struct world *w)
{
	const struct cowp_snapshot *table;
	u32 i, n = 0, count;

	world_settle(w);
	for (i = 0; i < WORLD_SNAPSHOTS; i++) {
		if (!w->snapshot[i].id)
			continue;
		check_snapshot(w, &w->snapshot[i]);
		n++;
	}
	count = cowp_engine_snapshots(w->eng, &table);
	KUNIT_ASSERT_EQ(w->port.test, count, n);
	for (i = 0; i < count; i++) {
		KUNIT_ASSERT_NOT_NULL(w->port.test, world_snapshot(w, table[i].id));
		KUNIT_ASSERT_EQ(w->port.test, strncmp(table[i].label, "label-", 6), 0);
	}
}

/* ---- activations ---- */

void world_start(struct world *w, bool format)
{
	w->cfg.format = format;
	memset(w->write, 0, sizeof(w->write));
	KUNIT_ASSERT_EQ(w->port.test, cowp_engine_new(&w->eng, &w->cfg, &w->port), 0);
	cowp_engine_start(w->eng);
	world_settle(w);
}

static void free_engine(struct world *w)
{
	struct world_io *wio, *next;

	if (!w->eng)
		return;
	/* Whatever was waiting comes back, and is forgotten. */
	w->msg_done = false;
	cowp_engine_cancel(w->eng);
	list_for_each_entry_safe(wio, next, &w->pending, pending)
		end_io(w, wio, -EIO);
	cowp_engine_free(w->eng);
	w->eng = NULL;
	KUNIT_EXPECT_EQ_MSG(w->port.test, world_allocated, 0, "memory is left behind");
}

void world_close(struct world *w)
{
	world_settle(w);
	KUNIT_ASSERT_EQ(w->port.test, world_message(w, COWP_MSG_CLOSE, false, 0), 0);
	KUNIT_ASSERT_TRUE(w->port.test, list_empty(&w->pending));
	free_engine(w);
}

/* The power goes: of what is on its way some gets there, some does not. */
void world_crash(struct world *w)
{
	struct world_io *wio;

	list_for_each_entry(wio, &w->pending, pending)
		if (wio->io.op == COWP_WRITE && world_random(w, 2))
			do_io(&w->dev[wio->io.dev], &wio->io);
	free_engine(w);
	device_crash(&w->dev[COWP_DIFF], &w->rnd);
}

static void world_free(void *arg)
{
	struct world *w = arg;
	u32 i;

	/* A test that failed half-way leaves an engine. */
	world_fail_alloc = 0;
	w->fate = NULL;
	free_engine(w);
	world_allocated = 0;
	for (i = 0; i < 2; i++)
		device_exit(&w->dev[i]);
	for (i = 0; i < WORLD_SNAPSHOTS; i++)
		kvfree(w->snapshot[i].versions);
	kvfree(w->versions);
	kvfree(w->want);
	kvfree(w->got);
	kfree(w);
}

static void allocate(struct world *w)
{
	struct kunit *test = w->port.test;
	struct world_setup *s = &w->setup;
	u32 live = s->chunks * s->chunk_blocks * COWP_BLOCK_SECTORS - s->cut;
	u32 i;

	KUNIT_ASSERT_EQ(test, device_init(&w->dev[COWP_LIVE], live, s->live_caps), 0);
	KUNIT_ASSERT_EQ(test, device_init(&w->dev[COWP_DIFF],
					  s->diff_blocks * COWP_BLOCK_SECTORS, s->caps), 0);
	w->versions = kvcalloc(s->chunks, sizeof(*w->versions), GFP_KERNEL);
	w->want = kvmalloc(world_chunk_bytes(w), GFP_KERNEL);
	w->got = kvmalloc(world_chunk_bytes(w), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, w->versions && w->want && w->got);
	for (i = 0; i < WORLD_SNAPSHOTS; i++) {
		w->snapshot[i].versions = kvcalloc(s->chunks, sizeof(u32), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, w->snapshot[i].versions);
	}
}

struct world *world_new(struct kunit *test, const struct world_setup *setup)
{
	struct world *w = kzalloc(sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	w->port.test = test;
	w->setup = *setup;
	w->setup.chunk_blocks = setup->chunk_blocks ?: 1;
	w->setup.chunks = setup->chunks ?: 64;
	w->setup.diff_blocks = setup->diff_blocks ?: 24 << 8;
	INIT_LIST_HEAD(&w->pending);
	prandom_seed_state(&w->rnd, setup->seed + 1);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, world_free, w), 0);
	allocate(w);
	w->cfg = (struct cowp_config) {
		.chunk_blocks = w->setup.chunk_blocks,
		.live_sectors = w->dev[COWP_LIVE].sectors,
		.live_block_sectors = 1,
		.diff_block_sectors = 8,
		.have_mode = true,
		.mode = w->setup.mode,
		.diff_wait_ms = 300000,
		.grow_wait_ms = 60000,
		.diff_timeout_ms = 60000,
		.cache_blocks = 16,
		.bits_blocks = 4,
	};
	memcpy(w->cfg.uuid, area_uuid, sizeof(w->cfg.uuid));
	return w;
}
