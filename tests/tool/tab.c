// SPDX-License-Identifier: GPL-2.0-only
/* /etc/cowprotecttab: what is taken, and what is said of what is not. */
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

static char said[1024];

/* Instead of the command's */
void tool_error(const char *subject, const char *fmt, ...)
{
	const char *line = strrchr(subject, ':');
	va_list args;
	size_t at;

	at = snprintf(said, sizeof(said), "%s: ", line ? line + 1 : subject);
	va_start(args, fmt);
	vsnprintf(said + at, sizeof(said) - at, fmt, args);
	va_end(args);
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
	     "root /dev/vda2 ID=virtio-x protect,noauto," UUID);
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
	assert_string_equal(said, "1: 'protcet' is no option of a volume; see cowprotecttab(5)");
	assert_int_equal(tab.errors, 1);
	assert_int_equal(tab.count, 1);
	assert_string_equal(tab.volumes[0].name, "root");
	tab_free(&tab);
}

static void wrong_lines(void **state)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{ "data", "has 1 words; give name, live device, diff device and options" },
		{ "data /dev/a /dev/b",
		  "has 3 words; give name, live device, diff device and options" },
		{ "data /dev/a /dev/b " UUID " protect",
		  "'protect' is one word too many; options are parted by commas alone" },
		{ "data /dev/a /dev/b protect",
		  "uuid= is missing; give the diff area's (cowprotect dump DIFFDEV)" },
		{ "data /dev/a /dev/b uuid=1",
		  "'uuid=1' has no uuid; give that which cowprotect format has printed" },
		{ "data /dev/a /dev/b uuid=00000000-0000-0000-0000-000000000000",
		  "'uuid=00000000-0000-0000-0000-000000000000' has no uuid; give that which cowprotect format has printed",
		},
		{ "data a /dev/b " UUID,
		  "'a' is no live device; give a path, or UUID=, PARTUUID=, LABEL=, PARTLABEL= or ID=",
		},
		{ "data /dev/a - " UUID,
		  "'-' is no diff device; give a path, or UUID=, PARTUUID=, LABEL=, PARTLABEL= or ID=",
		},
		{ "data /dev/a /dev/a " UUID,
		  "'/dev/a' is the live and the diff device; give another for the diff area" },
		{ "data /dev/a /dev/b chunk=5K," UUID,
		  "chunk=5K is not a power of two from 4K to 1M; give the area's" },
		{ "data /dev/a /dev/b chunk=2M," UUID,
		  "chunk=2M is not a power of two from 4K to 1M; give the area's" },
		{ "data /dev/a /dev/b " UUID ",protect,noprotect",
		  "'noprotect' excludes the other of protect and noprotect; see cowprotecttab(5)" },
		{ "data /dev/a /dev/b " UUID ",low_water",
		  "'low_water' needs a value; see cowprotecttab(5)" },
		{ "data /dev/a /dev/b " UUID ",low_water=x",
		  "'low_water=x' has a value that is not a number; see cowprotecttab(5)" },
		{ "data /dev/a /dev/b " UUID ",grow_wait_secs=700000",
		  "'grow_wait_secs=700000' has a value that is too large; see cowprotecttab(5)" },
		{ "data /dev/a /dev/b " UUID ",protect=1",
		  "'protect=1' takes no value; see cowprotecttab(5)" },
		{ "data /dev/a /dev/b " UUID ",protect,protect",
		  "'protect' is there twice; see cowprotecttab(5)" },
		{ "data /dev/a /dev/b " UUID ",format",
		  "'format' is no option of a volume; see cowprotecttab(5)" },
	};
	struct tab tab;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		take(&tab, wrong[i].text);
		assert_int_equal(strncmp(said, "1: ", 3), 0);
		assert_string_equal(said + 3, wrong[i].error);
		assert_int_equal(tab.errors, 1);
		assert_int_equal(tab.count, 0);
		tab_free(&tab);
	}
	take(&tab, "data /dev/a /dev/b " UUID "\n\ndata /dev/c /dev/d " UUID "\n");
	assert_string_equal(said,
			    "3: there is a volume data in line 1 already; give another name");
	assert_int_equal(tab.count, 1);
	tab_free(&tab);
	take(&tab, "../x /dev/a /dev/b " UUID "\n");
	assert_int_equal(tab.errors, 1);
	tab_free(&tab);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file),
		cmocka_unit_test(good_lines),
		cmocka_unit_test(a_wrong_line_is_left_out),
		cmocka_unit_test(wrong_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
