// SPDX-License-Identifier: GPL-2.0-only
/*
 * The deterministic simulator.  See README.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "history.h"
#include "shrink.h"

struct run {
	struct options opt;
	u64 cuts;
	u64 seed;
	u64 histories;
	u32 jobs;
	u32 shrink_seconds;
	bool stop_on_first;
	bool quiet;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *shared_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static u64 history_seed(const struct run *r, u64 index)
{
	return rng_mix(r->seed * 0x9e3779b97f4a7c15ULL + index) >> 16;
}

/* Seconds after which one history counts as endless. */
static u32 history_seconds(const struct run *r)
{
	return r->opt.exhaustive ? 600 : 40;
}

static void job(const struct run *r, u32 nr, struct stats *stats)
{
	u64 cuts = r->cuts / r->jobs + (nr < r->cuts % r->jobs);
	u64 index;

	for (index = nr; stats->n[STAT_CUTS] < cuts; index += r->jobs) {
		struct history h;
		bool good;

		if (r->histories && index >= r->histories)
			return;
		history_make(&h, history_seed(r, index), &r->opt);
		stats->seed = h.seed;
		limit_processor_time(history_seconds(r));
		good = history_run(&h, stats, false);
		history_free(&h);
		if (!good) {
			fprintf(stderr, "history %llu: %s\n", stats->failed_seed, stats->failure);
			_exit(3);
		}
	}
}

static void progress(const struct stats *stats, u32 jobs, double start)
{
	struct stats sum = {};
	double t = now() - start;
	u32 i;

	for (i = 0; i < jobs; i++)
		stats_sum(&sum, &stats[i]);
	printf("%7.0f s  %8llu histories  %10llu operations  %9llu cuts  %7.1f cuts/s\n", t,
	       sum.n[STAT_HISTORIES], sum.n[STAT_OPS], sum.n[STAT_CUTS],
	       t > 0 ? sum.n[STAT_CUTS] / t : 0);
	fflush(stdout);
}

static void report(const struct run *r, u64 seed)
{
	struct stats *shared = shared_memory(sizeof(*shared));
	struct history h;
	enum run_end end;

	history_make(&h, seed, &r->opt);
	end = run_apart(&h, shared, false, true, history_seconds(r));
	printf("\nhistory %llu: %s\n", seed,
	       end == RUN_GOOD ? "cannot be repeated" :
	       end == RUN_FAILED ? shared->failure :
	       end == RUN_DIED ? "the process died, see above" : "does not end");
	if (end == RUN_GOOD)
		return;
	if (r->shrink_seconds) {
		printf("shrinking, %u s at most\n", r->shrink_seconds);
		shrink(&h, shared, r->shrink_seconds);
	}
	history_print(&h);
	printf("\ntrace:\n");
	run_apart(&h, shared, true, true, history_seconds(r));
	printf("\nfailure: %s\nrepeat with: --replay %llu and the options of this run\n",
	       shared->failure, seed);
	history_free(&h);
}

static bool run(const struct run *r)
{
	struct stats *stats = shared_memory(r->jobs * sizeof(*stats));
	struct stats sum = {};
	double start = now(), last = start;
	u32 left = r->jobs, i, failed = 0;
	pid_t *pid = calloc(r->jobs, sizeof(*pid));
	u64 failed_seed = 0;

	for (i = 0; i < r->jobs; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			abort();
		if (!pid[i]) {
			job(r, i, &stats[i]);
			fflush(stdout);
			_exit(0);
		}
	}
	while (left) {
		int status;
		pid_t p = waitpid(-1, &status, WNOHANG);

		if (p <= 0) {
			usleep(20000);
			if (!r->quiet && now() - last >= 10) {
				last = now();
				progress(stats, r->jobs, start);
			}
			continue;
		}
		left--;
		for (i = 0; i < r->jobs && pid[i] != p; i++)
			;
		if (i == r->jobs || (WIFEXITED(status) && !WEXITSTATUS(status)))
			continue;
		if (!failed++)
			failed_seed = stats[i].seed;
		printf("job %u: history %llu %s\n", i, stats[i].seed,
		       WIFSIGNALED(status) && WTERMSIG(status) == SIGVTALRM ? "does not end" :
		       WIFEXITED(status) && WEXITSTATUS(status) == 3 ? "diverges" :
		       "died");
		if (r->stop_on_first) {
			for (i = 0; i < r->jobs; i++)
				kill(pid[i], SIGKILL);
			r->jobs > 1 ? (void)wait(NULL) : (void)0;
			left = 0;
		}
	}
	free(pid);
	for (i = 0; i < r->jobs; i++)
		stats_sum(&sum, &stats[i]);
	if (!r->quiet || failed)
		printf("\n");
	if (!r->quiet)
		stats_print(&sum, now() - start);
	printf("\n%s: %llu cuts in %llu histories, seed %llu\n", failed ? "FAILED" : "good",
	       sum.n[STAT_CUTS], sum.n[STAT_HISTORIES], r->seed);
	if (failed && !r->quiet)
		report(r, failed_seed);
	return !failed;
}

static void usage(void)
{
	fputs("usage: sim [--cuts N] [--seed S] [--jobs N] [--histories N] [--exhaustive]\n"
	      "           [--chunk-blocks N] [--caps none|cache|fua] [--faults none|some|all]\n"
	      "           [--states N] [--segment OPS] [--stop-on-first] [--quiet]\n"
	      "           [--without OPERATION] [--roomy] [--no-memory]\n"
	      "           [--replay SEED [--trace]] [--shrink-seconds N]\n", stderr);
	exit(2);
}

static u32 choose(const char *word, const char * const *words, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		if (!strcmp(word, words[i]))
			return i;
	}
	usage();
	return 0;
}

static int replay(const struct run *r, u64 seed, bool trace)
{
	struct stats *shared = shared_memory(sizeof(*shared));
	struct history h;
	enum run_end end;

	history_make(&h, seed, &r->opt);
	history_print(&h);
	end = run_apart(&h, shared, trace, true, history_seconds(r));
	if (end != RUN_GOOD && r->shrink_seconds) {
		report(r, seed);
		return 1;
	}
	printf("%s %s\n", end == RUN_GOOD ? "good" : "FAILED:", shared->failure);
	return end != RUN_GOOD;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cuts", 1, NULL, 'c' }, { "seed", 1, NULL, 's' }, { "jobs", 1, NULL, 'j' },
		{ "histories", 1, NULL, 'h' }, { "exhaustive", 0, NULL, 'e' },
		{ "chunk-blocks", 1, NULL, 'b' }, { "caps", 1, NULL, 'C' },
		{ "faults", 1, NULL, 'f' }, { "states", 1, NULL, 'S' },
		{ "segment", 1, NULL, 'o' }, { "stop-on-first", 0, NULL, '1' },
		{ "quiet", 0, NULL, 'q' }, { "replay", 1, NULL, 'r' },
		{ "trace", 0, NULL, 't' }, { "without", 1, NULL, 'w' },
		{ "roomy", 0, NULL, 'R' }, { "no-memory", 0, NULL, 'm' },
		{ "shrink-seconds", 1, NULL, 'k' },
		{ }
	};
	static const char * const caps[] = { "any", "none", "cache", "fua" };
	static const char * const faults[] = { "none", "some", "all" };
	struct run r = {
		.cuts = 1000, .seed = 1, .jobs = 1, .shrink_seconds = 60,
		.opt = { .faults = 1 },
	};
	bool do_replay = false, trace = false;
	u64 seed = 0;
	u32 op;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			r.cuts = strtoull(optarg, NULL, 0);
			break;
		case 's':
			r.seed = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			r.jobs = strtoul(optarg, NULL, 0);
			break;
		case 'h':
			r.histories = strtoull(optarg, NULL, 0);
			break;
		case 'e':
			r.opt.exhaustive = true;
			break;
		case 'b':
			r.opt.chunk_blocks = strtoul(optarg, NULL, 0);
			break;
		case 'C':
			r.opt.caps = choose(optarg, caps, ARRAY_SIZE(caps));
			break;
		case 'f':
			r.opt.faults = choose(optarg, faults, ARRAY_SIZE(faults));
			break;
		case 'S':
			r.opt.states = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			r.opt.segment = strtoul(optarg, NULL, 0);
			break;
		case '1':
			r.stop_on_first = true;
			break;
		case 'q':
			r.quiet = true;
			break;
		case 'r':
			do_replay = true;
			seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			trace = true;
			break;
		case 'k':
			r.shrink_seconds = strtoul(optarg, NULL, 0);
			break;
		case 'R':
			r.opt.roomy = true;
			break;
		case 'm':
			r.opt.no_memory = true;
			break;
		case 'w':
			op = history_op_by_name(optarg);
			if (op == OP_TYPES)
				usage();
			r.opt.without |= 1U << op;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || !r.jobs)
		usage();
	if (!r.opt.segment)
		r.opt.segment = r.opt.exhaustive ? 24 : 310;
	if (!r.opt.states)
		r.opt.states = 2;
	if (do_replay)
		return replay(&r, seed, trace);
	return !run(&r);
}
