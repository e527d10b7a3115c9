/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A diff area as a file or device, and what its manifest says.
 */
#ifndef COWP_TOOL_AREA_H
#define COWP_TOOL_AREA_H

#include "internal.h"
#include "tool.h"

/**
 * struct area - an open diff device
 * @path:	as the user gave it
 * @fd:		of it
 * @sectors:	its size
 * @blocks:	likewise
 * @block_sectors: its logical block size
 * @device:	a block device, not a file
 * @id:		of the device, or of the file's inode
 */
struct area {
	const char *path;
	int fd;
	u64 sectors;
	u64 blocks;
	u32 block_sectors;
	bool device;
	u64 id[2];
};

/*
 * area_open - open a device or a file
 * @what:	for the message: "diff device"
 * @flags:	of open(2); O_EXCL is taken away where it has no meaning
 *
 * Returns an enum tool_exit, after the error was told.
 */
int area_open(struct area *a, const char *path, const char *what, int flags);
void area_close(struct area *a);

/* Read whole blocks.  Returns 0 or -errno; beyond the end -EIO. */
int area_read(const struct area *a, u64 block, u32 count, void *to);

/*
 * The first block from @block on that is not in a hole of the file: @block
 * itself where there is none, as on a device.
 */
u64 area_hole_end(const struct area *a, u64 block);

/* The same device or file. */
bool area_same(const struct area *a, const struct area *b);

/**
 * struct findings - what is found wrong, a line each
 * @out:	where to; NULL: nowhere
 * @count:	errors
 * @notes:	what is remarkable and right
 * @progress:	a line of progress stands on the terminal
 */
struct findings {
	FILE *out;
	u64 count;
	u64 notes;
	bool progress;
};

/* More lines than these are counted and not shown. */
#define FINDINGS_SHOWN	1000U

/* An error: where, what it is, and behind a semicolon what it means. */
void finding(struct findings *f, u64 block, const char *fmt, ...) __printf(3, 4);
void note(struct findings *f, u64 block, const char *fmt, ...) __printf(3, 4);

/*
 * struct fixed - the fixed blocks
 * @kind:	what cowp_area_probe() says
 * @info:	likewise
 * @root, @state: as read
 * @root_error, @state_error: of reading
 * @bad_root, @bad_state: NULL or what is wrong with each
 * @super, @copy: where nothing is
 * @newest:	the state that counts, or -1
 * @slot:	the root that counts, or -1
 */
struct fixed {
	enum cowp_area kind;
	struct cowp_area_info info;
	void *root[COWP_SLOTS];
	void *state[COWP_SLOTS];
	int root_error[COWP_SLOTS];
	int state_error[COWP_SLOTS];
	const char *bad_root[COWP_SLOTS];
	const char *bad_state[COWP_SLOTS];
	struct cowp_super super[COWP_SLOTS];
	struct cowp_area_state copy[COWP_SLOTS];
	int newest;
	int slot;
};

void fixed_read(struct fixed *f, const struct area *a);
void fixed_free(struct fixed *f);

/*
 * struct manifest - a manifest in memory
 * @super:	its root
 * @slot:	of the root
 * @geo:	what follows from it
 * @snapshots, @fragments, @open, @segments: its tables
 * @section:	first block of each of the body's sections, 0: none
 */
struct manifest {
	struct cowp_super super;
	u32 slot;
	struct cowp_geometry geo;
	struct cowp_snapshot *snapshots;
	u32 snapshot_count;
	struct cowp_fragment *fragments;
	u32 fragment_count;
	struct cowp_open_rec *open;
	u32 open_count;
	struct cowp_segment *segments;
	u32 segment_count;
	u64 section[COWP_SECTION_COUNT];
};

/*
 * manifest_read - read a root's body
 * @m:		out
 * @f:		where to tell what is wrong with it
 *
 * Takes what can be taken.  Returns false where the tables cannot be relied on.
 */
bool manifest_read(struct manifest *m, const struct area *a, const struct cowp_super *super,
		   u32 slot, struct findings *f);

/*
 * manifest_choose - read the manifest that recovery would take
 * @m:		out
 * @fixed:	its @slot changes where recovery falls back
 * @f:		where to tell what is wrong with it
 *
 * That is the newest root's; where its body is not whole and the root before it
 * is as new as the state says, that one's: a checkpoint that failed had its
 * root on the disk all the same, and the next attempt wrote over its body.
 */
bool manifest_choose(struct manifest *m, const struct area *a, struct fixed *fixed,
		     struct findings *f);
void manifest_free(struct manifest *m);

/* Body block with a record of a section. */
u64 manifest_block(const struct manifest *m, enum cowp_section section, u32 record);

/* First block of a level of a fragment, and its number of blocks. */
u64 fragment_level(const struct cowp_fragment *f, u32 level, u32 *blocks);
u32 fragment_top(const struct cowp_fragment *f);

/* The uuid without dashes, as device-mapper's uuids have it. */
void area_letters(char text[33], const u8 *uuid);

/* ---- memory that is there, or the tool ends ---- */

void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *p, size_t bytes);

#endif /* COWP_TOOL_AREA_H */
