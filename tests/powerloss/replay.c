// SPDX-License-Identifier: GPL-2.0-only
/*
 * replay [OPTION]... TRACE LOG IMAGES DEVICE: cut the power of a recording at
 * random points, bring up what is left and look at it.
 *
 *	--live N	sectors of the live volume, which begins at 0
 *	--diff N	where the diff area begins, which goes to the end
 *	--chunk N	sectors of a chunk
 *	--bytes N	of the device
 *	--seed N	of the points
 *	--from N	number of the first point (1)
 *	--points N	how many (1)
 *	--stop		at the first one that is wrong
 *	--image		write what is left to the file DEVICE, and end
 *
 * Exit status 0: all points are right; 1: not; 2: something is wrong with the
 * recording or with the test itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history.h"
#include "stamp.h"
#include "volume.h"

#define MAX_IDS		64U

struct shown {
	uint32_t id[MAX_IDS];
	char path[MAX_IDS][PATH_BYTES];
	unsigned int count;
};

#define OVERWRITES	32U
#define OVERWRITE_SECTORS 48U

static const char *device;
static uint64_t live_sectors, diff_start, chunk, device_bytes;
static uint64_t seed = 1, from = 1, points = 1;
static int stop, image_only;

static struct history history;
static struct model model;
static struct volume volume;
static char live_path[PATH_BYTES], diff_path[PATH_BYTES];
static char *image;		/* of the device */
static char *content;		/* of a volume */

static uint64_t point;
static bool wrong;
static uint64_t tried, wrong_points, compared, pending, kept, torn;

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "replay: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(2);
}

/* The array with room for one more: it doubles at each power of two. */
void *grown(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	array = realloc(array, (count ? 2 * count : 1) * size);
	if (!array)
		die("no memory");
	return array;
}

static void *aligned(size_t bytes)
{
	void *buffer = aligned_alloc(4096, (bytes + 4095) & ~4095UL);

	if (!buffer)
		die("no memory");
	return buffer;
}

char *read_file(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	off_t at = 0;
	char *text;
	ssize_t n;

	if (end < 0)
		die("%s: %s", path, strerror(errno));
	text = malloc(end + 1);
	if (!text)
		die("no memory for %s", path);
	while (at < end) {
		n = pread(fd, text + at, end - at, at);
		if (n <= 0)
			die("%s: %s", path, n ? strerror(errno) : "shorter than it was");
		at += n;
	}
	text[end] = '\0';
	if (bytes)
		*bytes = end;
	close(fd);
	return text;
}

/* ---- verdicts ---- */

static void __attribute__((format(printf, 1, 2))) fail(const char *format, ...)
{
	va_list args;

	wrong = true;
	va_start(args, format);
	printf("# point %" PRIu64 ": ", point);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static bool read_volume(const char *what, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	uint64_t at, bytes = live_sectors * SECTOR;
	ssize_t n = -1;

	for (at = 0; fd >= 0 && at < bytes; at += n) {
		n = pread(fd, content + at, bytes - at < 1 << 20 ? bytes - at : 1 << 20, at);
		if (n <= 0)
			break;
	}
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && n > 0)
		return true;
	fail("%s cannot be read: %s", what, n ? strerror(errno) : "it is too short");
	return false;
}

/* All sectors show a write of these; one complaint for all that do not. */
static void compare(const char *what, const char *path, const uint32_t *oldest,
		    const uint32_t *newest)
{
	uint64_t i, differ = 0, first = 0;
	uint32_t shown = 0;

	if (!read_volume(what, path))
		return;
	for (i = 0; i < live_sectors; i++) {
		uint32_t serial = stamp_serial(content + i * SECTOR, i);

		if (serial >= oldest[i] && serial <= newest[i])
			continue;
		if (!differ++) {
			first = i;
			shown = serial;
		}
	}
	compared++;
	if (differ)
		fail("%s: %" PRIu64 " sectors differ; sector %" PRIu64
		     " shows write %d instead of %u to %u", what, differ, first, (int)shown,
		     oldest[first], newest[first]);
}

/* ---- a point ---- */

static bool write_device(int flags)
{
	int fd = open(device, O_WRONLY | O_CLOEXEC | flags, 0644);
	uint64_t at;
	ssize_t n;

	if (fd < 0)
		return false;
	for (at = 0; at < device_bytes; at += n) {
		n = pwrite(fd, image + at, device_bytes - at < 1 << 20 ?
			   device_bytes - at : 1 << 20, at);
		if (n <= 0)
			return false;
	}
	return !close(fd);
}

/* The offline tool finds the area clean. */
static bool check_area(const char *when)
{
	char command[128], line[256], last[256] = "";
	FILE *f;

	snprintf(command, sizeof(command), "cowprotect check -q %s 2>&1", diff_path);
	f = popen(command, "re");
	if (!f)
		die("%s: %s", command, strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "note:", 5))
			memcpy(last, line, sizeof(last));
	if (!pclose(f))
		return true;
	last[strcspn(last, "\n")] = '\0';
	fail("cowprotect check %s: %s", when, last);
	return false;
}

static void make_slices(void)
{
	char target[128];

	snprintf(target, sizeof(target), "linear %s 0", device);
	if (!dm_create("live", false, live_sectors, target, live_path))
		die("%s", volume_error);
	snprintf(target, sizeof(target), "linear %s %" PRIu64, device, diff_start);
	if (!dm_create("diff", false, device_bytes / SECTOR - diff_start, target, diff_path))
		die("%s", volume_error);
}

static void remove_slices(void)
{
	if (!dm_remove("live") || !dm_remove("diff"))
		die("%s", volume_error);
}

/* It comes up by itself, protected as it was. */
static bool bring_up(void)
{
	char status[512];

	if (!volume_open(&volume, "")) {
		fail("%s", volume_error);
		return false;
	}
	if (!volume_status(status, sizeof(status)))
		fail("%s", volume_error);
	else if (strncmp(status, "protected active none - ", 24))
		fail("the volume comes up as: %s", status);
	else
		return true;
	volume_close();
	return false;
}

static void bring_down(const struct shown *shown)
{
	unsigned int i;

	for (i = 0; i < shown->count; i++)
		if (shown->path[i][0] && !snapshot_close(shown->id[i]))
			die("%s", volume_error);
	if (!volume_close())
		die("%s", volume_error);
}

/* A device for each snapshot that there is. */
static void show_snapshots(struct shown *shown)
{
	char list[8192], *line, *next;

	shown->count = 0;
	if (!volume_message("list", list, sizeof(list))) {
		fail("%s", volume_error);
		return;
	}
	for (line = list; *line && shown->count < MAX_IDS; line = next) {
		unsigned int i = shown->count++;

		next = strchrnul(line, '\n');
		if (*next)
			next++;
		shown->id[i] = strtoul(line, NULL, 10);
		shown->path[i][0] = '\0';
		if (!snapshot_open(&volume, shown->id[i], shown->path[i])) {
			fail("%s", volume_error);
			shown->path[i][0] = '\0';
		}
	}
}

static void judge_ids(uint64_t at, const struct shown *shown)
{
	unsigned int i;
	size_t s;

	for (i = 0; i < shown->count; i++) {
		const struct snapshot *snapshot = model_snapshot(&model, shown->id[i]);

		if (!snapshot || model_expects(snapshot, at) == FORBIDDEN)
			fail("snapshot %u is there: it was deleted, or never made",
			     shown->id[i]);
	}
	for (s = 0; s < model.snapshot_count; s++) {
		if (model_expects(&model.snapshots[s], at) != REQUIRED)
			continue;
		for (i = 0; i < shown->count && shown->id[i] != model.snapshots[s].id; i++)
			;
		if (i == shown->count)
			fail("snapshot %u is gone", model.snapshots[s].id);
	}
}

static void compare_snapshots(const char *when, const struct shown *shown)
{
	char what[64];
	unsigned int i;

	for (i = 0; i < shown->count; i++) {
		const struct snapshot *s = model_snapshot(&model, shown->id[i]);

		snprintf(what, sizeof(what), "snapshot %u%s", shown->id[i], when);
		if (s && shown->path[i][0])
			compare(what, shown->path[i], s->image, s->image);
	}
}

/* What recovery takes for preserved must be: overwrite some, compare again. */
static void overwrite(uint64_t rng)
{
	static struct stamp *buffer;
	uint64_t sector, count;
	unsigned int i, j;
	int fd = open(volume.path, O_WRONLY | O_DIRECT | O_CLOEXEC);

	if (!buffer)
		buffer = aligned(OVERWRITE_SECTORS * SECTOR);
	for (i = 0; fd >= 0 && i < OVERWRITES; i++) {
		count = 1 + rng_below(&rng, OVERWRITE_SECTORS);
		sector = rng_below(&rng, live_sectors - count + 1);
		for (j = 0; j < count; j++)
			stamp_make(&buffer[j], sector + j, INT32_MAX);
		if (pwrite(fd, buffer, count * SECTOR, sector * SECTOR) !=
		    (ssize_t)(count * SECTOR))
			break;
	}
	if (i < OVERWRITES)
		fail("the live volume cannot be written: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void tell_cut(const struct cut *cut)
{
	printf("# point %" PRIu64 " is event %" PRIu64 ": %" PRIu64 " writes settled, %" PRIu64
	       " of %" PRIu64 " others there, %" PRIu64 " of these torn\n", point, cut->at,
	       cut->settled, cut->kept, cut->pending, cut->torn);
}

static void look(uint64_t at, uint64_t rng)
{
	static struct shown shown;

	show_snapshots(&shown);
	judge_ids(at, &shown);
	model_live(&model, at);
	compare("the live volume", volume.path, model.oldest, model.newest);
	compare_snapshots("", &shown);
	overwrite(rng);
	compare_snapshots(", after more writes,", &shown);
	bring_down(&shown);
}

static void try_point(void)
{
	uint64_t rng = seed * 1000003 + point;
	struct cut cut;

	wrong = false;
	image_build(&history, rng, image, device_bytes, &cut);
	pending += cut.pending;
	kept += cut.kept;
	torn += cut.torn;
	if (!write_device(image_only ? O_CREAT | O_TRUNC : O_DIRECT))
		die("%s: %s", device, strerror(errno));
	if (!image_only) {
		make_slices();
		check_area("before the recovery");
		if (bring_up()) {
			look(cut.at, rng);
			check_area("after the removal");
		}
		remove_slices();
	}
	if (wrong || image_only)
		tell_cut(&cut);
	wrong_points += wrong;
	tried++;
	fflush(stdout);
}

/* ---- command line ---- */

static const struct option options[] = {
	{ "live", required_argument, NULL, 'l' },
	{ "diff", required_argument, NULL, 'd' },
	{ "chunk", required_argument, NULL, 'c' },
	{ "bytes", required_argument, NULL, 'b' },
	{ "seed", required_argument, NULL, 's' },
	{ "from", required_argument, NULL, 'f' },
	{ "points", required_argument, NULL, 'p' },
	{ "stop", no_argument, &stop, 1 },
	{ "image", no_argument, &image_only, 1 },
	{ }
};

static void take_options(int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		uint64_t *values[] = { ['l'] = &live_sectors, ['d'] = &diff_start,
				       ['c'] = &chunk, ['b'] = &device_bytes,
				       ['s'] = &seed, ['f'] = &from, ['p'] = &points };

		if (c == '?')
			exit(2);
		if (c)
			*values[c] = strtoull(optarg, NULL, 0);
	}
	if (argc - optind != 4 || !live_sectors || !diff_start || !chunk || !device_bytes)
		die("usage: replay --live N --diff N --chunk N --bytes N [OPTION]... %s",
		    "TRACE LOG IMAGES DEVICE");
}

int main(int argc, char **argv)
{
	take_options(argc, argv);
	device = argv[optind + 3];
	history_read(&history, argv[optind], argv[optind + 1]);
	model_read(&model, &history, argv[optind + 2], live_sectors);
	image = aligned(device_bytes);
	content = aligned(live_sectors * SECTOR);
	volume = (struct volume){ .live = live_path, .diff = diff_path, .chunk = chunk,
				  .sectors = live_sectors };

	for (point = from; point < from + points; point++) {
		try_point();
		if (wrong && stop)
			break;
	}
	if (image_only)
		return 0;
	printf("# %" PRIu64 " points, %" PRIu64 " wrong; %" PRIu64 " volumes compared, %" PRIu64
	       " writes pending, %" PRIu64 " of them there, %" PRIu64 " torn\n",
	       tried, wrong_points, compared, pending, kept, torn);
	return wrong_points ? 1 : 0;
}
