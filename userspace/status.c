// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect status: how the active volumes are, and what to do. */
#include <stdlib.h>
#include <unistd.h>

#include "report.h"

struct options {
	char **names;
	size_t count;
	bool all;
	bool json;
	bool watch;
};

/*
 * struct seen - what was told of a volume last
 * Of the counters only those that people wait for.
 */
struct seen {
	char name[NAME_CHARS];
	struct info info;
};

static bool changed(struct seen *s, const struct volume *v)
{
	bool same = !strcmp(s->name, v->device.name) && s->info.mode == v->info.mode &&
		    s->info.state == v->info.state && s->info.fault == v->info.fault &&
		    s->info.low_water == v->info.low_water &&
		    s->info.snapshots == v->info.snapshots && s->info.newest == v->info.newest;

	strcpy(s->name, v->device.name);
	s->info = v->info;
	return !same;
}

/* @seen: only what changed since; NULL: everything */
static int tell(const struct options *o, struct seen *seen)
{
	json_object *volumes = json_object_new_array();
	struct volume v;
	int ret = TOOL_OK;
	size_t i;

	for (i = 0; i < o->count && !ret; i++) {
		ret = volume_open(&v, o->names[i]);
		if (ret)
			break;
		if (!seen || changed(&seen[i], &v)) {
			if (o->json)
				json_object_array_add(volumes, report_json(&v));
			else
				report_status(&v, stdout);
		}
		volume_close(&v);
	}
	if (o->json && !ret && (!seen || json_object_array_length(volumes)))
		report_document(volumes, stdout);
	else
		json_object_put(volumes);
	if (fflush(stdout))
		ret = TOOL_FAILED;
	return ret;
}

/* device-mapper tells that anything has changed: then all are looked at. */
static int watch(const struct options *o)
{
	struct seen *seen = calloc(o->count ? o->count : 1, sizeof(*seen));
	int events = mapper_events(), error, ret;

	error = !seen ? -ENOMEM : events < 0 ? events : 0;
	do {
		if (!error)
			error = mapper_events_arm(events);
		if (error) {
			tool_error("device-mapper",
				   "its events cannot be waited for: %s; see the kernel log",
				   strerror(-error));
			ret = tool_ended(error);
			break;
		}
		ret = tell(o, seen);
	} while (!ret && mapper_events_wait(events, -1) > 0);
	if (events >= 0)
		close(events);
	free(seen);
	return ret;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct options o = { 0 };
	int c, ret = TOOL_OK;

	while ((c = tool_option(a, argc, argv)) > 0) {
		o.json |= c == 'j';
		o.watch |= c == 'w';
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	o.all = optind == argc;
	o.names = argv + optind;
	o.count = argc - optind;
	if (o.all)
		ret = volume_names(&o.names, &o.count);
	if (!ret && !o.count && !o.json)
		puts("No volume is active.");
	if (!ret)
		ret = o.watch ? watch(&o) : tell(&o, NULL);
	if (o.all)
		names_free(o.names, o.count);
	return ret;
}

static const struct tool_option options[] = {
	{ 'j', "json", NULL, "for programs: a document on a line" },
	{ 'w', "watch", NULL,
	  "go on, and tell each change of state, mode, fault, snapshots\n"
	  "or low water when it happens" },
	{ }
};

const struct tool_action action_status = {
	.name = "status",
	.operands = "[NAME...]",
	.summary = "show how active volumes are, and what to do where there is a fault",
	.options = options,
	.help =
	"Without NAME: of all volumes that are active now. --watch ends when one of them is\n"
	"deactivated. The documents of --json are described by status.schema.json.\n",
	.run = run,
};
