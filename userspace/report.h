/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is told of a volume, to people and to programs.
 */
#ifndef COWP_TOOL_REPORT_H
#define COWP_TOOL_REPORT_H

#include <json-c/json.h>

#include "volume.h"

/* Some lines. */
void report_status(const struct volume *v, FILE *out);

/* What is wrong, and what to do; nothing when all is well. */
void report_fault(const struct volume *v, FILE *out);

/* As Documentation/admin-guide/status.schema.json has it. */
json_object *report_json(const struct volume *v);

/* A table of its snapshots. */
void report_snapshots(const struct volume *v, const struct snapshot *list, size_t count,
		      FILE *out);

/* As Documentation/admin-guide/list.schema.json has it. */
json_object *report_snapshots_json(const struct volume *v, const struct snapshot *list,
				   size_t count);

/* {"volumes": [...]} on a line of its own; takes @volumes. */
void report_document(json_object *volumes, FILE *out);

#endif /* COWP_TOOL_REPORT_H */
