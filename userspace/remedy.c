// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a fault means to people, and the commands that mend it.  The module's own
 * words (include/cowprotect_words.h) are for those who use dmsetup.
 *
 * In a step "@" stands for the volume's name.  A step is
 *
 *	[WHEN: ] WHAT [, WHAT]...
 *
 * WHEN begins with "if" or "or"; WHAT is a command as it is to be typed, with DEVICE
 * for a device, or something that no command does.  tests/vm/guest/drill.sh does it
 * all by these rules.
 */
#include "remedy.h"

#define CLEAR	"cowprotect clear @"
#define REPLACE	"if it was attached anew: cowprotect replace-diff @ DEVICE"
#define ACCEPT	CLEAR " --accept-unreadable"
/* Without its device the volume writes nothing there at its end. */
#define LET_FAIL	"cowprotect replace-diff @ -, cowprotect blocked-io @ error"
#define REPAIR	"repair it (the kernel log tells more)"
#define GIVE_UP	"or lose all snapshots: cowprotect reset @"

static const struct {
	const char *reason;
	const char *steps[REMEDY_STEPS];
} faults[COWP_FAULT_COUNT] = {
	[COWP_FAULT_NONE] = { "nothing is wrong", { NULL } },
	[COWP_FAULT_DIFF_AREA_MISSING] = { "the diff device is not there",
		{ "attach it", "cowprotect replace-diff @ DEVICE" } },
	[COWP_FAULT_ONLINE_IO_FAILURE] = { "the diff area could not be read",
		{ REPAIR, REPLACE, CLEAR } },
	[COWP_FAULT_METADATA_CORRUPTION] = { "the diff area is damaged",
		{ "cowprotect check DEVICE",
		  "put back what is damaged as it was when the volume stopped", REPLACE, CLEAR,
		  GIVE_UP } },
	[COWP_FAULT_MEMORY_ALLOCATION_FAILURE] = { "there is not enough memory",
		{ "free some", CLEAR } },
	[COWP_FAULT_COW_READ_FAILURE] = { "old content cannot be read from the live device",
		{ REPAIR, CLEAR,
		  "or let unreadable sectors be missing in the snapshots: " ACCEPT } },
	[COWP_FAULT_COW_WRITE_FAILURE] = { "the diff device fails writes",
		{ REPAIR, REPLACE, CLEAR } },
	[COWP_FAULT_DIFF_AREA_FULL] = { "the diff area is full",
		{ "enlarge its device, cowprotect grow @",
		  "or lose the oldest snapshot: cowprotect delete --oldest @", CLEAR, GIVE_UP } },
	[COWP_FAULT_GROW_TOO_SLOW] = { "the diff area was full for too long",
		{ "cowprotect reset @" } },
	[COWP_FAULT_GROW_FAILED] = { "the diff area could not take up its new size",
		{ REPAIR, "cowprotect grow @", CLEAR } },
	[COWP_FAULT_IO_FAILURE] = { "the diff device fails", { REPAIR, REPLACE, CLEAR } },
	[COWP_FAULT_DIFF_AREA_REMOVED] = { "the diff device is gone",
		{ "attach it again", REPLACE, CLEAR } },
	[COWP_FAULT_EXTERNAL_WRITER] = {
		"the diff device holds another diff area, or another activation has used this one",
		{ "stop whatever else uses it",
		  "if another device took its place: cowprotect replace-diff @ DEVICE", CLEAR,
		  "or let what waits fail, and take the snapshots as another activation left them: "
		  LET_FAIL ", unmount it, cowprotect deactivate @, activate it again",
		  GIVE_UP } },
	[COWP_FAULT_TIMEOUT] = { "the diff device does not answer",
		{ REPAIR, REPLACE, CLEAR } },
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
		    "let its diff device come back before a restart (else activate with --options given_up then)",
		    volume);
	add(r, "cowprotect reset @", volume);
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
