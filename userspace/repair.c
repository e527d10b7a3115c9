// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect protect, blocked-io, clear, reset and grow: what a running volume is told. */
#include <stdlib.h>

#include "area.h"
#include "report.h"
#include "witnessed.h"

/* What has become of it, behind a message that changed it */
static int tell_state(struct volume *v, int ret)
{
	if (!ret)
		ret = volume_refresh(v);
	if (!ret) {
		report_status(v, stdout);
		witnessed_review(v);
	}
	volume_close(v);
	return ret;
}

/* ---- protect, blocked-io ---- */

struct choice {
	const char *word;
	const char *message;
};

/* NAME and one of two words, each of which is a message */
static int run_choice(const struct tool_action *a, int argc, char **argv,
		      const struct choice choices[2])
{
	const struct choice *chosen;
	struct volume v;
	const char *word;
	int ret;

	if (tool_option(a, argc, argv) || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	word = argv[optind + 1];
	chosen = &choices[!!strcmp(word, choices[0].word)];
	if (strcmp(word, chosen->word))
		return tool_usage(a, "'%s' is neither %s nor %s", word, choices[0].word,
				  choices[1].word);
	ret = volume_open(&v, argv[optind]);
	if (ret)
		return ret;
	ret = volume_message(&v, NULL, "%s", chosen->message);
	return tell_state(&v, ret);
}

static int run_protect(const struct tool_action *a, int argc, char **argv)
{
	static const struct choice choices[2] = {
		{ "on", "protect" },
		{ "off", "noprotect" },
	};

	return run_choice(a, argc, argv, choices);
}

const struct tool_action action_protect = {
	.name = "protect",
	.operands = "NAME on|off",
	.summary = "choose what a failure to copy stops: the volume (on), or its snapshots (off)",
	.help =
	"on: all I/O of the volume waits until the cause is repaired; no snapshot is lost.\n"
	"off: the volume goes on, and the snapshots are given up. Refused while there is a\n"
	"fault, as they would be at once.\n",
	.run = run_protect,
};

static int run_blocked_io(const struct tool_action *a, int argc, char **argv)
{
	static const struct choice choices[2] = {
		{ "hold", "blocked_io hold" },
		{ "error", "blocked_io error" },
	};

	return run_choice(a, argc, argv, choices);
}

const struct tool_action action_blocked_io = {
	.name = "blocked-io",
	.operands = "NAME hold|error",
	.summary = "choose whether I/O waits while the volume is blocked, or fails",
	.help =
	"error: to unmount it, or to shut down, when nobody can mend it now. What waits fails\n"
	"at once, and what programs have not written yet is lost. No snapshot is.\n"
	"hold: all I/O waits until the cause is repaired, as it does from the start.\n",
	.run = run_blocked_io,
};

/* ---- clear ---- */

static int run_clear(const struct tool_action *a, int argc, char **argv)
{
	bool accept = false;
	struct volume v;
	int c, ret;

	while ((c = tool_option(a, argc, argv)) > 0)
		accept = true;
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = volume_open(&v, argv[optind]);
	if (ret)
		return ret;
	ret = volume_message(&v, NULL, "clear%s", accept ? " accept_unreadable" : "");
	if (ret && !volume_refresh(&v))
		report_fault(&v, stderr);
	return tell_state(&v, ret);
}

static const struct tool_option clear_options[] = {
	{ 'a', "accept-unreadable", NULL,
	  "sectors of the live device that cannot be read may be\n"
	  "missing in the snapshots" },
	{ }
};

const struct tool_action action_clear = {
	.name = "clear",
	.operands = "NAME",
	.summary = "go on after a repair",
	.options = clear_options,
	.help =
	"Looks at the diff area again and makes the copy that failed once more. If the cause\n"
	"is still there nothing is released, and nothing lost: repair, and try again.\n",
	.run = run_clear,
};

/* ---- reset ---- */

/* Says what dies.  True: nothing does. */
static bool nothing_dies(const struct volume *v)
{
	struct snapshot *list = NULL;
	size_t count = 0;

	if (!v->info.fault && v->info.state != COWP_STATE_LOST &&
	    v->info.state != COWP_STATE_RECOVERING)
		return true;
	report_fault(v, stderr);
	if (!volume_snapshots(v, &list, &count) && count) {
		fprintf(stderr, "These snapshots will be lost:\n");
		report_snapshots(v, list, count, stderr);
	} else {
		fprintf(stderr, "All snapshots in its diff area will be lost.\n");
	}
	free(list);
	return false;
}

static int run_reset(const struct tool_action *a, int argc, char **argv)
{
	bool force = false, yes = false;
	struct volume v;
	int c, ret;

	while ((c = tool_option(a, argc, argv)) > 0) {
		force |= c == 'f';
		yes |= c == 'y';
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = volume_open(&v, argv[optind]);
	if (ret)
		return ret;
	if (!nothing_dies(&v) && !yes && !tool_confirmed("Give them up?")) {
		tool_error(v.device.name, "was not reset; give --yes to give the snapshots up");
		volume_close(&v);
		return TOOL_FAILED;
	}
	if (force && (v.info.state == COWP_STATE_BLOCKED || v.info.state == COWP_STATE_WAITING))
		witnessed_give_up(&v);
	ret = volume_message(&v, NULL, "reset%s", force ? " force" : "");
	if (ret && !force)
		tool_error(v.device.name,
			   "nothing is released without a mark on the diff area that the snapshots are lost; repair it, or give --force");
	return tell_state(&v, ret);
}

static const struct tool_option reset_options[] = {
	{ 'y', "yes", NULL, "do not ask" },
	{ 'f', "force", NULL,
	  "release the I/O even if the diff area cannot be told that\n"
	  "its snapshots are lost; if it comes back after a restart,\n"
	  "activate with --options given_up" },
	{ }
};

const struct tool_action action_reset = {
	.name = "reset",
	.operands = "NAME",
	.summary = "the last resort: give the snapshots up, and let the volume go on",
	.options = reset_options,
	.help =
	"Ends protection. Where there is a fault, or the snapshots are lost already, they are\n"
	"given up after a question, and the diff area is made empty. Without a fault they\n"
	"stay.\n",
	.run = run_reset,
};

/* ---- grow ---- */

static int run_grow(const struct tool_action *a, int argc, char **argv)
{
	struct volume v;
	int ret;

	if (tool_option(a, argc, argv) || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = volume_open(&v, argv[optind]);
	if (ret)
		return ret;
	ret = volume_grow(&v);
	return tell_state(&v, ret);
}

const struct tool_action action_grow = {
	.name = "grow",
	.operands = "NAME",
	.summary = "take up the new size of the diff device",
	.help =
	"Enlarge the device first (lvextend, or at its storage). Works while the volume is\n"
	"blocked; type cowprotect clear NAME then.\n",
	.run = run_grow,
};
