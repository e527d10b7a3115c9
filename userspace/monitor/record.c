// SPDX-License-Identifier: GPL-2.0-only
/* The witness of a volume, kept by the monitor: see record.h. */
#include <stdlib.h>

#include "journal.h"
#include "mapper.h"
#include "record.h"

bool record_begin(struct record *r, const char *volume, const char *uuid, int major, int minor)
{
	struct mapper_target t;
	enum name_role role;
	char number[24];
	u32 id;

	memset(r, 0, sizeof(*r));
	snprintf(r->volume, sizeof(r->volume), "%s", volume);
	if (!name_parse(uuid, r->area, &role, &id))
		return false;
	snprintf(number, sizeof(number), "%d:%d", major, minor);
	witness_activation(r->activation, number);
	if (!mapper_table(volume, &t)) {
		r->told = strstr(t.line, " given_up");
		free(t.line);
	}
	return true;
}

bool record_misplaced(const struct record *r, const struct policy *p, char *error, size_t chars)
{
	if (!witness_misplaced(p->witness, r->area))
		return false;
	snprintf(error, chars, POLICY_FILE ": witness: %s: %s", p->witness,
		 witness_reason(-EXDEV));
	return true;
}

enum witness_word record_look(const struct record *r, const struct policy *p,
			      enum witness_word known)
{
	struct witness w = { 0 };

	/* On the volume itself it is not looked for, as who does may have to wait for it. */
	if (!witness_misplaced(p->witness, r->area) && witness_read(&w, p->witness, r->area))
		return known;
	return witness_word(&w, r->activation, r->told);
}

enum witness_word record_write(const struct record *r, const struct policy *p,
			       const struct info *info, enum witness_word known)
{
	struct witness w = { .there = true, .lost = info->state == COWP_STATE_LOST };
	int error;

	strcpy(w.volume, r->volume);
	strcpy(w.activation, r->activation);
	error = witness_write(&w, p->witness, r->area);
	if (!error)
		return witness_word(&w, r->activation, r->told);
	journal(JOURNAL_FAILED, r->volume, info,
		"that its snapshots %s cannot be written to %s: %s. Should the machine end before the diff area says it: activate with --options given_up",
		w.lost ? "were given up" : "may be given up", p->witness, witness_reason(error));
	return known;
}

enum witness_word record_remove(const struct record *r, const struct policy *p,
				const struct info *info, enum witness_word known)
{
	int error = witness_remove(p->witness, r->area);

	if (!error)
		return WITNESS_NONE;
	journal(JOURNAL_FAILED, r->volume, info,
		"%s/%s is of no use any more and cannot be removed: %s. Remove it, or the next activation gives up the snapshots made until then",
		p->witness, r->area, strerror(-error));
	return known;
}

void record_tell_unheard(const struct record *r, const struct policy *p,
			 const struct info *info)
{
	journal(JOURNAL_FAILED, r->volume, info,
		"%s/%s says that its snapshots may have been given up before it was activated, and nobody looked: they may be wrong. Deactivate it, and activate it again with cowprotect activate",
		p->witness, r->area);
}
