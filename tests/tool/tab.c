// SPDX-License-Identifier: GPL-2.0-only
/*
 * /etc/cowprotecttab: what is taken.  What is said of what is not has its place in
 * wrong-input.
 *
 *	tab			run the tests
 *	tab FILE		read it: errors on standard error, exit status 1 with one
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
/* cmocka asks for the four above */
#include <cmocka.h>

#include "tab.h"

#define UUID	"uuid=7a8e2b0c-8d7f-4e0e-9d7c-1f4f9c1c2d3e"
#define OTHER_UUID	"uuid=8a8e2b0c-8d7f-4e0e-9d7c-1f4f9c1c2d3e"

static char said[1024];

/* Instead of the command's */
void tool_error(const char *subject, const char *fmt, ...)
{
	va_list args;
	size_t at;

	at = snprintf(said, sizeof(said), "%s: ", subject);
	va_start(args, fmt);
	vsnprintf(said + at, sizeof(said) - at, fmt, args);
	va_end(args);
	fprintf(stderr, "cowprotect: %s\n", said);
}

void *xrealloc(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	assert_non_null(p);
	return p;
}

static void take(struct tab *tab, const char *text)
{
	char path[] = "/tmp/cowprotecttab-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	said[0] = 0;
	assert_int_equal(tab_read(tab, path), TOOL_OK);
	assert_int_equal(unlink(path), 0);
}

static void no_file(void **state)
{
	struct tab tab;

	(void)state;
	assert_int_equal(tab_read(&tab, "/nonexistent/cowprotecttab"), TOOL_OK);
	assert_int_equal(tab.count, 0);
	assert_int_equal(tab_read(&tab, "/"), TOOL_FAILED);
}

static void good_lines(void **state)
{
	struct tab tab;

	(void)state;
	take(&tab, "# NAME LIVE DIFF OPTIONS\n\n"
	     "data\tPARTUUID=1-2  /dev/vg/diff " UUID ",chunk=64K,nofail,low_water=100\n"
	     "  # more\n"
	     "root /dev/vda2 ID=virtio-x protect,noauto," OTHER_UUID "\r\n");
	assert_string_equal(said, "");
	assert_int_equal(tab.errors, 0);
	assert_int_equal(tab.count, 2);
	assert_string_equal(tab.volumes[0].name, "data");
	assert_string_equal(tab.volumes[0].live, "PARTUUID=1-2");
	assert_string_equal(tab.volumes[0].diff, "/dev/vg/diff");
	assert_int_equal(tab.volumes[0].chunk_sectors, 128);
	assert_int_equal(tab.volumes[0].uuid[0], 0x7a);
	assert_true(tab.volumes[0].nofail && !tab.volumes[0].noauto);
	assert_string_equal(tab.volumes[0].options.words, " low_water 100");
	assert_int_equal(tab.volumes[0].options.count, 2);
	assert_int_equal(tab.volumes[1].chunk_sectors, 8);
	assert_true(tab.volumes[1].noauto && !tab.volumes[1].nofail);
	assert_ptr_equal(tab_find(&tab, "root"), &tab.volumes[1]);
	assert_null(tab_find(&tab, "roo"));
	tab_free(&tab);
}

/* The other volumes are there all the same. */
static void a_wrong_line_is_left_out(void **state)
{
	struct tab tab;

	(void)state;
	take(&tab, "data /dev/a /dev/b " UUID ",protcet\nroot /dev/c /dev/d " UUID "\n");
	assert_non_null(strstr(said,
			       ":1: 'protcet' is no option of a volume; see cowprotecttab(5)"));
	assert_int_equal(tab.errors, 1);
	assert_int_equal(tab.count, 1);
	assert_string_equal(tab.volumes[0].name, "root");
	tab_free(&tab);
}

/* Whatever is wrong with the line, the live device must not be used by itself. */
static void live_devices_of_wrong_lines(void **state)
{
	struct tab tab;

	(void)state;
	take(&tab, "data /dev/a /dev/b " UUID ",protcet\n"
	     "x/y UUID=1 /dev/b " UUID "\n"
	     "more /dev/c\n"
	     "many /dev/d /dev/e " UUID " nofail\n"
	     "nothing e\n"
	     "alone\n"
	     "good /dev/f /dev/g " UUID "\n");
	assert_int_equal(tab.errors, 6);
	assert_int_equal(tab.count, 1);
	assert_int_equal(tab.stray_count, 4);
	assert_string_equal(tab.strays[0], "/dev/a");
	assert_string_equal(tab.strays[1], "UUID=1");
	assert_string_equal(tab.strays[2], "/dev/c");
	assert_string_equal(tab.strays[3], "/dev/d");
	tab_free(&tab);
}

static void the_file(void **state)
{
	(void)state;
	unsetenv("COWPROTECTTAB");
	assert_string_equal(tab_file(), "/etc/cowprotecttab");
	setenv("COWPROTECTTAB", "/x", 1);
	assert_string_equal(tab_file(), "/x");
}

static int read_file(const char *path)
{
	struct tab tab;
	int ret = tab_read(&tab, path);

	ret = ret || tab.errors;
	tab_free(&tab);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file),
		cmocka_unit_test(good_lines),
		cmocka_unit_test(a_wrong_line_is_left_out),
		cmocka_unit_test(live_devices_of_wrong_lines),
		cmocka_unit_test(the_file),
	};

	if (argc > 1)
		return read_file(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
