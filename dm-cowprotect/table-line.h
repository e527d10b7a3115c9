/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table line of a live target.
 */
#ifndef COWP_TABLE_LINE_H
#define COWP_TABLE_LINE_H

#include "engine.h"

/**
 * struct cowp_line - what a table line says
 * @live:	path or number of the live device, as given
 * @diff:	likewise; "-" for none
 * @options:	the options' words as given, one blank between them
 * @nr_options:	how many words
 * @cfg:	for the engine; the devices' figures are not filled in
 * @error_if_blocked: fail what would be held while a fault stands
 * @discard_passdown: pass discards of preserved chunks on
 */
struct cowp_line {
	const char *live;
	const char *diff;
	char *options;
	unsigned int nr_options;
	struct cowp_config cfg;
	bool error_if_blocked;
	bool discard_passdown;
};

int cowp_line_parse(struct cowp_line *line, unsigned int argc, char **argv, char **error);
void cowp_line_free(struct cowp_line *line);

static inline bool cowp_line_has_diff(const struct cowp_line *line)
{
	return line->diff[0] != '-' || line->diff[1];
}

#endif /* COWP_TABLE_LINE_H */
