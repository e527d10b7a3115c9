// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "stats.h"

void stats_sum(struct stats *to, const struct stats *from)
{
	u32 i;

	for (i = 0; i < STAT_COUNT; i++)
		to->n[i] += __atomic_load_n(&from->n[i], __ATOMIC_RELAXED);
}

static double per(u64 a, u64 b)
{
	return b ? (double)a / b : 0;
}

void stats_print(const struct stats *s, double seconds)
{
	static const char * const words[STAT_COUNT] = {
#define STAT_WORDS(name, words) \
		[STAT_##name] = words,
		STATS(STAT_WORDS)
#undef STAT_WORDS
	};
	u64 cuts = s->n[STAT_CUTS];
	u32 i;

	for (i = 0; i < STAT_COUNT; i++)
		printf("  %14llu  %s\n", s->n[i], words[i]);
	printf("\n");
	printf("  %14.1f  operations a cut\n", per(s->n[STAT_OPS], cuts));
	printf("  %14.1f  operations since the last start before a cut, average\n",
	       per(s->n[STAT_OPS_BEFORE], cuts));
	printf("  %14.2f  snapshots at a cut, average\n", per(s->n[STAT_SNAPS_AT_CUT], cuts));
	printf("  %14.1f  %% of cuts with 3 snapshots or more\n",
	       100 * per(s->n[STAT_CUTS_WITH_3], cuts));
	printf("  %14.1f  seconds\n", seconds);
	printf("  %14.1f  cuts a second\n", seconds > 0 ? cuts / seconds : 0);
}
