// SPDX-License-Identifier: GPL-2.0-only
/* What is told of a volume, to people and to programs. */
#include <time.h>

#include "device.h"
#include "remedy.h"
#include "report.h"

/* Today is told by the clock, the past by the day, both in local time. */
static const char *time_text(char text[40], u64 seconds, const char *format)
{
	time_t t = seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(text, 40, format, &tm))
		snprintf(text, 40, "%llu", seconds);
	return text;
}

static const char *area_uuid(char text[40], const char *area)
{
	snprintf(text, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", area, area + 8, area + 12, area + 16,
		 area + 20);
	return text;
}

/* ---- for people ---- */

static void print_state(const struct volume *v, FILE *out)
{
	const struct info *i = &v->info;

	fprintf(out, "%s: %s", v->device.name, cowp_state_words[i->state]);
	if (i->state == COWP_STATE_NONE)
		fprintf(out, " (without a snapshot)");
	fprintf(out, ", %s", i->mode == COWP_MODE_PROTECTED ? "protected" : "not protected");
	if (i->fault)
		fprintf(out, ", %s", cowp_fault_words[i->fault]);
	if (v->device.suspended)
		fprintf(out, ", suspended");
	fputc('\n', out);
}

static void print_fault(const struct volume *v, FILE *out)
{
	struct remedy r;
	u32 i;

	if (!remedy_find(&r, v->device.name, &v->info))
		return;
	fprintf(out, "  %s", r.reason);
	if (v->info.error)
		fprintf(out, " (%s)", strerror(v->info.error));
	if (v->info.held)
		fprintf(out, "; %u I/Os wait", v->info.held);
	fputc('\n', out);
	for (i = 0; i < r.count; i++)
		fprintf(out, "  %u. %s\n", i + 1, r.steps[i]);
}

void report_fault(const struct volume *v, FILE *out)
{
	struct remedy r;

	if (!remedy_find(&r, v->device.name, &v->info))
		return;
	print_state(v, out);
	print_fault(v, out);
}

void report_status(const struct volume *v, FILE *out)
{
	const struct info *i = &v->info;
	char device[PATH_MAX], uuid[40], size[TOOL_SIZE_CHARS], all[TOOL_SIZE_CHARS];

	print_state(v, out);
	print_fault(v, out);
	device_shown(v->live, device);
	fprintf(out, "  live device  %s, %s\n", device,
		tool_size(size, v->sectors << SECTOR_SHIFT));
	device_shown(v->diff, device);
	fprintf(out, "  diff area    %s, uuid %s\n",
		strcmp(v->diff, VOLUME_NO_DIFF) ? device : "absent",
		area_uuid(uuid, v->device.area));
	if (i->total)
		fprintf(out, "               %s of %s used (%llu %%)%s\n",
			tool_size(size, (i->used * v->chunk_sectors) << SECTOR_SHIFT),
			tool_size(all, (i->total * v->chunk_sectors) << SECTOR_SHIFT),
			i->used * 100 / i->total, i->low_water ? ", below the low-water mark" : "");
	if (i->snapshots)
		fprintf(out, "  snapshots    %u, %u to %u\n", i->snapshots, i->oldest, i->newest);
	else
		fprintf(out, "  snapshots    none\n");
	fprintf(out, "  memory       %s of at most %s\n", tool_size(size, i->memory_used),
		tool_size(all, i->memory_limit));
}

void report_snapshots(const struct volume *v, const struct snapshot *list, size_t count,
		      FILE *out)
{
	char when[40], size[TOOL_SIZE_CHARS], name[NAME_CHARS];
	size_t i;

	for (i = 0; i < count; i++) {
		const struct snapshot *s = &list[i];
		const char *shown = "";

		if (volume_has(v, NAME_WRITABLE, s->id)) {
			name_of(name, v->device.name, NAME_WRITABLE, s->id);
			shown = name;
		} else if (volume_has(v, NAME_SNAPSHOT, s->id)) {
			name_of(name, v->device.name, NAME_SNAPSHOT, s->id);
			shown = name;
		}
		fprintf(out, "%-16s %8u  %s  %10s  %s%s%s%s%s\n", v->device.name, s->id,
			time_text(when, s->created, "%Y-%m-%d %H:%M:%S"),
			tool_size(size, s->sectors << SECTOR_SHIFT), *s->label ? s->label : "-",
			s->deleting ? " (being deleted)" : "", *shown ? " (open as " : "", shown,
			*shown ? ")" : "");
	}
}

/* ---- for programs ---- */

static void add_number(json_object *to, const char *name, u64 n)
{
	json_object_object_add(to, name, json_object_new_uint64(n));
}

static void add_word(json_object *to, const char *name, const char *word)
{
	json_object_object_add(to, name, word ? json_object_new_string(word) : NULL);
}

static void add_bool(json_object *to, const char *name, bool value)
{
	json_object_object_add(to, name, json_object_new_boolean(value));
}

static json_object *new_volume(const struct volume *v)
{
	json_object *o = json_object_new_object();
	char uuid[40];

	add_word(o, "name", v->device.name);
	add_word(o, "uuid", area_uuid(uuid, v->device.area));
	return o;
}

static void add_remedy(json_object *o, const struct volume *v)
{
	json_object *steps = json_object_new_array();
	struct remedy r;
	bool wrong = remedy_find(&r, v->device.name, &v->info);
	u32 i;

	add_word(o, "reason", wrong ? r.reason : NULL);
	for (i = 0; wrong && i < r.count; i++)
		json_object_array_add(steps, json_object_new_string(r.steps[i]));
	json_object_object_add(o, "remedy", steps);
}

json_object *report_json(const struct volume *v)
{
	static const char * const marks[] = { NULL, "marked", "unmarked" };
	const struct info *i = &v->info;
	json_object *o = new_volume(v);
	char device[PATH_MAX];

	add_word(o, "mode", cowp_mode_words[i->mode]);
	add_word(o, "state", cowp_state_words[i->state]);
	add_word(o, "fault", cowp_fault_words[i->fault]);
	add_number(o, "errno", i->error);
	add_remedy(o, v);
	add_bool(o, "suspended", v->device.suspended);
	device_shown(v->live, device);
	add_word(o, "live_device", device);
	device_shown(v->diff, device);
	add_word(o, "diff_device", strcmp(v->diff, VOLUME_NO_DIFF) ? device : NULL);
	add_number(o, "sectors", v->sectors);
	add_number(o, "chunk_sectors", v->chunk_sectors);
	add_number(o, "used_chunks", i->used);
	add_number(o, "total_chunks", i->total);
	add_bool(o, "low_water", i->low_water);
	add_number(o, "snapshots", i->snapshots);
	add_number(o, "oldest", i->oldest);
	add_number(o, "newest", i->newest);
	add_number(o, "held", i->held);
	add_number(o, "memory_used", i->memory_used);
	add_number(o, "memory_limit", i->memory_limit);
	add_number(o, "preserved", i->preserved);
	add_number(o, "batches", i->batches);
	add_number(o, "diff_writes", i->diff_writes);
	add_number(o, "diff_flushes", i->diff_flushes);
	add_number(o, "diff_bytes", i->diff_bytes);
	add_word(o, "mark", marks[i->mark]);
	return o;
}

static void add_device(json_object *o, const char *key, const struct volume *v,
		       enum name_role role, u32 id)
{
	char name[NAME_CHARS], path[NAME_CHARS + 16];

	name_of(name, v->device.name, role, id);
	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	add_word(o, key, volume_has(v, role, id) ? path : NULL);
}

json_object *report_snapshots_json(const struct volume *v, const struct snapshot *list,
				   size_t count)
{
	json_object *o = new_volume(v), *snapshots = json_object_new_array();
	size_t i;

	json_object_object_add(o, "snapshots", snapshots);
	for (i = 0; i < count; i++) {
		json_object *s = json_object_new_object();

		add_number(s, "id", list[i].id);
		add_word(s, "label", *list[i].label ? list[i].label : NULL);
		add_number(s, "created", list[i].created);
		add_number(s, "sectors", list[i].sectors);
		add_bool(s, "deleting", list[i].deleting);
		add_device(s, "device", v, NAME_SNAPSHOT, list[i].id);
		add_device(s, "writable_device", v, NAME_WRITABLE, list[i].id);
		json_object_array_add(snapshots, s);
	}
	return o;
}

void report_document(json_object *volumes, FILE *out)
{
	json_object *top = json_object_new_object();

	json_object_object_add(top, "volumes", volumes);
	fprintf(out, "%s\n", json_object_to_json_string_ext(top, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}
