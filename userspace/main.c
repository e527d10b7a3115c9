// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect: the table of its actions, help, and what carries one out. */
#include <fcntl.h>
#include <unistd.h>

#include "mapper.h"
#include "tool.h"

#define HELP_COLUMN	30

static const struct tool_action * const actions[] = {
	&action_format,
	&action_activate,
	&action_deactivate,
	&action_snapshot,
	&action_list,
	&action_open,
	&action_close,
	&action_delete,
	&action_protect,
	&action_blocked_io,
	&action_clear,
	&action_reset,
	&action_grow,
	&action_status,
	&action_replace_diff,
	&action_attach,
	&action_wipe,
	&action_hold,
	&action_release,
	&action_probe,
	&action_check,
	&action_dump,
};

static void help(void)
{
	u32 i;

	printf("Usage: cowprotect ACTION [OPTION]... [OPERAND]...\n"
	       "\n"
	       "Volumes with snapshots that outlive every failure to copy (dm-cowprotect).\n"
	       "\n"
	       "Actions:\n");
	for (i = 0; i < ARRAY_SIZE(actions); i++)
		printf("  %-14s%s\n", actions[i]->name, actions[i]->summary);
	printf("\n"
	       "cowprotect ACTION --help tells an action's options; cowprotect --version the version.\n"
	       "\n"
	       "Exit status, as of veritysetup(8):\n"
	       "  0   done\n"
	       "  1   the command line is wrong, or it failed for another reason than these\n"
	       "  2   no permission\n"
	       "  3   not enough memory\n"
	       "  4   wrong device: it is not there, or holds something else\n"
	       "  5   there already, or in use\n"
	       "and of check and dump, as of fsck(8):\n"
	       "  0   done; the area is clean\n"
	       "  4   there are errors in the area\n"
	       "  8   it could not be carried out\n"
	       "  16  the command line is wrong\n");
}

static void option_help(const struct tool_option *o)
{
	const char *line = o->help, *end;
	int at;

	at = printf("  -%c, --%s%s%s", o->letter, o->name, o->value ? " " : "",
		    o->value ? o->value : "");
	for (;;) {
		end = strchrnul(line, '\n');
		printf("%*s%.*s\n", at < HELP_COLUMN ? HELP_COLUMN - at : 1, "",
		       (int)(end - line), line);
		if (!*end)
			return;
		line = end + 1;
		at = 0;
	}
}

static void action_help(const struct tool_action *a)
{
	const struct tool_option *o;

	printf("Usage: cowprotect %s%s %s\n\n%s.\n\n", a->name,
	       a->options ? " [OPTION]..." : "", a->operands, a->summary);
	for (o = a->options; o && o->letter; o++)
		option_help(o);
	printf("%s%s", a->options ? "\n" : "", a->help);
}

/* For the shell's completion and the tests: name;operands;option[=]... */
static void list_actions(void)
{
	const struct tool_option *o;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		printf("%s;%s;", actions[i]->name, actions[i]->operands);
		for (o = actions[i]->options; o && o->letter; o++)
			printf("--%s%s ", o->name, o->value ? "=" : "");
		puts("--help");
	}
}

static bool asks_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

static int carry_out(const struct tool_action *a, int argc, char **argv)
{
	int ret;

	if (asks_help(argc, argv)) {
		action_help(a);
		return TOOL_OK;
	}
	tool_running = a;
	mapper_log_nothing();
	ret = a->run(a, argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		tool_error("standard output", "%s; see where it goes to", strerror(errno));
		ret = TOOL_FAILED;
	}
	return ret;
}

/* A device that is opened in the place of a closed stream would get its text. */
static bool have_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	return !close(fd);
}

int main(int argc, char **argv)
{
	u32 i;

	if (!have_streams())
		return tool_status(NULL, TOOL_FAILED);
	if (argc < 2) {
		fprintf(stderr, "cowprotect: no action given; see cowprotect --help\n");
		return tool_status(NULL, TOOL_USAGE);
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help();
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("cowprotect %s, disk format %d\n", COWP_TOOL_VERSION, COWP_FORMAT_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "--actions")) {
		list_actions();
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(argv[1], actions[i]->name))
			return tool_status(actions[i], carry_out(actions[i], argc - 1, argv + 1));
	fprintf(stderr, "cowprotect: '%s' is no action; see cowprotect --help\n", argv[1]);
	return tool_status(NULL, TOOL_USAGE);
}
