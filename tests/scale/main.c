// SPDX-License-Identifier: GPL-2.0-only
/*
 * scale: large diff areas without the time that it takes to write them through
 * the target.  See README.rst.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "read.h"

static const char usage[] =
	"Usage: scale [OPTION]... make DIFF LIVE\n"
	"       scale [OPTION]... answer SNAPSHOT CHUNK\n"
	"       scale [OPTION]... read SNAPSHOT DEVICE [SNAPSHOT DEVICE]...\n"
	"       scale [OPTION]... overwrite DEVICE\n"
	"       scale peer FILE EXCEPTIONS\n"
	"\n"
	"make: write a diff area and a live volume, sparse files.  answer: what a snapshot\n"
	"reads a chunk as.  read: read chunks of snapshots, half of them with content, and\n"
	"compare.  overwrite: write to chunks.  peer: dm-snapshot's table of so many exceptions.\n"
	"SNAPSHOT is its id, or \"live\".\n"
	"\n"
	"  -r, --records N     records altogether (2000000)\n"
	"  -s, --snapshots N   snapshots (64)\n"
	"  -b, --chunk-bits N  the live volume has 2^N chunks (about 2/3 of the records)\n"
	"  -c, --chunk KIB     size of a chunk (4)\n"
	"  -t, --stamped N     records with content, about (a 200th)\n"
	"  -e, --seed N        of all that (1)\n"
	"\n"
	"for read and overwrite:\n"
	"  -n, --count N       chunks (2000)\n"
	"  -j, --jobs N        at a time (16)\n"
	"  -p, --pick N        seed of the choice (1)\n"
	"  -l, --like SNAPSHOT choose as for this one (the one that is read; the live volume)\n"
	"  -o, --round N       what overwrites of this round write; read: expect that\n";

static const struct option long_options[] = {
	{ "records", required_argument, NULL, 'r' },
	{ "snapshots", required_argument, NULL, 's' },
	{ "chunk-bits", required_argument, NULL, 'b' },
	{ "chunk", required_argument, NULL, 'c' },
	{ "stamped", required_argument, NULL, 't' },
	{ "seed", required_argument, NULL, 'e' },
	{ "count", required_argument, NULL, 'n' },
	{ "jobs", required_argument, NULL, 'j' },
	{ "pick", required_argument, NULL, 'p' },
	{ "like", required_argument, NULL, 'l' },
	{ "round", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static u64 number(const char *text)
{
	char *end;
	u64 n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end || errno)
		give_up(text, "is not a number");
	return n;
}

static u32 snapshot(const struct plan *p, const char *text)
{
	u64 id = strcmp(text, "live") ? number(text) : p->snapshots + 1;

	if (!id || id > p->snapshots + 1)
		give_up(text, "is not a snapshot");
	return id;
}

static int make(const struct plan *p, const char *diff, const char *live)
{
	struct image *im = malloc(sizeof(*im));

	if (!im)
		give_up(diff, "no memory");
	image_open(im, p, diff);
	image_write_log(im);
	image_write_runs(im);
	image_write_manifest(im);
	image_close(im);
	printf("%s: %u segments of %u blocks, %u of the log, %u of runs, %u fragments, ", diff,
	       im->geo.segments, im->geo.segment_blocks, im->log_segments,
	       im->next_segment - im->log_segments, im->fragment_count);
	printf("%llu chunks with content\n", im->stamped);
	free(im);
	printf("%s: %llu chunks, %llu with content\n", live, plan_chunks(p), live_write(p, live));
	return 0;
}

static int answer(const struct plan *p, u32 id, u64 chunk)
{
	u32 epoch = plan_answer(p, id, chunk);

	if (chunk >= plan_chunks(p))
		give_up("answer", "no such chunk");
	if (epoch == PLAN_LIVE)
		printf("live volume");
	else
		printf("epoch %u, record %llu of the log", epoch, p->first[epoch] +
		       plan_place(&p->order[epoch], p->chunk_bits, chunk));
	printf(", %s, checksum %08x\n", plan_stamped(p, chunk, epoch) ? "stamped" : "zeros",
	       plan_crc(p, chunk, epoch));
	return 0;
}

/* @word: a snapshot and its device, and so on, @words altogether. */
static int do_read(struct job *j, const char *like, char **word, int words)
{
	u32 chunks = 0, wrong = 0;
	int i;

	for (i = 0; i < words; i += 2) {
		j->snapshot = snapshot(j->plan, word[i]);
		j->like = like ? snapshot(j->plan, like) : j->snapshot;
		j->device = word[i + 1];
		chunks += j->count;
		wrong += job_read(j);
	}
	printf("%u chunks read, %u wrong\n", chunks, wrong);
	return wrong > 0;
}

static int do_overwrite(const struct job *j)
{
	u32 failed = job_overwrite(j);

	printf("%u chunks written, %u failed\n", j->count, failed);
	return failed > 0;
}

/* Options into the plan and the job.  Returns the words behind them, or NULL. */
static char **take_options(struct plan *p, struct job *j, const char **like, int argc, char **argv)
{
	bool stamped = false;
	int c;

	while ((c = getopt_long(argc, argv, "r:s:b:c:t:e:n:j:p:l:o:h", long_options, NULL)) >= 0) {
		switch (c) {
		case 'r':
			p->records = number(optarg);
			break;
		case 's':
			p->snapshots = number(optarg);
			break;
		case 'b':
			p->chunk_bits = number(optarg);
			break;
		case 'c':
			p->chunk_blocks = number(optarg) * 1024 / COWP_BLOCK_SIZE;
			break;
		case 't':
			p->stamped = number(optarg);
			stamped = true;
			break;
		case 'e':
			p->seed = number(optarg);
			break;
		case 'n':
			j->count = number(optarg);
			break;
		case 'j':
			j->jobs = number(optarg);
			break;
		case 'p':
			j->seed = number(optarg);
			break;
		case 'l':
			*like = optarg;
			break;
		case 'o':
			j->round = number(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return NULL;
		}
	}
	if (!stamped)
		p->stamped = p->records / 200;
	return argv + optind;
}

int main(int argc, char **argv)
{
	static struct plan p = {
		.records = 2000000,
		.snapshots = 64,
		.chunk_blocks = 1,
		.seed = 1,
	};
	struct job j = { .plan = &p, .count = 2000, .jobs = 16, .seed = 1 };
	const char *like = NULL, *bad, *action;
	char **word = take_options(&p, &j, &like, argc, argv);
	int words = argc - optind;

	if (!word)
		return 2;
	action = words ? word[0] : "";
	if (!strcmp(action, "peer") && words == 3) {
		peer_write(word[1], number(word[2]));
		return 0;
	}
	bad = plan_init(&p);
	if (bad)
		give_up(bad, "cannot be");
	if (!j.jobs)
		give_up("jobs", "none");
	if (!strcmp(action, "make") && words == 3)
		return make(&p, word[1], word[2]);
	if (!strcmp(action, "answer") && words == 3)
		return answer(&p, snapshot(&p, word[1]), number(word[2]));
	if (!strcmp(action, "read") && words > 2 && words % 2)
		return do_read(&j, like, word + 1, words - 1);
	if (!strcmp(action, "overwrite") && words == 2) {
		j.snapshot = p.snapshots + 1;
		j.like = like ? snapshot(&p, like) : j.snapshot;
		j.device = word[1];
		return do_overwrite(&j);
	}
	fputs(usage, stderr);
	return 2;
}
