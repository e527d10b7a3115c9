/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options of a live volume's table line, as an administrator writes them:
 * WORD[=VALUE],...
 */
#ifndef COWP_TOOL_TABLE_OPTIONS_H
#define COWP_TOOL_TABLE_OPTIONS_H

#include "port.h"

#define TABLE_OPTIONS_CHARS	512

/**
 * struct table_options - words for a table line
 * @count:	of them, values included
 * @words:	with a blank before each
 * @wrong:	the option that was refused
 */
struct table_options {
	u32 count;
	char words[TABLE_OPTIONS_CHARS];
	char wrong[64];
};

/* Add what @list says.  Returns NULL, or what is wrong with @wrong. */
const char *table_options_take(struct table_options *o, const char *list);

bool table_options_have(const struct table_options *o, const char *word);

#endif /* COWP_TOOL_TABLE_OPTIONS_H */
