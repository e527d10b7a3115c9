// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect dump: what the blocks say.  One tree of values is made and printed
 * as JSON, or as text for the eye.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "check/check.h"
#include "identity.h"

struct options {
	const char *diff;
	bool json;
	bool records;
	u64 first;
	u64 last;
	u32 snapshot;
};

/* FIRST, FIRST-LAST, or "all" */
static const char *take_range(struct options *o, char *text)
{
	char *dash = strchr(text, '-');
	const char *bad;

	o->records = true;
	if (!strcmp(text, "all"))
		return NULL;
	if (dash)
		*dash = 0;
	bad = tool_number(text, COWP_MAX_CHUNKS - 1, &o->first);
	o->last = o->first;
	if (!bad && dash)
		bad = tool_number(dash + 1, COWP_MAX_CHUNKS - 1, &o->last);
	if (dash)
		*dash = '-';
	if (!bad && o->last < o->first)
		bad = "ends before it begins";
	return bad;
}

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	const char *bad;
	u64 id;
	int c;

	o->last = COWP_MAX_CHUNKS - 1;
	while ((c = tool_option(a, argc, argv)) > 0) {
		switch (c) {
		case 'j':
			o->json = true;
			break;
		case 'r':
			bad = take_range(o, optarg);
			if (bad)
				return tool_usage(a, "--records: '%s' %s", optarg, bad);
			break;
		case 's':
			bad = tool_number(optarg, COWP_MAX_EPOCH, &id);
			if (!bad && !id)
				bad = "is not a snapshot's id";
			if (bad)
				return tool_usage(a, "--snapshot: '%s' %s", optarg, bad);
			o->snapshot = id;
			o->records = true;
			break;
		}
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	o->diff = argv[optind];
	return TOOL_OK;
}

/* ---- values ---- */

static void add_number(json_object *to, const char *name, u64 n)
{
	json_object_object_add(to, name, json_object_new_uint64(n));
}

static void add_word(json_object *to, const char *name, const char *word)
{
	json_object_object_add(to, name, json_object_new_string(word));
}

static void add_bool(json_object *to, const char *name, bool value)
{
	json_object_object_add(to, name, json_object_new_boolean(value));
}

static void add_time(json_object *to, const char *name, u64 seconds)
{
	time_t t = seconds;
	char text[40];
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, sizeof(text), "%llu", seconds);
	add_word(to, name, text);
}

static void add_uuid(json_object *to, const char *name, const u8 *uuid)
{
	char text[UUID_STR_LEN];

	uuid_unparse_lower(uuid, text);
	add_word(to, name, text);
}

static json_object *add_list(json_object *to, const char *name)
{
	json_object *list = json_object_new_array();

	json_object_object_add(to, name, list);
	return list;
}

static json_object *add_item(json_object *list)
{
	json_object *item = json_object_new_object();

	json_object_array_add(list, item);
	return item;
}

/* ---- the fixed blocks ---- */

static void dump_states(json_object *top, const struct fixed *f)
{
	json_object *list = add_list(top, "states");
	int i;

	for (i = 0; i < (int)COWP_SLOTS; i++) {
		json_object *o = add_item(list);
		const struct cowp_area_state *s = &f->copy[i];

		add_number(o, "copy", i);
		add_number(o, "block", COWP_STATE_BLOCK(i));
		if (f->bad_state[i]) {
			add_word(o, "wrong", f->bad_state[i]);
			continue;
		}
		add_bool(o, "counts", i == f->newest);
		add_uuid(o, "uuid", s->uuid);
		add_number(o, "sequence", s->sequence);
		add_number(o, "generation", s->generation);
		add_number(o, "session", s->session);
		add_word(o, "mode", cowp_mode_words[s->mode]);
		add_bool(o, "lost", s->lost);
	}
}

static void dump_roots(json_object *top, const struct fixed *f)
{
	json_object *list = add_list(top, "roots");
	int i;

	for (i = 0; i < (int)COWP_SLOTS; i++) {
		json_object *o = add_item(list);
		const struct cowp_super *s = &f->super[i];

		add_number(o, "slot", i);
		add_number(o, "block", COWP_ROOT_BLOCK(i));
		if (f->bad_root[i]) {
			add_word(o, "wrong", f->bad_root[i]);
			continue;
		}
		add_bool(o, "counts", i == f->slot);
		add_uuid(o, "uuid", s->uuid);
		add_number(o, "generation", s->generation);
		add_number(o, "session", s->session);
		add_bool(o, "clean", s->flags & COWP_ROOT_CLEAN);
		add_time(o, "created", s->created);
		add_number(o, "live_sectors", s->live_sectors);
		add_number(o, "chunk_blocks", s->chunk_blocks);
		add_number(o, "area_blocks", s->area_blocks);
		add_number(o, "segments", s->segments);
		add_number(o, "segment_blocks", s->segment_blocks);
		add_number(o, "first_segment", s->first_segment);
		add_number(o, "body_block", s->body_block[i]);
		add_number(o, "body_blocks", s->body_blocks);
		add_number(o, "body_max", s->body_max);
		add_number(o, "epoch", s->epoch);
		add_number(o, "incarnation", s->incarnation);
		add_number(o, "replay_batch", s->replay_batch);
		add_number(o, "last_batch", s->last_batch);
	}
}

static void dump_identity(json_object *top, const struct area *a, const u8 *uuid)
{
	struct identity id;
	json_object *o;

	if (!identity_read(&id, a, uuid))
		return;
	o = json_object_new_object();
	json_object_object_add(top, "identity", o);
	add_word(o, "name", id.name);
	add_number(o, "live_sectors", id.live_sectors);
	add_word(o, "kind", identity_words[id.kind]);
	add_word(o, "uuid", id.id);
}

/* ---- the manifest ---- */

static void dump_snapshots(json_object *top, const struct manifest *m)
{
	json_object *list = add_list(top, "snapshots");
	u32 i;

	for (i = 0; i < m->snapshot_count; i++) {
		json_object *o = add_item(list);

		add_number(o, "id", m->snapshots[i].id);
		add_word(o, "label", m->snapshots[i].label);
		add_time(o, "created", m->snapshots[i].created);
		add_number(o, "live_sectors", m->snapshots[i].live_sectors);
	}
}

static void dump_fragments(json_object *top, const struct manifest *m)
{
	json_object *list = add_list(top, "fragments");
	u32 i;

	for (i = 0; i < m->fragment_count; i++) {
		const struct cowp_fragment *f = &m->fragments[i];
		json_object *o = add_item(list);

		add_number(o, "run", f->run);
		add_number(o, "block", f->block);
		add_number(o, "blocks", f->blocks);
		add_number(o, "leaves", f->leaves);
		add_number(o, "records", f->records);
		add_number(o, "segment", cowp_segment_of(&m->geo, f->block));
		add_number(o, "incarnation", f->incarnation);
		add_number(o, "first_chunk", cowp_key_chunk(f->first_key));
		add_number(o, "first_epoch", cowp_key_epoch(f->first_key));
		add_number(o, "last_chunk", cowp_key_chunk(f->last_key));
		add_number(o, "last_epoch", cowp_key_epoch(f->last_key));
		add_number(o, "min_epoch", f->min_epoch);
		add_number(o, "max_epoch", f->max_epoch);
	}
}

static void dump_open_list(json_object *top, const struct manifest *m)
{
	json_object *list = add_list(top, "open_list");
	u32 i;

	for (i = 0; i < m->open_count; i++) {
		json_object *o = add_item(list);

		add_number(o, "segment", le32_to_cpu(m->open[i].segment));
		add_number(o, "incarnation", le32_to_cpu(m->open[i].incarnation));
	}
}

/* Free ones are all alike: only their number. */
static void dump_segments(json_object *top, const struct manifest *m)
{
	static const char * const words[] = {
		[COWP_SEGMENT_FREE] = "free",
		[COWP_SEGMENT_LISTED] = "listed",
		[COWP_SEGMENT_LOG] = "log",
		[COWP_SEGMENT_RUN] = "run",
		[COWP_SEGMENT_MOVED] = "moved",
	};
	json_object *list = add_list(top, "segments");
	u32 free_ones = 0, i;

	for (i = 0; i < m->segment_count; i++) {
		const struct cowp_segment *s = &m->segments[i];
		json_object *o;

		free_ones += s->kind == COWP_SEGMENT_FREE;
		if (s->kind == COWP_SEGMENT_FREE)
			continue;
		o = add_item(list);
		add_number(o, "segment", i);
		add_number(o, "block", cowp_segment_block(&m->geo, i));
		add_word(o, "kind", s->kind < COWP_SEGMENT_KINDS ? words[s->kind] : "unknown");
		add_number(o, "incarnation", s->incarnation);
		add_number(o, "max_epoch", s->max_epoch);
		add_number(o, "live", s->live);
	}
	add_number(top, "free_segments", free_ones);
}

/* ---- records ---- */

struct list {
	struct found_record *rec;
	size_t count;
	size_t room;
};

static void take(struct list *l, const struct cowp_rec *rec, u64 block)
{
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 1024;
		l->rec = xrealloc(l->rec, l->room * sizeof(*l->rec));
	}
	l->rec[l->count].rec = *rec;
	l->rec[l->count++].block = block;
}

static bool in_range(const struct options *o, u64 key)
{
	return cowp_key_chunk(key) >= o->first && cowp_key_chunk(key) <= o->last;
}

static void take_fragment(struct list *l, const struct options *o, const struct check *c,
			  const struct cowp_fragment *f)
{
	struct cowp_run_block *leaf = xcalloc(1, COWP_BLOCK_SIZE);
	u32 index, i;

	for (index = 0; index < f->leaves; index++) {
		u64 nr = f->block + index;

		if (area_read(c->area, nr, 1, leaf) ||
		    cowp_check_header(leaf, COWP_MAGIC_RUN, c->man.super.uuid, nr) ||
		    le16_to_cpu(leaf->count) > cowp_leaf_records()) {
			tool_error(o->diff, "index block %llu cannot be used; run cowprotect check",
				   nr);
			continue;
		}
		for (i = 0; i < le16_to_cpu(leaf->count); i++) {
			struct cowp_rec rec;

			cowp_rec_decode(&rec, &leaf->records[i]);
			if (in_range(o, rec.key))
				take(l, &rec, nr);
		}
	}
	free(leaf);
}

static int by_key(const void *a, const void *b)
{
	const struct found_record *x = a, *y = b;

	return x->rec.key < y->rec.key ? -1 : x->rec.key > y->rec.key;
}

static void dump_record(json_object *list, const struct check *c, const struct found_record *f)
{
	struct cowp_place p = cowp_place_of(f->rec.location);
	json_object *o = add_item(list);

	add_number(o, "chunk", cowp_key_chunk(f->rec.key));
	add_number(o, "epoch", cowp_key_epoch(f->rec.key));
	add_number(o, "segment", p.segment);
	add_number(o, "slot", p.slot);
	add_number(o, "sector", cowp_slot_block(&c->man.geo, p.segment, p.slot) *
				COWP_BLOCK_SECTORS);
	add_number(o, "incarnation", f->rec.incarnation);
	add_number(o, "crc", f->rec.crc);
	add_bool(o, "unreadable_sectors", p.flags & COWP_RECORD_BAD);
	add_number(o, "summary_home", p.pos / c->man.geo.entries);
	add_number(o, "summary_entry", p.pos % c->man.geo.entries);
	add_number(o, "found_in_block", f->block);
}

/* Those of fragments and log; with a snapshot the ones that it reads. */
static void dump_records(json_object *top, const struct options *o, struct check *c)
{
	json_object *list = add_list(top, "records");
	u64 last_chunk = ~0ULL;
	struct list l = { 0 };
	size_t i;

	for (i = 0; i < c->man.fragment_count; i++)
		take_fragment(&l, o, c, &c->man.fragments[i]);
	for (i = 0; i < c->log_count; i++)
		if (in_range(o, c->log[i].rec.key))
			take(&l, &c->log[i].rec, c->log[i].block);
	if (l.count)
		qsort(l.rec, l.count, sizeof(*l.rec), by_key);
	for (i = 0; i < l.count; i++) {
		u64 chunk = cowp_key_chunk(l.rec[i].rec.key);

		if (o->snapshot && (cowp_key_epoch(l.rec[i].rec.key) < o->snapshot ||
				    chunk == last_chunk))
			continue;
		last_chunk = chunk;
		dump_record(list, c, &l.rec[i]);
	}
	free(l.rec);
}

/* ---- text ---- */

static void print_text(json_object *o, u32 depth);

/* Strings in quotes and escaped: what is in a label comes from the disk. */
static const char *plain(json_object *value)
{
	return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Short objects stand on a line, as a table's rows; the others have a line a value. */
static bool is_row(json_object *o)
{
	return json_object_object_length(o) <= 13;
}

static void print_value(const char *name, json_object *value, u32 depth)
{
	size_t i;

	printf("%*s%s:", 2 * (int)depth, "", name);
	if (!json_object_is_type(value, json_type_array)) {
		printf(" %s\n", plain(value));
		return;
	}
	putchar('\n');
	for (i = 0; i < json_object_array_length(value); i++) {
		if (i && !is_row(json_object_array_get_idx(value, i)))
			putchar('\n');
		print_text(json_object_array_get_idx(value, i), depth + 1);
	}
}

static void print_text(json_object *o, u32 depth)
{
	bool row = depth && is_row(o);

	if (row)
		printf("%*s", 2 * (int)depth, "");
	json_object_object_foreach(o, name, value) {
		if (row)
			printf("%s %s  ", name, plain(value));
		else
			print_value(name, value, depth);
	}
	if (row)
		putchar('\n');
}

static void print(const struct options *o, json_object *top)
{
	if (o->json)
		puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_text(top, 0);
}

/* ---- the action ---- */

static bool is_snapshot(const struct check *c, u32 id)
{
	u32 i;

	for (i = 0; i < c->man.snapshot_count; i++)
		if (c->man.snapshots[i].id == id)
			return true;
	for (i = 0; i < c->log_snapshots && i < COWP_MAX_SNAPSHOTS; i++)
		if (c->log_ids[i] == id)
			return true;
	return false;
}

static int dump_manifest(json_object *top, const struct options *o, struct check *c)
{
	int ret = TOOL_OK;

	dump_roots(top, &c->fixed);
	add_number(top, "manifest", c->man.super.generation);
	dump_snapshots(top, &c->man);
	dump_fragments(top, &c->man);
	dump_open_list(top, &c->man);
	dump_segments(top, &c->man);
	if (!o->records)
		return TOOL_OK;
	summaries_init(c);
	records_init(c);
	check_tables(c);
	check_log(c);
	if (!o->snapshot || is_snapshot(c, o->snapshot)) {
		dump_records(top, o, c);
	} else {
		tool_error(o->diff, "has no snapshot %u; see the list of snapshots", o->snapshot);
		ret = TOOL_FAILED;
	}
	records_exit(c);
	summaries_exit(c);
	return ret;
}

static int dump(const struct options *o, const struct area *area)
{
	struct check c = { .area = area, .session = ~0U };
	json_object *top;
	int ret = TOOL_OK;

	fixed_read(&c.fixed, area);
	if (c.fixed.kind != COWP_AREA_OURS && c.fixed.kind != COWP_AREA_CORRUPT) {
		tool_error(o->diff, "is no diff area of this version; check the name");
		fixed_free(&c.fixed);
		return TOOL_FAILED;
	}
	top = json_object_new_object();
	add_word(top, "device", o->diff);
	add_number(top, "device_blocks", area->blocks);
	dump_states(top, &c.fixed);
	dump_identity(top, area, c.fixed.info.uuid);
	if (c.fixed.slot < 0) {
		dump_roots(top, &c.fixed);
		ret = TOOL_FAILED;
		tool_error(o->diff, "has no manifest that counts; run cowprotect check");
	} else {
		if (!manifest_choose(&c.man, area, &c.fixed, &c.findings)) {
			ret = TOOL_FAILED;
			tool_error(o->diff, "its manifest is damaged; run cowprotect check");
		} else {
			ret = dump_manifest(top, o, &c);
		}
		manifest_free(&c.man);
	}
	print(o, top);
	json_object_put(top);
	fixed_free(&c.fixed);
	return ret;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct options o = { 0 };
	struct area area;
	int ret = take_options(&o, a, argc, argv);

	if (ret)
		return ret;
	ret = area_open(&area, o.diff, "diff device", O_RDONLY);
	if (ret)
		return ret;
	ret = dump(&o, &area);
	area_close(&area);
	return ret;
}

static const struct tool_option options[] = {
	{ 'j', "json", NULL, "as JSON, for programs" },
	{ 'r', "records", "RANGE",
	  "also the records of a chunk, of chunks FIRST-LAST, or all;\n"
	  "their number is bounded by memory alone" },
	{ 's', "snapshot", "ID", "only the records that this snapshot reads" },
	{ }
};

const struct tool_action action_dump = {
	.name = "dump",
	.operands = "DIFFDEV",
	.summary = "show what is in a diff area",
	.options = options,
	.help =
	"State copies, roots, snapshots, fragments of the index, open list and segments, as\n"
	"they are on the disk. Records come from the fragments and, behind a crash, from\n"
	"the log.\n",
	.fsck = true,
	.run = run,
};
