// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine, over every triple.
 *
 * Two oracles that know nothing of its code: rules, each a sentence of the
 * design document's "Protection", and a table of everything that moves, from
 * which follows that all the rest stays where it is.  Every rule has to meet a
 * case that it speaks of, every line of the table a triple of its own.
 */
#include <kunit/test.h>
#include "protect.h"

/**
 * struct step - what the machine was asked, and what it said
 * @mode:	enum cowp_known_mode
 * @phase:	enum cowp_phase
 * @event:	enum cowp_event, or COWP_EVENT_FAULT plus the fault
 * @accept:	clear accept_unreadable was sent
 * @d:		the answer
 */
struct step {
	u32 mode;
	u32 phase;
	u32 event;
	bool accept;
	struct cowp_decision d;
};

static struct step ask(u32 mode, u32 phase, u32 event, bool accept)
{
	return (struct step) {
		mode, phase, event, accept, cowp_decide(mode, phase, event, accept)
	};
}

/* ---- words ---- */

static const char * const phase_names[COWP_PHASE_COUNT] = {
#define PHASE_NAME(name, ...) \
	[COWP_PHASE_##name] = #name,
	COWP_PHASES(PHASE_NAME)
#undef PHASE_NAME
};

static const char * const event_names[COWP_EVENT_FAULT + 1] = {
#define EVENT_NAME(name) \
	[COWP_EVENT_##name] = #name,
	COWP_EVENTS(EVENT_NAME)
#undef EVENT_NAME
};

static const char * const fault_names[COWP_FAULT_COUNT] = {
#define FAULT_NAME(name, ...) \
	[COWP_FAULT_##name] = #name,
	COWP_FAULTS(FAULT_NAME)
#undef FAULT_NAME
};

static const char * const mode_names[COWP_KNOWN_COUNT] = { "normal", "protected", "unknown" };

static const char *name_of_event(u32 event)
{
	return event < COWP_EVENT_FAULT ? event_names[event] :
					  fault_names[event - COWP_EVENT_FAULT];
}

static void event_name(u32 event, char *to, size_t size)
{
	snprintf(to, size, "%s%s", event < COWP_EVENT_FAULT ? "" : "FAULT ",
		 name_of_event(event));
}

static void step_name(const struct step *s, char *to, size_t size)
{
	char event[40];

	event_name(s->event, event, sizeof(event));
	snprintf(to, size, "%s mode%s, %s, %s: phase %s, actions %#x, error %d",
		 mode_names[s->mode], s->accept ? " (accept_unreadable)" : "",
		 phase_names[s->phase], event,
		 s->d.phase < COWP_PHASE_COUNT ? phase_names[s->d.phase] : "?",
		 s->d.actions, s->d.error);
}

/* ---- what the rules speak of ---- */

#define BIT_OF(phase)	(1U << COWP_PHASE_##phase)

/* The first column of the contract's states, and what the gate does in them. */
static const u32 held_phases = BIT_OF(RECOVERING) | BIT_OF(BLOCKED) | BIT_OF(CLEARING) |
			       BIT_OF(RESETTING);
/* The user's writes, or clear's proof. */
static const u32 copying_phases = BIT_OF(ACTIVE) | BIT_OF(CLEARING);
static const u32 blocked_phases = BIT_OF(BLOCKED) | BIT_OF(CLEARING) | BIT_OF(RESETTING);
static const u32 waiting_phases = BIT_OF(WAIT_DIFF) | BIT_OF(WAIT_ROOM) | BIT_OF(GIVING_UP);
static const u32 lost_phases = BIT_OF(LOST) | BIT_OF(LOST_UNMARKED) | BIT_OF(EMPTYING);
/* Snapshots are in memory and not given up. */
static const u32 guarded_phases = BIT_OF(ACTIVE) | BIT_OF(WAIT_DIFF) | BIT_OF(WAIT_ROOM) |
				  BIT_OF(GIVING_UP) | BIT_OF(BLOCKED) | BIT_OF(CLEARING) |
				  BIT_OF(RESETTING);

static bool in(u32 phase, u32 phases)
{
	return phases >> phase & 1;
}

static bool enters(const struct step *s, u32 phases)
{
	return s->d.phase != s->phase && in(s->d.phase, phases);
}

static bool leaves(const struct step *s, u32 phases)
{
	return in(s->phase, phases) && !in(s->d.phase, phases);
}

static bool does(const struct step *s, u32 actions)
{
	return s->d.actions & actions;
}

static bool is_fault(const struct step *s)
{
	return s->event >= COWP_EVENT_FAULT;
}

static bool is_fault_of(const struct step *s, enum cowp_fault fault)
{
	return s->event == COWP_EVENT_FAULT + fault;
}

static bool is_reset(const struct step *s)
{
	return s->event == COWP_EVENT_MSG_RESET || s->event == COWP_EVENT_MSG_RESET_FORCE;
}

static bool is_message(const struct step *s)
{
	return s->event >= COWP_EVENT_MSG_CREATE && s->event <= COWP_EVENT_MSG_CHECKPOINT;
}

static bool is_loaded(const struct step *s)
{
	return s->event == COWP_EVENT_LOADED_NONE || s->event == COWP_EVENT_LOADED_ACTIVE ||
	       s->event == COWP_EVENT_LOADED_LOST;
}

static bool without_protection(const struct step *s)
{
	return s->mode == COWP_KNOWN_NORMAL;
}

static bool same(const struct step *a, const struct step *b)
{
	return a->d.phase == b->d.phase && a->d.actions == b->d.actions &&
	       a->d.error == b->d.error;
}

/* An unreadable sector of the live device that need not stop the volume. */
static bool is_bad_sector(const struct step *s)
{
	return in(s->phase, copying_phases) && is_fault_of(s, COWP_FAULT_COW_READ_FAILURE) &&
	       (without_protection(s) || s->accept);
}

/* ---- the rules ---- */

enum { SILENT, HOLDS, BROKEN };

static int implies(bool premise, bool conclusion)
{
	if (!premise)
		return SILENT;
	return conclusion ? HOLDS : BROKEN;
}

static int answers_within_its_words(const struct step *s)
{
	return implies(true, s->d.phase < COWP_PHASE_COUNT &&
		       !(s->d.actions & ~(2 * COWP_ACT_BAD - 1)));
}

static int is_a_function(const struct step *s)
{
	struct step again = ask(s->mode, s->phase, s->event, s->accept);

	return implies(true, same(s, &again));
}

static int unknown_mode_is_as_protected(const struct step *s)
{
	struct step other = ask(COWP_KNOWN_PROTECTED, s->phase, s->event, s->accept);

	return implies(s->mode == COWP_KNOWN_NOT, same(s, &other));
}

static int accept_unreadable_is_about_unreadable_sectors_only(const struct step *s)
{
	struct step other = ask(s->mode, s->phase, s->event, !s->accept);

	return implies(!is_fault_of(s, COWP_FAULT_COW_READ_FAILURE) ||
		       !in(s->phase, copying_phases), same(s, &other));
}

/* Protected + fault: everything is held, reads too. */
static int protected_fault_blocks(const struct step *s)
{
	u32 working = BIT_OF(RECOVERING) | BIT_OF(ACTIVE) | BIT_OF(CLEARING);

	return implies(!without_protection(s) && is_fault(s) && in(s->phase, working) &&
		       !is_bad_sector(s),
		       s->d.phase == COWP_PHASE_BLOCKED && does(s, COWP_ACT_SET_FAULT));
}

static int protected_fault_opens_nothing(const struct step *s)
{
	return implies(!without_protection(s) && is_fault(s) && in(s->phase, held_phases),
		       in(s->d.phase, held_phases));
}

static int protected_never_begins_to_wait(const struct step *s)
{
	/* Protection ends the wait for room; the other waits refuse it. */
	return implies(!without_protection(s) && is_fault(s) && !in(s->phase, waiting_phases),
		       !in(s->d.phase, waiting_phases));
}

/* Snapshots are given up by the operator, or in normal mode by its wait. */
static int protected_snapshots_are_dropped_by_reset_only(const struct step *s)
{
	struct step protect = ask(s->mode, s->phase, COWP_EVENT_MSG_PROTECT, s->accept);
	bool drops = does(s, COWP_ACT_DROP);

	if (without_protection(s) || !drops || is_reset(s))
		return implies(drops && is_reset(s), true);
	/* The mark was asked for by reset, or by normal mode before protection came. */
	if (s->event == COWP_EVENT_MARKED)
		return implies(true, in(s->phase, BIT_OF(RESETTING) | BIT_OF(GIVING_UP)));
	/* Where such a wait runs nobody can have asked for protection since. */
	return implies(true, s->event == COWP_EVENT_WAIT_OVER && protect.d.error);
}

static int a_fault_drops_nothing(const struct step *s)
{
	return implies(is_fault(s), !does(s, COWP_ACT_DROP));
}

/* The volume does not stop for the snapshots' sake, beyond the two waits. */
static int normal_fault_does_not_block(const struct step *s)
{
	return implies(without_protection(s) && is_fault(s),
		       !enters(s, BIT_OF(BLOCKED)));
}

static int normal_fault_waits_or_gives_up(const struct step *s)
{
	u32 working = BIT_OF(RECOVERING) | BIT_OF(ACTIVE) | BIT_OF(CLEARING);

	return implies(without_protection(s) && is_fault(s) && in(s->phase, working) &&
		       !is_bad_sector(s),
		       in(s->d.phase, waiting_phases) && does(s, COWP_ACT_SET_FAULT));
}

static int giving_up_begins_with_the_mark(const struct step *s)
{
	return implies(enters(s, BIT_OF(GIVING_UP)), does(s, COWP_ACT_MARK));
}

/* Held writes go only after the mark is durable, or the wait ran out. */
static int lost_is_entered_with_a_durable_mark(const struct step *s)
{
	/* The emptying that failed had the mark from the start. */
	return implies(enters(s, BIT_OF(LOST)),
		       s->event == COWP_EVENT_MARKED || s->event == COWP_EVENT_LOADED_LOST ||
		       s->phase == COWP_PHASE_EMPTYING);
}

static int unmarked_release_comes_from_waiting_or_force(const struct step *s)
{
	return implies(enters(s, BIT_OF(LOST_UNMARKED)),
		       (s->event == COWP_EVENT_WAIT_OVER && in(s->phase, waiting_phases)) ||
		       s->event == COWP_EVENT_MSG_RESET_FORCE);
}

static int forced_reset_still_tries_to_mark(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MSG_RESET_FORCE && does(s, COWP_ACT_DROP),
		       does(s, COWP_ACT_MARK));
}

static int unmarked_is_marked_on_every_arrival(const struct step *s)
{
	return implies(s->event == COWP_EVENT_ARRIVED &&
		       in(s->phase, BIT_OF(LOST_UNMARKED) | BIT_OF(GIVING_UP)),
		       s->d.phase == s->phase && does(s, COWP_ACT_MARK));
}

/* What a release and the loss of snapshots have in common. */
static int lost_and_dropped_are_one(const struct step *s)
{
	bool goes = in(s->phase, guarded_phases & ~BIT_OF(CLEARING)) &&
		    in(s->d.phase, lost_phases);

	return implies(goes || (does(s, COWP_ACT_DROP) && s->phase != COWP_PHASE_RECOVERING &&
				s->phase != COWP_PHASE_CLEARING),
		       goes && does(s, COWP_ACT_DROP));
}

static int lost_stays_lost_until_it_is_emptied(const struct step *s)
{
	return implies(leaves(s, lost_phases), s->event == COWP_EVENT_EMPTIED &&
		       s->d.phase == COWP_PHASE_NONE);
}

static int the_empty_manifest_is_written_behind_the_mark(const struct step *s)
{
	return implies(does(s, COWP_ACT_EMPTY) || enters(s, BIT_OF(EMPTYING)),
		       does(s, COWP_ACT_EMPTY) && s->d.phase == COWP_PHASE_EMPTYING &&
		       ((s->phase == COWP_PHASE_LOST && is_reset(s)) ||
			(s->phase == COWP_PHASE_RESETTING && s->event == COWP_EVENT_MARKED)));
}

static int guarded_becomes_none_only_when_the_last_is_deleted(const struct step *s)
{
	return implies(in(s->phase, guarded_phases & ~BIT_OF(CLEARING)) &&
		       s->d.phase == COWP_PHASE_NONE,
		       s->event == COWP_EVENT_LAST_SNAPSHOT_GONE);
}

static int blocked_opens_cured_or_given_up(const struct step *s)
{
	/* Without protection a retry that fails waits, as at any other time. */
	bool waits = without_protection(s) && s->phase == COWP_PHASE_CLEARING &&
		     is_fault(s) && in(s->d.phase, waiting_phases);

	return implies(leaves(s, blocked_phases) && !waits,
		       does(s, COWP_ACT_CLEAR_FAULT | COWP_ACT_DROP) ||
		       (s->d.phase == COWP_PHASE_RECOVERING && does(s, COWP_ACT_LOAD)));
}

static int recovery_ends_loaded_or_faulted(const struct step *s)
{
	return implies(leaves(s, BIT_OF(RECOVERING)), is_loaded(s) || is_fault(s));
}

static int recovering_is_entered_by_loading(const struct step *s)
{
	return implies(enters(s, BIT_OF(RECOVERING)) || does(s, COWP_ACT_LOAD),
		       s->d.phase == COWP_PHASE_RECOVERING && does(s, COWP_ACT_LOAD));
}

static int the_fault_word_is_set_by_faults_and_the_wait_for_room(const struct step *s)
{
	return implies(does(s, COWP_ACT_SET_FAULT), is_fault(s) ||
		       (s->event == COWP_EVENT_WAIT_OVER && s->phase == COWP_PHASE_WAIT_ROOM));
}

/* Later faults follow from the first. */
static int the_first_fault_stands(const struct step *s)
{
	u32 standing = BIT_OF(BLOCKED) | BIT_OF(RESETTING) | BIT_OF(WAIT_DIFF) |
		       BIT_OF(GIVING_UP) | lost_phases;

	return implies(is_fault(s) && in(s->phase, standing),
		       s->d.phase == s->phase && !s->d.actions);
}

static int without_a_snapshot_no_fault_matters(const struct step *s)
{
	return implies(is_fault(s) && s->phase == COWP_PHASE_NONE,
		       s->d.phase == s->phase && !s->d.actions);
}

static int bad_records_are_for_unreadable_sectors(const struct step *s)
{
	return implies(does(s, COWP_ACT_BAD) || is_bad_sector(s),
		       is_bad_sector(s) && s->d.phase == s->phase &&
		       s->d.actions == COWP_ACT_BAD);
}

static int waits_belong_to_waiting(const struct step *s)
{
	return implies(does(s, COWP_ACT_WAIT_DIFF | COWP_ACT_WAIT_ROOM),
		       in(s->d.phase, waiting_phases) &&
		       !!does(s, COWP_ACT_WAIT_ROOM) == (s->d.phase == COWP_PHASE_WAIT_ROOM));
}

static int waiting_has_its_wait(const struct step *s)
{
	/* From one wait for the area to another it goes on. */
	return implies(enters(s, waiting_phases),
		       does(s, COWP_ACT_WAIT_DIFF | COWP_ACT_WAIT_ROOM) ||
		       s->phase == COWP_PHASE_WAIT_DIFF);
}

static int the_end_of_waiting_stops_the_wait(const struct step *s)
{
	return implies(leaves(s, waiting_phases) && s->d.phase != COWP_PHASE_RECOVERING,
		       does(s, COWP_ACT_STOP_WAIT));
}

static int a_running_wait_is_not_begun_again(const struct step *s)
{
	return implies(in(s->phase, waiting_phases) && s->d.phase == s->phase,
		       !does(s, COWP_ACT_WAIT_DIFF | COWP_ACT_WAIT_ROOM));
}

static int messages_raise_no_fault(const struct step *s)
{
	return implies(is_message(s), !does(s, COWP_ACT_SET_FAULT));
}

static int a_refused_message_moves_nothing(const struct step *s)
{
	return implies(is_message(s) && s->d.error,
		       s->d.phase == s->phase && !(s->d.actions & ~COWP_ACT_MARK));
}

static int only_messages_are_refused(const struct step *s)
{
	/* Two events answer the reset that started them. */
	return implies(s->d.error, is_message(s) || s->event == COWP_EVENT_MARK_FAILED ||
		       s->event == COWP_EVENT_EMPTY_FAILED);
}

static int work_moves_nothing(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MSG_CREATE || s->event == COWP_EVENT_MSG_DELETE ||
		       s->event == COWP_EVENT_MSG_GROW || s->event == COWP_EVENT_MSG_CHECKPOINT,
		       s->d.phase == s->phase && !s->d.actions);
}

static int reset_without_a_fault_drops_nothing(const struct step *s)
{
	return implies(is_reset(s) && in(s->phase, BIT_OF(NONE) | BIT_OF(ACTIVE)),
		       s->d.phase == s->phase && s->d.actions == COWP_ACT_NORMAL && !s->d.error);
}

/* Without a durable mark it is refused and releases nothing. */
static int reset_releases_behind_the_mark(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MSG_RESET, !does(s, COWP_ACT_DROP) &&
		       (in(s->d.phase, lost_phases) == in(s->phase, lost_phases)));
}

static int a_failed_mark_releases_nothing(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MARK_FAILED, !does(s, COWP_ACT_DROP) &&
		       (in(s->d.phase, lost_phases) == in(s->phase, lost_phases)));
}

static int clear_releases_nothing_by_itself(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MSG_CLEAR && in(s->phase, held_phases),
		       in(s->d.phase, held_phases) &&
		       !does(s, COWP_ACT_DROP | COWP_ACT_CLEAR_FAULT));
}

static int the_retry_decides_what_clear_does(const struct step *s)
{
	return implies(leaves(s, BIT_OF(CLEARING)), is_fault(s) || is_loaded(s) ||
		       s->event == COWP_EVENT_RETRY_GOOD ||
		       s->event == COWP_EVENT_LAST_SNAPSHOT_GONE);
}

static int modes_are_changed_by_their_messages(const struct step *s)
{
	return implies(does(s, COWP_ACT_NORMAL | COWP_ACT_PROTECT),
		       (!does(s, COWP_ACT_NORMAL) || is_reset(s) ||
			s->event == COWP_EVENT_MSG_NOPROTECT) &&
		       (!does(s, COWP_ACT_PROTECT) || s->event == COWP_EVENT_MSG_PROTECT));
}

/* No snapshot is given up by it, and none is once it was refused. */
static int noprotect_changes_the_mode_alone(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MSG_NOPROTECT, s->d.phase == s->phase &&
		       s->d.actions == (s->d.error ? 0 : COWP_ACT_NORMAL));
}

static int noprotect_is_refused_while_a_fault_stands(const struct step *s)
{
	u32 faulted = guarded_phases & ~BIT_OF(ACTIVE);

	return implies(s->event == COWP_EVENT_MSG_NOPROTECT && in(s->phase, faulted),
		       s->d.error < 0);
}

static int protect_opens_and_drops_nothing(const struct step *s)
{
	return implies(s->event == COWP_EVENT_MSG_PROTECT || s->event == COWP_EVENT_PROTECTED,
		       !does(s, COWP_ACT_DROP) &&
		       (s->d.phase == s->phase || s->d.phase == COWP_PHASE_BLOCKED));
}

static int faults_are_cleared_by_a_cure(const struct step *s)
{
	return implies(does(s, COWP_ACT_CLEAR_FAULT),
		       is_loaded(s) || s->event == COWP_EVENT_ROOM ||
		       s->event == COWP_EVENT_RETRY_GOOD || s->event == COWP_EVENT_EMPTIED ||
		       s->event == COWP_EVENT_LAST_SNAPSHOT_GONE);
}

struct rule {
	const char *name;
	int (*check)(const struct step *s);
};

#define RULE(name)	{ #name, name }
static const struct rule rules[] = {
	RULE(answers_within_its_words),
	RULE(is_a_function),
	RULE(unknown_mode_is_as_protected),
	RULE(accept_unreadable_is_about_unreadable_sectors_only),
	RULE(protected_fault_blocks),
	RULE(protected_fault_opens_nothing),
	RULE(protected_never_begins_to_wait),
	RULE(protected_snapshots_are_dropped_by_reset_only),
	RULE(a_fault_drops_nothing),
	RULE(normal_fault_does_not_block),
	RULE(normal_fault_waits_or_gives_up),
	RULE(giving_up_begins_with_the_mark),
	RULE(lost_is_entered_with_a_durable_mark),
	RULE(unmarked_release_comes_from_waiting_or_force),
	RULE(forced_reset_still_tries_to_mark),
	RULE(unmarked_is_marked_on_every_arrival),
	RULE(lost_and_dropped_are_one),
	RULE(lost_stays_lost_until_it_is_emptied),
	RULE(the_empty_manifest_is_written_behind_the_mark),
	RULE(guarded_becomes_none_only_when_the_last_is_deleted),
	RULE(blocked_opens_cured_or_given_up),
	RULE(recovery_ends_loaded_or_faulted),
	RULE(recovering_is_entered_by_loading),
	RULE(the_fault_word_is_set_by_faults_and_the_wait_for_room),
	RULE(the_first_fault_stands),
	RULE(without_a_snapshot_no_fault_matters),
	RULE(bad_records_are_for_unreadable_sectors),
	RULE(waits_belong_to_waiting),
	RULE(waiting_has_its_wait),
	RULE(the_end_of_waiting_stops_the_wait),
	RULE(a_running_wait_is_not_begun_again),
	RULE(messages_raise_no_fault),
	RULE(a_refused_message_moves_nothing),
	RULE(only_messages_are_refused),
	RULE(work_moves_nothing),
	RULE(reset_without_a_fault_drops_nothing),
	RULE(reset_releases_behind_the_mark),
	RULE(a_failed_mark_releases_nothing),
	RULE(clear_releases_nothing_by_itself),
	RULE(the_retry_decides_what_clear_does),
	RULE(modes_are_changed_by_their_messages),
	RULE(noprotect_changes_the_mode_alone),
	RULE(noprotect_is_refused_while_a_fault_stands),
	RULE(protect_opens_and_drops_nothing),
	RULE(faults_are_cleared_by_a_cure),
};

KUNIT_ARRAY_PARAM_DESC(rule, rules, name);

#define TRIPLES	(COWP_KNOWN_COUNT * COWP_PHASE_COUNT * COWP_EVENT_COUNT * 2)

static struct step nth_step(u32 n)
{
	bool accept = n % 2;
	u32 event = n / 2 % COWP_EVENT_COUNT;
	u32 phase = n / 2 / COWP_EVENT_COUNT % COWP_PHASE_COUNT;

	return ask(n / 2 / COWP_EVENT_COUNT / COWP_PHASE_COUNT, phase, event, accept);
}

static void rule_holds(struct kunit *test)
{
	const struct rule *rule = test->param_value;
	u32 n, spoken = 0, broken = 0;
	char name[160];

	for (n = 0; n < TRIPLES; n++) {
		struct step s = nth_step(n);
		int result = rule->check(&s);

		spoken += result != SILENT;
		broken += result == BROKEN;
		/* The first few tell enough. */
		if (result != BROKEN || broken > 5)
			continue;
		step_name(&s, name, sizeof(name));
		KUNIT_FAIL(test, "%s", name);
	}
	KUNIT_EXPECT_EQ(test, broken, 0);
	KUNIT_EXPECT_GT_MSG(test, spoken, 0, "the rule speaks of nothing");
}

/* ---- the table of all that moves ---- */

#define NORMAL		BIT(COWP_KNOWN_NORMAL)
#define GUARD		(BIT(COWP_KNOWN_PROTECTED) | BIT(COWP_KNOWN_NOT))
#define ANY		(NORMAL | GUARD)
#define EITHER		3U	/* accept_unreadable: bit 0 without, bit 1 with */
#define WITHOUT		1U
#define WITH		2U

/* A row's event that stands for several. */
enum {
	FAULT_OUT_OF_REACH = COWP_EVENT_COUNT,
	FAULT_THERE_AND_WRONG,
	FAULT_OF_THE_AREA,		/* likewise, but not an unreadable live sector */
	FAULT_BUT_UNREADABLE,		/* all but an unreadable live sector */
	FAULT_BUT_UNREADABLE_OR_FULL,
	FAULT_BUT_ROOM,			/* all but those that are about room */
	FAULT_ANY,
	WORK_MESSAGE,			/* create, delete, grow, checkpoint */
};

struct row {
	u32 phase;
	u32 event;
	u32 modes;
	u32 accept;
	u32 to;
	u32 actions;
	int error;
};

#define STAY	COWP_PHASE_COUNT	/* in a row's @to */
#define P(name)	COWP_PHASE_##name
#define E(name)	COWP_EVENT_##name
#define F(name)	(COWP_EVENT_FAULT + COWP_FAULT_##name)
#define A(name)	COWP_ACT_##name
#define MOVE(from, event, modes, to, actions) \
	{ P(from), event, modes, EITHER, P(to), actions, 0 }
#define REFUSE(from, event, error) \
	{ P(from), event, ANY, EITHER, STAY, 0, error }

static const struct row table[] = {
	/* Recovery. */
	MOVE(RECOVERING, E(LOADED_NONE), ANY, NONE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(RECOVERING, E(LOADED_ACTIVE), ANY, ACTIVE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(RECOVERING, E(LOADED_LOST), ANY, LOST, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(RECOVERING, FAULT_ANY, GUARD, BLOCKED, A(SET_FAULT) | A(STOP_WAIT)),
	MOVE(RECOVERING, FAULT_OUT_OF_REACH, NORMAL, WAIT_DIFF, A(SET_FAULT) | A(WAIT_DIFF)),
	MOVE(RECOVERING, FAULT_THERE_AND_WRONG, NORMAL, GIVING_UP,
	     A(SET_FAULT) | A(MARK) | A(WAIT_DIFF)),

	/* Copies fail. */
	MOVE(ACTIVE, FAULT_BUT_UNREADABLE, GUARD, BLOCKED, A(SET_FAULT) | A(STOP_WAIT)),
	MOVE(ACTIVE, FAULT_BUT_UNREADABLE_OR_FULL, NORMAL, GIVING_UP,
	     A(SET_FAULT) | A(MARK) | A(WAIT_DIFF)),
	MOVE(ACTIVE, F(DIFF_AREA_FULL), NORMAL, WAIT_ROOM, A(SET_FAULT) | A(WAIT_ROOM)),
	MOVE(ACTIVE, F(COW_READ_FAILURE), NORMAL, ACTIVE, A(BAD)),
	{ P(ACTIVE), F(COW_READ_FAILURE), GUARD, WITH, P(ACTIVE), A(BAD), 0 },
	{ P(ACTIVE), F(COW_READ_FAILURE), GUARD, WITHOUT, P(BLOCKED),
	  A(SET_FAULT) | A(STOP_WAIT), 0 },

	/* Normal mode waits. */
	MOVE(WAIT_DIFF, E(ARRIVED), ANY, RECOVERING, A(LOAD)),
	MOVE(WAIT_DIFF, E(WAIT_OVER), ANY, LOST_UNMARKED, A(DROP) | A(STOP_WAIT)),
	MOVE(WAIT_ROOM, E(ROOM), ANY, ACTIVE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(WAIT_ROOM, E(RETRY_GOOD), ANY, ACTIVE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(WAIT_ROOM, E(WAIT_OVER), ANY, GIVING_UP, A(SET_FAULT) | A(MARK) | A(WAIT_DIFF)),
	MOVE(WAIT_ROOM, FAULT_BUT_ROOM, ANY, GIVING_UP, A(SET_FAULT) | A(MARK) | A(WAIT_DIFF)),
	MOVE(WAIT_ROOM, E(LAST_SNAPSHOT_GONE), ANY, NONE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(WAIT_ROOM, E(PROTECTED), ANY, BLOCKED, A(STOP_WAIT)),

	/* Normal mode gives up. */
	MOVE(GIVING_UP, E(MARKED), ANY, LOST, A(DROP) | A(STOP_WAIT)),
	MOVE(GIVING_UP, E(WAIT_OVER), ANY, LOST_UNMARKED, A(DROP) | A(STOP_WAIT)),
	MOVE(GIVING_UP, E(ARRIVED), ANY, GIVING_UP, A(MARK)),
	MOVE(LOST_UNMARKED, E(ARRIVED), ANY, LOST_UNMARKED, A(MARK)),
	MOVE(LOST_UNMARKED, E(MARKED), ANY, LOST, 0),
	MOVE(LOST_UNMARKED, E(LOADED_LOST), ANY, LOST, A(CLEAR_FAULT) | A(STOP_WAIT)),

	/* Snapshots come and go. */
	MOVE(NONE, E(FIRST_SNAPSHOT), ANY, ACTIVE, 0),
	MOVE(ACTIVE, E(LAST_SNAPSHOT_GONE), ANY, NONE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(BLOCKED, E(LAST_SNAPSHOT_GONE), ANY, NONE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(CLEARING, E(LAST_SNAPSHOT_GONE), ANY, NONE, A(CLEAR_FAULT) | A(STOP_WAIT)),

	/* clear */
	MOVE(BLOCKED, E(ARRIVED), ANY, RECOVERING, A(LOAD)),
	MOVE(BLOCKED, E(MSG_CLEAR), ANY, CLEARING, A(RETRY)),
	MOVE(WAIT_DIFF, E(MSG_CLEAR), ANY, RECOVERING, A(LOAD)),
	MOVE(WAIT_ROOM, E(MSG_CLEAR), ANY, WAIT_ROOM, A(RETRY)),
	MOVE(CLEARING, E(RETRY_GOOD), ANY, ACTIVE, A(CLEAR_FAULT)),
	MOVE(CLEARING, E(LOADED_NONE), ANY, NONE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(CLEARING, E(LOADED_ACTIVE), ANY, ACTIVE, A(CLEAR_FAULT) | A(STOP_WAIT)),
	MOVE(CLEARING, E(LOADED_LOST), ANY, LOST, A(CLEAR_FAULT) | A(STOP_WAIT)),
	/* The copy that proves that all is well again. */
	MOVE(CLEARING, F(COW_READ_FAILURE), NORMAL, CLEARING, A(BAD)),
	{ P(CLEARING), F(COW_READ_FAILURE), GUARD, WITH, P(CLEARING), A(BAD), 0 },
	{ P(CLEARING), F(COW_READ_FAILURE), GUARD, WITHOUT, P(BLOCKED),
	  A(SET_FAULT) | A(STOP_WAIT), 0 },
	/* The mode may have become known by this attempt only. */
	MOVE(CLEARING, FAULT_BUT_UNREADABLE, GUARD, BLOCKED, A(SET_FAULT) | A(STOP_WAIT)),
	MOVE(CLEARING, FAULT_OUT_OF_REACH, NORMAL, WAIT_DIFF, A(SET_FAULT) | A(WAIT_DIFF)),
	MOVE(CLEARING, FAULT_OF_THE_AREA, NORMAL, GIVING_UP,
	     A(SET_FAULT) | A(MARK) | A(WAIT_DIFF)),
	REFUSE(RECOVERING, E(MSG_CLEAR), -EBUSY),
	REFUSE(GIVING_UP, E(MSG_CLEAR), -EBUSY),
	REFUSE(CLEARING, E(MSG_CLEAR), -EBUSY),
	REFUSE(RESETTING, E(MSG_CLEAR), -EBUSY),
	REFUSE(LOST, E(MSG_CLEAR), -ENODATA),
	REFUSE(LOST_UNMARKED, E(MSG_CLEAR), -ENODATA),
	REFUSE(EMPTYING, E(MSG_CLEAR), -ENODATA),

	/* reset */
	MOVE(NONE, E(MSG_RESET), ANY, NONE, A(NORMAL)),
	MOVE(ACTIVE, E(MSG_RESET), ANY, ACTIVE, A(NORMAL)),
	MOVE(LOST, E(MSG_RESET), ANY, EMPTYING, A(EMPTY)),
	MOVE(BLOCKED, E(MSG_RESET), ANY, RESETTING, A(MARK)),
	MOVE(WAIT_DIFF, E(MSG_RESET), ANY, GIVING_UP, A(MARK)),
	MOVE(WAIT_ROOM, E(MSG_RESET), ANY, GIVING_UP, A(MARK) | A(WAIT_DIFF)),
	MOVE(GIVING_UP, E(MSG_RESET), ANY, GIVING_UP, A(MARK)),
	{ P(LOST_UNMARKED), E(MSG_RESET), ANY, EITHER, P(LOST_UNMARKED), A(MARK), -EIO },
	REFUSE(RECOVERING, E(MSG_RESET), -EBUSY),
	REFUSE(CLEARING, E(MSG_RESET), -EBUSY),
	REFUSE(RESETTING, E(MSG_RESET), -EBUSY),
	REFUSE(EMPTYING, E(MSG_RESET), -EBUSY),
	MOVE(RESETTING, E(MARKED), ANY, EMPTYING, A(DROP) | A(STOP_WAIT) | A(EMPTY)),
	{ P(RESETTING), E(MARK_FAILED), ANY, EITHER, P(BLOCKED), 0, -EIO },
	MOVE(EMPTYING, E(EMPTIED), ANY, NONE, A(CLEAR_FAULT)),
	{ P(EMPTYING), E(EMPTY_FAILED), ANY, EITHER, P(LOST), 0, -EIO },

	/* reset force */
	MOVE(NONE, E(MSG_RESET_FORCE), ANY, NONE, A(NORMAL)),
	MOVE(ACTIVE, E(MSG_RESET_FORCE), ANY, ACTIVE, A(NORMAL)),
	MOVE(LOST, E(MSG_RESET_FORCE), ANY, EMPTYING, A(EMPTY)),
	MOVE(BLOCKED, E(MSG_RESET_FORCE), ANY, LOST_UNMARKED, A(DROP) | A(STOP_WAIT) | A(MARK)),
	MOVE(WAIT_DIFF, E(MSG_RESET_FORCE), ANY, LOST_UNMARKED, A(DROP) | A(STOP_WAIT) | A(MARK)),
	MOVE(WAIT_ROOM, E(MSG_RESET_FORCE), ANY, LOST_UNMARKED, A(DROP) | A(STOP_WAIT) | A(MARK)),
	MOVE(GIVING_UP, E(MSG_RESET_FORCE), ANY, LOST_UNMARKED, A(DROP) | A(STOP_WAIT) | A(MARK)),
	{ P(LOST_UNMARKED), E(MSG_RESET_FORCE), ANY, EITHER, P(LOST_UNMARKED), A(MARK), -EIO },
	REFUSE(RECOVERING, E(MSG_RESET_FORCE), -EBUSY),
	REFUSE(CLEARING, E(MSG_RESET_FORCE), -EBUSY),
	REFUSE(RESETTING, E(MSG_RESET_FORCE), -EBUSY),
	REFUSE(EMPTYING, E(MSG_RESET_FORCE), -EBUSY),

	/* protect */
	MOVE(NONE, E(MSG_PROTECT), ANY, NONE, A(PROTECT)),
	MOVE(ACTIVE, E(MSG_PROTECT), ANY, ACTIVE, A(PROTECT)),
	MOVE(WAIT_ROOM, E(MSG_PROTECT), ANY, WAIT_ROOM, A(PROTECT)),
	MOVE(BLOCKED, E(MSG_PROTECT), ANY, BLOCKED, A(PROTECT)),
	MOVE(LOST, E(MSG_PROTECT), ANY, LOST, A(PROTECT)),
	REFUSE(WAIT_DIFF, E(MSG_PROTECT), -EIO),
	REFUSE(LOST_UNMARKED, E(MSG_PROTECT), -EIO),
	REFUSE(RECOVERING, E(MSG_PROTECT), -EBUSY),
	REFUSE(GIVING_UP, E(MSG_PROTECT), -EBUSY),
	REFUSE(EMPTYING, E(MSG_PROTECT), -EBUSY),
	REFUSE(CLEARING, E(MSG_PROTECT), -EBUSY),
	REFUSE(RESETTING, E(MSG_PROTECT), -EBUSY),

	/* noprotect */
	MOVE(NONE, E(MSG_NOPROTECT), ANY, NONE, A(NORMAL)),
	MOVE(ACTIVE, E(MSG_NOPROTECT), ANY, ACTIVE, A(NORMAL)),
	MOVE(LOST, E(MSG_NOPROTECT), ANY, LOST, A(NORMAL)),
	REFUSE(WAIT_DIFF, E(MSG_NOPROTECT), -EIO),
	REFUSE(WAIT_ROOM, E(MSG_NOPROTECT), -EIO),
	REFUSE(GIVING_UP, E(MSG_NOPROTECT), -EIO),
	REFUSE(BLOCKED, E(MSG_NOPROTECT), -EIO),
	REFUSE(LOST_UNMARKED, E(MSG_NOPROTECT), -EIO),
	REFUSE(RECOVERING, E(MSG_NOPROTECT), -EBUSY),
	REFUSE(EMPTYING, E(MSG_NOPROTECT), -EBUSY),
	REFUSE(CLEARING, E(MSG_NOPROTECT), -EBUSY),
	REFUSE(RESETTING, E(MSG_NOPROTECT), -EBUSY),

	/* Messages that need a working area: what makes room is let in. */
	REFUSE(WAIT_ROOM, E(MSG_CREATE), -EIO),
	REFUSE(BLOCKED, E(MSG_CREATE), -EIO),
	REFUSE(LOST, WORK_MESSAGE, -ENODATA),
	REFUSE(LOST_UNMARKED, WORK_MESSAGE, -ENODATA),
	REFUSE(EMPTYING, WORK_MESSAGE, -ENODATA),
	REFUSE(WAIT_DIFF, WORK_MESSAGE, -EIO),
	REFUSE(GIVING_UP, WORK_MESSAGE, -EIO),
	REFUSE(RECOVERING, WORK_MESSAGE, -EBUSY),
	REFUSE(CLEARING, WORK_MESSAGE, -EBUSY),
	REFUSE(RESETTING, WORK_MESSAGE, -EBUSY),
};

/* Devices, machines and memory come back by themselves; contents do not. */
static bool out_of_reach(u32 fault)
{
	return fault == COWP_FAULT_DIFF_AREA_MISSING || fault == COWP_FAULT_DIFF_AREA_REMOVED ||
	       fault == COWP_FAULT_ONLINE_IO_FAILURE || fault == COWP_FAULT_TIMEOUT ||
	       fault == COWP_FAULT_MEMORY_ALLOCATION_FAILURE;
}

static bool event_matches(u32 pattern, u32 event)
{
	u32 fault = event - COWP_EVENT_FAULT;

	if (pattern < COWP_EVENT_COUNT)
		return pattern == event;
	if (pattern == WORK_MESSAGE)
		return event == E(MSG_CREATE) || event == E(MSG_DELETE) ||
		       event == E(MSG_GROW) || event == E(MSG_CHECKPOINT);
	if (event < COWP_EVENT_FAULT)
		return false;
	switch (pattern) {
	case FAULT_OUT_OF_REACH:
		return out_of_reach(fault);
	case FAULT_THERE_AND_WRONG:
		return !out_of_reach(fault);
	case FAULT_OF_THE_AREA:
		return !out_of_reach(fault) && event != F(COW_READ_FAILURE);
	case FAULT_BUT_UNREADABLE:
		return event != F(COW_READ_FAILURE);
	case FAULT_BUT_UNREADABLE_OR_FULL:
		return event != F(COW_READ_FAILURE) && event != F(DIFF_AREA_FULL);
	case FAULT_BUT_ROOM:
		return event != F(DIFF_AREA_FULL) && event != F(GROW_FAILED);
	default:
		return pattern == FAULT_ANY;
	}
}

static bool matches(const struct row *row, const struct step *s)
{
	return row->phase == s->phase && event_matches(row->event, s->event) &&
	       row->modes >> s->mode & 1 && row->accept >> s->accept & 1;
}

static const struct row *row_of(const struct step *s)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		if (matches(&table[i], s))
			return &table[i];
	return NULL;
}

/* ---- every triple against the table ---- */

/* A case for each mode and phase, over all events. */
struct place {
	u32 mode;
	u32 phase;
};

static const void *place_gen_params(const void *prev, char *desc)
{
	static struct place places[COWP_KNOWN_COUNT * COWP_PHASE_COUNT];
	struct place *next = prev ? (struct place *)prev + 1 : places;
	u32 n = next - places;

	if (n == ARRAY_SIZE(places))
		return NULL;
	next->mode = n / COWP_PHASE_COUNT;
	next->phase = n % COWP_PHASE_COUNT;
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s mode, %s: %u events, twice each",
		 mode_names[next->mode], phase_names[next->phase], COWP_EVENT_COUNT);
	return next;
}

static void triples_are_as_the_table_says(struct kunit *test)
{
	const struct place *p = test->param_value;
	u32 event, accept;
	char name[160];

	for (event = 0; event < COWP_EVENT_COUNT; event++) {
		for (accept = 0; accept < 2; accept++) {
			struct step s = ask(p->mode, p->phase, event, accept);
			const struct row *row = row_of(&s);
			u32 to = row && row->to != STAY ? row->to : s.phase;

			step_name(&s, name, sizeof(name));
			KUNIT_EXPECT_EQ_MSG(test, s.d.phase, to, "%s", name);
			KUNIT_EXPECT_EQ_MSG(test, s.d.actions, row ? row->actions : 0, "%s", name);
			KUNIT_EXPECT_EQ_MSG(test, s.d.error, row ? row->error : 0, "%s", name);
		}
	}
}

static void table_has_each_line_once(struct kunit *test)
{
	u32 seen[ARRAY_SIZE(table)] = { 0 };
	u32 n, i, matching;
	char name[160];

	for (n = 0; n < TRIPLES; n++) {
		struct step s = nth_step(n);

		matching = 0;
		for (i = 0; i < ARRAY_SIZE(table); i++) {
			if (!matches(&table[i], &s))
				continue;
			matching++;
			seen[i]++;
		}
		step_name(&s, name, sizeof(name));
		KUNIT_EXPECT_LE_MSG(test, matching, 1, "%s", name);
	}
	for (i = 0; i < ARRAY_SIZE(table); i++)
		KUNIT_EXPECT_GT_MSG(test, seen[i], 0, "line %u of the table speaks of nothing", i);
}

/* ---- words ---- */

static void phases_show_as_states(struct kunit *test)
{
	u32 phase;

	for (phase = 0; phase < COWP_PHASE_COUNT; phase++) {
		u32 state = phase == COWP_PHASE_RECOVERING ? COWP_STATE_RECOVERING :
			    phase == COWP_PHASE_NONE ? COWP_STATE_NONE :
			    phase == COWP_PHASE_ACTIVE ? COWP_STATE_ACTIVE :
			    in(phase, waiting_phases) ? COWP_STATE_WAITING :
			    in(phase, lost_phases) ? COWP_STATE_LOST :
			    in(phase, blocked_phases) ? COWP_STATE_BLOCKED : COWP_STATE_COUNT;

		KUNIT_EXPECT_EQ_MSG(test, cowp_phase_state(phase), state, "%s",
				    phase_names[phase]);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(rule_holds, rule_gen_params),
	KUNIT_CASE_PARAM(triples_are_as_the_table_says, place_gen_params),
	KUNIT_CASE(table_has_each_line_once),
	KUNIT_CASE(phases_show_as_states),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-protect",
	.test_cases = cases,
};

kunit_test_suite(suite);
