// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect.conf: what is taken.  What is said of what is not has its place in
 * wrong-input.
 *
 *	policy			run the tests
 *	policy FILE		read it for the volume data: an error on standard error, exit
 *				status 1 with one
 */
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
	assert_string_equal(p.witness, "/var/lib/cowprotect/witness");
}

static void sections(void **state)
{
	struct policy p;

	(void)state;
	assert_true(take("# all\nextend_percent = 10\nretry_clear=no\n"
			 "[volume other]\nextend_percent = 30\n"
			 "[volume data]\nextend_percent = 20\nfault_command = mail -s 'it; is' root\n"
			 "witness = /boot/my witness\n",
			 &p));
	assert_int_equal(p.extend_percent, 20);
	assert_false(p.retry_clear);
	assert_string_equal(p.fault_command, "mail -s 'it; is' root");
	assert_string_equal(p.extend_command, "");
	assert_string_equal(p.witness, "/boot/my witness");
}

static int read_file(const char *path)
{
	struct policy p = { .command_secs = 77 };

	if (policy_read(&p, path, "data", error, sizeof(error)))
		return 0;
	fprintf(stderr, "cowprotect: %s\n", error);
	assert_int_equal(p.command_secs, 77);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file),
		cmocka_unit_test(sections),
	};

	if (argc > 1)
		return read_file(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
