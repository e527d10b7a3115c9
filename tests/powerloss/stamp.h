/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a sector holds: a function of its number and of the serial number of the
 * write that put it there, so that content names the write it comes from.
 * Serial number 0 stands for zeros: never written.
 */
#ifndef POWERLOSS_STAMP_H
#define POWERLOSS_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SECTOR		512U
#define SECTOR_WORDS	(SECTOR / sizeof(uint64_t))
#define STAMP_MAGIC	0x70777263757421ULL
#define STAMP_NONE	UINT32_MAX		/* no stamp of this sector */

struct stamp {
	uint64_t words[SECTOR_WORDS];
};

static inline void stamp_make(struct stamp *s, uint64_t sector, uint32_t serial)
{
	uint64_t x = (sector << 32 | serial) * 0x9e3779b97f4a7c15ULL | 1;
	unsigned int i;

	memset(s, 0, sizeof(*s));
	if (!serial)
		return;
	s->words[0] = STAMP_MAGIC;
	s->words[1] = sector << 32 | serial;
	for (i = 2; i < SECTOR_WORDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		s->words[i] = x;
	}
}

/* The serial number in a sector's content, STAMP_NONE if it is not all its own. */
static inline uint32_t stamp_serial(const void *content, uint64_t sector)
{
	struct stamp found, right;
	uint32_t serial;

	memcpy(&found, content, sizeof(found));
	serial = found.words[0] ? (uint32_t)found.words[1] : 0;
	stamp_make(&right, sector, serial);
	return memcmp(&found, &right, sizeof(found)) ? STAMP_NONE : serial;
}

#endif
