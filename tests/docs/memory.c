// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of memory in the documents, printed by the function that computes
 * the bound.  tests/docs/run looks for every line in the documents.
 */
#include <stdio.h>
#include <string.h>

#include "budget.h"
#include "format.h"

#define GIB	1073741824ULL
#define TIB	(1024 * GIB)

static const struct {
	const char *name;
	u32 blocks;
} chunks[] = {
	{ "4 KiB", 1 },
	{ "64 KiB", 16 },
	{ "1 MiB", 256 },
};

static const struct {
	const char *name;
	u64 bytes;
} lives[] = {
	{ "1 GiB", GIB },
	{ "64 GiB", 64 * GIB },
	{ "256 GiB", 256 * GIB },
	{ "1 TiB", TIB },
	{ "64 TiB", 64 * TIB },
};

static const u64 areas[] = { 16 * GIB, 256 * GIB, TIB, 64 * TIB };

static struct cowp_config config(u32 blocks, u64 live)
{
	return (struct cowp_config) {
		.chunk_blocks = blocks,
		.live_sectors = live / 512,
		.cache_blocks = COWP_DEFAULT_CACHE_KIB * 1024 / COWP_BLOCK_SIZE,
	};
}

/* Rounded up. */
static u64 mib(u64 bytes)
{
	return (bytes + (1 << 20) - 1) >> 20;
}

static u64 limit(u32 blocks, u64 live, u32 segments)
{
	struct cowp_config cfg = config(blocks, live);
	struct cowp_budget b;

	cowp_budget(&b, &cfg, segments);
	return mib(b.total);
}

static u32 formatted(u32 blocks, u64 area)
{
	struct cowp_super s = { .chunk_blocks = blocks };

	return cowp_layout(&s, area / COWP_BLOCK_SIZE) ? 0 : s.segments;
}

static void sizes(void)
{
	u32 c, l, a;

	for (c = 0; c < ARRAY_SIZE(chunks); c++) {
		for (l = 0; l < ARRAY_SIZE(lives); l++) {
			printf(" %-7s %-8s", chunks[c].name, lives[l].name);
			for (a = 0; a < ARRAY_SIZE(areas); a++)
				printf(" %-7llu", limit(chunks[c].blocks, lives[l].bytes,
							formatted(chunks[c].blocks, areas[a])));
			printf(" %llu\n", limit(chunks[c].blocks, lives[l].bytes,
						COWP_MAX_SEGMENTS));
		}
	}
}

/* In KiB, rounded up, of the largest volume with the default options. */
static void parts(void)
{
	u32 i, s;

	for (i = 0; i < COWP_BUDGET_COUNT; i++) {
		printf(" %-10s", cowp_budget_words[i]);
		for (s = COWP_FORMAT_SEGMENTS; s <= COWP_MAX_SEGMENTS;
		     s += COWP_MAX_SEGMENTS - COWP_FORMAT_SEGMENTS) {
			struct cowp_config cfg = config(1, TIB);
			struct cowp_budget b;

			cowp_budget(&b, &cfg, s);
			printf(s == COWP_MAX_SEGMENTS ? " %llu\n" : " %-9llu",
			       (b.bytes[i] + 1023) / 1024);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "sizes"))
		sizes();
	else if (argc == 2 && !strcmp(argv[1], "parts"))
		parts();
	else
		return 2;
	return 0;
}
