/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /etc/cowprotecttab: the volumes that are there after a boot.
 */
#ifndef COWP_TOOL_TAB_H
#define COWP_TOOL_TAB_H

#include "name.h"
#include "table-options.h"

#define TAB_FILE		"/etc/cowprotecttab"
#define TAB_DEVICE_CHARS	256

/**
 * struct tab_volume - one line
 * @line:	its number
 * @name:	of the volume
 * @live:	the live device, by any name that device_path() takes
 * @diff:	the diff device, likewise
 * @uuid:	the diff area's
 * @chunk_sectors: of the diff area
 * @noauto:	only when it is asked for
 * @nofail:	the boot does not wait for it
 * @options:	of the volume's table
 */
struct tab_volume {
	u32 line;
	char name[NAME_CHARS];
	char live[TAB_DEVICE_CHARS];
	char diff[TAB_DEVICE_CHARS];
	u8 uuid[16];
	u64 chunk_sectors;
	bool noauto;
	bool nofail;
	struct table_options options;
};

/**
 * struct tab - the file
 * @volumes:	its lines, to be freed by tab_free()
 * @count:	of them
 * @errors:	lines that were left out, each of which was told
 * @strays:	the live devices of those, as far as they can be told: what is written
 *		to one by itself makes the snapshots wrong, whatever its line says
 * @stray_count: of them
 */
struct tab {
	struct tab_volume *volumes;
	size_t count;
	size_t errors;
	char (*strays)[TAB_DEVICE_CHARS];
	size_t stray_count;
};

/* Where the file is: $COWPROTECTTAB, or TAB_FILE. */
const char *tab_file(void);

/*
 * tab_read - read the file
 * @tab:	out
 *
 * One that is not there is empty.  A wrong line is told and left out: the other
 * volumes are there all the same.  Returns an enum tool_exit: not TOOL_OK only
 * where the file cannot be read.
 */
int tab_read(struct tab *tab, const char *path);
void tab_free(struct tab *tab);

/* NULL: there is none of this name. */
const struct tab_volume *tab_find(const struct tab *tab, const char *name);

#endif /* COWP_TOOL_TAB_H */
