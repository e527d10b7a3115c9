// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of what the command takes apart and puts together: the status line,
 * the list's lines, sizes, names, options, exit statuses, remedies, JSON.
 *
 *	unit			run them
 *	unit --status		JSON documents of volumes in every state with every fault
 *	unit --list		likewise of a list
 *	unit --remedies		every step of every remedy, a line each
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "remedy.h"
#include "report.h"
#include "table-options.h"

#define GOOD	"protected blocked diff-area-full 28 100/200 low 3 4 9 12 1024/2048 5 6 7 8 9 -"

static void info_takes_every_word(void **state)
{
	struct info i;

	(void)state;
	assert_null(info_parse(&i, GOOD));
	assert_int_equal(i.mode, COWP_MODE_PROTECTED);
	assert_int_equal(i.state, COWP_STATE_BLOCKED);
	assert_int_equal(i.fault, COWP_FAULT_DIFF_AREA_FULL);
	assert_int_equal(i.error, 28);
	assert_int_equal(i.used, 100);
	assert_int_equal(i.total, 200);
	assert_true(i.low_water);
	assert_int_equal(i.snapshots, 3);
	assert_int_equal(i.oldest, 4);
	assert_int_equal(i.newest, 9);
	assert_int_equal(i.held, 12);
	assert_int_equal(i.memory_used, 1024);
	assert_int_equal(i.memory_limit, 2048);
	assert_int_equal(i.preserved, 5);
	assert_int_equal(i.batches, 6);
	assert_int_equal(i.diff_writes, 7);
	assert_int_equal(i.diff_flushes, 8);
	assert_int_equal(i.diff_bytes, 9);
	assert_int_equal(i.mark, INFO_NO_MARK);
}

static void info_takes_what_is_not_there(void **state)
{
	struct info i;

	(void)state;
	assert_null(info_parse(&i, "normal recovering none - - - 0 - - 0 7/8 0 0 0 0 0 -"));
	assert_int_equal(i.error, 0);
	assert_int_equal(i.total, 0);
	assert_false(i.low_water);
	assert_int_equal(i.oldest, 0);
}

static void info_takes_marks_and_later_words(void **state)
{
	static const char start[] = "normal lost diff-area-removed 19 - - 0 - - 0 7/8 0 0 0 0 0 ";
	char line[128];
	struct info i;

	(void)state;
	snprintf(line, sizeof(line), "%smarked", start);
	assert_null(info_parse(&i, line));
	assert_int_equal(i.mark, INFO_MARKED);
	snprintf(line, sizeof(line), "%sunmarked 12 later words", start);
	assert_null(info_parse(&i, line));
	assert_int_equal(i.mark, INFO_UNMARKED);
}

static void info_refuses(const char *line, const char *wrong)
{
	struct info i;
	const char *said = info_parse(&i, line);

	assert_non_null(said);
	assert_string_equal(said, wrong);
}

static void info_refuses_what_is_wrong(void **state)
{
	(void)state;
	info_refuses("", "mode");
	info_refuses("Fail", "mode");
	info_refuses("protected", "state");
	info_refuses("protected asleep none", "state");
	info_refuses("protected active tired", "fault");
	info_refuses("protected active none x", "errno");
	info_refuses("protected active none -5", "errno");
	info_refuses("protected active none 99999999999", "errno");
	info_refuses("protected active none - 100", "used/total");
	info_refuses("protected active none - 100/", "used/total");
	info_refuses("protected active none - /200", "used/total");
	info_refuses("protected active none - 1/2 high", "low water");
	info_refuses("protected active none - 1/2 - -", "snapshots");
	info_refuses("protected active none - 1/2 - 1 a 1", "oldest or newest");
	info_refuses("protected active none - 1/2 - 1 1 1 -", "held");
	info_refuses("protected active none - 1/2 - 1 1 1 0 -", "memory");
	info_refuses("protected active none - 1/2 - 1 1 1 0 1/2 3 4 5 6", "counters");
	info_refuses("protected active none - 1/2 - 1 1 1 0 1/2 3 4 5 6 18446744073709551616 -",
		     "counters");
	info_refuses("protected active none - 1/2 - 1 1 1 0 1/2 3 4 5 6 7", "mark");
	info_refuses("protected active none - 1/2 - 1 1 1 0 1/2 3 4 5 6 7 maybe", "mark");
}

/* No line that is cut off anywhere is taken for a whole one. */
static void info_refuses_every_beginning(void **state)
{
	char line[sizeof(GOOD)];
	struct info i;
	size_t length;

	(void)state;
	for (length = 0; length + 2 < sizeof(GOOD); length++) {
		snprintf(line, sizeof(line), "%.*s", (int)length, GOOD);
		assert_non_null(info_parse(&i, line));
	}
}

static void list_lines(void **state)
{
	struct snapshot s;

	(void)state;
	assert_true(snapshot_parse(&s, "7 active 1700000000 2048 before-upgrade"));
	assert_int_equal(s.id, 7);
	assert_false(s.deleting);
	assert_int_equal(s.created, 1700000000);
	assert_int_equal(s.sectors, 2048);
	assert_string_equal(s.label, "before-upgrade");
	assert_true(snapshot_parse(&s, "8 deleting 0 8 -"));
	assert_true(s.deleting);
	assert_string_equal(s.label, "");
	assert_false(snapshot_parse(&s, ""));
	assert_false(snapshot_parse(&s, "0 active 1 8 -"));
	assert_false(snapshot_parse(&s, "7 open 1 8 -"));
	assert_false(snapshot_parse(&s, "7 active 1 8"));
	assert_false(snapshot_parse(&s, "7 active 1 8 a b"));
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		u64 sectors;	/* 0: refused */
	} cases[] = {
		{ "512", 1 }, { "8s", 8 }, { "4K", 8 }, { "1M", 2048 }, { "1G", 2097152 },
		{ "3T", 3ULL << 31 }, { "2P", 2ULL << 41 }, { "", 0 }, { "K", 0 }, { "0", 0 },
		{ "511", 0 }, { "-1", 0 }, { "1k", 0 }, { "1KB", 0 }, { "1 K", 0 }, { "1.5M", 0 },
		{ "16384P", 0 }, { "99999999999999999999", 0 }, { "0x10K", 0 }, { "1ss", 0 },
	};
	u64 sectors;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *bad = tool_sectors(cases[i].text, &sectors);

		if (cases[i].sectors) {
			assert_null(bad);
			assert_int_equal(sectors, cases[i].sectors);
		} else {
			assert_non_null(bad);
		}
	}
}

static void names(void **state)
{
	char name[NAME_CHARS], uuid[NAME_CHARS], area[NAME_AREA + 1], longest[NAME_LONGEST + 2];
	static const char some[] = "0123456789abcdef0123456789abcdef";
	enum name_role role;
	u32 id;

	(void)state;
	assert_null(name_wrong("data"));
	assert_null(name_wrong("vg0-data_1.x@home"));
	assert_non_null(name_wrong(""));
	assert_non_null(name_wrong("-data"));
	assert_non_null(name_wrong("../data"));
	assert_non_null(name_wrong("a b"));
	assert_non_null(name_wrong("a/b"));
	memset(longest, 'x', sizeof(longest));
	longest[NAME_LONGEST + 1] = 0;
	assert_non_null(name_wrong(longest));
	longest[NAME_LONGEST] = 0;
	assert_null(name_wrong(longest));
	assert_string_equal(name_plain("/dev/mapper/data"), "data");
	assert_string_equal(name_plain("data"), "data");
	name_of(name, longest, NAME_SNAPSHOT, COWP_MAX_EPOCH);
	assert_true(strlen(name) < NAME_CHARS - 1);
	name_of(name, "data", NAME_LIVE, 7);
	assert_string_equal(name, "data");
	for (role = NAME_LIVE; role < NAME_ROLES; role++) {
		char volume[NAME_CHARS];
		enum name_role found;

		name_of(name, "data-diff", role, 42);
		name_volume(volume, name, role, 42);
		assert_string_equal(volume, "data-diff");
		name_volume(volume, "cowprotect-", role, 42);
		assert_string_equal(volume, "cowprotect-");
		name_uuid(uuid, some, role, 42);
		assert_true(name_parse(uuid, area, &found, &id));
		assert_int_equal(found, role);
		assert_int_equal(id, role >= NAME_SNAPSHOT ? 42 : 0);
		assert_string_equal(area, some);
	}
	assert_false(name_parse("LVM-abc", area, &role, &id));
	assert_false(name_parse("COWPROTECT-data", area, &role, &id));
	assert_false(name_parse("COWPROTECT-0123456789abcdef0123456789abcdef", area, &role, &id));
	assert_false(name_parse("COWPROTECT-0123456789abcdef0123456789abcdef-livex", area, &role,
				&id));
	assert_false(name_parse("COWPROTECT-0123456789abcdef0123456789abcdef-snap-", area, &role,
				&id));
	assert_false(name_parse("COWPROTECT-0123456789abcdef0123456789abcdef-snap-07", area, &role,
				&id));
}

static void options_refuse(const char *list, const char *option, const char *why)
{
	struct table_options o = { 0 };
	const char *bad = table_options_take(&o, list);

	assert_non_null(bad);
	assert_string_equal(o.wrong, option);
	assert_non_null(strstr(bad, why));
}

static void options(void **state)
{
	struct table_options o = { 0 };

	(void)state;
	assert_null(table_options_take(&o, "protect,diff_wait_secs=30,discard_freed"));
	assert_int_equal(o.count, 4);
	assert_string_equal(o.words, " protect diff_wait_secs 30 discard_freed");
	assert_null(table_options_take(&o, "low_water=18446744073709551615"));
	assert_int_equal(o.count, 6);
	options_refuse("", "", "is no option");
	options_refuse("protect,", "", "is no option");
	options_refuse("format", "format", "is no option");
	options_refuse("uuid=1", "uuid=1", "is no option");
	options_refuse("protect,protect", "protect", "twice");
	options_refuse("protect,noprotect", "noprotect", "excludes");
	options_refuse("protect=1", "protect=1", "takes no value");
	options_refuse("low_water", "low_water", "needs a value");
	options_refuse("low_water=", "low_water=", "not a number");
	options_refuse("low_water=1 format", "low_water=1 format", "not a number");
	options_refuse("grow_wait_secs=604801", "grow_wait_secs=604801", "too large");
}

static void exit_statuses(void **state)
{
	static const struct tool_action fsck = { .fsck = true }, verity = { .fsck = false };

	(void)state;
	assert_int_equal(tool_status(&verity, tool_ended(0)), 0);
	assert_int_equal(tool_status(&verity, tool_ended(-EIO)), 1);
	assert_int_equal(tool_status(&verity, TOOL_USAGE), 1);
	assert_int_equal(tool_status(NULL, TOOL_USAGE), 1);
	assert_int_equal(tool_status(&verity, tool_ended(-EPERM)), 2);
	assert_int_equal(tool_status(&verity, tool_ended(EACCES)), 2);
	assert_int_equal(tool_status(&verity, tool_ended(-ENOMEM)), 3);
	assert_int_equal(tool_status(&verity, tool_ended(-ENOENT)), 4);
	assert_int_equal(tool_status(&verity, tool_ended(-ENXIO)), 4);
	assert_int_equal(tool_status(&verity, tool_ended(-EEXIST)), 5);
	assert_int_equal(tool_status(&verity, tool_ended(-EBUSY)), 5);
	assert_int_equal(tool_status(&fsck, TOOL_OK), 0);
	assert_int_equal(tool_status(&fsck, TOOL_FOUND), 4);
	assert_int_equal(tool_status(&fsck, tool_ended(-ENOENT)), 8);
	assert_int_equal(tool_status(&fsck, tool_ended(-EBUSY)), 8);
	assert_int_equal(tool_status(&fsck, TOOL_USAGE), 16);
}

/* Every fault has a reason and something to do, and names the volume. */
static void remedies(void **state)
{
	struct info i = { .state = COWP_STATE_BLOCKED, .mode = COWP_MODE_PROTECTED };
	struct remedy r;
	u32 step;

	(void)state;
	assert_false(remedy_find(&r, "data", &i));
	for (i.fault = COWP_FAULT_NONE + 1; i.fault < COWP_FAULT_COUNT; i.fault++) {
		bool command = false;

		assert_true(remedy_find(&r, "data", &i));
		assert_true(strlen(r.reason) > 0);
		for (step = 0; step < r.count; step++) {
			assert_null(strchr(r.steps[step], '@'));
			command |= strstr(r.steps[step], "cowprotect") &&
				   strstr(r.steps[step], " data");
		}
		assert_true(command);
	}
	/* Words that no volume has today, so that no drill can do what they say */
	i.fault = COWP_FAULT_GROW_FAILED;
	assert_true(remedy_find(&r, "data", &i));
	assert_string_equal(r.reason, "the diff area could not take up its new size");
	assert_int_equal(r.count, 3);
	assert_string_equal(r.steps[1], "cowprotect grow data");
	assert_string_equal(r.steps[2], "cowprotect clear data");
	i.fault = COWP_FAULT_INTERNAL_ERROR;
	assert_true(remedy_find(&r, "data", &i));
	assert_int_equal(r.count, 2);
	assert_string_equal(r.steps[0], "report it with the kernel log");
	assert_string_equal(r.steps[1], "cowprotect clear data");
	i.state = COWP_STATE_LOST;
	i.fault = COWP_FAULT_DIFF_AREA_REMOVED;
	i.mark = INFO_UNMARKED;
	assert_true(remedy_find(&r, "data", &i));
	assert_non_null(strstr(r.steps[0], "given_up"));
	assert_non_null(strstr(r.steps[1], "cowprotect reset data"));
}

/* ---- what other programs judge ---- */

static struct volume some_volume(void)
{
	struct volume v = {
		.device = { .name = "data", .area = "0123456789abcdef0123456789abcdef" },
		.sectors = 2048,
		.live = "250:1",
		.diff = "250:2",
		.chunk_sectors = 8,
		.options = "",
	};

	info_parse(&v.info, GOOD);
	return v;
}

static void print_status(void)
{
	struct volume v = some_volume();
	json_object *volumes = json_object_new_array();

	report_document(json_object_new_array(), stdout);
	for (v.info.state = 0; v.info.state < COWP_STATE_COUNT; v.info.state++) {
		for (v.info.fault = 0; v.info.fault < COWP_FAULT_COUNT; v.info.fault++) {
			v.info.mark = v.info.state == COWP_STATE_LOST ? 1 + v.info.fault % 2 : 0;
			v.info.mode = v.info.fault % 2;
			json_object_array_add(volumes, report_json(&v));
		}
	}
	strcpy(v.diff, VOLUME_NO_DIFF);
	v.info.state = COWP_STATE_BLOCKED;
	v.info.fault = COWP_FAULT_DIFF_AREA_MISSING;
	json_object_array_add(volumes, report_json(&v));
	report_document(volumes, stdout);
}

static void print_list(void)
{
	const struct snapshot list[] = {
		{ .id = 1, .created = 1700000000, .sectors = 2048, .label = "a\"b\\c/d" },
		{ .id = COWP_MAX_EPOCH, .created = ~0ULL >> 1, .sectors = 8, .deleting = true },
	};
	struct volume v = some_volume();
	json_object *volumes = json_object_new_array();

	json_object_array_add(volumes, report_snapshots_json(&v, list, 0));
	json_object_array_add(volumes, report_snapshots_json(&v, list, ARRAY_SIZE(list)));
	report_document(volumes, stdout);
}

static void print_remedies(void)
{
	struct volume v = some_volume();
	struct remedy r;
	u32 i;

	for (v.info.fault = 0; v.info.fault < COWP_FAULT_COUNT; v.info.fault++)
		for (i = 0; remedy_find(&r, "data", &v.info) && i < r.count; i++)
			puts(r.steps[i]);
	v.info.state = COWP_STATE_LOST;
	v.info.fault = COWP_FAULT_NONE;
	v.info.mark = INFO_UNMARKED;
	for (i = 0; remedy_find(&r, "data", &v.info) && i < r.count; i++)
		puts(r.steps[i]);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(info_takes_every_word),
		cmocka_unit_test(info_takes_what_is_not_there),
		cmocka_unit_test(info_takes_marks_and_later_words),
		cmocka_unit_test(info_refuses_what_is_wrong),
		cmocka_unit_test(info_refuses_every_beginning),
		cmocka_unit_test(list_lines),
		cmocka_unit_test(sizes),
		cmocka_unit_test(names),
		cmocka_unit_test(options),
		cmocka_unit_test(exit_statuses),
		cmocka_unit_test(remedies),
	};

	if (argc == 1)
		return cmocka_run_group_tests(tests, NULL, NULL);
	if (!strcmp(argv[1], "--status"))
		print_status();
	else if (!strcmp(argv[1], "--list"))
		print_list();
	else if (!strcmp(argv[1], "--remedies"))
		print_remedies();
	return 0;
}
