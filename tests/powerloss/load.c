// SPDX-License-Identifier: GPL-2.0-only
/*
 * load LIVE DIFF CHUNK SEED ROUNDS WRITES IMAGES mixed|rest: the load whose power
 * is cut afterwards, on a new volume with chunks of CHUNK sectors, protected.
 *
 * Eight threads, each in a region of its own, overwrite it; between and under
 * their writes snapshots are created (with "rest": only between them) and
 * deleted, and checkpoints made.  In the middle it is closed and opened again.
 *
 * Everything that begins and ends is noted in the kernel's trace, whose order
 * is one with that of the bios:
 *
 *	load: ready			everything before is preparation
 *	load: write SERIAL SECTOR COUNT DSYNC
 *	load: written SERIAL		acknowledged
 *	load: flush N, load: flushed N
 *	load: create, load: created ID
 *	load: delete ID, load: deleted ID
 *	load: end
 *
 * The file IMAGES gets a record for each snapshot: id, sectors, and the serial
 * number of each sector (32 bits each), read from the snapshot itself right
 * after its creation.  That is checked against what has been written: exactly,
 * if nothing was written meanwhile, else within the limits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stamp.h"
#include "volume.h"

#define THREADS		8U
#define MAX_SECTORS	128U		/* of one write */
#define SNAPSHOTS	6U		/* at a time */

static struct volume volume;
static int volume_fd = -1;
static uint64_t sectors;
static int trace_fd;
static FILE *images;
static unsigned int quota;		/* writes of a thread and round */
static uint32_t *begun, *acked;		/* serial numbers, by sector */
static atomic_uint next_serial, next_flush;
static pthread_barrier_t start, end;
static bool stopping, at_rest;

static uint32_t ids[SNAPSHOTS];
static unsigned int id_count;

struct thread {
	pthread_t thread;
	uint64_t rng, first, count;
};

static void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "load: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
	char text[128];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (write(trace_fd, text, n) != n)
		die("trace_marker: %s", strerror(errno));
}

static uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t rng_below(uint64_t *state, uint64_t limit)
{
	return rng_next(state) % limit;
}

static void *aligned(size_t bytes)
{
	void *buffer = aligned_alloc(4096, (bytes + 4095) & ~4095UL);

	if (!buffer)
		die("no memory");
	return buffer;
}

/* ---- writes ---- */

static void do_write(struct stamp *buffer, uint64_t sector, uint64_t count, bool dsync)
{
	struct iovec iov = { .iov_base = buffer, .iov_len = count * SECTOR };
	uint32_t serial = ++next_serial;
	uint64_t i;

	for (i = 0; i < count; i++) {
		stamp_make(&buffer[i], sector + i, serial);
		begun[sector + i] = serial;
	}
	note("load: write %u %lu %lu %d", serial, sector, count, dsync);
	if (pwritev2(volume_fd, &iov, 1, sector * SECTOR, dsync ? RWF_DSYNC : 0) !=
	    (ssize_t)iov.iov_len)
		die("write of sector %lu: %s", sector, strerror(errno));
	note("load: written %u", serial);
	for (i = 0; i < count; i++)
		acked[sector + i] = serial;
}

static void do_flush(void)
{
	unsigned int n = ++next_flush;

	note("load: flush %u", n);
	if (fdatasync(volume_fd))
		die("flush: %s", strerror(errno));
	note("load: flushed %u", n);
}

/* Half of the writes are whole chunks of 4 KiB. */
static void random_write(struct thread *t, struct stamp *buffer)
{
	uint64_t count, sector;

	if (rng_below(&t->rng, 2)) {
		count = 8;
		sector = t->first + rng_below(&t->rng, t->count / 8) * 8;
	} else {
		count = 1 + rng_below(&t->rng, rng_below(&t->rng, 4) ? 16 : MAX_SECTORS);
		sector = t->first + rng_below(&t->rng, t->count - count + 1);
	}
	do_write(buffer, sector, count, !rng_below(&t->rng, 32));
	if (!rng_below(&t->rng, 48))
		do_flush();
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct stamp *buffer = aligned(MAX_SECTORS * SECTOR);
	unsigned int i;

	for (;;) {
		pthread_barrier_wait(&start);
		if (stopping)
			return NULL;
		for (i = 0; i < quota; i++)
			random_write(t, buffer);
		pthread_barrier_wait(&end);
	}
}

/* ---- the volume's own work ---- */

static void must(bool done)
{
	if (!done)
		die("%s", volume_error);
}

static void open_volume(const char *options)
{
	char status[512];

	must(volume_open(&volume, options));
	must(volume_status(status, sizeof(status)));
	if (!strstr(status, " none - "))
		die("the volume comes up as: %s", status);
	volume_fd = open(volume.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (volume_fd < 0)
		die("%s: %s", volume.path, strerror(errno));
}

static void close_volume(void)
{
	close(volume_fd);
	must(volume_close());
}

static void keep_image(uint32_t id, const uint32_t *oldest, const uint32_t *newest)
{
	uint32_t head[2] = { id, sectors };
	uint32_t *image = aligned(sectors * sizeof(*image));
	char *content = aligned(sectors * SECTOR);
	char path[PATH_BYTES];
	uint64_t i;
	int fd;

	must(snapshot_open(&volume, id, path));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || pread(fd, content, sectors * SECTOR, 0) != (ssize_t)(sectors * SECTOR))
		die("%s: %s", path, strerror(errno));
	close(fd);
	must(snapshot_close(id));
	for (i = 0; i < sectors; i++) {
		image[i] = stamp_serial(content + i * SECTOR, i);
		if (image[i] < oldest[i] || image[i] > newest[i])
			die("snapshot %u: sector %lu shows write %u instead of %u to %u", id, i,
			    image[i], oldest[i], newest[i]);
	}
	if (fwrite(head, sizeof(head), 1, images) != 1 ||
	    fwrite(image, sizeof(*image), sectors, images) != sectors || fflush(images))
		die("cannot write the images: %s", strerror(errno));
	free(content);
	free(image);
}

static uint32_t *copy_of(const uint32_t *serials)
{
	return memcpy(aligned(sectors * sizeof(*serials)), serials,
		      sectors * sizeof(*serials));
}

static void create(void)
{
	uint32_t *oldest = copy_of(acked), *newest;
	char result[64];
	uint32_t id;

	note("load: create");
	must(volume_message("create_snapshot", result, sizeof(result)));
	id = strtoul(result, NULL, 10);
	note("load: created %u", id);
	newest = copy_of(begun);
	keep_image(id, oldest, newest);
	ids[id_count++] = id;
	free(oldest);
	free(newest);
}

static void delete(unsigned int index)
{
	char message[64];

	snprintf(message, sizeof(message), "delete_snapshot %u", ids[index]);
	note("load: delete %u", ids[index]);
	must(volume_message(message, NULL, 0));
	note("load: deleted %u", ids[index]);
	memmove(&ids[index], &ids[index + 1], (--id_count - index) * sizeof(ids[0]));
}

/*
 * Odd rounds begin with a snapshot of a volume at rest; even ones make it under
 * load, unless told not to.
 */
static void run_round(unsigned int n, uint64_t *rng)
{
	if (id_count == SNAPSHOTS)
		delete(rng_below(rng, 2) ? 0 : rng_below(rng, SNAPSHOTS));
	if (at_rest || n % 2)
		create();
	pthread_barrier_wait(&start);
	if (!at_rest && n % 2 == 0)
		create();
	if (n % 3 == 2)
		must(volume_message("checkpoint", NULL, 0));
	if (n > 3 && n % 4 == 3)
		delete(rng_below(rng, id_count));
	pthread_barrier_wait(&end);
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

static void fill(void)
{
	struct stamp *buffer = aligned(MAX_SECTORS * SECTOR);
	uint64_t at, count;

	for (at = 0; at < sectors; at += count) {
		count = sectors - at < MAX_SECTORS ? sectors - at : MAX_SECTORS;
		do_write(buffer, at, count, false);
	}
	do_flush();
	free(buffer);
}

static void start_threads(struct thread *threads, uint64_t seed)
{
	unsigned int i;

	pthread_barrier_init(&start, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++) {
		struct thread *t = &threads[i];

		t->rng = seed * THREADS + i;
		t->first = sectors * i / THREADS;
		t->count = sectors * (i + 1) / THREADS - t->first;
		if (pthread_create(&t->thread, NULL, thread_main, t))
			die("no thread");
	}
}

int main(int argc, char **argv)
{
	struct thread threads[THREADS];
	unsigned int i, rounds;
	uint64_t rng;

	if (argc != 9)
		die("usage: load LIVE DIFF CHUNK SEED ROUNDS WRITES IMAGES mixed|rest");
	volume.live = argv[1];
	volume.diff = argv[2];
	volume.chunk = strtoul(argv[3], NULL, 0);
	sectors = sectors_of(argv[1]);
	volume.sectors = sectors;
	rng = strtoull(argv[4], NULL, 0);
	rounds = strtoul(argv[5], NULL, 0);
	quota = strtoul(argv[6], NULL, 0) / THREADS;
	at_rest = !strcmp(argv[8], "rest");
	images = fopen(argv[7], "we");
	trace_fd = open("/sys/kernel/tracing/trace_marker", O_WRONLY | O_CLOEXEC);
	if (!images || trace_fd < 0)
		die("%s or the trace: %s", argv[7], strerror(errno));
	begun = aligned(sectors * sizeof(*begun));
	acked = aligned(sectors * sizeof(*acked));
	memset(begun, 0, sectors * sizeof(*begun));
	memset(acked, 0, sectors * sizeof(*acked));

	open_volume("format");
	must(volume_message("protect", NULL, 0));
	fill();
	note("load: ready");
	start_threads(threads, rng);
	for (i = 1; i <= rounds; i++) {
		run_round(i, &rng);
		if (i == rounds / 2) {
			close_volume();
			open_volume("");
		}
	}
	stopping = true;
	pthread_barrier_wait(&start);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
	close_volume();
	note("load: end");
	return 0;
}
