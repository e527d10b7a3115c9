// SPDX-License-Identifier: GPL-2.0-only
/*
 * What must be found after a power cut, from the load's notes.
 *
 * A snapshot whose creation was acknowledged is there, one whose deletion was
 * acknowledged is not; in between it may be there, and then it is whole.  Its
 * content is what it showed when it was made.  A sector of the live volume shows
 * the last write that was acknowledged before a flush that was acknowledged, or
 * by itself (O_DSYNC), or one that was submitted after that.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

/* No write and no flush is overtaken by as many others. */
#define UNDER_WAY	1024U

static struct snapshot *by_id(struct model *m, unsigned int id)
{
	size_t i;

	for (i = 0; i < m->snapshot_count; i++)
		if (m->snapshots[i].id == id)
			return &m->snapshots[i];
	die("a note about snapshot %u, which was not created", id);
}

const struct snapshot *model_snapshot(const struct model *m, uint32_t id)
{
	size_t i;

	for (i = 0; i < m->snapshot_count; i++)
		if (m->snapshots[i].id == id)
			return &m->snapshots[i];
	return NULL;
}

static void take_note(struct model *m, const struct note *n, uint64_t *create)
{
	unsigned int id;

	if (!strcmp(n->text, "create")) {
		*create = n->at;
	} else if (sscanf(n->text, "created %u", &id) == 1) {
		m->snapshots = grown(m->snapshots, m->snapshot_count, sizeof(*m->snapshots));
		m->snapshots[m->snapshot_count++] = (struct snapshot){
			.id = id,
			.create = *create,
			.created = n->at,
			.delete = NEVER,
			.deleted = NEVER,
		};
	} else if (sscanf(n->text, "delete %u", &id) == 1) {
		by_id(m, id)->delete = n->at;
	} else if (sscanf(n->text, "deleted %u", &id) == 1) {
		by_id(m, id)->deleted = n->at;
	}
}

static void read_images(struct model *m, const char *path)
{
	size_t bytes, step = (2 + m->sectors) * sizeof(uint32_t), i;
	char *images = read_file(path, &bytes);

	for (i = 0; i + step <= bytes; i += step) {
		uint32_t *record = (uint32_t *)(images + i);

		if (record[1] != m->sectors)
			die("%s: snapshot %u has %u sectors", path, record[0], record[1]);
		by_id(m, record[0])->image = record + 2;
	}
	for (i = 0; i < m->snapshot_count; i++)
		if (!m->snapshots[i].image)
			die("%s: snapshot %u is missing", path, m->snapshots[i].id);
}

void model_read(struct model *m, const struct history *h, const char *images, uint64_t sectors)
{
	uint64_t create = 0;
	size_t i;

	memset(m, 0, sizeof(*m));
	m->history = h;
	m->sectors = sectors;
	m->oldest = calloc(sectors, sizeof(*m->oldest));
	m->newest = calloc(sectors, sizeof(*m->newest));
	if (!m->oldest || !m->newest)
		die("no memory");
	for (i = 0; i < h->note_count; i++)
		take_note(m, &h->notes[i], &create);
	read_images(m, images);
}

enum expected model_expects(const struct snapshot *s, uint64_t at)
{
	if (at < s->create || at >= s->deleted)
		return FORBIDDEN;
	if (at < s->created || at >= s->delete)
		return ALLOWED;
	return REQUIRED;
}

/* The last flush acknowledged by @at covers what was acknowledged before it. */
static uint64_t acknowledged_flush(const struct history *h, uint64_t at)
{
	uint64_t begun[UNDER_WAY] = { 0 }, before = 0;
	unsigned int n;
	size_t i;

	for (i = 0; i < h->note_count && h->notes[i].at <= at; i++) {
		const struct note *note = &h->notes[i];

		if (sscanf(note->text, "flush %u", &n) == 1)
			begun[n % UNDER_WAY] = note->at;
		else if (sscanf(note->text, "flushed %u", &n) == 1 && begun[n % UNDER_WAY] > before)
			before = begun[n % UNDER_WAY];
	}
	return before;
}

struct live_write {
	unsigned int serial, dsync;
	uint64_t sector, count;
};

static void raise(uint32_t *serials, const struct live_write *w)
{
	uint64_t i;

	for (i = w->sector; i < w->sector + w->count; i++)
		if (serials[i] < w->serial)
			serials[i] = w->serial;
}

/* Fill in what the live volume may show after a power cut at @at. */
void model_live(struct model *m, uint64_t at)
{
	const struct history *h = m->history;
	uint64_t flushed = acknowledged_flush(h, at);
	struct live_write under_way[UNDER_WAY] = { 0 }, w;
	unsigned int serial;
	size_t i;

	memset(m->oldest, 0, m->sectors * sizeof(*m->oldest));
	memset(m->newest, 0, m->sectors * sizeof(*m->newest));
	for (i = 0; i < h->note_count && h->notes[i].at <= at; i++) {
		const struct note *note = &h->notes[i];

		if (sscanf(note->text, "write %u %" SCNu64 " %" SCNu64 " %u", &w.serial,
			   &w.sector, &w.count, &w.dsync) == 4) {
			if (w.sector + w.count > m->sectors)
				die("a write behind the volume's end: %s", note->text);
			raise(m->newest, &w);
			/* Its thread's last one, or one long ended */
			under_way[w.serial % UNDER_WAY] = w;
		} else if (sscanf(note->text, "written %u", &serial) == 1) {
			const struct live_write *ended = &under_way[serial % UNDER_WAY];

			if (ended->serial != serial)
				die("the end of write %u without its beginning", serial);
			if (ended->dsync || note->at < flushed)
				raise(m->oldest, ended);
		}
	}
}
