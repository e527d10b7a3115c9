// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "churn.h"
#include "stamp.h"

#define PIECE_CHUNKS	8U		/* of one write, at most */

struct piece {
	uint32_t chunk, count;
};

struct writer {
	pthread_t thread;
	unsigned int region;
	uint64_t sector;
	uint64_t rng;
	struct piece pieces[REGION_CHUNKS];
	unsigned int piece_count;
	unsigned int next;		/* piece */
};

static struct writer writers[REGIONS];
static int fd = -1;
static _Atomic uint32_t begun[CHUNKS], ended[CHUNKS];
static atomic_uint last_serial;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int round_number;	/* of churn_start() */
static unsigned int quota;		/* of a thread */
static bool renew, stopping;
static unsigned int busy, written;

uint64_t churn_sector(unsigned int chunk, uint64_t sectors)
{
	uint64_t region = sectors / CHUNK_SECTORS / REGIONS * (chunk / REGION_CHUNKS);

	return (region + chunk % REGION_CHUNKS) * CHUNK_SECTORS;
}

/* The region in pieces of many sizes, shuffled. */
static void cut(struct writer *w)
{
	uint32_t at, i;

	w->piece_count = 0;
	w->next = 0;
	for (at = 0; at < REGION_CHUNKS; at += w->pieces[w->piece_count++].count) {
		struct piece *p = &w->pieces[w->piece_count];

		p->chunk = at;
		p->count = 1 + model_random(&w->rng, PIECE_CHUNKS);
		if (p->count > REGION_CHUNKS - at)
			p->count = REGION_CHUNKS - at;
	}
	for (i = w->piece_count; i > 1; i--) {
		uint32_t other = model_random(&w->rng, i);
		struct piece p = w->pieces[i - 1];

		w->pieces[i - 1] = w->pieces[other];
		w->pieces[other] = p;
	}
}

static void write_chunks(struct writer *w, struct stamp *buffer, uint32_t chunk, uint32_t count)
{
	uint32_t first = w->region * REGION_CHUNKS + chunk;
	uint64_t sector = w->sector + (uint64_t)chunk * CHUNK_SECTORS;
	uint32_t serial = ++last_serial;
	uint32_t i;

	for (i = 0; i < count * CHUNK_SECTORS; i++)
		stamp_make(&buffer[i], sector + i, serial);
	for (i = 0; i < count; i++)
		begun[first + i] = serial;
	if (pwrite(fd, buffer, count * CHUNK_BYTES, sector * SECTOR) !=
	    (ssize_t)(count * CHUNK_BYTES))
		die("a write of %u chunks failed: %s", count, strerror(errno));
	for (i = 0; i < count; i++)
		ended[first + i] = serial;
	pthread_mutex_lock(&lock);
	written += count;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/* What is left of a piece stays for the next time. */
static void write_quota(struct writer *w, struct stamp *buffer, unsigned int left)
{
	while (left) {
		struct piece *p = &w->pieces[w->next];
		uint32_t count = p->count < left ? p->count : left;

		if (w->next == w->piece_count)
			die("more churn than chunks");
		write_chunks(w, buffer, p->chunk, count);
		left -= count;
		p->chunk += count;
		p->count -= count;
		w->next += !p->count;
	}
}

static void *writer_main(void *arg)
{
	struct stamp *buffer = aligned_alloc(CHUNK_BYTES, PIECE_CHUNKS * CHUNK_BYTES);
	struct writer *w = arg;
	unsigned int seen = 0;

	if (!buffer)
		die("no memory");
	pthread_mutex_lock(&lock);
	for (;;) {
		while (seen == round_number && !stopping)
			pthread_cond_wait(&changed, &lock);
		if (stopping)
			break;
		seen = round_number;
		pthread_mutex_unlock(&lock);
		if (renew)
			cut(w);
		write_quota(w, buffer, quota);
		pthread_mutex_lock(&lock);
		busy--;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	free(buffer);
	return NULL;
}

void churn_begin(const char *path, uint64_t sectors)
{
	unsigned int i;

	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	last_serial = model.last_serial;
	stopping = false;
	for (i = 0; i < CHUNKS; i++) {
		begun[i] = model.live.serial[i];
		ended[i] = begun[i];
	}
	for (i = 0; i < REGIONS; i++) {
		struct writer *w = &writers[i];

		w->region = i;
		w->sector = churn_sector(i * REGION_CHUNKS, sectors);
		w->rng = ((uint64_t)model_random(&model.rng, UINT32_MAX) << 32) + i;
		cut(w);
		if (pthread_create(&w->thread, NULL, writer_main, w))
			die("no thread");
	}
}

void churn_end(void)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	while (busy)
		pthread_cond_wait(&changed, &lock);
	stopping = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < REGIONS; i++)
		pthread_join(writers[i].thread, NULL);
	close(fd);
	model.last_serial = last_serial;
	churn_ended(&model.live);
}

void churn_start(unsigned int chunks, bool fresh)
{
	pthread_mutex_lock(&lock);
	while (busy)
		pthread_cond_wait(&changed, &lock);
	quota = chunks / REGIONS;
	renew = fresh;
	written = 0;
	busy = REGIONS;
	round_number++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void churn_wait(unsigned int chunks)
{
	pthread_mutex_lock(&lock);
	while (written < chunks)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

unsigned int churn_busy(void)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = busy;
	pthread_mutex_unlock(&lock);
	return n;
}

void churn_ended(struct image *image)
{
	unsigned int i;

	for (i = 0; i < CHUNKS; i++)
		image->serial[i] = ended[i];
}

void churn_begun(struct image *image)
{
	unsigned int i;

	for (i = 0; i < CHUNKS; i++)
		image->serial[i] = begun[i];
}
