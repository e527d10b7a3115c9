/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is to be done about a volume: a function of what it was, what it is, what
 * the administrator wants, and the time.  No I/O, no clock of its own.
 */
#ifndef COWP_MONITOR_DECIDE_H
#define COWP_MONITOR_DECIDE_H

#include "info.h"
#include "policy.h"
#include "witness.h"

/**
 * struct wait - between attempts
 * @until:	no other attempt before; seconds
 * @secs:	the wait before the next one after that
 */
struct wait {
	u64 until;
	u32 secs;
};

/**
 * struct watch - what is remembered of a volume
 * @seen:	it was looked at
 * @state:	as told last
 * @fault:	likewise
 * @low_water:	likewise
 * @clear:	attempts to send clear
 * @extend:	attempts to enlarge the diff device
 * @enlarged:	it was, but the diff area has not taken it up yet
 * @witness:	what stands; whoever asks has looked
 * @due:	what was to be done about that
 * @record:	attempts to do it
 * @unheard:	it was told that this activation was not told
 */
struct watch {
	bool seen;
	enum cowp_state state;
	enum cowp_fault fault;
	bool low_water;
	struct wait clear;
	struct wait extend;
	bool enlarged;
	enum witness_word witness;
	enum witness_due due;
	struct wait record;
	bool unheard;
};

/* To be done */
enum decision {
	DECIDE_TELL_FAULT	= 1 << 0,	/* a fault has come, or another one */
	DECIDE_TELL_LOST	= 1 << 1,	/* the snapshots were given up */
	DECIDE_TELL_WELL	= 1 << 2,	/* the fault is over */
	DECIDE_TELL_LOW		= 1 << 3,	/* room runs low */
	DECIDE_HOOK		= 1 << 4,	/* run the fault's command */
	DECIDE_ENLARGE		= 1 << 5,	/* the diff device */
	DECIDE_GROW		= 1 << 6,	/* take up its new size, clear if blocked */
	DECIDE_CLEAR		= 1 << 7,	/* send clear */
	DECIDE_WRITE		= 1 << 8,	/* the witness, before anything else */
	DECIDE_REMOVE		= 1 << 9,	/* the witness */
	DECIDE_TELL_UNHEARD	= 1 << 10,	/* nobody heard it at the activation */
};

/*
 * decide - what to do now
 * @now:	seconds of a monotonic clock
 *
 * Takes the attempts that it decides on as made.
 */
u32 decide(struct watch *w, const struct policy *p, const struct info *info, u64 now);

/* The device is larger now: until the area has taken that up it is not enlarged again. */
void decide_enlarged(struct watch *w);

/*
 * decide_extended - the area has taken the larger device up
 * @helped:	no fault stands any more
 *
 * Then the next extension, if room is low again, waits no longer.  An area can be full
 * of what no larger device makes room for: attempts that do not help are made ever more
 * seldom, as those that fail, or they would soon have taken all of the volume group.
 */
void decide_extended(struct watch *w, const struct policy *p, bool helped, u64 now);

#endif /* COWP_MONITOR_DECIDE_H */
