/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A live volume, a diff area and the engine between them, for one test.
 *
 * Nothing happens by itself: the test pumps, and says in which order I/O
 * completes and how it ends.  A model knows what the live volume and every
 * snapshot must contain: the number of each chunk's last write.
 */
#ifndef KUNIT_WORLD_H
#define KUNIT_WORLD_H

#include <kunit/test.h>
#include <linux/prandom.h>
#include "device.h"
#include "internal.h"

enum world_order {
	WORLD_FIFO,
	WORLD_LIFO,
	WORLD_RANDOM,
	WORLD_ORDERS
};

#define WORLD_SNAPSHOTS	16U
#define WORLD_WRITES	64U
#define WORLD_HOLD	1	/* a fate: it stays where it is */

/**
 * struct world_setup - what is different from test to test
 * @chunk_blocks: blocks a chunk; 0: 1
 * @chunks:	of the live volume; 0: 64
 * @cut:	sectors that the last chunk lacks
 * @diff_blocks: of the diff device; 0: 24 MiB
 * @caps:	COWP_CAP_* of the diff device
 * @live_caps:	of the live one
 * @order:	enum world_order
 * @mode:	enum cowp_mode
 * @seed:	of all dice
 */
struct world_setup {
	u32 chunk_blocks;
	u32 chunks;
	u32 cut;
	u64 diff_blocks;
	u32 caps;
	u32 live_caps;
	u32 order;
	u32 mode;
	u32 seed;
};

/* A write to the live volume, of one chunk. */
struct world_write {
	struct cowp_waiter waiter;
	bool used;
	bool waiting;	/* in the engine */
	u64 chunk;
	u32 version;
};

/* A snapshot as the model knows it. */
struct world_snapshot {
	u32 id;		/* 0: unused */
	u32 *versions;
};

struct cowp_port {
	struct kunit *test;
};

/*
 * struct world - all of it
 * @port:	the engine's handle
 * @eng:	the engine, NULL between two activations
 * @pending:	struct world_io that are submitted
 * @fate:	how an io ends: 0, -errno or WORLD_HOLD; NULL: all end well
 * @now:	engine time
 * @wake:	when the engine wants to be called
 * @versions:	of the live volume's chunks
 * @version:	last one given out
 * @events:	port_event() calls
 * @diff_reads:	reads of the diff device that were submitted
 * @diff_read_blocks: and blocks that they ask for
 */
struct world {
	struct cowp_port port;
	struct world_setup setup;
	struct cowp_config cfg;
	struct cowp_engine *eng;
	struct device dev[2];
	struct list_head pending;
	int (*fate)(struct world *w, const struct cowp_io *io);
	struct rnd_state rnd;
	u64 now;
	u64 wake;
	u32 *versions;
	u32 version;
	struct world_snapshot snapshot[WORLD_SNAPSHOTS];
	struct world_write write[WORLD_WRITES];
	u32 events;
	u64 diff_reads;
	u64 diff_read_blocks;
	bool lookup_done;
	bool msg_done;
	int msg_error;
	u8 *want;
	u8 *got;
};

struct world *world_new(struct kunit *test, const struct world_setup *setup);

/* Make an engine and let recovery run.  Format if the area is new. */
void world_start(struct world *w, bool format);
void world_close(struct world *w);
void world_crash(struct world *w);

/* Complete I/O until none is left that is not held. */
void world_settle(struct world *w);
bool world_step(struct world *w);
void world_advance(struct world *w, u64 ms);

int world_message(struct world *w, enum cowp_msg_op op, bool flag, u32 id);
u32 world_create(struct world *w);
int world_delete(struct world *w, u32 id);

/* Begin a write of a new version to a chunk; it ends when it may. */
void world_write(struct world *w, u64 chunk);
u32 world_waiting(struct world *w);
u32 world_random(struct world *w, u32 below);

/* Look a snapshot's chunk up. */
int world_lookup(struct world *w, u32 id, u64 chunk, struct cowp_found *found);
/* Read it as a snapshot device does: 0, or -errno. */
int world_read(struct world *w, u32 id, u64 chunk, void *data);
void world_pattern(struct world *w, u64 chunk, u32 version, void *data);
u32 world_chunk_bytes(struct world *w);
struct world_snapshot *world_snapshot(struct world *w, u32 id);

/* Every chunk of every snapshot and of the live volume is what the model says. */
void world_check(struct world *w);

#define world_state(w)	(cowp_engine_status((w)->eng)->state)
#define world_fault(w)	(cowp_engine_status((w)->eng)->fault)

/* Memory that the engine has, and after how many allocations it runs out (0: never). */
extern long world_allocated;
extern u32 world_fail_alloc;

#endif /* KUNIT_WORLD_H */
