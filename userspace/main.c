// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect: the offline tool.  It works on a diff area that no table uses;
 * what a running volume is told goes by dmsetup message.
 */
#include "tool.h"

#ifndef COWP_TOOL_VERSION
#define COWP_TOOL_VERSION	"1.0"
#endif

static const struct tool_action * const actions[] = {
	&action_format,
	&action_check,
	&action_dump,
};

static void help(void)
{
	u32 i;

	printf("Usage: cowprotect ACTION [OPTION]... DIFFDEV\n"
	       "\n"
	       "Format, check or show the diff area of a dm-cowprotect volume that is not active.\n"
	       "\n"
	       "Actions:\n");
	for (i = 0; i < ARRAY_SIZE(actions); i++)
		printf("  %-8s %s\n", actions[i]->name, actions[i]->summary);
	printf("\n"
	       "cowprotect ACTION --help tells an action's options; cowprotect --version the version.\n"
	       "\n"
	       "Exit status:\n"
	       "  %-3d done; check: the area is clean\n"
	       "  %-3d check: there are errors in the area\n"
	       "  %-3d the action could not be carried out\n"
	       "  %-3d the command line is wrong\n",
	       TOOL_OK, TOOL_FOUND, TOOL_FAILED, TOOL_USAGE);
}

static void action_help(const struct tool_action *a)
{
	printf("Usage: cowprotect %s %s\n\n%s.\n\n%s", a->name, a->usage, a->summary, a->help);
}

static bool asks_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	u32 i;
	int ret;

	if (argc < 2) {
		fprintf(stderr, "cowprotect: no action given; see cowprotect --help\n");
		return TOOL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help();
		return TOOL_OK;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("cowprotect %s, disk format %d\n", COWP_TOOL_VERSION, COWP_FORMAT_VERSION);
		return TOOL_OK;
	}
	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(argv[1], actions[i]->name))
			continue;
		if (asks_help(argc - 1, argv + 1)) {
			action_help(actions[i]);
			return TOOL_OK;
		}
		ret = actions[i]->run(argc - 1, argv + 1);
		if (fflush(stdout) || ferror(stdout)) {
			tool_error("standard output", "%s; see where it goes to", strerror(errno));
			return TOOL_FAILED;
		}
		return ret;
	}
	fprintf(stderr, "cowprotect: '%s' is no action; see cowprotect --help\n", argv[1]);
	return TOOL_USAGE;
}
