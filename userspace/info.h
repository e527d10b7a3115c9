/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The INFO line of a live volume, taken apart here and nowhere else.
 */
#ifndef COWP_TOOL_INFO_H
#define COWP_TOOL_INFO_H

#include "engine.h"

enum info_mark {
	INFO_NO_MARK,
	INFO_MARKED,
	INFO_UNMARKED,
};

/**
 * struct info - what the line says, in its order
 * @mode:	protected or normal
 * @state:	of the volume
 * @fault:	which stands
 * @error:	number of the fault's error, 0: none
 * @used:	chunks
 * @total:	likewise; 0: the area is not known
 * @low_water:	less than asked for is free
 * @snapshots:	how many
 * @oldest:	id, 0: there is none
 * @newest:	likewise
 * @held:	bios
 * @memory_used: bytes
 * @memory_limit: likewise
 * @preserved:	chunks
 * @batches:	of them
 * @diff_writes: requests
 * @diff_flushes: likewise
 * @diff_bytes:	written
 * @mark:	of a volume that is lost
 */
struct info {
	enum cowp_mode mode;
	enum cowp_state state;
	enum cowp_fault fault;
	u32 error;
	u64 used;
	u64 total;
	bool low_water;
	u32 snapshots;
	u32 oldest;
	u32 newest;
	u32 held;
	u64 memory_used;
	u64 memory_limit;
	u64 preserved;
	u64 batches;
	u64 diff_writes;
	u64 diff_flushes;
	u64 diff_bytes;
	enum info_mark mark;
};

/* Words behind those that are known are passed over.  Returns NULL, or which one is wrong. */
const char *info_parse(struct info *info, const char *line);

#endif /* COWP_TOOL_INFO_H */
