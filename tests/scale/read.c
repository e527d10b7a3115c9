// SPDX-License-Identifier: GPL-2.0-only
/* Devices of a generated volume, read and written past the page cache.  See read.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "read.h"

/* So many wrong chunks are told. */
#define SHOWN	8U

/**
 * struct run - a job under way
 * @j:		the job
 * @one:	what is done with a chunk
 * @fd:		the device
 * @chunks:	of the job
 * @next:	place in @chunks of the next one to be done
 * @wrong:	so far
 */
struct run {
	const struct job *j;
	void (*one)(struct run *r, u64 chunk, void *is, void *should);
	int fd;
	u64 *chunks;
	atomic_uint next;
	atomic_uint wrong;
};

static void tell(struct run *r, u64 chunk, u32 epoch, const char *what)
{
	if (atomic_fetch_add(&r->wrong, 1) < SHOWN)
		printf("snapshot %u, chunk %llu, content of epoch %u: %s\n", r->j->snapshot, chunk,
		       epoch, what);
}

static void read_one(struct run *r, u64 chunk, void *is, void *should)
{
	const struct plan *p = r->j->plan;
	u32 epoch = r->j->round ? PLAN_ROUND(r->j->round) : plan_answer(p, r->j->snapshot, chunk);
	u32 bytes = plan_chunk_bytes(p);
	ssize_t n = pread(r->fd, is, bytes, (off_t)chunk * bytes);

	plan_content(p, chunk, epoch, should);
	if (n != bytes)
		tell(r, chunk, epoch, n < 0 ? strerror(errno) : "read short");
	else if (memcmp(is, should, bytes))
		tell(r, chunk, epoch, "wrong content");
}

static void write_one(struct run *r, u64 chunk, void *is, void *should)
{
	u32 bytes = plan_chunk_bytes(r->j->plan);
	u32 epoch = PLAN_ROUND(r->j->round);
	ssize_t n;

	plan_content(r->j->plan, chunk, epoch, should);
	n = pwrite(r->fd, should, bytes, (off_t)chunk * bytes);
	if (n != bytes)
		tell(r, chunk, epoch, n < 0 ? strerror(errno) : "written short");
}

static void *work(void *arg)
{
	struct run *r = arg;
	u32 bytes = plan_chunk_bytes(r->j->plan);
	void *is = aligned_alloc(COWP_BLOCK_SIZE, bytes);
	void *should = aligned_alloc(COWP_BLOCK_SIZE, bytes);
	u32 i;

	while (is && should && (i = atomic_fetch_add(&r->next, 1)) < r->j->count)
		r->one(r, r->chunks[i], is, should);
	if (!is || !should)
		tell(r, 0, 0, strerror(ENOMEM));
	free(is);
	free(should);
	return NULL;
}

static void choose(struct run *r)
{
	const struct job *j = r->j;
	struct plan_dice d = { .state = j->seed };
	u32 i;

	for (i = 0; i < j->count; i++)
		r->chunks[i] = i & 1 ? plan_pick(j->plan, &d) :
				       plan_pick_stamped(j->plan, &d, j->like);
}

static u32 run(const struct job *j, int flags, void (*one)(struct run *, u64, void *, void *))
{
	struct run r = { .j = j, .one = one };
	pthread_t *threads = calloc(j->jobs, sizeof(*threads));
	u32 i, started = 0;

	r.fd = open(j->device, flags | O_DIRECT | O_CLOEXEC);
	r.chunks = calloc(j->count, sizeof(*r.chunks));
	if (r.fd < 0 || !r.chunks || !threads) {
		printf("%s: %s\n", j->device, strerror(errno));
	} else {
		choose(&r);
		for (i = 0; i < j->jobs; i++)
			started += !pthread_create(&threads[started], NULL, work, &r);
		for (i = 0; i < started; i++)
			pthread_join(threads[i], NULL);
	}
	if (r.fd >= 0)
		close(r.fd);
	free(r.chunks);
	free(threads);
	return started ? r.wrong : j->count;
}

u32 job_read(const struct job *j)
{
	return run(j, O_RDONLY, read_one);
}

u32 job_overwrite(const struct job *j)
{
	return run(j, O_WRONLY, write_one);
}
