// SPDX-License-Identifier: GPL-2.0-only
/* What is lost with a diff area: its snapshots, as they can be read without a volume. */
#include <stdlib.h>
#include <time.h>

#include "check/check.h"
#include "loss.h"

/* As many ids in the text of a refusal; of more "all" is to be given. */
#define IDS_SHOWN	16U

static bool is_lost(const struct fixed *f)
{
	return f->newest >= 0 && f->copy[f->newest].lost;
}

static void add(struct loss *l, u32 id)
{
	l->ids = xrealloc(l->ids, (l->count + 1) * sizeof(*l->ids));
	l->ids[l->count++] = id;
}

static void tell_snapshot(u32 id, u64 created, const char *label)
{
	char when[40];
	time_t t = created;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(when, sizeof(when), "%llu", created);
	printf("  %8u  %s  %s\n", id, when, *label ? label : "-");
}

/* Those of the manifest, and those that only the log has, after a crash. */
static void tell_snapshots(struct loss *l, struct check *c, const char *what)
{
	u32 i;

	summaries_init(c);
	records_init(c);
	check_tables(c);
	check_log(c);
	if (!c->man.snapshot_count && !c->log_snapshots)
		printf("%s: has no snapshot.\n", c->area->path);
	else
		printf("%s: these snapshots %s:\n", c->area->path, what);
	for (i = 0; i < c->man.snapshot_count; i++) {
		tell_snapshot(c->man.snapshots[i].id, c->man.snapshots[i].created,
			      c->man.snapshots[i].label);
		add(l, c->man.snapshots[i].id);
	}
	for (i = 0; i < c->log_snapshots && i < COWP_MAX_SNAPSHOTS; i++) {
		printf("  %8u  (made just before the end of the last activation)\n",
		       c->log_ids[i]);
		add(l, c->log_ids[i]);
	}
	records_exit(c);
	summaries_exit(c);
}

static void tell_area(struct loss *l, struct check *c, const char *what)
{
	if (is_lost(&c->fixed)) {
		printf("%s: its snapshots were given up already.\n", c->area->path);
		return;
	}
	l->unknown = c->fixed.slot < 0 ||
		     !manifest_choose(&c->man, c->area, &c->fixed, &c->findings);
	if (l->unknown)
		printf("%s: its snapshots cannot be listed, as it is damaged; all of them %s.\n",
		       c->area->path, what);
	else
		tell_snapshots(l, c, what);
	manifest_free(&c->man);
}

void loss_tell(struct loss *l, const struct area *a, const char *what)
{
	struct check c = { .area = a, .session = ~0U };

	memset(l, 0, sizeof(*l));
	fixed_read(&c.fixed, a);
	if (c.fixed.kind == COWP_AREA_OURS || c.fixed.kind == COWP_AREA_CORRUPT ||
	    c.fixed.kind == COWP_AREA_UNSUPPORTED)
		tell_area(l, &c, what);
	fixed_free(&c.fixed);
}

void loss_free(struct loss *l)
{
	free(l->ids);
	l->ids = NULL;
}

bool loss_none(const struct loss *l)
{
	return !l->unknown && !l->count;
}

/* The next id of a list, 0 behind the last; @wrong: out, NULL or what is wrong */
static u32 next_id(const char **list, const char **wrong)
{
	char text[16];
	size_t length = strcspn(*list, ",");
	u64 id = 0;

	*wrong = NULL;
	if (!**list)
		return 0;
	snprintf(text, sizeof(text), "%.*s", (int)min(length, sizeof(text) - 1), *list);
	*list += length + ((*list)[length] == ',' && (*list)[length + 1]);
	*wrong = tool_number(text, COWP_MAX_EPOCH, &id);
	if (!*wrong && !id)
		*wrong = "has an id of zero";
	return *wrong ? 0 : id;
}

const char *loss_wrong(const char *list)
{
	const char *wrong;

	if (!strcmp(list, "all"))
		return NULL;
	if (!*list)
		return "is no list of ids";
	while (next_id(&list, &wrong))
		;
	return wrong;
}

static bool names(const char *list, u32 id)
{
	const char *wrong;
	u32 each;

	while ((each = next_id(&list, &wrong)))
		if (each == id)
			return true;
	return false;
}

static bool names_all(const struct loss *l, const char *list)
{
	u32 i;

	if (!list)
		return false;
	if (!strcmp(list, "all"))
		return true;
	for (i = 0; i < l->count; i++)
		if (!names(list, l->ids[i]))
			return false;
	return !l->unknown;
}

bool loss_allowed(const struct loss *l, const struct area *a, const char *list)
{
	char text[IDS_SHOWN * 12] = "all";
	size_t at = 0;
	u32 i;

	if (loss_none(l) || names_all(l, list))
		return true;
	for (i = 0; !l->unknown && l->count <= IDS_SHOWN && i < l->count; i++)
		at += snprintf(text + at, sizeof(text) - at, "%s%u", i ? "," : "", l->ids[i]);
	if (l->unknown)
		tool_error(a->path,
			   "its snapshots cannot be listed, and would be lost; give --lose all if they may");
	else
		tool_error(a->path, "%u snapshot%s would be lost; give --lose %s if %s may",
			   l->count, l->count == 1 ? "" : "s", text, l->count == 1 ? "it" : "they");
	return false;
}

/* Only a clean end says that the log has no further snapshot. */
static bool may_have_snapshots(const struct area *a, const struct fixed *f)
{
	struct findings silent = { 0 };
	struct fixed copy = *f;
	struct manifest m = { 0 };
	bool none;

	if (f->slot < 0)
		return true;
	none = manifest_choose(&m, a, &copy, &silent) && !m.snapshot_count &&
	       m.super.flags & COWP_ROOT_CLEAN;
	manifest_free(&m);
	return !none;
}

bool loss_guarded(const struct area *a, const struct fixed *f)
{
	switch (f->kind) {
	case COWP_AREA_OURS:
		if (f->newest < 0 || f->copy[f->newest].mode == COWP_MODE_PROTECTED)
			return true;
		return !is_lost(f) && may_have_snapshots(a, f);
	case COWP_AREA_CORRUPT:
	case COWP_AREA_UNSUPPORTED:
		return true;
	default:
		return false;
	}
}
