// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-log-writes keeps the data of each write, but not when it was submitted, and
 * it keeps a plain write only when a flush that covers it has ended: neither what
 * was in flight at a moment nor what came after what can be seen in it.  The
 * trace has both.  So the log is asked for the data only: the nth write of a
 * place in the one is the nth to complete in the other, plain and FUA writes
 * counted apart, as they get into the log on ways of their own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "stamp.h"

/* ---- the trace ---- */

struct event {
	uint64_t at;
	uint64_t sector, count;
	bool flush, fua;
	int error;
};

/* The number in front of the event's name. */
static uint64_t event_at(const char *line, const char *name)
{
	const char *p = name;

	while (p > line && p[-1] >= '0' && p[-1] <= '9')
		p--;
	if (p == name)
		die("no event number in '%s'", line);
	return strtoull(p, NULL, 10);
}

/* "254,0 WFS 16392 + 8 [...]"; returns false for a read */
static bool parse_bio(struct event *e, const char *text)
{
	char rwbs[16], tail[32] = "";

	if (sscanf(text, "%*u,%*u %15s %" SCNu64 " + %" SCNu64 " [%31[^]]", rwbs, &e->sector,
		   &e->count, tail) < 3)
		die("cannot make out the event '%s'", text);
	if (rwbs[0] == 'R')
		return false;
	e->flush = rwbs[0] == 'F';
	e->fua = !e->flush && strchr(rwbs, 'F');
	e->error = atoi(tail);
	if ((!e->flush && rwbs[0] != 'W') || e->flush == !!e->count)
		die("a bio that is neither a write nor a flush: '%s'", text);
	return true;
}

/* Indices of the bios under way, in the order of their submission. */
static size_t under_way[4096], under_way_count;

static void add_queued(struct history *h, const struct event *e)
{
	if (under_way_count == sizeof(under_way) / sizeof(under_way[0]))
		die("event %" PRIu64 ": too many bios at once", e->at);
	under_way[under_way_count++] = h->op_count;
	h->ops = grown(h->ops, h->op_count, sizeof(*h->ops));
	h->ops[h->op_count++] = (struct op){
		.queued = e->at,
		.completed = NEVER,
		.sector = e->flush ? 0 : e->sector,
		.count = e->count,
		.fua = e->fua,
	};
}

static bool is_of(const struct op *op, const struct event *e)
{
	return op->count == e->count && op->fua == e->fua &&
	       (!e->count || op->sector == e->sector);
}

/*
 * Flushes cannot be told apart.  The newest under way is taken, so that more may
 * count as durable than is, never less.  Two writes to one place at once would
 * have no order.
 */
static void add_completed(struct history *h, const struct event *e)
{
	size_t i, found = under_way_count;

	if (e->error)
		die("event %" PRIu64 ": a bio failed", e->at);
	for (i = 0; i < under_way_count; i++) {
		if (!is_of(&h->ops[under_way[i]], e))
			continue;
		if (e->count && found < under_way_count)
			die("event %" PRIu64 ": two writes to sector %" PRIu64 " at once", e->at,
			    e->sector);
		found = i;
	}
	if (found == under_way_count)
		die("event %" PRIu64 ": the completion of nothing", e->at);
	h->ops[under_way[found]].completed = e->at;
	memmove(&under_way[found], &under_way[found + 1],
		(--under_way_count - found) * sizeof(under_way[0]));
}

static void add_note(struct history *h, uint64_t at, const char *text)
{
	h->notes = grown(h->notes, h->note_count, sizeof(*h->notes));
	h->notes[h->note_count++] = (struct note){ .at = at, .text = text };
	if (!strcmp(text, "ready"))
		h->ready = at;
	if (!strcmp(text, "end"))
		h->end = at;
}

static void parse_line(struct history *h, char *line)
{
	static const char queue[] = ": block_bio_queue: ";
	static const char complete[] = ": block_bio_complete: ";
	static const char mark[] = ": tracing_mark_write: load: ";
	struct event e;
	char *p;

	p = strstr(line, mark);
	if (p) {
		add_note(h, event_at(line, p), p + strlen(mark));
		return;
	}
	p = strstr(line, queue);
	if (p) {
		e.at = event_at(line, p);
		if (parse_bio(&e, p + strlen(queue)))
			add_queued(h, &e);
		return;
	}
	p = strstr(line, complete);
	if (!p)
		die("cannot make out the line '%s'", line);
	e.at = event_at(line, p);
	if (parse_bio(&e, p + strlen(complete)))
		add_completed(h, &e);
}

static int by_completion(const void *a, const void *b)
{
	const struct op *x = a, *y = b;

	return x->completed < y->completed ? -1 : x->completed > y->completed;
}

static void read_trace(struct history *h, const char *path)
{
	char *text = read_file(path, NULL);	/* the notes stay in it */
	char *line, *next;

	for (line = text; *line; line = next) {
		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		if (*line)
			parse_line(h, line);
	}
	qsort(h->ops, h->op_count, sizeof(*h->ops), by_completion);
	if (!h->op_count || h->ops[h->op_count - 1].completed == NEVER)
		die("%s: not all bios have completed", path);
	if (!h->ready || h->end <= h->ready)
		die("%s: the load has not come to its end", path);
}

/* ---- the log, see drivers/md/dm-log-writes.c ---- */

#define LOG_MAGIC	0x6a736677736872ULL
#define LOG_FUA		2U
#define LOG_DISCARD	4U

struct log_super {
	uint64_t magic, version, nr_entries;
	uint32_t sector_size;
};

struct log_entry {
	uint64_t sector, nr_sectors, flags, data_len;
};

static int by_place(const void *a, const void *b)
{
	const struct op *x = *(struct op * const *)a, *y = *(struct op * const *)b;

	if (x->sector != y->sector)
		return x->sector < y->sector ? -1 : 1;
	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	if (x->fua != y->fua)
		return x->fua - y->fua;
	return by_completion(x, y);
}

static bool same_place(const struct op *a, const struct op *b)
{
	return a->sector == b->sector && a->count == b->count && a->fua == b->fua;
}

static struct op *first_without_data(struct op **ops, size_t count, const struct op *like)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct op *o = ops[middle];

		if (by_place(&o, &like) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < count && same_place(ops[low], like); low++)
		if (!ops[low]->data)
			return ops[low];
	return NULL;
}

static void take_entry(struct op **ops, size_t count, const struct log_entry *e, const char *data)
{
	struct op like = {
		.sector = e->sector,
		.count = e->nr_sectors,
		.fua = e->flags & LOG_FUA,
	};
	struct op *op;

	if (e->flags & LOG_DISCARD)
		die("a discard in the log");
	op = first_without_data(ops, count, &like);
	if (!op)
		die("the log has a write to sector %" PRIu64 " that the trace has not", e->sector);
	op->data = data;
}

static void read_sectors(FILE *log, void *data, size_t count)
{
	if (fread(data, SECTOR, count, log) != count)
		die("the log is shorter than it says");
}

static void read_entries(FILE *log, struct op **ops, size_t count)
{
	char block[SECTOR], *data;
	struct log_super super;
	struct log_entry entry;
	uint64_t i;

	read_sectors(log, block, 1);
	memcpy(&super, block, sizeof(super));
	if (super.magic != LOG_MAGIC || super.version != 1 || super.sector_size != SECTOR)
		die("that is no log of dm-log-writes with sectors of %u bytes", SECTOR);
	for (i = 0; i < super.nr_entries; i++) {
		read_sectors(log, block, 1);
		memcpy(&entry, block, sizeof(entry));
		if (!entry.nr_sectors)
			continue;
		data = malloc(entry.nr_sectors * SECTOR);
		if (!data)
			die("no memory for the log");
		read_sectors(log, data, entry.nr_sectors);
		take_entry(ops, count, &entry, data);
	}
}

static void read_log(struct history *h, const char *path)
{
	struct op **ops = calloc(h->op_count, sizeof(*ops));
	FILE *log = fopen(path, "re");
	size_t i;

	if (!ops || !log)
		die("%s: %s", path, strerror(errno));
	for (i = 0; i < h->op_count; i++)
		ops[i] = &h->ops[i];
	qsort(ops, h->op_count, sizeof(*ops), by_place);
	read_entries(log, ops, h->op_count);
	for (i = 0; i < h->op_count; i++)
		if (h->ops[i].count && !h->ops[i].data)
			die("%s: the write to sector %" PRIu64 " at event %" PRIu64 " is missing",
			    path, h->ops[i].sector, h->ops[i].queued);
	fclose(log);
	free(ops);
}

void history_read(struct history *h, const char *trace, const char *log)
{
	memset(h, 0, sizeof(*h));
	read_trace(h, trace);
	read_log(h, log);
}
