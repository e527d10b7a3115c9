// SPDX-License-Identifier: GPL-2.0-only
/* The live volume of a plan, and what stands beside it for comparison. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

static void end_file(int fd, const char *name)
{
	if (close(fd))
		give_up(name, strerror(errno));
}

u64 live_write(const struct plan *p, const char *name)
{
	u32 bytes = plan_chunk_bytes(p);
	int fd = make_file(name, plan_live_sectors(p) << SECTOR_SHIFT);
	u8 *content = malloc(bytes);
	u64 chunk, stamped = 0;

	if (!content)
		give_up(name, "no memory");
	for (chunk = 0; chunk < plan_chunks(p); chunk++) {
		if (!plan_stamped(p, chunk, PLAN_LIVE))
			continue;
		plan_content(p, chunk, PLAN_LIVE, content);
		put_bytes(fd, name, chunk * bytes, content, bytes);
		stamped++;
	}
	free(content);
	end_file(fd, name);
	return stamped;
}

/*
 * The table of dm-snapshot's persistent store: a header chunk, then areas of one
 * chunk of exceptions and the chunks that these name.  No exception continues
 * the one before, or the target would make one of them.
 */
#define PEER_CHUNK	4096U
#define PEER_MAGIC	0x70416e53U
#define PEER_AREA	(PEER_CHUNK / sizeof(struct peer_exception))

struct peer_header {
	__le32 magic;
	__le32 valid;
	__le32 version;
	__le32 chunk_sectors;
};

struct peer_exception {
	__le64 old_chunk;
	__le64 new_chunk;
};

void peer_write(const char *name, u64 exceptions)
{
	u64 areas = exceptions / PEER_AREA, area;
	u8 block[PEER_CHUNK] = { 0 };
	struct peer_header *h = (void *)block;
	struct peer_exception *e = (void *)block;
	int fd = make_file(name, (areas + 2) * (PEER_AREA + 1) * PEER_CHUNK);
	u32 i;

	if (!is_power_of_2(exceptions) || !areas)
		give_up(name, "the number of exceptions is a power of two, at least 256");
	h->magic = cpu_to_le32(PEER_MAGIC);
	h->valid = cpu_to_le32(1);
	h->version = cpu_to_le32(1);
	h->chunk_sectors = cpu_to_le32(PEER_CHUNK >> SECTOR_SHIFT);
	put_bytes(fd, name, 0, block, sizeof(block));
	for (area = 0; area < areas; area++) {
		u64 at = 1 + area * (PEER_AREA + 1);

		for (i = 0; i < PEER_AREA; i++) {
			u64 nr = area * PEER_AREA + i;

			e[i].old_chunk = cpu_to_le64(nr * 0x9e3779b1U & (exceptions - 1));
			e[i].new_chunk = cpu_to_le64(at + 1 + i);
		}
		put_bytes(fd, name, at * PEER_CHUNK, block, sizeof(block));
	}
	end_file(fd, name);
}
