// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect.conf: what is taken, and what is said of what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka asks for the first four */
#include <cmocka.h>

#include "monitor/policy.h"
#include "tool.h"

static char error[512];

static bool take(const char *text, struct policy *p)
{
	char path[] = "/tmp/cowprotect-policy-XXXXXX";
	int fd = mkstemp(path);
	bool good_file;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	error[0] = 0;
	good_file = policy_read(p, path, "data", error, sizeof(error));
	assert_int_equal(unlink(path), 0);
	return good_file;
}

static void no_file(void **state)
{
	struct policy p;

	(void)state;
	assert_true(policy_read(&p, "/nonexistent/cowprotect.conf", "data", error, sizeof(error)));
	assert_true(p.retry_clear);
	assert_int_equal(p.extend_percent, 0);
	assert_int_equal(p.command_secs, 60);
}

static void sections(void **state)
{
	struct policy p;

	(void)state;
	assert_true(take("# all\nextend_percent = 10\nretry_clear=no\n"
			 "[volume other]\nextend_percent = 30\n"
			 "[volume data]\nextend_percent = 20\nfault_command = mail -s 'it; is' root\n",
			 &p));
	assert_int_equal(p.extend_percent, 20);
	assert_false(p.retry_clear);
	assert_string_equal(p.fault_command, "mail -s 'it; is' root");
	assert_string_equal(p.extend_command, "");
}

static void wrong_files(void **state)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{ "extend_percent = ten\n",
		  ":1: extend_percent: 'ten' is not a number from 0 to 1000; give one" },
		{ "\nextend_percent = 1001\n",
		  ":2: extend_percent: '1001' is not a number from 0 to 1000; give one" },
		{ "extend_percent = -1\n",
		  ":1: extend_percent: '-1' is not a number from 0 to 1000; give one" },
		{ "extend_percent =\n",
		  ":1: extend_percent: '' is not a number from 0 to 1000; give one" },
		{ "command_secs = 0\n",
		  ":1: command_secs: '0' is not a number from 1 to 3600; give one" },
		{ "retry_first_secs = 99999999999999999999\n",
		  ":1: retry_first_secs: '99999999999999999999' is not a number from 1 to 86400; give one",
		},
		{ "retry_most_secs = 7x\n",
		  ":1: retry_most_secs: '7x' is not a number from 1 to 86400; give one" },
		{ "retry_clear = true\n",
		  ":1: retry_clear: 'true' is neither yes nor no; give one of them" },
		{ "# c\n\nretry_clera = yes\n",
		  ":3: there is no 'retry_clera'; see cowprotect.conf(5) for what there is" },
		{ "[data]\nretry_clear = yes\n",
		  ":2: there is no section [data]; write [volume NAME]" },
		{ "[volume other]\nretry_clear = maybe\n",
		  ":2: retry_clear: 'maybe' is neither yes nor no; give one of them" },
		{ "retry_clear\n",
		  ":1: is no 'KEY = VALUE', section or comment of up to 199 letters; mend it" },
		{ "[volume data\nretry_clear = yes\n",
		  ":1: is no 'KEY = VALUE', section or comment of up to 199 letters; mend it" },
		{ "extend_percent = 5\nextend_command = x\n",
		  ": for data: extend_percent and extend_command exclude each other; leave one away",
		},
		{ "retry_first_secs = 60\nretry_most_secs = 59\n",
		  ": for data: retry_most_secs is below retry_first_secs; make it larger" },
	};
	struct policy p = { .command_secs = 77 };
	char line[400];
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *at;

		assert_false(take(wrong[i].text, &p));
		at = strchr(error, ':');
		assert_non_null(at);
		assert_string_equal(at, wrong[i].error);
		assert_int_equal(p.command_secs, 77);
	}
	/* A line that does not fit must not lose its end. */
	snprintf(line, sizeof(line), "fault_command = %0300d\n", 0);
	assert_false(take(line, &p));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file),
		cmocka_unit_test(sections),
		cmocka_unit_test(wrong_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
