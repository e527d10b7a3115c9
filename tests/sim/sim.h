/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The simulator: one engine, two devices, a shell, a model, virtual time.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <setjmp.h>

#include "engine.h"

#include "device.h"
#include "event.h"
#include "model.h"
#include "rng.h"
#include "stats.h"

struct cowp_port {
	struct sim *sim;
};

enum sim_caps {
	CAPS_ANY,
	CAPS_NONE,
	CAPS_CACHE,
	CAPS_FUA,
};

/*
 * struct sim_setup - what a history's seed (and the command line) decided
 * @chunk_blocks: blocks a chunk
 * @live_sectors: size of the live volume at first
 * @live_room:	sectors that it may grow to
 * @diff_sectors: size of the diff device at first
 * @diff_room:	sectors that it may grow to
 * @protected:	protection mode is set after the format
 * @faults:	devices may fail
 * @no_memory:	from the end of an activation on there is no memory at all
 */
struct sim_setup {
	u32 chunk_blocks;
	u64 live_sectors;
	u64 live_room;
	u64 diff_sectors;
	u64 diff_room;
	u32 live_block_sectors;
	u32 diff_block_sectors;
	u8 live_caps;
	u8 diff_caps;
	bool protected;
	bool faults;
	bool no_memory;
	u32 snapshots;
	u32 cache_blocks;
	u32 bits_blocks;
	bool discard;
	u64 diff_timeout_ms;
};

/* Where a write, read or flush by the volume's user is. */
enum user_stage {
	USER_MAPPING,	/* on its way to the gate */
	USER_HELD,	/* the gate turned it back */
	USER_QUEUED,	/* on its way to the worker */
	USER_WAITING,	/* the engine has it */
	USER_TAKEN,	/* taken back, on its way to the gate again */
	USER_PASSED,	/* inside, on its way to the device */
	USER_DEVICE,
};

/* Everything mapped to the live target. */
struct user_io {
	struct list_head node;
	struct list_head held;
	struct cowp_waiter waiter;
	struct sim *sim;
	u8 op;			/* enum dio_op */
	u8 stage;
	bool fua;
	bool inside;
	bool overwrite;		/* the engine let it go */
	u32 parity;
	u64 sector;
	u32 sectors;
	u64 stamp;
	u64 since;
};

struct sim_msg {
	struct cowp_msg m;
	struct list_head node;
	u64 since;
	bool sent;
	bool clean;		/* nothing that could make it fail, so far */
};

/* A question that something in the simulator asks the engine. */
struct sim_lookup {
	struct cowp_lookup l;
	struct list_head node;
	void (*done)(struct sim *s, struct sim_lookup *l);
};

/*
 * struct sim - one history's world
 * @failure:	what went wrong, in words
 * @failure_id:	the same for two runs that fail for one reason
 * @fail_to:	where sim_fail() goes
 * @told:	how often the engine has called its port
 * @ios:	of the engine, that have not ended
 * @inside:	writes that passed the gate and did not complete
 * @overwrites:	of these, what the engine let go
 * @few:	call it when they are so few, ~0: no need
 * @word:	the gate's word as told by port_gate()
 * @epoch:	cowp_fast.epoch as last seen
 * @record:	the host's record that the snapshots may be given up
 * @cut_kind:	cut when such a write is submitted; WRITE_KINDS: not armed
 */
struct sim {
	struct cowp_port port;
	struct rng rng;
	u64 seed;
	u64 now;
	u64 events;
	struct event_queue queue;
	struct device live;
	struct device diff;
	struct sim_setup setup;
	struct stats *stats;

	struct cowp_engine *eng;
	struct cowp_fast *fast;
	bool run_queued;
	bool stopping;
	u64 timer;
	u64 told;
	u32 ios;
	u32 word;
	u32 state;
	u32 epoch;
	u32 lost;
	bool record;
	u8 uuid[16];
	bool have_uuid;

	struct list_head users;
	struct list_head held;
	u32 nr_users;
	u32 inside;
	u32 overwrites;
	u32 few;
	u64 stamp;
	u64 labels;
	struct list_head msgs;
	u32 nr_msgs;
	int last_error;
	struct list_head readers;
	u32 nr_readers;
	struct list_head lookups;

	struct model model;

	u32 cut_kind;
	u32 cut_skip;
	u32 cut_after;
	bool cut_soon;
	bool cut_now;
	u64 ops_since_start;

	bool quiet;		/* statistics and traces off */
	bool trace;
	bool lenient;		/* the failure is being looked for in a sub-run */
	char failure[1024];
	u64 failure_id;
	jmp_buf fail_to;
};

extern __thread struct sim *the_sim;

void __noreturn __printf(2, 3) sim_fail(struct sim *s, const char *fmt, ...);

void __printf(2, 3) sim_trace_line(struct sim *s, const char *fmt, ...);
#define sim_trace(s, ...)				\
do {							\
	if (__builtin_expect((s)->trace, 0))		\
		sim_trace_line(s, __VA_ARGS__);		\
} while (0)
const char *kinds_name(u32 kinds);

void sim_init(struct sim *s, u64 seed, const struct sim_setup *setup, struct stats *stats);
void sim_exit(struct sim *s);

/* Something was submitted: is it what a cut waits for? */
void sim_submitted(struct sim *s, struct dio *io);

static inline void sim_after(struct sim *s, u32 microseconds, event_fn fn, void *arg)
{
	event_add(&s->queue, s->now + microseconds, rng_next(&s->rng), fn, arg);
}

/* Let time pass up to @until; false if a cut came first. */
bool sim_run_until(struct sim *s, u64 until);

/* One event; false if there is none or a cut came. */
bool sim_step(struct sim *s, u64 until);

/* An engine made anew over the devices as they are, and its first resume. */
void sim_start_engine(struct sim *s, bool format);

/* After any call into the engine but run: look at what changed, call run soon. */
void sim_called(struct sim *s);

/* The machine stops: the engine and all that it and the shell held are gone. */
void sim_stop_dead(struct sim *s);

/* Hand everything back, free the engine, see that it left nothing behind. */
void sim_stop_clean(struct sim *s);

/* Let everything end well: repair, clear, wait. */
void sim_quiesce(struct sim *s);

static inline bool sim_idle(const struct sim *s)
{
	return !s->nr_users && !s->nr_msgs && !s->nr_readers;
}

/* shell.c */
void shell_write(struct sim *s, u64 sector, u32 sectors, bool fua);
void shell_read(struct sim *s, u64 sector, u32 sectors);
void shell_flush(struct sim *s);
bool shell_busy(struct sim *s, u64 sector, u32 sectors);
void shell_cancel_write(struct sim *s, u32 which);
struct sim_msg *shell_message(struct sim *s, u8 op, u32 id, bool flag, u64 deadline_ms);
bool shell_has_message(struct sim *s, u8 op, u32 id);
void shell_cancel_message(struct sim *s, u32 which);
void shell_forget(struct sim *s);
const char *shell_msg_name(u8 op);

/* reader.c */
void reader_start(struct sim *s, u32 id, u64 chunk, u32 count);
void reader_forget(struct sim *s);
bool reader_has_open(struct sim *s, u32 id);

/* verify.c */

/* Compare every chunk of every snapshot with the model; nothing may differ. */
void verify_all(struct sim *s);
void counts_check(struct sim *s);
void sim_ask(struct sim *s, struct sim_lookup *l);

/* port.c, memory.c */
u64 memory_in_use(void);
void memory_free_all(void);
/* The allocation that fails next, counted down; all of them. */
extern u32 memory_fail_next;
extern bool memory_none;

#endif /* SIM_SIM_H */
