/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protection state machine: one pure function.
 *
 * It decides, the engine does: nothing here reads a clock, a disk or a lock.
 */
#ifndef COWP_PROTECT_H
#define COWP_PROTECT_H

#include "port.h"

/*
 * Phases: the states of the contract, with the steps between them that have to
 * be told apart.  The second column is the state that the user sees.
 */
#define COWP_PHASES(X)						\
	X(RECOVERING,	RECOVERING)	/* reading the diff area */	\
	X(NONE,		NONE)		/* no snapshot */		\
	X(ACTIVE,	ACTIVE)						\
	X(WAIT_DIFF,	WAITING)	/* normal mode: the area is out of reach */ \
	X(WAIT_ROOM,	WAITING)	/* normal mode: the area is full */	\
	X(GIVING_UP,	WAITING)	/* normal mode: the lost mark is being written */ \
	X(LOST,		LOST)		/* the mark is durable */	\
	X(LOST_UNMARKED, LOST)		/* it is not: tried again at each chance */ \
	X(EMPTYING,	LOST)		/* reset: the empty manifest is being written */ \
	X(BLOCKED,	BLOCKED)					\
	X(CLEARING,	BLOCKED)	/* clear: being tried */	\
	X(RESETTING,	BLOCKED)	/* reset: the lost mark is being written */

enum cowp_phase {
#define COWP_PHASE_ENUM(name, ...)	COWP_PHASE_##name,
	COWP_PHASES(COWP_PHASE_ENUM)
#undef COWP_PHASE_ENUM
	COWP_PHASE_COUNT
};

/*
 * Modes as the machine sees them: until the area was read the mode is unknown,
 * and what cannot be known is treated as protected.
 */
enum cowp_known_mode {
	COWP_KNOWN_NORMAL,
	COWP_KNOWN_PROTECTED,
	COWP_KNOWN_NOT,
	COWP_KNOWN_COUNT
};

/* What happens.  A fault is COWP_EVENT_FAULT plus the enum cowp_fault. */
#define COWP_EVENTS(X)							\
	X(LOADED_NONE)		/* recovery ended: no snapshots */	\
	X(LOADED_ACTIVE)	/* recovery ended: snapshots */		\
	X(LOADED_LOST)		/* recovery found the lost mark */	\
	X(ARRIVED)		/* a diff device where none could be read */ \
	X(ROOM)			/* free space again */			\
	X(WAIT_OVER)		/* the wait of normal mode ran out */	\
	X(MARKED)		/* the lost mark is durable */		\
	X(MARK_FAILED)							\
	X(RETRY_GOOD)		/* clear's retry succeeded */		\
	X(EMPTIED)		/* reset's empty manifest is durable */	\
	X(EMPTY_FAILED)							\
	X(FIRST_SNAPSHOT)	/* durable: from now on writes need copies */ \
	X(LAST_SNAPSHOT_GONE)						\
	X(MSG_CREATE)							\
	X(MSG_DELETE)							\
	X(MSG_PROTECT)							\
	X(MSG_NOPROTECT)						\
	X(MSG_RESET)							\
	X(MSG_RESET_FORCE)						\
	X(MSG_CLEAR)							\
	X(MSG_GROW)							\
	X(MSG_CHECKPOINT)						\
	X(PROTECTED)		/* protected mode is durable */		\
	X(FAULT)

enum cowp_event {
#define COWP_EVENT_ENUM(name)	COWP_EVENT_##name,
	COWP_EVENTS(COWP_EVENT_ENUM)
#undef COWP_EVENT_ENUM
	COWP_EVENT_COUNT = COWP_EVENT_FAULT + COWP_FAULT_COUNT
};

/* What the engine has to do, besides entering the phase. */
enum cowp_action {
	COWP_ACT_LOAD		= 1 << 0,	/* start recovery */
	COWP_ACT_MARK		= 1 << 1,	/* write the lost mark */
	COWP_ACT_RETRY		= 1 << 2,	/* clear: recovery, or prove that the area works */
	COWP_ACT_EMPTY		= 1 << 3,	/* write the empty manifest */
	COWP_ACT_WAIT_DIFF	= 1 << 4,	/* start the wait for the area */
	COWP_ACT_WAIT_ROOM	= 1 << 5,	/* start the wait for room */
	COWP_ACT_STOP_WAIT	= 1 << 6,
	COWP_ACT_SET_FAULT	= 1 << 7,	/* the event's word is the fault */
	COWP_ACT_CLEAR_FAULT	= 1 << 8,
	COWP_ACT_DROP		= 1 << 9,	/* forget the snapshots in memory */
	COWP_ACT_NORMAL		= 1 << 10,	/* reset, noprotect: normal mode, durable */
	COWP_ACT_PROTECT	= 1 << 11,	/* protect: likewise */
	COWP_ACT_BAD		= 1 << 12,	/* record the chunk as unreadable and go on */
};

/**
 * struct cowp_decision - what the machine answers
 * @phase:	enum cowp_phase to be in
 * @actions:	COWP_ACT_*, started after the phase was entered
 * @error:	messages: 0 to carry it out, or -errno to refuse it
 */
struct cowp_decision {
	u8 phase;
	u32 actions;
	int error;
};

/**
 * cowp_decide - the protection state machine
 * @mode:	enum cowp_known_mode
 * @phase:	enum cowp_phase
 * @event:	enum cowp_event
 * @accept_unreadable: the operator sent clear accept_unreadable
 *
 * Any context.
 */
struct cowp_decision cowp_decide(enum cowp_known_mode mode, enum cowp_phase phase,
				 u32 event, bool accept_unreadable);

/* The state that the user sees in a phase.  Any context. */
enum cowp_state cowp_phase_state(enum cowp_phase phase);

#endif /* COWP_PROTECT_H */
