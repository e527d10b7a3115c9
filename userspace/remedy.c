// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a fault means to people, and the commands that mend it.  The module's own
 * words (include/cowprotect_words.h) are for those who use dmsetup.
 *
 * In a step "@" stands for the volume's name.
 */
#include "remedy.h"

#define CLEAR	"cowprotect clear @"
#define REPLACE	"if its disk came back under another name: cowprotect replace-diff @ DEVICE"

static const struct {
	const char *reason;
	const char *steps[REMEDY_STEPS];
} faults[COWP_FAULT_COUNT] = {
	[COWP_FAULT_NONE] = { "nothing is wrong", { NULL } },
	[COWP_FAULT_DIFF_AREA_MISSING] = { "the diff device is not there",
		{ "attach it", "cowprotect replace-diff @ DEVICE" } },
	[COWP_FAULT_ONLINE_IO_FAILURE] = { "the diff device fails reads since the activation",
		{ "repair it (see the kernel log)", REPLACE, CLEAR } },
	[COWP_FAULT_METADATA_CORRUPTION] = {
		"what is on the diff device cannot be the diff area of this volume",
		{ "see what is wrong (the kernel log; cowprotect check DEVICE)",
		  "bring the right device, or its restored content: cowprotect replace-diff @ DEVICE",
		  CLEAR, "or give the snapshots up: cowprotect reset @" } },
	[COWP_FAULT_MEMORY_ALLOCATION_FAILURE] = { "there is not enough memory",
		{ "free some", CLEAR } },
	[COWP_FAULT_COW_READ_FAILURE] = { "old content cannot be read from the live device",
		{ "repair the live device (see the kernel log), then: " CLEAR,
		  "or let sectors be missing in the snapshots: " CLEAR " --accept-unreadable" } },
	[COWP_FAULT_COW_WRITE_FAILURE] = { "the diff device fails writes",
		{ "repair it (see the kernel log)", REPLACE, CLEAR } },
	[COWP_FAULT_DIFF_AREA_FULL] = { "the diff area is full",
		{ "enlarge its device, then: cowprotect grow @",
		  "or delete the oldest snapshots: cowprotect delete --oldest @", CLEAR } },
	[COWP_FAULT_GROW_TOO_SLOW] = { "the diff area was full for too long",
		{ "begin anew: cowprotect reset @",
		  "enlarge its device, then: cowprotect grow @" } },
	[COWP_FAULT_GROW_FAILED] = { "the diff area could not take up its new size",
		{ "see the kernel log for the reason", "cowprotect grow @", CLEAR } },
	[COWP_FAULT_IO_FAILURE] = { "the diff device fails",
		{ "repair it (see the kernel log)", REPLACE, CLEAR } },
	[COWP_FAULT_DIFF_AREA_REMOVED] = { "the diff device is gone",
		{ "attach it again", REPLACE, CLEAR } },
	[COWP_FAULT_EXTERNAL_WRITER] = {
		"the diff device is another one, or somebody else has used it",
		{ "stop whatever else uses it",
		  "bring the right device: cowprotect replace-diff @ DEVICE", CLEAR,
		  "if it has been written to: cowprotect deactivate @, and activate it again" } },
	[COWP_FAULT_TIMEOUT] = { "the diff device does not answer",
		{ "repair it (see the kernel log)", REPLACE, CLEAR } },
	[COWP_FAULT_INTERNAL_ERROR] = { "an error of dm-cowprotect itself",
		{ "report it with the kernel log", CLEAR } },
};

static void put(char to[REMEDY_CHARS], const char *text, const char *volume)
{
	size_t at = 0;

	for (; *text && at + 1 < REMEDY_CHARS; text++) {
		if (*text == '@')
			at += snprintf(to + at, REMEDY_CHARS - at, "%s", volume);
		else
			to[at++] = *text;
	}
	to[min(at, (size_t)REMEDY_CHARS - 1)] = 0;
}

static void add(struct remedy *r, const char *text, const char *volume)
{
	put(r->steps[r->count++], text, volume);
}

/* The snapshots are gone: the fault's own mend brings none of them back. */
static void lost(struct remedy *r, const char *volume, const struct info *info)
{
	char reason[REMEDY_CHARS];

	snprintf(reason, sizeof(reason), "its snapshots were given up%s%s%s",
		 info->fault ? ": " : "", info->fault ? faults[info->fault].reason : "",
		 info->mark == INFO_UNMARKED ? "; the diff area does not say so yet" : "");
	put(r->reason, reason, volume);
	if (info->mark == INFO_UNMARKED)
		add(r,
		    "let its diff device come back before a restart, or activate with --options given_up then",
		    volume);
	add(r, "begin anew: cowprotect reset @", volume);
}

bool remedy_find(struct remedy *r, const char *volume, const struct info *info)
{
	u32 i;

	memset(r, 0, sizeof(*r));
	if (info->state == COWP_STATE_LOST) {
		lost(r, volume, info);
		return true;
	}
	if (info->fault == COWP_FAULT_NONE)
		return false;
	put(r->reason, faults[info->fault].reason, volume);
	for (i = 0; i < REMEDY_STEPS && faults[info->fault].steps[i]; i++)
		add(r, faults[info->fault].steps[i], volume);
	return true;
}
