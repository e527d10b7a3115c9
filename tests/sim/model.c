// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "sim.h"

/* A sector is these four words, then a pattern that follows from them. */
void stamp_fill(void *sector, u64 seed, u64 stamp, u64 nr)
{
	u64 word[64];
	u64 x = rng_mix(seed ^ stamp * 0x9e3779b97f4a7c15ULL ^ nr);
	u32 i;

	word[0] = STAMP_MAGIC;
	word[1] = stamp;
	word[2] = nr;
	word[3] = seed;
	for (i = 4; i < 64; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		word[i] = x;
	}
	memcpy(sector, word, sizeof(word));
}

u64 stamp_of(const void *sector, u64 seed, u64 nr)
{
	static const u8 zeros[512];
	u8 expect[512];
	u64 word[4];

	memcpy(word, sector, sizeof(word));
	if (word[0] != STAMP_MAGIC)
		return memcmp(sector, zeros, 512) ? STAMP_GARBAGE : STAMP_NONE;
	stamp_fill(expect, seed, word[1], nr);
	return memcmp(sector, expect, 512) ? STAMP_GARBAGE : word[1];
}

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void model_init(struct model *m, u64 live_sectors)
{
	memset(m, 0, sizeof(*m));
	INIT_LIST_HEAD(&m->writes);
	m->may_normal = true;
	model_grow(m, live_sectors);
}

static void drop_writes(struct model *m)
{
	struct live_write *w, *next;

	list_for_each_entry_safe(w, next, &m->writes, node)
		free(w);
	INIT_LIST_HEAD(&m->writes);
}

void model_remove(struct model *m, struct model_snapshot *snap)
{
	u32 at = snap - m->snap;

	image_free(snap->image);
	free(snap->bad);
	m->nr_snaps--;
	memmove(snap, snap + 1, (m->nr_snaps - at) * sizeof(*snap));
}

void model_exit(struct model *m)
{
	while (m->nr_snaps)
		model_remove(m, &m->snap[0]);
	drop_writes(m);
	image_free(m->cut_live);
	free(m->base);
	free(m->base_count);
	free(m->went);
	memset(m, 0, sizeof(*m));
}

void model_copy(struct model *to, const struct model *from)
{
	const struct live_write *w;
	u32 i;

	*to = *from;
	INIT_LIST_HEAD(&to->writes);
	list_for_each_entry(w, &from->writes, node) {
		struct live_write *copy = must(malloc(sizeof(*copy)));

		*copy = *w;
		list_add_tail(&copy->node, &to->writes);
	}
	for (i = 0; i < to->nr_snaps; i++) {
		struct model_snapshot *snap = &to->snap[i];

		image_get(snap->image);
		if (snap->bad)
			snap->bad = memcpy(must(malloc(snap->sectors)), snap->bad, snap->sectors);
	}
	if (to->cut_live)
		image_get(to->cut_live);
	to->base = memcpy(must(malloc(to->base_sectors * sizeof(u64))), from->base,
			  to->base_sectors * sizeof(u64));
	to->base_count = memcpy(must(malloc(to->base_sectors * sizeof(u64))), from->base_count,
				to->base_sectors * sizeof(u64));
	to->went = memcpy(must(malloc(to->base_sectors * sizeof(u32))), from->went,
			  to->base_sectors * sizeof(u32));
}

void model_grow(struct model *m, u64 live_sectors)
{
	u64 i;

	m->base = must(realloc(m->base, live_sectors * sizeof(*m->base)));
	m->base_count = must(realloc(m->base_count, live_sectors * sizeof(*m->base_count)));
	m->went = must(realloc(m->went, live_sectors * sizeof(*m->went)));
	for (i = m->base_sectors; i < live_sectors; i++) {
		m->base[i] = STAMP_NONE;
		m->base_count[i] = 0;
		m->went[i] = 0;
	}
	m->base_sectors = live_sectors;
}

struct live_write *model_write_submitted(struct model *m, u64 sector, u32 sectors, u64 stamp)
{
	struct live_write *w = must(malloc(sizeof(*w)));

	*w = (struct live_write) { .sector = sector, .sectors = sectors, .stamp = stamp };
	list_add_tail(&w->node, &m->writes);
	return w;
}

void model_preserved(struct model *m, u64 sector, u32 sectors, u32 epoch)
{
	while (sectors--)
		m->went[sector++] = epoch;
}

void model_copied(struct sim *s, u64 sector, u32 sectors)
{
	u32 i;

	for (i = 0; i < sectors; i++) {
		if (s->model.went[sector + i] == s->epoch)
			sim_fail(s, "sector %llu is copied again in epoch %u", sector + i,
				 s->epoch);
	}
}

void model_durable(struct model *m, u64 sector, u32 sectors, u64 stamp, u64 count)
{
	while (sectors--) {
		if (count >= m->base_count[sector]) {
			m->base[sector] = stamp;
			m->base_count[sector] = count;
		}
		sector++;
	}
}

void model_write_completed(struct sim *s, u64 sector, u64 stamp, u64 count, bool durable,
			   int error)
{
	struct model *m = &s->model;
	struct live_write *w;
	u32 i;

	list_for_each_entry_reverse(w, &m->writes, node) {
		if (w->stamp == stamp && w->sector == sector)
			break;
	}
	/* By completion, so that a flush settles them in their order. */
	list_del(&w->node);
	for (i = 0; error && i < w->sectors; i++) {
		const u8 *data = image_sector(s->live.visible, sector + i);

		if (stamp_of(data, s->seed, sector + i) == stamp)
			model_write_submitted(m, sector + i, 1, stamp)->completed = count;
	}
	if (error) {
		free(w);
		return;
	}
	w->completed = count;
	if (durable) {
		model_durable(m, w->sector, w->sectors, w->stamp, count);
		free(w);
		return;
	}
	list_add_tail(&w->node, &m->writes);
}

void model_flushed(struct model *m, u64 count)
{
	struct live_write *w, *next;

	list_for_each_entry_safe(w, next, &m->writes, node) {
		if (!w->completed || w->completed >= count)
			continue;
		model_durable(m, w->sector, w->sectors, w->stamp, w->completed);
		list_del(&w->node);
		free(w);
	}
}

static bool possible(const struct model *m, u64 sector, u64 stamp)
{
	const struct live_write *w;

	if (m->base[sector] == stamp)
		return true;
	list_for_each_entry(w, &m->writes, node) {
		if (sector < w->sector || sector >= w->sector + w->sectors)
			continue;
		if (w->completed && w->completed < m->base_count[sector])
			continue;
		/* A torn sector holds anything, zeros too. */
		if (stamp == w->stamp ||
		    ((stamp == STAMP_GARBAGE || stamp == STAMP_NONE) && !w->completed))
			return true;
	}
	return false;
}

void model_settle_live(struct sim *s)
{
	struct model *m = &s->model;
	const struct image *img = s->live.visible;
	u64 i;

	for (i = 0; i < m->base_sectors; i++) {
		u64 stamp = stamp_of(image_sector(img, i), s->seed, i);

		if (!possible(m, i, stamp))
			sim_fail(s,
				 "live volume: sector %llu holds write %llx, which it cannot hold",
				 i, stamp);
		m->base[i] = stamp;
		m->base_count[i] = s->live.count;
	}
	drop_writes(m);
}

struct model_snapshot *model_find(struct model *m, u32 id)
{
	u32 i;

	for (i = 0; i < m->nr_snaps; i++) {
		if (m->snap[i].id == id)
			return &m->snap[i];
	}
	return NULL;
}

struct model_snapshot *model_add(struct sim *s, u32 id, const struct image *live)
{
	struct model *m = &s->model;
	struct model_snapshot *snap;
	u64 i;

	if (m->nr_snaps == MODEL_SNAPSHOTS)
		abort();
	snap = &m->snap[m->nr_snaps++];
	*snap = (struct model_snapshot) {
		.id = id, .image = image_clone(live), .sectors = live->sectors,
	};
	for (i = 0; s->live.faults.nr_bad && i < snap->sectors; i++) {
		if (!s->live.faults.bad[i])
			continue;
		if (!snap->bad)
			snap->bad = must(calloc(1, snap->sectors));
		snap->bad[i] = 1;
	}
	return snap;
}

u32 model_must_exist(const struct model *m)
{
	u32 i, n = 0;

	for (i = 0; i < m->nr_snaps; i++)
		n += m->snap[i].must;
	return n;
}

void model_bad_sector(struct model *m, u64 sector)
{
	u32 i;

	for (i = 0; i < m->nr_snaps; i++) {
		struct model_snapshot *snap = &m->snap[i];

		if (sector >= snap->sectors)
			continue;
		if (!snap->bad)
			snap->bad = must(calloc(1, snap->sectors));
		snap->bad[sector] = 1;
	}
}

/* From now on normal mode may give the snapshots up. */
void model_fault(struct sim *s)
{
	s->model.faulty = true;
	if (s->model.may_normal)
		s->model.may_lose = true;
}

static void all_uncertain(struct model *m)
{
	u32 i;

	for (i = 0; i < m->nr_snaps; i++)
		m->snap[i].must = false;
}

static void all_gone(struct model *m)
{
	while (m->nr_snaps)
		model_remove(m, &m->snap[0]);
}

static const struct cowp_snapshot *table_entry(struct sim *s, u32 id)
{
	const struct cowp_snapshot *table;
	u32 n = cowp_engine_snapshots(s->eng, &table);

	while (n--) {
		if (table[n].id == id)
			return &table[n];
	}
	return NULL;
}

/* What the engine says of a snapshot that has just begun: it may not change later. */
static void settle_entry(struct sim *s, struct model_snapshot *snap)
{
	const struct cowp_snapshot *entry = table_entry(s, snap->id);

	if (!entry && cowp_engine_status(s->eng)->state == COWP_STATE_LOST) {
		/* A creation of unknown fate, and all were given up behind it. */
		snap->must = false;
		return;
	}
	if (!entry)
		sim_fail(s, "epoch %u began without a snapshot", snap->id);
	/* A growth that arrives during a creation takes effect before or after it. */
	if (entry->live_sectors > snap->sectors)
		sim_fail(s, "snapshot %u has %llu sectors, the live volume %llu", snap->id,
			 entry->live_sectors, snap->sectors);
	snap->sectors = entry->live_sectors;
	memcpy(snap->label, entry->label, sizeof(snap->label));
}

static void epoch_changed(struct sim *s, u32 from, u32 to)
{
	struct model *m = &s->model;

	if (to < from)
		sim_fail(s, "the epoch went back from %u to %u", from, to);
	if (s->inside)
		sim_fail(s, "the epoch changed to %u with %u writes inside the gate",
			 to, s->inside);
	if (to <= m->max_id)
		sim_fail(s, "epoch %u is used again", to);
	if (m->nr_snaps && m->snap[m->nr_snaps - 1].id >= to)
		sim_fail(s, "epoch %u was given out before", to);
	settle_entry(s, model_add(s, to, s->live.visible));
	sim_trace(s, "model: snapshot %u is the live volume of now", to);
}

void model_observe(struct sim *s)
{
	struct model *m = &s->model;
	const struct cowp_status *st = cowp_engine_status(s->eng);
	u32 epoch = s->fast->epoch;

	if (epoch != s->epoch) {
		u32 from = s->epoch;

		s->epoch = epoch;
		/* Recovery sets it: nothing is inside yet, and nothing is created. */
		if (s->state != COWP_STATE_RECOVERING && st->state != COWP_STATE_RECOVERING)
			epoch_changed(s, from, epoch);
	}
	if (st->memory_used > st->memory_limit)
		sim_fail(s, "%llu bytes are in use, the bound is %llu", st->memory_used,
			 st->memory_limit);
	if (st->state == COWP_STATE_ACTIVE || st->state == COWP_STATE_NONE)
		memory_none = s->setup.no_memory;
	if (memory_none && st->fault == COWP_FAULT_MEMORY_ALLOCATION_FAILURE)
		sim_fail(s, "a fault for want of memory, after the activation");
	if (st->fault == COWP_FAULT_DIFF_AREA_FULL && m->may_normal)
		m->may_lose = true;
	if (st->state != s->state) {
		sim_trace(s, "state %s -> %s, mode %s, fault %s %d",
			  cowp_state_words[s->state], cowp_state_words[st->state],
			  cowp_mode_words[st->mode], cowp_fault_words[st->fault], st->error);
		if (st->state == COWP_STATE_LOST) {
			if (!m->may_lose)
				sim_fail(s,
					 "the snapshots were given up without need: mode %s, fault %s %d",
					 cowp_mode_words[st->mode], cowp_fault_words[st->fault],
					 st->error);
			m->lost = true;
			all_uncertain(m);
			stats_count(s->stats, STAT_LOST);
		}
		if (st->state == COWP_STATE_NONE && s->state == COWP_STATE_LOST) {
			all_gone(m);
			m->lost = false;
			m->marked = false;
			/* A fault that came while it was lost still stands. */
			m->may_lose = m->faulty && m->may_normal;
		}
		if (st->state == COWP_STATE_BLOCKED)
			stats_count(s->stats, STAT_BLOCKED);
		if (st->state == COWP_STATE_WAITING)
			stats_count(s->stats, STAT_WAITING);
		s->state = st->state;
	}
	if (st->state == COWP_STATE_LOST && st->marked)
		m->marked = true;
	if (s->fast->lost != s->lost) {
		if (!m->may_lose)
			sim_fail(s, "cowp_fast.lost was raised without need");
		s->lost = s->fast->lost;
	}
}

void model_msg_sent(struct sim *s, u8 op, u32 id, const char *label)
{
	struct model *m = &s->model;
	struct model_snapshot *snap;

	switch (op) {
	case COWP_MSG_CREATE:
		m->creating = true;
		m->asked_sectors[m->nr_asked % MODEL_LABELS] = s->live.visible->sectors;
		memcpy(m->asked[m->nr_asked++ % MODEL_LABELS], label, COWP_LABEL_BYTES);
		break;
	case COWP_MSG_DELETE:
		snap = model_find(m, id);
		if (snap) {
			snap->must = false;
			snap->going = true;
		}
		break;
	case COWP_MSG_PROTECT:
		m->may_protected = true;
		m->protects++;
		break;
	case COWP_MSG_NOPROTECT:
		m->may_normal = true;
		m->resets++;
		break;
	case COWP_MSG_RESET:
		m->may_normal = true;
		m->resets++;
		m->reset_asked = true;
		if (m->faulty || (s->state != COWP_STATE_ACTIVE && s->state != COWP_STATE_NONE))
			m->may_lose = true;
		break;
	default:
		break;
	}
}

static void created(struct sim *s, u32 id, const char *label)
{
	struct model_snapshot *snap = model_find(&s->model, id);

	if (!snap)
		sim_fail(s,
			 "creation of snapshot %u (%s) was acknowledged, but its epoch never began",
			 id, label);
	if (snap->label[0] && strcmp(snap->label, label))
		sim_fail(s, "snapshot %u was created as %s, not as %s", id, label, snap->label);
	memcpy(snap->label, label, sizeof(snap->label));
	if (id <= s->model.max_id)
		sim_fail(s, "snapshot id %u was given out twice", id);
	s->model.max_id = id;
	snap->acked = true;
	/* A fault may have given it up at once. */
	snap->must = !s->model.lost;
}

static void deleted(struct sim *s, u32 id, int error)
{
	struct model_snapshot *snap = model_find(&s->model, id);
	const struct cowp_snapshot *entry = table_entry(s, id);

	if (!error) {
		if (entry)
			sim_fail(s, "snapshot %u is still in the table after its deletion", id);
		if (snap)
			model_remove(&s->model, snap);
		return;
	}
	/* Refused: it stays as it was.  Begun: it may be gone after the next start. */
	if (snap && entry && !entry->deleting) {
		snap->going = false;
		snap->must = snap->acked && !s->model.lost;
	}
}

static bool nearly_full(struct sim *s)
{
	const struct cowp_status *st = cowp_engine_status(s->eng);

	return st->used_chunks + st->total_chunks / 8 >= st->total_chunks;
}

void model_msg_done(struct sim *s, u8 op, u32 id, const char *label, int error, bool clean)
{
	struct model *m = &s->model;

	switch (op) {
	case COWP_MSG_CREATE:
		/* One that failed may exist all the same, from now on or after the next start. */
		if (!error)
			created(s, id, label);
		break;
	case COWP_MSG_DELETE:
		deleted(s, id, error);
		break;
	case COWP_MSG_PROTECT:
		m->protects--;
		if (!error) {
			m->may_normal = m->resets;
			if (cowp_engine_status(s->eng)->mode != COWP_MODE_PROTECTED)
				sim_fail(s, "protect was acknowledged, the mode is not protected");
			if (s->state != COWP_STATE_LOST && !m->resets)
				m->may_lose = m->lost;
		}
		break;
	case COWP_MSG_NOPROTECT:
		/* From now on; one that was taken back may still change the mode. */
		if (m->faulty && (!error || error == -EINTR))
			m->may_lose = true;
		fallthrough;
	case COWP_MSG_RESET:
		m->resets--;
		if (!error) {
			m->may_normal = true;
			m->may_protected = m->protects;
		}
		break;
	default:
		break;
	}
	/* One that was taken back may still be under way; a new snapshot needs room. */
	if (error == -ENOSPC && op == COWP_MSG_CREATE && nearly_full(s))
		return;
	if (error && error != -EBUSY && clean)
		sim_fail(s, "message %s failed with %d though nothing was wrong",
			 shell_msg_name(op), error);
}

void model_cut(struct sim *s)
{
	struct model *m = &s->model;

	image_free(m->cut_live);
	m->cut_live = image_clone(s->live.visible);
	m->cut_busy = s->inside;
}

/* Its place in the ring of labels, -1: it never was, or long ago. */
static int asked_for(const struct model *m, const char *label)
{
	u32 i;

	for (i = 0; i < min(m->nr_asked, MODEL_LABELS); i++) {
		if (!strcmp(m->asked[i], label))
			return i;
	}
	return -1;
}

static void check_entry(struct sim *s, const struct cowp_snapshot *entry,
			struct model_snapshot *snap)
{
	int asked = asked_for(&s->model, entry->label);

	/* Whoever asked for it did not wait for the answer; once seen it is settled. */
	if (!snap->label[0])
		memcpy(snap->label, entry->label, sizeof(snap->label));
	/* A volume that grew meanwhile: the size is that of before or of after. */
	if (asked >= 0 && entry->live_sectors < snap->sectors &&
	    entry->live_sectors >= s->model.asked_sectors[asked])
		snap->sectors = entry->live_sectors;
	if (entry->live_sectors != snap->sectors)
		sim_fail(s, "snapshot %u: %llu sectors, not %llu", entry->id, entry->live_sectors,
			 snap->sectors);
	if (strcmp(entry->label, snap->label))
		sim_fail(s, "snapshot %u: label %s, not %s", entry->id, entry->label, snap->label);
	if (entry->deleting && snap->must)
		sim_fail(s, "snapshot %u is being deleted, which nobody asked for", entry->id);
}

/* One that nobody was told of: its record became durable just before the cut. */
static void unknown_entry(struct sim *s, const struct cowp_snapshot *entry)
{
	struct model *m = &s->model;
	struct model_snapshot *snap;

	if (!m->creating || !m->cut_live || entry->id <= m->max_id ||
	    (m->nr_snaps && entry->id <= m->snap[m->nr_snaps - 1].id))
		sim_fail(s, "snapshot %u (%s) exists, which must not", entry->id, entry->label);
	if (m->cut_busy)
		sim_fail(s, "snapshot %u (%s) was made durable with writes inside the gate",
			 entry->id, entry->label);
	snap = model_add(s, entry->id, m->cut_live);
	check_entry(s, entry, snap);
}

void model_check_table(struct sim *s, bool settle)
{
	struct model *m = &s->model;
	const struct cowp_snapshot *table;
	u32 n = cowp_engine_snapshots(s->eng, &table);
	u32 i;

	for (i = 0; i < n; i++) {
		struct model_snapshot *snap = model_find(m, table[i].id);

		if (i && table[i].id <= table[i - 1].id)
			sim_fail(s, "the snapshot table is out of order: %u after %u",
				 table[i].id, table[i - 1].id);
		if (!snap)
			unknown_entry(s, &table[i]);
		else
			check_entry(s, &table[i], snap);
		if (settle && table[i].id > m->max_id)
			m->max_id = table[i].id;
	}
	for (i = m->nr_snaps; i--; ) {
		struct model_snapshot *snap = &m->snap[i];
		const struct cowp_snapshot *entry = table_entry(s, snap->id);

		if (!entry && snap->must)
			sim_fail(s, "snapshot %u (%s) is missing", snap->id, snap->label);
		if (!settle)
			continue;
		if (!entry) {
			model_remove(m, snap);
		} else if (!entry->deleting) {
			snap->must = true;
			snap->acked = true;
			snap->going = false;
		}
	}
}
