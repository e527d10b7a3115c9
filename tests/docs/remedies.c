// SPDX-License-Identifier: GPL-2.0-only
/*
 * What "cowprotect status" says of each fault of the volume data, as the operator's
 * guide shows it.
 */
#include "remedy.h"

static void print(const char *word, const struct info *info)
{
	struct remedy r;
	u32 i;

	if (!remedy_find(&r, "data", info))
		return;
	printf("%s\n    %s\n", word, r.reason);
	for (i = 0; i < r.count; i++)
		printf("    %u. %s\n", i + 1, r.steps[i]);
}

int main(void)
{
	struct info i = { .state = COWP_STATE_BLOCKED };
	struct info lost = { .state = COWP_STATE_LOST, .mark = INFO_MARKED };
	struct info unmarked = { .state = COWP_STATE_LOST, .mark = INFO_UNMARKED };

	for (i.fault = 1; i.fault < COWP_FAULT_COUNT; i.fault++)
		print(cowp_fault_words[i.fault], &i);
	print("lost", &lost);
	print("lost, and the diff area could not be told so", &unmarked);
	return 0;
}
