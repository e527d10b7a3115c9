// SPDX-License-Identifier: GPL-2.0-only
/* What the actions do with a volume's witness: see witness.h for what that is. */
#include "monitor/policy.h"
#include "witness.h"
#include "witnessed.h"

static bool find_folder(const char *volume, char folder[POLICY_CHARS])
{
	struct policy p;
	char error[512];

	if (!policy_read(&p, POLICY_FILE, volume, error, sizeof(error))) {
		tool_error(volume, "where its witness is cannot be known: %s", error);
		return false;
	}
	snprintf(folder, POLICY_CHARS, "%s", p.witness);
	return true;
}

int witnessed_recall(const char *volume, const char *area, bool protected,
		     struct table_options *options)
{
	char folder[POLICY_CHARS];
	struct witness w;
	int error;

	if (table_options_have(options, "given_up"))
		return TOOL_OK;
	if (!find_folder(volume, folder))
		return TOOL_FAILED;
	error = witness_read(&w, folder, area);
	if (error && !w.there) {
		tool_error(volume,
			   "whether its snapshots were given up cannot be read from %s: %s; mend that, or give --options given_up, and they are lost",
			   folder, strerror(-error));
		return TOOL_FAILED;
	}
	if (!w.there)
		return TOOL_OK;
	/* Protection came while it waited, or too late: nobody but the operator can tell. */
	if (protected && !w.lost) {
		tool_error(volume,
			   "its diff area is protected, yet %s/%s says that its snapshots may have been given up before; if the kernel log says that they were give --options given_up, else remove that file",
			   folder, area);
		return TOOL_FAILED;
	}
	if (table_options_take(options, "given_up")) {
		tool_error(volume,
			   "its options leave no room for given_up, which %s/%s asks for; give fewer",
			   folder, area);
		return TOOL_USAGE;
	}
	tool_error(volume,
		   "its snapshots %s when its diff area could not be told (%s/%s); it is told now, they are lost",
		   w.lost ? "were given up" : "may have been given up", folder, area);
	return TOOL_OK;
}

/* Where it may be looked for: not on the volume itself, which may be blocked */
static bool folder_of(const struct volume *v, char folder[POLICY_CHARS])
{
	return find_folder(v->device.name, folder) && !witness_misplaced(folder, v->device.area);
}

static enum witness_word stands(const struct volume *v, const char *folder)
{
	char activation[WITNESS_ACTIVATION];
	struct witness w;

	witness_read(&w, folder, v->device.area);
	witness_activation(activation, v->device.number);
	return witness_word(&w, activation, strstr(v->options, "given_up"));
}

static void take_away(const char *volume, const char *folder, const char *area)
{
	int error = witness_remove(folder, area);

	if (error)
		tool_error(volume,
			   "%s/%s is of no use any more and cannot be removed: %s; remove it, or the next activation gives up the snapshots made until then",
			   folder, area, strerror(-error));
}

void witnessed_review(const struct volume *v)
{
	char folder[POLICY_CHARS];

	if (folder_of(v, folder) &&
	    witness_due(stands(v, folder), v->info.state, v->info.mark) == WITNESS_REMOVE)
		take_away(v->device.name, folder, v->device.area);
}

void witnessed_by_nobody(const struct volume *v)
{
	if (v->info.mode != COWP_MODE_NORMAL)
		return;
	fprintf(stderr,
		"cowprotect: %s: without protection and without dmeventd nobody writes down that its snapshots were given up\nwhile the diff area was out of reach: after that, activate it with --options given_up\n",
		v->device.name);
}

void witnessed_give_up(const struct volume *v)
{
	struct witness w = { .lost = true };
	char folder[POLICY_CHARS];
	int error;

	if (!find_folder(v->device.name, folder))
		return;
	snprintf(w.volume, sizeof(w.volume), "%s", v->device.name);
	witness_activation(w.activation, v->device.number);
	error = witness_write(&w, folder, v->device.area);
	if (!error)
		return;
	tool_error(v->device.name,
		   "that they are given up cannot be written to %s: %s; if it is restarted before the diff area says that they are lost, activate with --options given_up",
		   folder, witness_reason(error));
}

void witnessed_forget(const char *area)
{
	char folder[POLICY_CHARS];

	if (find_folder(area, folder))
		take_away(area, folder, area);
}
