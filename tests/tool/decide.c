// SPDX-License-Identifier: GPL-2.0-only
/* What the monitor does about a volume, as a function of how it is and of the time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka asks for the four above */
#include <cmocka.h>

#include "monitor/decide.h"

#define EXTEND	(DECIDE_ENLARGE | DECIDE_GROW)

static struct policy policy;
static struct watch watch;

static struct info volume(enum cowp_state state, enum cowp_fault fault)
{
	return (struct info){ .state = state, .fault = fault, .snapshots = 1 };
}

static u32 look(struct info info, u64 now)
{
	return decide(&watch, &policy, &info, now);
}

static int setup(void **state)
{
	(void)state;
	memset(&watch, 0, sizeof(watch));
	policy_default(&policy);
	policy.retry_first_secs = 5;
	policy.retry_most_secs = 30;
	return 0;
}

static const struct info good = { .state = COWP_STATE_ACTIVE };

static void nothing_wrong(void **state)
{
	(void)state;
	assert_int_equal(look(good, 0), 0);
	assert_int_equal(look(good, 1000), 0);
}

static void a_fault_is_told_once(void **state)
{
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_METADATA_CORRUPTION);

	(void)state;
	assert_int_equal(look(good, 0), 0);
	assert_int_equal(look(i, 1), DECIDE_TELL_FAULT | DECIDE_HOOK);
	assert_int_equal(look(i, 2), 0);
	i.fault = COWP_FAULT_EXTERNAL_WRITER;
	assert_int_equal(look(i, 3), DECIDE_TELL_FAULT | DECIDE_HOOK);
	assert_int_equal(look(good, 4), DECIDE_TELL_WELL);
	assert_int_equal(look(good, 5), 0);
}

static void a_fault_is_found_after_a_restart(void **state)
{
	(void)state;
	assert_int_equal(look(volume(COWP_STATE_BLOCKED, COWP_FAULT_TIMEOUT), 100),
			 DECIDE_TELL_FAULT | DECIDE_HOOK);
	assert_int_equal(look(volume(COWP_STATE_BLOCKED, COWP_FAULT_TIMEOUT), 105), DECIDE_CLEAR);
}

static void clear_backs_off(void **state)
{
	static const u64 times[] = { 5, 10, 20, 40, 70, 100 };
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_COW_WRITE_FAILURE);
	u64 now;
	u32 nr = 0;

	(void)state;
	look(i, 0);
	for (now = 1; now <= 100; now++) {
		bool due = now == times[nr];

		assert_int_equal(look(i, now), due ? DECIDE_CLEAR : 0);
		nr += due;
	}
	assert_int_equal(nr, ARRAY_SIZE(times));
}

/* A fault that comes back the moment that clear is sent is not told again as over and new. */
static void recovering_is_not_well(void **state)
{
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_IO_FAILURE);

	(void)state;
	look(i, 0);
	assert_int_equal(look(i, 5), DECIDE_CLEAR);
	assert_int_equal(look(volume(COWP_STATE_RECOVERING, COWP_FAULT_NONE), 6), 0);
	assert_int_equal(look(i, 7), 0);
	assert_int_equal(look(i, 10), DECIDE_CLEAR);
	assert_int_equal(look(good, 11), DECIDE_TELL_WELL);
}

static void clear_only_what_heals(void **state)
{
	static const bool heals[COWP_FAULT_COUNT] = {
		[COWP_FAULT_DIFF_AREA_MISSING] = true,
		[COWP_FAULT_ONLINE_IO_FAILURE] = true,
		[COWP_FAULT_MEMORY_ALLOCATION_FAILURE] = true,
		[COWP_FAULT_COW_READ_FAILURE] = true,
		[COWP_FAULT_COW_WRITE_FAILURE] = true,
		[COWP_FAULT_IO_FAILURE] = true,
		[COWP_FAULT_DIFF_AREA_REMOVED] = true,
		[COWP_FAULT_TIMEOUT] = true,
	};
	u32 fault;

	for (fault = 1; fault < COWP_FAULT_COUNT; fault++) {
		setup(state);
		look(volume(COWP_STATE_BLOCKED, fault), 0);
		assert_int_equal(look(volume(COWP_STATE_BLOCKED, fault), 1000),
				 heals[fault] ? DECIDE_CLEAR : 0);
		setup(state);
		policy.retry_clear = false;
		look(volume(COWP_STATE_BLOCKED, fault), 0);
		assert_int_equal(look(volume(COWP_STATE_BLOCKED, fault), 1000), 0);
	}
}

static void lost_is_left_alone(void **state)
{
	struct info i = volume(COWP_STATE_LOST, COWP_FAULT_COW_WRITE_FAILURE);

	(void)state;
	policy.extend_percent = 10;
	i.mark = INFO_MARKED;
	i.low_water = true;
	look(good, 0);
	assert_int_equal(look(i, 1), DECIDE_TELL_LOST | DECIDE_HOOK | DECIDE_TELL_LOW);
	assert_int_equal(look(i, 1000), 0);
	assert_int_equal(look(good, 1001), DECIDE_TELL_WELL);
}

static void low_room_is_told_without_policy(void **state)
{
	struct info i = good;

	(void)state;
	look(good, 0);
	i.low_water = true;
	assert_int_equal(look(i, 1), DECIDE_TELL_LOW);
	assert_int_equal(look(i, 1000), 0);
}

static void extension_at_once_then_backed_off(void **state)
{
	struct info i = good;

	(void)state;
	strcpy(policy.extend_command, "x");
	look(good, 0);
	i.low_water = true;
	assert_int_equal(look(i, 1), DECIDE_TELL_LOW | EXTEND);
	assert_int_equal(look(i, 5), 0);
	assert_int_equal(look(i, 6), EXTEND);
	assert_int_equal(look(i, 15), 0);
	assert_int_equal(look(i, 16), EXTEND);
	decide_extended(&watch, &policy, true, 17);
	assert_int_equal(look(i, 21), 0);
	assert_int_equal(look(i, 22), EXTEND);
	assert_int_equal(look(good, 23), 0);
	assert_int_equal(look(i, 24), DECIDE_TELL_LOW | EXTEND);
}

/* An area that cannot grow would take all of the volume group. */
static void not_enlarged_before_it_has_grown(void **state)
{
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_DIFF_AREA_FULL);

	(void)state;
	policy.extend_percent = 20;
	look(good, 0);
	assert_int_equal(look(i, 1), DECIDE_TELL_FAULT | DECIDE_HOOK | EXTEND);
	decide_enlarged(&watch);
	assert_int_equal(look(i, 6), DECIDE_GROW);
	assert_int_equal(look(i, 16), DECIDE_GROW);
	decide_extended(&watch, &policy, true, 17);
	assert_int_equal(look(i, 22), EXTEND);
}

/* No larger device makes room in a full list of runs. */
static void what_does_not_help_backs_off(void **state)
{
	static const u64 times[] = { 1, 6, 16, 36, 66, 96, 126 };
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_DIFF_AREA_FULL);
	u64 now;
	u32 nr = 0;

	(void)state;
	policy.extend_percent = 20;
	look(good, 0);
	for (now = 1; now <= 126; now++) {
		bool due = now == times[nr];

		assert_int_equal(look(i, now) & EXTEND, due ? EXTEND : 0);
		if (due) {
			decide_enlarged(&watch);
			decide_extended(&watch, &policy, false, now);
		}
		nr += due;
	}
	assert_int_equal(nr, ARRAY_SIZE(times));
}

static void a_full_area_is_extended(void **state)
{
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_DIFF_AREA_FULL);

	(void)state;
	policy.extend_percent = 20;
	look(good, 0);
	assert_int_equal(look(i, 1), DECIDE_TELL_FAULT | DECIDE_HOOK | EXTEND);
	assert_int_equal(look(i, 6), EXTEND);
}

static void a_broken_area_is_not_extended(void **state)
{
	struct info i = volume(COWP_STATE_BLOCKED, COWP_FAULT_COW_WRITE_FAILURE);

	(void)state;
	policy.extend_percent = 20;
	i.low_water = true;
	look(i, 0);
	assert_int_equal(look(i, 1000) & EXTEND, 0);
}

/* ---- the witness ---- */

static u32 look_with(enum witness_word stands, struct info info, u64 now)
{
	watch.witness = stands;
	return look(info, now) & (DECIDE_WRITE | DECIDE_REMOVE | DECIDE_TELL_UNHEARD);
}

static struct info lost(enum info_mark mark)
{
	struct info i = volume(COWP_STATE_LOST, COWP_FAULT_DIFF_AREA_REMOVED);

	i.mark = mark;
	return i;
}

static void a_wait_is_witnessed(void **state)
{
	struct info waits = volume(COWP_STATE_WAITING, COWP_FAULT_DIFF_AREA_REMOVED);

	(void)state;
	assert_int_equal(look_with(WITNESS_NONE, good, 0), 0);
	assert_int_equal(look_with(WITNESS_NONE, waits, 1), DECIDE_WRITE);
	assert_int_equal(look_with(WITNESS_WAITING, waits, 2), 0);
	assert_int_equal(look_with(WITNESS_WAITING, lost(INFO_UNMARKED), 3), DECIDE_WRITE);
	assert_int_equal(look_with(WITNESS_LOST, lost(INFO_UNMARKED), 4), 0);
	assert_int_equal(look_with(WITNESS_LOST, lost(INFO_UNMARKED), 100000), 0);
	assert_int_equal(look_with(WITNESS_LOST, lost(INFO_MARKED), 100001), DECIDE_REMOVE);
	assert_int_equal(look_with(WITNESS_NONE, lost(INFO_MARKED), 100002), 0);
}

static void the_witness_goes_when_it_goes_on(void **state)
{
	struct info waits = volume(COWP_STATE_WAITING, COWP_FAULT_DIFF_AREA_FULL);

	(void)state;
	assert_int_equal(look_with(WITNESS_NONE, waits, 0), DECIDE_WRITE);
	assert_int_equal(look_with(WITNESS_WAITING, volume(COWP_STATE_RECOVERING, 0), 1), 0);
	assert_int_equal(look_with(WITNESS_WAITING, waits, 2), 0);
	assert_int_equal(look_with(WITNESS_WAITING, good, 3), DECIDE_REMOVE);
	assert_int_equal(look_with(WITNESS_NONE, good, 4), 0);
	/* A second wait is witnessed as the first was. */
	assert_int_equal(look_with(WITNESS_NONE, waits, 5), DECIDE_WRITE);
}

/* What cannot be done now is tried again, less and less often. */
static void the_witness_is_tried_again(void **state)
{
	static const u64 times[] = { 1, 6, 16, 36, 66, 96 };
	struct info waits = volume(COWP_STATE_WAITING, COWP_FAULT_DIFF_AREA_REMOVED);
	u64 now;
	u32 nr = 0;

	(void)state;
	look_with(WITNESS_NONE, good, 0);
	for (now = 1; now <= 96; now++) {
		bool due = now == times[nr];

		assert_int_equal(look_with(WITNESS_NONE, waits, now), due ? DECIDE_WRITE : 0);
		nr += due;
	}
	assert_int_equal(nr, ARRAY_SIZE(times));
	/* Another thing to do waits for none of that. */
	assert_int_equal(look_with(WITNESS_WAITING, good, 97), DECIDE_REMOVE);
	assert_int_equal(look_with(WITNESS_WAITING, good, 98), 0);
	assert_int_equal(look_with(WITNESS_WAITING, good, 102), DECIDE_REMOVE);
}

/* Whoever has not heard it has snapshots that may be wrong, and is told so once. */
static void an_unheard_witness_stays(void **state)
{
	(void)state;
	assert_int_equal(look_with(WITNESS_UNHEARD, good, 0), DECIDE_TELL_UNHEARD);
	assert_int_equal(look_with(WITNESS_UNHEARD, good, 1), 0);
	assert_int_equal(look_with(WITNESS_UNHEARD, lost(INFO_MARKED), 2), DECIDE_REMOVE);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_wrong, setup),
		cmocka_unit_test_setup(a_fault_is_told_once, setup),
		cmocka_unit_test_setup(a_fault_is_found_after_a_restart, setup),
		cmocka_unit_test_setup(clear_backs_off, setup),
		cmocka_unit_test_setup(recovering_is_not_well, setup),
		cmocka_unit_test_setup(clear_only_what_heals, setup),
		cmocka_unit_test_setup(lost_is_left_alone, setup),
		cmocka_unit_test_setup(low_room_is_told_without_policy, setup),
		cmocka_unit_test_setup(extension_at_once_then_backed_off, setup),
		cmocka_unit_test_setup(not_enlarged_before_it_has_grown, setup),
		cmocka_unit_test_setup(what_does_not_help_backs_off, setup),
		cmocka_unit_test_setup(a_full_area_is_extended, setup),
		cmocka_unit_test_setup(a_broken_area_is_not_extended, setup),
		cmocka_unit_test_setup(a_wait_is_witnessed, setup),
		cmocka_unit_test_setup(the_witness_goes_when_it_goes_on, setup),
		cmocka_unit_test_setup(the_witness_is_tried_again, setup),
		cmocka_unit_test_setup(an_unheard_witness_stays, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
