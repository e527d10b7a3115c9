// SPDX-License-Identifier: GPL-2.0-only
/* Devices of a generated volume, read and written past the page cache.  See read.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "read.h"

/* Each wrong chunk is told, up to so many a process. */
#define SHOWN	8U

struct worker {
	const struct job *j;
	int fd;
	void *is;
	void *should;
	u32 wrong;
};

static void tell(struct worker *w, u64 chunk, u32 epoch, const char *what)
{
	if (w->wrong++ >= SHOWN)
		return;
	printf("snapshot %u, chunk %llu, content of epoch %u: %s\n", w->j->snapshot, chunk, epoch,
	       what);
}

static void one_read(struct worker *w, u64 chunk)
{
	const struct plan *p = w->j->plan;
	u32 epoch = w->j->round ? PLAN_ROUND(w->j->round) : plan_answer(p, w->j->snapshot, chunk);
	u32 bytes = plan_chunk_bytes(p);
	ssize_t n = pread(w->fd, w->is, bytes, (off_t)chunk * bytes);

	plan_content(p, chunk, epoch, w->should);
	if (n != bytes)
		tell(w, chunk, epoch, n < 0 ? strerror(errno) : "read short");
	else if (memcmp(w->is, w->should, bytes))
		tell(w, chunk, epoch, "wrong content");
}

static void one_write(struct worker *w, u64 chunk)
{
	u32 bytes = plan_chunk_bytes(w->j->plan);
	u32 epoch = PLAN_ROUND(w->j->round);
	ssize_t n;

	plan_content(w->j->plan, chunk, epoch, w->should);
	n = pwrite(w->fd, w->should, bytes, (off_t)chunk * bytes);
	if (n != bytes)
		tell(w, chunk, epoch, n < 0 ? strerror(errno) : "written short");
}

/* The work of one process: each job-th chunk of the same choice. */
static u32 work(const struct job *j, u32 nr, int flags, void (*one)(struct worker *, u64))
{
	struct plan_dice d = { .state = j->seed };
	struct worker w = { .j = j };
	u32 bytes = plan_chunk_bytes(j->plan);
	u32 i;

	w.fd = open(j->device, flags | O_DIRECT | O_CLOEXEC);
	w.is = aligned_alloc(COWP_BLOCK_SIZE, bytes);
	w.should = aligned_alloc(COWP_BLOCK_SIZE, bytes);
	if (w.fd < 0 || !w.is || !w.should) {
		printf("%s: %s\n", j->device, strerror(errno));
		return 1;
	}
	for (i = 0; i < j->count; i++) {
		u64 chunk = i & 1 ? plan_pick(j->plan, &d) :
				    plan_pick_stamped(j->plan, &d, j->like);

		if (i % j->jobs == nr)
			one(&w, chunk);
	}
	free(w.is);
	free(w.should);
	close(w.fd);
	return w.wrong;
}

static u32 run(const struct job *j, int flags, void (*one)(struct worker *, u64))
{
	u32 wrong = 0, nr;
	int status;

	fflush(stdout);
	for (nr = 0; nr < j->jobs; nr++) {
		pid_t pid = fork();

		if (pid < 0)
			return j->count;
		if (pid)
			continue;
		wrong = work(j, nr, flags, one);
		fflush(stdout);
		_exit(min(wrong, 100U));
	}
	while (wait(&status) > 0)
		wrong += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	return wrong;
}

u32 job_read(const struct job *j)
{
	return run(j, O_RDONLY, one_read);
}

u32 job_overwrite(const struct job *j)
{
	return run(j, O_WRONLY, one_write);
}
