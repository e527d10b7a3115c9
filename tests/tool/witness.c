// SPDX-License-Identifier: GPL-2.0-only
/*
 * The witness that snapshots may have been given up: when it is written and when it
 * goes, and its file.  Run in a folder on a disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka asks for the four above */
#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "witness.h"

#define AREA	"0123456789abcdef0123456789abcdef"
#define FOLDER	"witness/of/tests"

static char folder[PATH_MAX];

#define K	WITNESS_KEEP
#define W	WITNESS_WRITE
#define R	WITNESS_REMOVE

/* Each state, with what stands: none, waiting, lost, heard, unheard */
static void due(void **state)
{
	static const struct {
		enum cowp_state state;
		enum info_mark mark;
		enum witness_due due[5];
	} rows[] = {
		{ COWP_STATE_RECOVERING, INFO_NO_MARK,	{ K, K, K, K, K } },
		{ COWP_STATE_WAITING, INFO_NO_MARK,	{ W, K, K, K, K } },
		{ COWP_STATE_LOST, INFO_UNMARKED,	{ W, W, K, W, W } },
		{ COWP_STATE_LOST, INFO_MARKED,		{ K, R, R, R, R } },
		{ COWP_STATE_ACTIVE, INFO_NO_MARK,	{ K, R, R, R, K } },
		{ COWP_STATE_NONE, INFO_NO_MARK,	{ K, R, R, R, K } },
		{ COWP_STATE_BLOCKED, INFO_NO_MARK,	{ K, R, K, K, K } },
	};
	bool seen[COWP_STATE_COUNT] = { false };
	u32 i, stands;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		seen[rows[i].state] = true;
		for (stands = WITNESS_NONE; stands <= WITNESS_UNHEARD; stands++)
			assert_int_equal(witness_due(stands, rows[i].state, rows[i].mark),
					 rows[i].due[stands]);
	}
	for (i = 0; i < COWP_STATE_COUNT; i++)
		assert_true(seen[i]);
}

static void whose(void **state)
{
	struct witness w = { .there = false, .activation = "boot:7" };

	(void)state;
	assert_int_equal(witness_word(&w, "boot:7", true), WITNESS_NONE);
	w.there = true;
	assert_int_equal(witness_word(&w, "boot:7", true), WITNESS_WAITING);
	assert_int_equal(witness_word(&w, "boot:7", false), WITNESS_WAITING);
	assert_int_equal(witness_word(&w, "boot:77", true), WITNESS_HEARD);
	assert_int_equal(witness_word(&w, "boot:77", false), WITNESS_UNHEARD);
	w.lost = true;
	assert_int_equal(witness_word(&w, "boot:7", false), WITNESS_LOST);
	assert_int_equal(witness_word(&w, "boot:8", false), WITNESS_UNHEARD);
	/* A kernel that tells nothing: nobody's word is ours */
	*w.activation = 0;
	assert_int_equal(witness_word(&w, "", false), WITNESS_UNHEARD);
	strcpy(w.activation, "-");
	assert_int_equal(witness_word(&w, "", true), WITNESS_HEARD);
}

static u32 files(void)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	u32 nr = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		nr += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(dir);
	return nr;
}

static void written_read_removed(void **state)
{
	struct witness w = { .activation = "boot:7", .volume = "data" }, r;
	struct stat st;

	(void)state;
	/* Nothing is there, not even the folder */
	assert_int_equal(witness_read(&r, folder, AREA), 0);
	assert_false(r.there);
	assert_int_equal(witness_remove(folder, AREA), 0);

	assert_int_equal(witness_write(&w, folder, AREA), 0);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(witness_read(&r, folder, AREA), 0);
	assert_true(r.there);
	assert_false(r.lost);
	assert_string_equal(r.activation, "boot:7");
	assert_string_equal(r.volume, "data");

	w.lost = true;
	assert_int_equal(witness_write(&w, folder, AREA), 0);
	assert_int_equal(witness_read(&r, folder, AREA), 0);
	assert_true(r.lost);
	assert_int_equal(files(), 1);

	/* Another area's is not this one's */
	assert_int_equal(witness_read(&r, folder, "f" AREA), 0);
	assert_false(r.there);
	assert_int_equal(witness_remove(folder, AREA), 0);
	assert_int_equal(files(), 0);
	assert_int_equal(witness_read(&r, folder, AREA), 0);
	assert_false(r.there);
}

/* Whatever is in it: it is there, and nobody's own */
static void not_understood(void **state)
{
	static const char * const texts[] = { "", "\n", "state", "activation\nstate\n" };
	char path[PATH_MAX + 64];
	struct witness r;
	FILE *file;
	u32 i;

	(void)state;
	snprintf(path, sizeof(path), "%s/%s", folder, AREA);
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		file = fopen(path, "w");
		assert_non_null(file);
		fputs(texts[i], file);
		fclose(file);
		assert_int_equal(witness_read(&r, folder, AREA), 0);
		assert_true(r.there);
		assert_int_equal(witness_word(&r, "boot:7", false), WITNESS_UNHEARD);
	}
	assert_int_equal(witness_remove(folder, AREA), 0);
}

/* Who cannot write keeps what is there, and leaves nothing behind. */
static void not_written(void **state)
{
	struct witness w = { .activation = "boot:7", .volume = "data" }, r;
	char path[PATH_MAX + 64];

	(void)state;
	assert_int_equal(witness_write(&w, folder, AREA), 0);
	snprintf(path, sizeof(path), "%s/%s/more", folder, AREA);
	assert_int_equal(witness_write(&w, path, AREA), -ENOTDIR);
	assert_int_equal(witness_remove(folder, AREA), 0);
	snprintf(path, sizeof(path), "%s/%s", folder, AREA);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(witness_write(&w, folder, AREA), -EISDIR);
	assert_int_equal(files(), 1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(witness_read(&r, folder, AREA), 0);
	assert_false(r.there);
}

static void in_memory(void **state)
{
	static const char shared[] = "/dev/shm";
	char path[] = "/dev/shm/cowprotect-witness-XXXXXX";
	struct witness w = { .volume = "data" };
	struct statfs fs;

	(void)state;
	if (statfs(shared, &fs) || fs.f_type != 0x01021994 || !mkdtemp(path))
		skip();
	assert_int_equal(witness_write(&w, path, AREA), -ENODEV);
	/* Nothing was left */
	assert_int_equal(rmdir(path), 0);
}

/* Another boot, another device, or none */
static void activations(void **state)
{
	char one[WITNESS_ACTIVATION];

	(void)state;
	strcpy(one, "x");
	witness_activation(one, "4095:1048575");
	assert_string_equal(one, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(due),
		cmocka_unit_test(whose),
		cmocka_unit_test(written_read_removed),
		cmocka_unit_test(not_understood),
		cmocka_unit_test(not_written),
		cmocka_unit_test(in_memory),
		cmocka_unit_test(activations),
	};
	char here[PATH_MAX - 32];

	if (!getcwd(here, sizeof(here)))
		return 1;
	snprintf(folder, sizeof(folder), "%s/" FOLDER, here);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
