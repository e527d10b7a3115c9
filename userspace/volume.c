// SPDX-License-Identifier: GPL-2.0-only
/* An active volume: its tables, its status, and what it is told. */
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "area.h"
#include "device.h"
#include "kmsg.h"
#include "volume.h"

/* Longest line of "list" that is understood, and of a message */
#define LINE_CHARS	512

static int no_volume(const char *name, int error)
{
	if (error == -ENXIO)
		tool_error(name, "there is no such active volume; see cowprotect list");
	else if (error == -EINVAL)
		tool_error(name, "is no volume of cowprotect; see cowprotect list");
	else
		tool_error(name, "cannot be asked for: %s; see the kernel log", strerror(-error));
	return error == -EINVAL ? TOOL_DEVICE : tool_ended(error);
}

/* LIVE DIFF CHUNK [N OPTION...] */
static bool take_table(struct volume *v, const struct mapper_target *t)
{
	int at = 0;

	if (strcmp(t->type, COWP_TARGET) ||
	    sscanf(t->line, "%127s %127s %u%n", v->live, v->diff, &v->chunk_sectors, &at) != 3)
		return false;
	v->sectors = t->sectors;
	v->options = xcalloc(1, strlen(t->line + at) + 1);
	strcpy(v->options, t->line + at + strspn(t->line + at, " "));
	return true;
}

int volume_refresh(struct volume *v)
{
	struct mapper_target t;
	int error = mapper_status(v->device.name, &t);
	const char *bad;

	if (error)
		return no_volume(v->device.name, error);
	bad = info_parse(&v->info, t.line);
	if (bad)
		tool_error(v->device.name, "its status cannot be understood (%s: %s); "
			   "use the cowprotect that belongs to the module", bad, t.line);
	free(t.line);
	return bad ? TOOL_FAILED : TOOL_OK;
}

int volume_open(struct volume *v, const char *operand)
{
	const char *name = name_plain(operand), *bad = name_wrong(name);
	struct mapper_target t;
	int error, ret;
	bool good;

	memset(v, 0, sizeof(*v));
	if (bad) {
		tool_error(operand, "%s; see cowprotect list", bad);
		return TOOL_DEVICE;
	}
	ret = mapper_ready();
	if (ret)
		return ret;
	error = mapper_find(name, &v->device);
	if (!error && v->device.role != NAME_LIVE)
		error = -EINVAL;
	if (error)
		return no_volume(name, error);
	error = mapper_table(name, &t);
	if (error == -ENODATA) {
		tool_error(name, "has no table; remove it (dmsetup remove) and activate it anew");
		return TOOL_FAILED;
	}
	if (error)
		return no_volume(name, error);
	good = take_table(v, &t);
	free(t.line);
	ret = good ? volume_refresh(v) : no_volume(name, -EINVAL);
	if (ret)
		volume_close(v);
	return ret;
}

void volume_close(struct volume *v)
{
	free(v->options);
	v->options = NULL;
}

static int cannot_list(int error)
{
	tool_error("device-mapper", "its devices cannot be listed: %s; see the kernel log",
		   strerror(-error));
	return tool_ended(error);
}

static int before(const void *a, const void *b)
{
	const struct mapper_device *x = a, *y = b;

	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

int volume_devices(const char *area, struct mapper_device **list, size_t *count)
{
	size_t all, i;
	int error = mapper_list(list, &all);

	*count = 0;
	if (error)
		return cannot_list(error);
	for (i = 0; i < all; i++)
		if (!area || !strcmp((*list)[i].area, area))
			(*list)[(*count)++] = (*list)[i];
	qsort(*list, *count, sizeof(**list), before);
	return TOOL_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

int volume_names(char ***names, size_t *count)
{
	struct mapper_device *list;
	size_t all, i;
	int error, ret = mapper_ready();

	*names = NULL;
	*count = 0;
	if (ret)
		return ret;
	error = mapper_list(&list, &all);
	if (error)
		return cannot_list(error);
	*names = xcalloc(all, sizeof(**names));
	for (i = 0; i < all; i++) {
		if (list[i].role != NAME_LIVE)
			continue;
		(*names)[*count] = xcalloc(1, NAME_CHARS);
		strcpy((*names)[(*count)++], list[i].name);
	}
	free(list);
	qsort(*names, *count, sizeof(**names), by_name);
	return TOOL_OK;
}

void names_free(char **names, size_t count)
{
	while (count)
		free(names[--count]);
	free(names);
}

/* ---- messages ---- */

/* What a refusal means, and the command that helps; %s is the volume. */
static const struct refusal {
	int error;
	const char *reason;
	const char *mend;
} refusals[] = {
	{ EBUSY, "recovery or another such command is under way", "try again when it has ended" },
	{ EIO, "a fault stands", "see cowprotect status %s" },
	{ ENODATA, "its snapshots were given up", "begin anew with cowprotect reset %s" },
	{ ENOENT, "there is no such snapshot", "see cowprotect list %s" },
	{ ENOSPC, "there is no room in the diff area, or there are 1024 snapshots",
	  "delete snapshots, or enlarge the diff device and type cowprotect grow %s" },
	{ EFBIG, "the diff area cannot become that large", "format a new one" },
	{ ENODEV, "the diff device is not there",
	  "attach it and type cowprotect replace-diff %s DEVICE" },
	{ EBADMSG, "the diff area is corrupt", "see cowprotect status %s" },
	{ EUCLEAN, "the snapshots are given up and the I/O goes on, but the area was not read",
	  "type cowprotect deactivate %s and format it anew" },
	{ ENOMEM, "there is not enough memory", "free some and try again" },
	{ ETIMEDOUT, "it was not done in time, and what was written stands",
	  "see cowprotect status %s" },
	{ EINTR, "it was interrupted, and what was written stands", "see cowprotect status %s" },
	{ ENXIO, "the volume was never resumed", "type dmsetup resume %s" },
	{ ESHUTDOWN, "the volume is being closed", "activate it again" },
};

static void tell_refusal(const char *name, const char *word, int error)
{
	char mend[256];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		const char *text = refusals[i].mend, *at = strstr(text, "%s");

		if (refusals[i].error != -error)
			continue;
		if (at)
			snprintf(mend, sizeof(mend), "%.*s%s%s", (int)(at - text), text, name,
				 at + 2);
		else
			snprintf(mend, sizeof(mend), "%s", text);
		tool_error(name, "%s: %s; %s", word, refusals[i].reason, mend);
		return;
	}
	tool_error(name, "%s: %s; see the kernel log", word, strerror(-error));
}

int volume_message(const struct volume *v, char **answer, const char *fmt, ...)
{
	char text[LINE_CHARS], word[LINE_CHARS];
	va_list args;
	int error, log;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log = kmsg_open();
	error = mapper_message(v->device.name, text, answer);
	if (error) {
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(text, " "), text);
		tell_refusal(v->device.name, word, error);
		kmsg_show(log);
	}
	kmsg_close(log);
	return error ? tool_ended(error) : TOOL_OK;
}

/* ---- snapshots ---- */

bool snapshot_parse(struct snapshot *s, const char *line)
{
	char state[16];
	int at = 0;

	memset(s, 0, sizeof(*s));
	if (sscanf(line, "%u %15s %llu %llu %63[!-~]%n", &s->id, state, &s->created, &s->sectors,
		   s->label, &at) != 5 || line[at] || !s->id)
		return false;
	if (!strcmp(s->label, "-"))
		s->label[0] = 0;
	s->deleting = !strcmp(state, "deleting");
	return s->deleting || !strcmp(state, "active");
}

/* One answer of the message list, which ends where its buffer does. */
static int take_page(const struct volume *v, char *text, struct snapshot **list, size_t *count)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		*list = xrealloc(*list, (*count + 1) * sizeof(**list));
		if (!snapshot_parse(&(*list)[*count], line)) {
			tool_error(v->device.name, "its list cannot be understood (%s); "
				   "use the cowprotect that belongs to the module", line);
			return TOOL_FAILED;
		}
		(*count)++;
	}
	return TOOL_OK;
}

int volume_snapshots(const struct volume *v, struct snapshot **list, size_t *count)
{
	size_t had;
	char *text;
	int ret;

	*list = xcalloc(1, sizeof(**list));
	*count = 0;
	do {
		had = *count;
		ret = volume_message(v, &text, "list %u", had ? (*list)[had - 1].id + 1 : 0);
		if (ret)
			break;
		ret = take_page(v, text ? text : "", list, count);
		free(text);
	} while (!ret && *count > had);
	if (ret) {
		free(*list);
		*list = NULL;
	}
	return ret;
}

int volume_find(const struct volume *v, const struct snapshot *list, size_t count,
		const char *operand, const struct snapshot **found)
{
	u64 id = 0;
	size_t i;

	*found = NULL;
	if (tool_number(operand, COWP_MAX_EPOCH, &id))
		id = 0;
	for (i = 0; i < count; i++) {
		if (id ? list[i].id != id : strcmp(list[i].label, operand) || !*operand)
			continue;
		if (*found) {
			tool_error(operand,
				   "is the label of snapshots %u and %u; name one by its id",
				   (*found)->id, list[i].id);
			return TOOL_FAILED;
		}
		*found = &list[i];
	}
	if (*found)
		return TOOL_OK;
	tool_error(operand, "there is no such snapshot; see cowprotect list %s", v->device.name);
	return TOOL_DEVICE;
}

bool volume_has(const struct volume *v, enum name_role role, u32 id)
{
	struct mapper_device d;
	char name[NAME_CHARS];

	name_of(name, v->device.name, role, id);
	return !mapper_find(name, &d);
}

/* ---- tables ---- */

static bool has_target(const char *type)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s",
		 strncmp(type, COWP_TARGET, strlen(COWP_TARGET)) ? "dm_mod" : "dm_cowprotect");
	return !access(path, F_OK);
}

int volume_tell(const char *name, const char *type, const char *what, int error, int log)
{
	if (error == -EBUSY)
		tool_error(name,
			   "cannot be %s: a device of its is in use or the name is taken; unmount or remove what uses it",
			   what);
	else if (error == -EEXIST)
		tool_error(name, "cannot be %s: it is there already; see cowprotect list", what);
	else if (error == -EINVAL && !has_target(type))
		tool_error(name,
			   "cannot be %s: the kernel has no target %s; load it: modprobe dm-cowprotect",
			   what, type);
	else
		tool_error(name, "cannot be %s: %s; see the kernel log", what, strerror(-error));
	kmsg_show(log);
	return tool_ended(error);
}

int volume_create(const char *volume, const char *area, enum name_role role, u32 id, bool readonly,
		  u64 sectors, const char *type, const char *line)
{
	struct mapper_target t = { .sectors = sectors, .line = (char *)line, .readonly = readonly };
	char name[NAME_CHARS], uuid[NAME_CHARS];
	int error, ret = TOOL_OK, log;

	snprintf(t.type, sizeof(t.type), "%s", type);
	name_of(name, volume, role, id);
	name_uuid(uuid, area, role, id);
	log = kmsg_open();
	error = mapper_create(name, uuid, &t);
	if (error)
		ret = volume_tell(name, type, "made", error, log);
	kmsg_close(log);
	return ret;
}

int volume_exchange(const char *name, u64 sectors, const char *type, const char *line)
{
	struct mapper_target t = { .sectors = sectors, .line = (char *)line };
	int error, ret = TOOL_OK, log;

	snprintf(t.type, sizeof(t.type), "%s", type);
	log = kmsg_open();
	error = mapper_exchange(name, &t);
	if (error)
		ret = volume_tell(name, type, "given another table", error, log);
	kmsg_close(log);
	return ret;
}

int volume_rename(const char *name, const char *to)
{
	int error = mapper_rename(name, to);

	if (error)
		tool_error(name, "cannot be renamed to %s: %s; see dmsetup ls", to,
			   strerror(-error));
	return tool_ended(error);
}

int volume_remove(const char *name)
{
	int error = mapper_remove(name);

	if (error == -EBUSY)
		tool_error(name, "is in use; unmount it or end what uses it");
	else if (error && error != -ENXIO)
		tool_error(name, "cannot be removed: %s; see the kernel log", strerror(-error));
	return error == -ENXIO ? TOOL_OK : tool_ended(error);
}

/* The linear device first, if what is below it has become larger. */
static int grow_diff(const struct volume *v)
{
	char name[NAME_CHARS], below[NAME_CHARS];
	struct mapper_target t;
	int ret = TOOL_OK;
	u64 start, sectors;

	name_of(name, v->device.name, NAME_DIFF, 0);
	if (mapper_table(name, &t))
		return TOOL_OK;
	if (!strcmp(t.type, "linear") && sscanf(t.line, "%127s %llu", below, &start) == 2 &&
	    !start) {
		sectors = device_sectors(below);
		if (sectors > t.sectors)
			ret = volume_exchange(name, sectors, t.type, t.line);
	}
	free(t.line);
	return ret;
}

int volume_grow(const struct volume *v)
{
	int ret = grow_diff(v);

	return ret ? ret : volume_message(v, NULL, "grow");
}
