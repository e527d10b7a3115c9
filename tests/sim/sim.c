// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

__thread struct sim *the_sim;

/* Two failures are of one kind if their words are, whatever the figures. */
static u64 failure_id(const char *words)
{
	u64 hash = 0;

	for (; *words; words++) {
		if (*words < '0' || *words > '9')
			hash = rng_mix(hash ^ (u8)*words);
	}
	return hash;
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->failure, sizeof(s->failure), fmt, args);
	va_end(args);
	s->failure_id = failure_id(s->failure);
	sim_trace(s, "FAILURE: %s", s->failure);
	longjmp(s->fail_to, 1);
}

void sim_trace_line(struct sim *s, const char *fmt, ...)
{
	va_list args;

	printf("%9llu.%03llu  ", s->now / 1000, s->now % 1000);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

const char *kinds_name(u32 kinds)
{
	static char text[128];
	u32 i, at = 0;

	text[0] = 0;
	for (i = 0; i < WRITE_KINDS; i++) {
		if (kinds & 1 << i)
			at += snprintf(text + at, sizeof(text) - at, " %s", write_kind_names[i]);
	}
	return text;
}

static void set_caps(struct device *d, u8 caps)
{
	d->cache = caps != CAPS_NONE;
	d->fua = caps == CAPS_FUA;
}

void sim_init(struct sim *s, u64 seed, const struct sim_setup *setup, struct stats *stats)
{
	memset(s, 0, sizeof(*s));
	s->port.sim = s;
	s->seed = seed;
	rng_seed(&s->rng, seed);
	s->setup = *setup;
	s->stats = stats;
	s->cut_kind = WRITE_KINDS;
	event_queue_init(&s->queue);
	device_init(&s->live, s, "live", &s->rng, setup->live_sectors);
	device_init(&s->diff, s, "diff", &s->rng, setup->diff_sectors);
	set_caps(&s->live, setup->live_caps);
	set_caps(&s->diff, setup->diff_caps);
	s->live.block_sectors = setup->live_block_sectors;
	s->diff.block_sectors = setup->diff_block_sectors;
	s->diff.exclusive = true;
	INIT_LIST_HEAD(&s->users);
	INIT_LIST_HEAD(&s->held);
	INIT_LIST_HEAD(&s->msgs);
	INIT_LIST_HEAD(&s->readers);
	INIT_LIST_HEAD(&s->lookups);
	model_init(&s->model, setup->live_sectors);
	the_sim = s;
}

void sim_exit(struct sim *s)
{
	sim_stop_dead(s);
	device_exit(&s->live);
	device_exit(&s->diff);
	event_queue_exit(&s->queue);
	model_exit(&s->model);
	memory_fail_next = 0;
	memory_none = false;
}

/* An engine that does nothing but spin: as many events at one time never occur otherwise. */
#define EVENTS_A_SECOND_MAX	2000000U

bool sim_step(struct sim *s, u64 until)
{
	struct event e;

	if (s->cut_now)
		return false;
	if (!event_next(&s->queue, until, &e))
		return false;
	s->now = max(s->now, e.at);
	s->events++;
	e.fn(s, e.arg);
	if (s->cut_soon && !s->cut_after--)
		s->cut_now = true;
	return true;
}

bool sim_run_until(struct sim *s, u64 until)
{
	u64 events = s->events;

	while (sim_step(s, until)) {
		if (s->events - events > EVENTS_A_SECOND_MAX + (until - s->now) / 1000)
			sim_fail(s, "endless activity");
	}
	if (s->cut_now)
		return false;
	s->now = max(s->now, until);
	return true;
}

void sim_submitted(struct sim *s, struct dio *io)
{
	if (s->cut_kind == WRITE_KINDS || s->cut_soon || io->dev != &s->diff ||
	    io->op != DIO_WRITE || !(io->kinds & 1 << s->cut_kind))
		return;
	if (s->cut_skip) {
		s->cut_skip--;
		return;
	}
	s->cut_soon = true;
	s->cut_after = rng_one_in(&s->rng, 2) ? 0 : rng_below(&s->rng, 12);
}

static void run_engine(struct sim *s, void *arg);

static void timer_event(struct sim *s, void *arg)
{
	if ((u64)(uintptr_t)arg == s->timer && s->eng)
		run_engine(s, NULL);
}

/*
 * Rule 'no-work-left': where no I/O is out that will call the engine, a run leaves
 * nothing that another one at the same time would do.
 */
static void check_all_done(struct sim *s, u64 next)
{
	u64 told = s->told;
	u64 then = cowp_engine_run(s->eng, s->now / 1000);

	if (s->told != told || then < next)
		sim_fail(s, "a run left work behind: %llu calls more, next at %llu instead of %llu",
			 s->told - told, then, next);
}

static void run_engine(struct sim *s, void *arg)
{
	u64 next;

	(void)arg;
	s->run_queued = false;
	if (!s->eng)
		return;
	next = cowp_engine_run(s->eng, s->now / 1000);
	if (!s->ios && next > s->now / 1000)
		check_all_done(s, next);
	model_observe(s);
	s->timer++;
	if (next != ~0ULL) {
		u64 at = max(next * 1000, s->now + 1);

		event_add(&s->queue, at, rng_next(&s->rng), timer_event,
			  (void *)(uintptr_t)s->timer);
	}
}

void sim_called(struct sim *s)
{
	model_observe(s);
	if (s->run_queued)
		return;
	s->run_queued = true;
	sim_after(s, rng_one_in(&s->rng, 2) ? 0 : rng_below(&s->rng, 25), run_engine, NULL);
}

void sim_start_engine(struct sim *s, bool format)
{
	struct cowp_config cfg = {
		.chunk_blocks = s->setup.chunk_blocks,
		.live_sectors = s->live.visible->sectors,
		.live_block_sectors = s->live.block_sectors,
		.diff_block_sectors = s->diff.absent ? 0 : s->diff.block_sectors,
		.have_uuid = s->have_uuid,
		.format = format,
		.given_up = s->record,
		.diff_wait_ms = 20000,
		.grow_wait_ms = 10000,
		.diff_timeout_ms = s->setup.diff_timeout_ms,
		.low_water = 64,
		.cache_blocks = s->setup.cache_blocks,
		.bits_blocks = s->setup.bits_blocks,
		.discard_freed = s->setup.discard,
	};
	u32 i;
	int error;

	if (!s->have_uuid) {
		for (i = 0; i < sizeof(s->uuid); i++)
			s->uuid[i] = rng_next(&s->rng);
	}
	memcpy(cfg.uuid, s->uuid, sizeof(cfg.uuid));
	memory_none = false;
	do {
		/* Now and then there is no memory at first. */
		memory_fail_next = rng_one_in(&s->rng, 64) ? rng_range(&s->rng, 1, 40) : 0;
		error = cowp_engine_new(&s->eng, &cfg, &s->port);
		if (error && (error != -ENOMEM || memory_fail_next))
			sim_fail(s, "cowp_engine_new() failed with %d", error);
		if (error && memory_in_use())
			sim_fail(s, "cowp_engine_new() failed and left memory behind");
	} while (error);
	memory_fail_next = 0;

	if (s->record)
		s->model.may_lose = true;
	s->fast = cowp_engine_fast(s->eng);
	s->state = COWP_STATE_RECOVERING;
	s->epoch = s->fast->epoch;
	s->lost = s->fast->lost;
	s->word = s->fast->gate.word;
	s->run_queued = false;
	s->timer++;
	s->ops_since_start = 0;
	s->inside = 0;
	s->ios = 0;
	sim_trace(s, "engine starts%s%s", format ? ", format" : "",
		  s->record ? ", given_up" : "");
	cowp_engine_start(s->eng);
	sim_called(s);
}

void sim_stop_dead(struct sim *s)
{
	event_queue_clear(&s->queue);
	device_forget(&s->live);
	device_forget(&s->diff);
	shell_forget(s);
	reader_forget(s);
	INIT_LIST_HEAD(&s->lookups);
	memory_free_all();
	s->eng = NULL;
	s->fast = NULL;
	s->run_queued = false;
	s->stopping = false;
	s->cut_kind = WRITE_KINDS;
	s->cut_soon = false;
	s->cut_now = false;
}

void sim_stop_clean(struct sim *s)
{
	u64 until = s->now + 10000000;

	s->cut_kind = WRITE_KINDS;
	s->stopping = true;
	cowp_engine_cancel(s->eng);
	while ((s->diff.nr_flying || s->live.nr_flying) && sim_step(s, until)) {
		device_release_hung(&s->live);
		device_release_hung(&s->diff);
	}
	if (s->diff.nr_flying || s->live.nr_flying)
		sim_fail(s, "I/O is in flight long after a cancel");
	if (s->nr_msgs || !list_empty(&s->lookups))
		sim_fail(s, "a message or lookup did not come back from a cancel");
	cowp_engine_free(s->eng);
	s->eng = NULL;
	s->fast = NULL;
	s->stopping = false;
	if (memory_in_use())
		sim_fail(s, "%llu bytes are left after cowp_engine_free()", memory_in_use());
	event_queue_clear(&s->queue);
	shell_forget(s);
	reader_forget(s);
	s->run_queued = false;
}

void sim_ask(struct sim *s, struct sim_lookup *l)
{
	list_add_tail(&l->node, &s->lookups);
	cowp_engine_lookup(s->eng, &l->l);
	sim_called(s);
}

void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l)
{
	struct sim_lookup *sl = container_of(l, struct sim_lookup, l);
	struct sim_lookup *other;
	bool known = false;

	p->sim->told++;
	list_for_each_entry(other, &p->sim->lookups, node)
		known |= other == sl;
	if (!known)
		sim_fail(p->sim, "a lookup came back that the engine does not have");
	list_del(&sl->node);
	sl->done(p->sim, sl);
}
