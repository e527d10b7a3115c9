// SPDX-License-Identifier: GPL-2.0-only
/*
 * rotation MODEL LIVE DIFF COMMAND: snapshots of the active volume "vol" come
 * and go under writes, and each is compared with what it must show.
 *
 *	fill SEED		a new model; every chunk is written once
 *	rotate COUNT KEEP oldest|random
 *				COUNT times: 4 MiB are written; meanwhile a
 *				snapshot is made and, of more than KEEP, one deleted
 *	grow CHUNKS		snapshots and churn of all chunks, until copies of
 *				so many chunks are needed
 *	turn			a snapshot more and the oldest but one less, at rest
 *	verify			all snapshots show what they must
 *	delete			all of them go, in random order
 *	needed			print how many copies the snapshots need, and how
 *				many there may be
 *
 * Whatever fails ends the program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "churn.h"
#include "model.h"
#include "stamp.h"
#include "volume.h"

#define CHURN_CHUNKS	1024U		/* 4 MiB */
#define UNDER_WAY	64U		/* chunks: so many are written, others being so */
#define REGION_BYTES	(REGION_CHUNKS * CHUNK_BYTES)
#define REPORT_EVERY	50U

static struct volume volume = { .chunk = CHUNK_SECTORS };
static struct stamp *content;		/* of a region */

/* How often something was under way when a message was answered. */
static unsigned int creations, creations_under_load, deletions, deletions_under_load;

static void must(bool done)
{
	if (!done)
		die("%s", volume_error);
}

/* ---- what a snapshot shows ---- */

static int open_snapshot(uint32_t id)
{
	char path[PATH_BYTES];
	int fd;

	must(snapshot_open(&volume, id, path));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

static void close_snapshot(int fd, uint32_t id)
{
	close(fd);
	must(snapshot_close(id));
}

/* The serial number that all sectors of a chunk agree on. */
static uint32_t serial_of(const struct stamp *chunk, uint64_t sector)
{
	uint32_t serial = stamp_serial(chunk, sector), i;

	for (i = 1; i < CHUNK_SECTORS; i++)
		if (stamp_serial(&chunk[i], sector + i) != serial)
			return STAMP_NONE;
	return serial;
}

/* read_chunks - what some chunks of one region show, into the image */
static void read_chunks(int fd, struct image *image, unsigned int first, unsigned int count)
{
	uint64_t sector = churn_sector(first, volume.sectors);
	unsigned int i;

	if (pread(fd, content, count * CHUNK_BYTES, sector * SECTOR) != count * CHUNK_BYTES)
		die("a read from snapshot %u failed: %s", image->id, strerror(errno));
	for (i = 0; i < count; i++)
		image->serial[first + i] = serial_of(&content[i * CHUNK_SECTORS],
						     sector + i * CHUNK_SECTORS);
}

static void must_show(const struct image *shown, const struct image *least,
		      const struct image *most)
{
	unsigned int i;

	for (i = 0; i < CHUNKS; i++)
		if (shown->serial[i] < least->serial[i] || shown->serial[i] > most->serial[i])
			die("snapshot %u: chunk %u shows write %u instead of %u to %u", shown->id,
			    i, shown->serial[i], least->serial[i], most->serial[i]);
}

/* All regions, or half of them by chance. */
static void verify(const struct image *image, bool all)
{
	static struct image shown;
	int fd = open_snapshot(image->id);
	unsigned int i;

	shown = *image;
	for (i = 0; i < CHUNKS; i += REGION_CHUNKS)
		if (all || model_random(&model.rng, 2))
			read_chunks(fd, &shown, i, REGION_CHUNKS);
	close_snapshot(fd, image->id);
	must_show(&shown, image, image);
}

/* Which of the writes that were under way a new snapshot has, it tells itself. */
static void learn(struct image *image, const struct image *least, const struct image *most)
{
	int fd = open_snapshot(image->id);
	unsigned int i;

	memcpy(image->serial, least->serial, sizeof(image->serial));
	for (i = 0; i < CHUNKS; i++)
		if (least->serial[i] != most->serial[i])
			read_chunks(fd, image, i, 1);
	close_snapshot(fd, image->id);
	must_show(image, least, most);
	for (i = 0; i < CHUNKS; i++)
		image->again[i] = image->serial[i] != most->serial[i];
}

/* ---- snapshots come and go ---- */

static void must_be_active(void)
{
	char status[512], right[64];

	snprintf(right, sizeof(right), "protected %s none ", model.count ? "active" : "none");
	must(volume_status(status, sizeof(status)));
	if (strncmp(status, right, strlen(right)))
		die("the volume is '%s'", status);
}

static void create(void)
{
	static struct image least, most;
	struct image *image;
	char result[64];

	churn_ended(&least);
	must(volume_message("create_snapshot", result, sizeof(result)));
	churn_begun(&most);
	creations++;
	creations_under_load += churn_busy() > 0;
	image = model_add(strtoul(result, NULL, 10));
	learn(image, &least, &most);
}

static void delete(uint32_t index)
{
	char message[64];

	snprintf(message, sizeof(message), "delete_snapshot %u", model.images[index].id);
	must(volume_message(message, NULL, 0));
	model_remove(index);
	deletions++;
	deletions_under_load += churn_busy() > 0;
}

static void report(unsigned int n)
{
	char status[512], used[64];

	must(volume_status(status, sizeof(status)));
	if (sscanf(status, "%*s %*s %*s %*s %63s", used) != 1)
		die("the status is '%s'", status);
	churn_ended(&model.live);
	printf("# rotation %u: chunks used %s, needed %u\n", n, used, model_needed());
	fflush(stdout);
}

/*
 * Under half of the churn, which goes to the epoch before, the snapshot that is to be
 * deleted is compared once more; under a quarter the new one is made; under another quarter
 * the old one is deleted.
 */
static void rotate(unsigned int count, unsigned int keep, bool random)
{
	unsigned int n;

	for (n = 1; n <= count; n++) {
		uint32_t victim = random ? model_random(&model.rng, keep + 1) : 0;

		churn_start(CHURN_CHUNKS / 2, false);
		/* The one that will be made just now is compared then. */
		if (model.count == keep && victim < keep)
			verify(&model.images[victim], false);
		churn_start(CHURN_CHUNKS / 4, true);
		churn_wait(UNDER_WAY);
		create();
		churn_start(CHURN_CHUNKS / 4, false);
		churn_wait(UNDER_WAY);
		if (model.count > keep)
			delete(victim);
		must_be_active();
		if (n % REPORT_EVERY == 0 || n == count)
			report(n);
	}
	printf("# creations %u %u under load\n# deletions %u %u under load\n",
	       creations, creations_under_load, deletions, deletions_under_load);
}

static void grow(uint32_t chunks)
{
	for (;;) {
		churn_start(0, false);	/* waits for those before */
		churn_ended(&model.live);
		if (model_needed() >= chunks)
			break;
		create();
		churn_start(CHUNKS, true);
		must_be_active();
	}
	report(0);
}

static void turn(void)
{
	create();
	delete(1);
}

static void verify_all(void)
{
	uint32_t i;

	for (i = 0; i < model.count; i++)
		verify(&model.images[i], true);
}

static void delete_all(void)
{
	while (model.count)
		delete(model_random(&model.rng, model.count));
}

static void fill(uint64_t seed)
{
	memset(&model, 0, sizeof(model));
	model.rng = seed;
}

static uint64_t sectors_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t bytes;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes))
		die("%s: %s", path, strerror(errno));
	close(fd);
	return bytes / SECTOR;
}

static void run(const char *command, char **args)
{
	churn_begin("/dev/mapper/vol", volume.sectors);
	if (!strcmp(command, "fill"))
		churn_start(CHUNKS, true);
	else if (!strcmp(command, "rotate"))
		rotate(strtoul(args[0], NULL, 0), strtoul(args[1], NULL, 0),
		       !strcmp(args[2], "random"));
	else if (!strcmp(command, "grow"))
		grow(strtoul(args[0], NULL, 0));
	else if (!strcmp(command, "turn"))
		turn();
	else if (!strcmp(command, "verify"))
		verify_all();
	else if (!strcmp(command, "delete"))
		delete_all();
	else
		die("no command %s", command);
	churn_end();
}

int main(int argc, char **argv)
{
	if (argc < 5)
		die("usage: rotation MODEL LIVE DIFF COMMAND...");
	volume.live = argv[2];
	volume.diff = argv[3];
	volume.sectors = sectors_of(volume.live);
	content = aligned_alloc(CHUNK_BYTES, REGION_BYTES);
	if (!content)
		die("no memory");
	if (strcmp(argv[4], "fill"))
		model_load(argv[1]);
	else
		fill(strtoull(argv[5], NULL, 0));
	if (!strcmp(argv[4], "needed")) {
		printf("%u %u\n", model_needed(), model_needed() + model_copied_again());
		return 0;
	}
	run(argv[4], argv + 5);
	must_be_active();
	model_save(argv[1]);
	return 0;
}
