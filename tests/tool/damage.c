// SPDX-License-Identifier: GPL-2.0-only
/*
 * damage: break a diff area in one definite way.
 *
 *	damage NAME IMAGE
 *	damage --dry NAME IMAGE		only whether it could be done
 *	damage --list
 *
 * Blocks that are changed get a right checksum again, but where the name says
 * otherwise, so that the checks behind the checksum are put to the test.  Exit
 * status 2: the image has nothing of the kind.
 */
#include <fcntl.h>
#include <unistd.h>

#include "area.h"

static struct area area;
static bool dry;
static struct fixed fixed;
static struct manifest man;
static u8 buffer[COWP_BLOCK_SIZE] __aligned(8);
static u8 other[COWP_BLOCK_SIZE] __aligned(8);

static void __noreturn nothing(const char *what)
{
	fprintf(stderr, "damage: the image has no %s\n", what);
	exit(2);
}

static void *get(u64 block, void *to)
{
	if (area_read(&area, block, 1, to)) {
		perror("damage: read");
		exit(1);
	}
	return to;
}

static void put(u64 block, const void *from)
{
	if (!dry && pwrite(area.fd, from, COWP_BLOCK_SIZE, (off_t)block * COWP_BLOCK_SIZE) !=
	    COWP_BLOCK_SIZE) {
		perror("damage: write");
		exit(1);
	}
}

static void seal(u64 block, void *data)
{
	struct cowp_header *h = data;
	u8 uuid[16];

	memcpy(uuid, h->uuid, sizeof(uuid));
	cowp_seal(data, le32_to_cpu(h->magic), uuid, block, le32_to_cpu(h->session),
		  le32_to_cpu(h->incarnation));
	put(block, data);
}

static void zero(u64 block)
{
	memset(buffer, 0, sizeof(buffer));
	put(block, buffer);
}

static void flip(u64 block, u32 at)
{
	get(block, buffer);
	buffer[at] ^= 0x10;
	put(block, buffer);
}

static void exchange(u64 a, u64 b)
{
	get(a, buffer);
	get(b, other);
	put(a, other);
	put(b, buffer);
}

/* ---- state and roots ---- */

static struct cowp_state_block *state(u32 copy)
{
	return get(COWP_STATE_BLOCK(copy), buffer);
}

static void put_state(u32 copy)
{
	seal(COWP_STATE_BLOCK(copy), buffer);
}

static void state_flip(void) { flip(COWP_STATE_BLOCK(0), 60); }

static void state_none(void)
{
	zero(COWP_STATE_BLOCK(0));
	zero(COWP_STATE_BLOCK(1));
}

static void state_order(void)
{
	le64_add_cpu(&state(1)->sequence, 5);
	put_state(1);
}

static void state_behind(void)
{
	le64_add_cpu(&state(0)->sequence, 1);
	put_state(0);
}

static void state_differ(void)
{
	state(1)->mode ^= 1;
	put_state(1);
}

static void state_uuid(void)
{
	state(1)->header.uuid[3] ^= 1;
	put_state(1);
}

static void state_session(void)
{
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		state(i)->session = 0;
		((struct cowp_state_block *)buffer)->header.session = 0;
		put_state(i);
	}
}

static void state_writer(void)
{
	state(1)->header.session = cpu_to_le32(77);
	put_state(1);
}

static void state_generation(void)
{
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		le64_add_cpu(&state(i)->generation, 10);
		put_state(i);
	}
}

static struct cowp_root *root(u32 slot)
{
	return get(COWP_ROOT_BLOCK(slot), buffer);
}

static void put_root(u32 slot)
{
	seal(COWP_ROOT_BLOCK(slot), buffer);
}

static u32 newest(void) { return man.slot; }
static u32 older(void) { return !man.slot; }

static void root_newest(void) { zero(COWP_ROOT_BLOCK(newest())); }
static void root_older(void) { flip(COWP_ROOT_BLOCK(older()), 100); }
static void root_swap(void) { exchange(COWP_ROOT_BLOCK(0), COWP_ROOT_BLOCK(1)); }

static void root_generation(void)
{
	root(older())->generation = cpu_to_le64(man.super.generation);
	put_root(older());
}

static void root_epoch(void)
{
	root(older())->epoch = cpu_to_le32(man.super.epoch + 1);
	put_root(older());
}

static void root_layout(void)
{
	root(older())->created = 0;
	put_root(older());
}

static void root_segments(void)
{
	le32_add_cpu(&root(older())->segments, -1);
	put_root(older());
}

static void root_clean(void)
{
	root(newest())->flags = cpu_to_le32(COWP_ROOT_CLEAN);
	put_root(newest());
}

static void root_body(void)
{
	le32_add_cpu(&root(newest())->body_crc, 1);
	put_root(newest());
}

static void root_version(void)
{
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		root(i)->version = cpu_to_le32(COWP_FORMAT_VERSION + 1);
		put_root(i);
	}
}

static void root_session(void)
{
	le32_add_cpu(&root(newest())->header.session, 1000);
	put_root(newest());
}

static void reserved(void) { flip(5, 0); }

static struct cowp_identity_block *identity(u32 copy)
{
	return get(COWP_IDENTITY_BLOCK(copy), buffer);
}

static void put_identity(u32 copy)
{
	seal(COWP_IDENTITY_BLOCK(copy), buffer);
}

static void identity_flip(void) { flip(COWP_IDENTITY_BLOCK(0), 70); }
static void identity_none(void) { zero(COWP_IDENTITY_BLOCK(1)); }

static void identity_differ(void)
{
	strcpy(identity(1)->name, "other");
	put_identity(1);
}

static void identity_kind(void)
{
	identity(0)->kind = COWP_IDENTITY_KINDS;
	put_identity(0);
}

static void identity_text(void)
{
	strcpy(identity(1)->name, "two words");
	put_identity(1);
}

/* ---- the body ---- */

static u64 body(u32 i)
{
	return man.super.body_block[man.slot] + i;
}

static void body_flip(void) { flip(body(0), 200); }
/* As if the newest root's checkpoint had failed, and the next one had begun. */
static void body_before(void)
{
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		le64_add_cpu(&state(i)->generation, -1);
		put_state(i);
	}
	flip(body(0), 200);
}

static void body_swap(void) { exchange(body(0), body(1)); }

static u64 body_at;

/* A record of a section, in the buffer. */
static void *record(enum cowp_section section, u32 i)
{
	struct cowp_body_block *b;

	if (!man.section[section])
		nothing("such section");
	body_at = manifest_block(&man, section, i);
	b = get(body_at, buffer);
	i %= cowp_section_records(section);
	if (i >= le16_to_cpu(b->count))
		nothing("such record");
	return b->data + i * cowp_section_bytes(section);
}

/* The buffer back, and the root's checksum over the body. */
static void put_record(void)
{
	u32 crc = ~0U, i;

	seal(body_at, buffer);
	for (i = 0; i < man.super.body_blocks; i++) {
		struct cowp_body_block *b = get(body(i), buffer);

		crc = port_crc32c(crc, &b->header.crc, sizeof(b->header.crc));
	}
	root(newest())->body_crc = cpu_to_le32(crc);
	put_root(newest());
}

static u32 segment_of_kind(u8 kind, bool used)
{
	u32 i;

	for (i = 0; i < man.segment_count; i++)
		if (man.segments[i].kind == kind && (!used || man.segments[i].live))
			return i;
	nothing("segment of that kind");
}

static struct cowp_segment_rec *segment(u32 nr)
{
	return record(COWP_SECTION_SEGMENTS, nr);
}

static struct cowp_segment_rec *log_segment(void)
{
	return segment(segment_of_kind(COWP_SEGMENT_LOG, true));
}

static void segment_kind(void)
{
	segment(3)->kind = 9;
	put_record();
}

static void live_low(void)
{
	log_segment()->live = 0;
	put_record();
}

static void live_run(void)
{
	le32_add_cpu(&segment(segment_of_kind(COWP_SEGMENT_RUN, true))->live, 1);
	put_record();
}

static void live_high(void)
{
	log_segment()->live = cpu_to_le32(man.geo.slots + 1);
	put_record();
}

static void incarnation_twice(void)
{
	u32 run = segment_of_kind(COWP_SEGMENT_RUN, false);

	log_segment()->incarnation = cpu_to_le32(man.segments[run].incarnation);
	put_record();
}

static void incarnation_high(void)
{
	log_segment()->incarnation = cpu_to_le32(man.super.incarnation + 1);
	put_record();
}

static void free_used(void)
{
	segment(segment_of_kind(COWP_SEGMENT_FREE, false))->live = cpu_to_le32(3);
	put_record();
}

static void epoch_low(void)
{
	log_segment()->max_epoch = cpu_to_le32(1);
	put_record();
}

static void epoch_high(void)
{
	log_segment()->max_epoch = cpu_to_le32(man.super.epoch + 1);
	put_record();
}

static void log_freed(void)
{
	memset(log_segment(), 0, sizeof(struct cowp_segment_rec));
	put_record();
}

static void listed_lost(void)
{
	struct cowp_segment_rec *r = segment(segment_of_kind(COWP_SEGMENT_FREE, false));

	r->kind = COWP_SEGMENT_LISTED;
	r->incarnation = cpu_to_le32(1);
	put_record();
}

static void open_twice(void)
{
	struct cowp_open_rec *r = record(COWP_SECTION_OPEN_LIST, 1);

	*r = r[-1];
	put_record();
}

static void open_kind(void)
{
	segment(le32_to_cpu(man.open[0].segment))->kind = COWP_SEGMENT_LOG;
	put_record();
}

static void open_incarnation(void)
{
	struct cowp_open_rec *r = record(COWP_SECTION_OPEN_LIST, 0);

	le32_add_cpu(&r->incarnation, 1);
	put_record();
}

static void open_range(void)
{
	struct cowp_open_rec *r = record(COWP_SECTION_OPEN_LIST, 0);

	r->segment = cpu_to_le32(man.super.segments);
	put_record();
}

static struct cowp_snapshot_rec *snapshot(u32 i)
{
	return record(COWP_SECTION_SNAPSHOTS, i);
}

static void snapshot_order(void)
{
	struct cowp_snapshot_rec *r = snapshot(1);

	swap(r->id, r[-1].id);
	put_record();
}

static void snapshot_id(void)
{
	snapshot(man.snapshot_count - 1)->id = cpu_to_le32(man.super.epoch + 1);
	put_record();
}

static void snapshot_size(void)
{
	snapshot(0)->live_sectors = cpu_to_le64(man.super.live_sectors + 8);
	put_record();
}

static void snapshot_label(void)
{
	memset(snapshot(0)->label, 'x', COWP_LABEL_BYTES);
	put_record();
}

static struct cowp_fragment_rec *fragment(u32 i)
{
	return record(COWP_SECTION_FRAGMENTS, i);
}

static void fragment_size(void)
{
	le32_add_cpu(&fragment(0)->records, 100000);
	put_record();
}

static void fragment_place(void)
{
	fragment(0)->block = cpu_to_le64(man.super.first_segment);
	put_record();
}

static void fragment_kind(void)
{
	struct cowp_fragment_rec *r = fragment(0);

	r->block = cpu_to_le64(cowp_segment_block(&man.geo,
						  segment_of_kind(COWP_SEGMENT_LOG, false)) + 1);
	put_record();
}

static void fragment_incarnation(void)
{
	le32_add_cpu(&fragment(0)->incarnation, -1);
	put_record();
}

static void fragment_overlap(void)
{
	struct cowp_fragment_rec *r = fragment(1);

	r->block = r[-1].block;
	put_record();
}

static void fragment_keys(void)
{
	le64_add_cpu(&fragment(0)->first_key, -1);
	put_record();
}

static void fragment_epochs(void)
{
	le32_add_cpu(&fragment(0)->min_epoch, -1);
	put_record();
}

static void fragment_old(void)
{
	struct cowp_fragment_rec *r = fragment(0);

	r->min_epoch = 0;
	r->max_epoch = 0;
	put_record();
}

static void fragment_future(void)
{
	fragment(0)->max_epoch = cpu_to_le32(man.super.epoch + 1);
	put_record();
}

/* ---- runs ---- */

/* A fragment with two leaves at least. */
static const struct cowp_fragment *tall(void)
{
	u32 i;

	for (i = 0; i < man.fragment_count; i++)
		if (man.fragments[i].leaves > 1)
			return &man.fragments[i];
	nothing("fragment of two leaves");
}

static void leaf_flip(void) { flip(tall()->block, 300); }
static void leaf_zero(void) { zero(tall()->block + 1); }
static void leaf_swap(void) { exchange(tall()->block, tall()->block + 1); }

static struct cowp_run_block *run_block(u64 block)
{
	body_at = block;
	return get(block, buffer);
}

static void put_run(void)
{
	seal(body_at, buffer);
}

static struct cowp_run_block *leaf(void)
{
	return run_block(tall()->block);
}

static void leaf_incarnation(void)
{
	le32_add_cpu(&leaf()->header.incarnation, 1);
	put_run();
}

static void leaf_uuid(void)
{
	leaf()->header.uuid[7] ^= 1;
	put_run();
}

static void leaf_session(void)
{
	le32_add_cpu(&leaf()->header.session, 1000);
	put_run();
}

static void leaf_order(void)
{
	struct cowp_run_block *b = leaf();

	swap(b->records[4], b->records[5]);
	put_run();
}

static void leaf_count(void)
{
	le16_add_cpu(&leaf()->count, -1);
	put_run();
}

static void leaf_level(void)
{
	leaf()->level = cpu_to_le16(1);
	put_run();
}

static void leaf_index(void)
{
	leaf()->index = cpu_to_le32(1);
	put_run();
}

static void node_key(void)
{
	le64_add_cpu(&run_block(tall()->block + tall()->leaves)->keys[1], 1);
	put_run();
}

static bool is_needed(const struct cowp_record *r, bool bad)
{
	struct cowp_rec rec;

	cowp_rec_decode(&rec, r);
	return cowp_key_epoch(rec.key) >= man.snapshots[0].id &&
	       !!(rec.location & COWP_RECORD_BAD) == bad;
}

/* A record that a snapshot may need, of a leaf in the buffer; so is the one before. */
static struct cowp_record *needed(bool bad)
{
	u32 i, l, n;

	for (i = 0; i < man.fragment_count; i++) {
		for (l = 0; l < man.fragments[i].leaves; l++) {
			struct cowp_run_block *b = run_block(man.fragments[i].block + l);

			for (n = 1; n < le16_to_cpu(b->count); n++)
				if (is_needed(&b->records[n], bad) &&
				    (bad || (is_needed(&b->records[n - 1], bad) &&
					     b->records[n].crc != b->records[n - 1].crc)))
					return &b->records[n];
		}
	}
	nothing("record of that kind");
}

static struct cowp_place place_of(const struct cowp_record *r)
{
	return cowp_place_of(le64_to_cpu(r->location));
}

static void set_place(struct cowp_record *r, const struct cowp_place *p)
{
	r->location = cpu_to_le64(cowp_location(p));
	put_run();
}

static void record_segment(void)
{
	struct cowp_record *r = needed(false);
	struct cowp_place p = place_of(r);

	p.segment = segment_of_kind(COWP_SEGMENT_FREE, false);
	set_place(r, &p);
}

static void record_incarnation(void)
{
	le32_add_cpu(&needed(false)->incarnation, -1);
	put_run();
}

static void record_slot(void)
{
	struct cowp_record *r = needed(false);
	struct cowp_place p = place_of(r);

	p.slot = man.geo.slots;
	set_place(r, &p);
}

static void record_shared(void)
{
	struct cowp_record *r = needed(false);

	r->location = r[-1].location;
	r->incarnation = r[-1].incarnation;
	put_run();
}

static void record_crc(void)
{
	le32_add_cpu(&needed(false)->crc, 1);
	put_run();
}

static void record_position(void)
{
	struct cowp_record *r = needed(false);
	struct cowp_place p = place_of(r);

	p.pos ^= 1;
	set_place(r, &p);
}

static void record_home(void)
{
	struct cowp_record *r = needed(false);
	struct cowp_place p = place_of(r);

	p.pos = 0xfffff;
	set_place(r, &p);
}

static void record_chunk(void)
{
	const struct cowp_fragment *f = &man.fragments[0];
	struct cowp_run_block *b = run_block(f->block + f->leaves - 1);
	struct cowp_record *r = &b->records[le16_to_cpu(b->count) - 1];

	r->key = cpu_to_le64(cowp_key(man.super.live_sectors, man.super.epoch));
	put_run();
}

static void run_header(void)
{
	flip(cowp_segment_block(&man.geo, segment_of_kind(COWP_SEGMENT_RUN, true)), 70);
}

/* ---- chunks ---- */

static u64 data_of(const struct cowp_record *r)
{
	struct cowp_place p = place_of(r);

	return cowp_slot_block(&man.geo, p.segment, p.slot);
}

static void data_flip(void) { flip(data_of(needed(false)), 1000); }

static void data_swap(void)
{
	struct cowp_record *r = needed(false);
	u64 a = data_of(r), b = data_of(r - 1);

	exchange(a, b);
}

static void badmap(void) { flip(data_of(needed(true)) + man.geo.chunk_blocks, 60); }

static void badmap_bits(void)
{
	u64 block = data_of(needed(true)) + man.geo.chunk_blocks;
	struct cowp_badmap *map = get(block, buffer);

	memset(map->bits, 0, sizeof(map->bits));
	seal(block, buffer);
}

static void badmap_key(void)
{
	u64 block = data_of(needed(true)) + man.geo.chunk_blocks;
	struct cowp_badmap *map = get(block, buffer);

	le64_add_cpu(&map->key, 1);
	seal(block, buffer);
}

/* ---- log segments ---- */

static void log_header(void)
{
	zero(cowp_segment_block(&man.geo, segment_of_kind(COWP_SEGMENT_LOG, true)));
}

static void log_header_kind(void)
{
	u32 nr = segment_of_kind(COWP_SEGMENT_LOG, true);
	struct cowp_segment_header *h = get(cowp_segment_block(&man.geo, nr), buffer);

	h->kind = COWP_SEGMENT_RUN;
	seal(cowp_segment_block(&man.geo, nr), buffer);
}

static u32 summary_blocks(void)
{
	return man.geo.homes + COWP_RING_BLOCKS;
}

static bool is_version(const struct cowp_summary *s, u64 block, u32 incarnation)
{
	return !cowp_check_header(s, COWP_MAGIC_SUMMARY, man.super.uuid, block) &&
	       le32_to_cpu(s->header.incarnation) == incarnation;
}

/* All summaries of a segment that a record of a run points to. */
static void log_summaries(void)
{
	struct cowp_place p = place_of(needed(false));
	u32 i;

	for (i = 0; i < summary_blocks(); i++)
		zero(cowp_home_block(&man.geo, p.segment, 0) + i);
}

static u64 version_at;

static struct cowp_entry *entry(struct cowp_summary *s, u32 from_end)
{
	return (void *)(s->entries +
			(le16_to_cpu(s->count) - 1 - from_end) * man.geo.entry_bytes);
}

/* Chunks behind the replay point as the last two entries, the last behind the watermark? */
static bool is_tail(struct cowp_summary *s)
{
	struct cowp_entry *e;
	u32 i;

	if (le16_to_cpu(s->count) < 2)
		return false;
	for (i = 0; i < 2; i++) {
		e = entry(s, i);
		if (e->type != COWP_ENTRY_CHUNK ||
		    le64_to_cpu(s->base_batch) + le32_to_cpu(e->batch) <= man.super.replay_batch)
			return false;
	}
	return le64_to_cpu(s->base_batch) + le32_to_cpu(entry(s, 0)->batch) >
	       le64_to_cpu(s->watermark);
}

/* The newest version of all, in the buffer; it must be of the log's tail. */
static struct cowp_summary *version(void)
{
	struct cowp_summary *best = (void *)buffer, *s = (void *)other;
	u32 i, n;

	version_at = 0;
	for (i = 0; i < man.open_count; i++) {
		u64 first = cowp_home_block(&man.geo, le32_to_cpu(man.open[i].segment), 0);

		for (n = 0; n < summary_blocks(); n++) {
			get(first + n, other);
			if (!is_version(s, first + n, le32_to_cpu(man.open[i].incarnation)) ||
			    (version_at && le64_to_cpu(s->version) < le64_to_cpu(best->version)))
				continue;
			memcpy(buffer, other, sizeof(buffer));
			version_at = first + n;
		}
	}
	if (!version_at || !is_tail(best))
		nothing("summary of chunks to be replayed");
	return best;
}

static void put_version(void)
{
	seal(version_at, buffer);
}

static void summary_zero(void)
{
	struct cowp_summary *s = version();
	u32 nr = le32_to_cpu(s->segment), home = le16_to_cpu(s->home), i;
	u64 first = cowp_home_block(&man.geo, nr, 0);

	for (i = 0; i < summary_blocks(); i++) {
		s = get(first + i, other);
		if (le32_to_cpu(s->header.magic) == COWP_MAGIC_SUMMARY &&
		    le16_to_cpu(s->home) == home)
			zero(first + i);
	}
}

static void summary_torn(void)
{
	version();
	flip(version_at, 2000);
}

static void summary_type(void)
{
	entry(version(), 0)->type = 77;
	put_version();
}

static void summary_slot(void)
{
	struct cowp_summary *s = version();

	entry(s, 0)->slot = entry(s, 1)->slot;
	put_version();
}

static void summary_range(void)
{
	entry(version(), 0)->slot = cpu_to_le32(man.geo.slots);
	put_version();
}

static void summary_parts(void)
{
	struct cowp_entry *e = entry(version(), 0);

	e->part = 3;
	e->parts = 2;
	put_version();
}

static void summary_epoch(void)
{
	struct cowp_summary *s = version();
	struct cowp_entry *e = entry(s, 0);

	e->key = cpu_to_le64(cowp_key(cowp_key_chunk(le64_to_cpu(e->key)),
				      le32_to_cpu(s->epoch) + 1));
	put_version();
}

static void summary_batch(void)
{
	le64_add_cpu(&version()->base_batch, 1ULL << 40);
	put_version();
}

static void summary_order(void)
{
	struct cowp_entry *e = entry(version(), 1);

	le32_add_cpu(&e->batch, 1000);
	put_version();
}

static void summary_session(void)
{
	le32_add_cpu(&version()->header.session, 1000);
	put_version();
}

static void summary_watermark(void)
{
	le64_add_cpu(&version()->watermark, 5000);
	put_version();
}

static void summary_home(void)
{
	version()->home = cpu_to_le16(man.geo.homes);
	put_version();
}

/* A chunk of the log that a run has already. */
static void summary_twice(void)
{
	u64 key = le64_to_cpu(needed(false)->key);

	entry(version(), 0)->key = cpu_to_le64(key);
	put_version();
}

/* An older version of the same home, behind its block in the ring. */
static u64 second_version(void)
{
	struct cowp_summary *s = version();
	u64 first = cowp_home_block(&man.geo, le32_to_cpu(s->segment), 0), i;

	for (i = 0; i < summary_blocks(); i++)
		if (first + i != version_at &&
		    is_version(get(first + i, other), first + i,
			       le32_to_cpu(s->header.incarnation)) &&
		    ((struct cowp_summary *)other)->home == s->home)
			return first + i;
	nothing("second version of a home");
}

static void version_twice(void)
{
	u64 block = second_version();

	((struct cowp_summary *)other)->version = ((struct cowp_summary *)buffer)->version;
	seal(block, other);
}

static void version_lost(void)
{
	u64 block = second_version();

	((struct cowp_summary *)other)->count = ((struct cowp_summary *)buffer)->count;
	le16_add_cpu(&((struct cowp_summary *)other)->count, 1);
	seal(block, other);
}

static void log_data(void)
{
	struct cowp_summary *s = version();

	flip(cowp_slot_block(&man.geo, le32_to_cpu(s->segment), le32_to_cpu(entry(s, 0)->slot)),
	     99);
}

static const struct {
	const char *name;
	void (*fn)(void);
} damages[] = {
	{ "state-flip", state_flip },
	{ "state-none", state_none },
	{ "state-order", state_order },
	{ "state-behind", state_behind },
	{ "state-differ", state_differ },
	{ "state-uuid", state_uuid },
	{ "state-session", state_session },
	{ "state-writer", state_writer },
	{ "state-generation", state_generation },
	{ "root-newest", root_newest },
	{ "root-older", root_older },
	{ "root-swap", root_swap },
	{ "root-generation", root_generation },
	{ "root-epoch", root_epoch },
	{ "root-layout", root_layout },
	{ "root-segments", root_segments },
	{ "root-clean", root_clean },
	{ "root-body", root_body },
	{ "root-session", root_session },
	{ "root-version", root_version },
	{ "reserved", reserved },
	{ "identity-flip", identity_flip },
	{ "identity-none", identity_none },
	{ "identity-differ", identity_differ },
	{ "identity-kind", identity_kind },
	{ "identity-text", identity_text },
	{ "body-flip", body_flip },
	{ "body-before", body_before },
	{ "body-swap", body_swap },
	{ "segment-kind", segment_kind },
	{ "live-low", live_low },
	{ "live-run", live_run },
	{ "live-high", live_high },
	{ "incarnation-twice", incarnation_twice },
	{ "incarnation-high", incarnation_high },
	{ "free-used", free_used },
	{ "epoch-low", epoch_low },
	{ "epoch-high", epoch_high },
	{ "log-freed", log_freed },
	{ "listed-lost", listed_lost },
	{ "open-twice", open_twice },
	{ "open-kind", open_kind },
	{ "open-incarnation", open_incarnation },
	{ "open-range", open_range },
	{ "snapshot-order", snapshot_order },
	{ "snapshot-id", snapshot_id },
	{ "snapshot-size", snapshot_size },
	{ "snapshot-label", snapshot_label },
	{ "fragment-size", fragment_size },
	{ "fragment-place", fragment_place },
	{ "fragment-kind", fragment_kind },
	{ "fragment-incarnation", fragment_incarnation },
	{ "fragment-overlap", fragment_overlap },
	{ "fragment-keys", fragment_keys },
	{ "fragment-epochs", fragment_epochs },
	{ "fragment-old", fragment_old },
	{ "fragment-future", fragment_future },
	{ "leaf-flip", leaf_flip },
	{ "leaf-zero", leaf_zero },
	{ "leaf-swap", leaf_swap },
	{ "leaf-incarnation", leaf_incarnation },
	{ "leaf-uuid", leaf_uuid },
	{ "leaf-session", leaf_session },
	{ "leaf-order", leaf_order },
	{ "leaf-count", leaf_count },
	{ "leaf-level", leaf_level },
	{ "leaf-index", leaf_index },
	{ "node-key", node_key },
	{ "record-segment", record_segment },
	{ "record-incarnation", record_incarnation },
	{ "record-slot", record_slot },
	{ "record-shared", record_shared },
	{ "record-crc", record_crc },
	{ "record-position", record_position },
	{ "record-home", record_home },
	{ "record-chunk", record_chunk },
	{ "run-header", run_header },
	{ "data-flip", data_flip },
	{ "data-swap", data_swap },
	{ "badmap", badmap },
	{ "badmap-bits", badmap_bits },
	{ "badmap-key", badmap_key },
	{ "log-header", log_header },
	{ "log-header-kind", log_header_kind },
	{ "log-summaries", log_summaries },
	{ "summary-zero", summary_zero },
	{ "summary-torn", summary_torn },
	{ "summary-type", summary_type },
	{ "summary-slot", summary_slot },
	{ "summary-range", summary_range },
	{ "summary-parts", summary_parts },
	{ "summary-epoch", summary_epoch },
	{ "summary-batch", summary_batch },
	{ "summary-order", summary_order },
	{ "summary-session", summary_session },
	{ "summary-watermark", summary_watermark },
	{ "summary-home", summary_home },
	{ "summary-twice", summary_twice },
	{ "version-twice", version_twice },
	{ "version-lost", version_lost },
	{ "log-data", log_data },
};

int main(int argc, char **argv)
{
	struct findings quiet = { 0 };
	u32 i;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (i = 0; i < ARRAY_SIZE(damages); i++)
			puts(damages[i].name);
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "--dry")) {
		dry = true;
		argv++;
		argc--;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: damage [--dry] NAME IMAGE | damage --list\n");
		return 1;
	}
	for (i = 0; i < ARRAY_SIZE(damages) && strcmp(argv[1], damages[i].name); i++)
		;
	if (i == ARRAY_SIZE(damages)) {
		fprintf(stderr, "damage: '%s' is not known\n", argv[1]);
		return 1;
	}
	if (area_open(&area, argv[2], "image", O_RDWR))
		return 1;
	fixed_read(&fixed, &area);
	if (fixed.slot < 0 || !manifest_read(&man, &area, &fixed.super[fixed.slot], fixed.slot,
					     &quiet)) {
		fprintf(stderr, "damage: %s is damaged already\n", argv[2]);
		return 1;
	}
	damages[i].fn();
	manifest_free(&man);
	fixed_free(&fixed);
	area_close(&area);
	return 0;
}
