// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect check: everything that a diff area's blocks can show to be wrong.
 * Nothing is written.
 */
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

#define PROGRESS_MS	200U

struct options {
	const char *diff;
	bool no_data;
	bool quiet;
};

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	int c;

	while ((c = tool_option(a, argc, argv)) > 0) {
		o->no_data |= c == 'n';
		o->quiet |= c == 'q';
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	o->diff = argv[optind];
	return TOOL_OK;
}

void progress(struct check *c, const char *what)
{
	char size[TOOL_SIZE_CHARS];
	u64 now;

	if (!c->progress)
		return;
	now = port_now();
	if (now < c->told + PROGRESS_MS)
		return;
	c->told = now;
	c->findings.progress = true;
	fprintf(stderr, "\r\033[K%s: %s, %llu of %llu records, %s of data", c->area->path, what,
		c->records, max(c->expected, c->records), tool_size(size, c->bytes));
}

static void end_progress(struct check *c)
{
	if (c->findings.progress)
		fprintf(stderr, "\r\033[K");
	c->findings.progress = false;
}

static void count_records(struct check *c)
{
	u32 i;

	for (i = 0; i < c->man.fragment_count; i++)
		c->expected += c->man.fragments[i].records;
	c->expected += c->log_count;
}

static void check_area(struct check *c)
{
	if (!check_fixed(c))
		return;
	if (!manifest_choose(&c->man, c->area, &c->fixed, &c->findings))
		return;
	summaries_init(c);
	records_init(c);
	check_tables(c);
	check_log(c);
	count_records(c);
	check_runs(c);
	check_keys(c);
	check_segments(c);
	end_progress(c);
	records_exit(c);
	summaries_exit(c);
}

/* Nothing of ours to be checked? */
static bool is_area(const struct area *a, const struct fixed *f)
{
	switch (f->kind) {
	case COWP_AREA_UNREADABLE:
		tool_error(a->path, "cannot be read; see the kernel log");
		return false;
	case COWP_AREA_BLANK:
		tool_error(a->path, "is blank; format it first");
		return false;
	case COWP_AREA_FOREIGN:
		tool_error(a->path, "is no diff area; check the name");
		return false;
	case COWP_AREA_UNSUPPORTED:
		tool_error(a->path, "is of a newer version; use the cowprotect that belongs to it");
		return false;
	default:
		return true;
	}
}

static void summary(const struct check *c)
{
	const struct manifest *m = &c->man;
	char size[TOOL_SIZE_CHARS];

	if (m->segments) {
		printf("%s: manifest %llu, %u snapshots, %u fragments, %llu records, ",
		       c->area->path, m->super.generation, m->snapshot_count + c->log_snapshots,
		       m->fragment_count, c->records);
		printf("%u of them in the log%s, %s of data read\n", c->log_count,
		       m->super.flags & COWP_ROOT_CLEAN ? " (clean)" : "",
		       tool_size(size, c->bytes));
	}
	if (c->findings.count)
		printf("%s: %llu errors\n", c->area->path, c->findings.count);
	else
		printf("%s: no errors\n", c->area->path);
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct check c = { 0 };
	struct options o = { 0 };
	struct area area;
	int ret = take_options(&o, a, argc, argv);

	if (ret)
		return ret;
	ret = area_open(&area, o.diff, "diff device", O_RDONLY);
	if (ret)
		return ret;
	c.area = &area;
	c.data = !o.no_data;
	c.findings.out = stdout;
	c.progress = !o.quiet && isatty(STDERR_FILENO);
	fixed_read(&c.fixed, &area);
	if (is_area(&area, &c.fixed)) {
		check_area(&c);
		if (!o.quiet)
			summary(&c);
		ret = c.findings.count ? TOOL_FOUND : TOOL_OK;
		manifest_free(&c.man);
	} else {
		ret = TOOL_FAILED;
	}
	fixed_free(&c.fixed);
	area_close(&area);
	return ret;
}

static const struct tool_option options[] = {
	{ 'n', "no-data", NULL,
	  "leave out the preserved chunks: only the blocks that find them" },
	{ 'q', "quiet", NULL, "errors only, no progress and no summary" },
	{ }
};

const struct tool_action action_check = {
	.name = "check",
	.operands = "DIFFDEV",
	.summary = "look for errors in a diff area, without writing to it",
	.options = options,
	.help =
	"Each error is one line: \"error: block N: WHAT; WHAT IT MEANS\". A line \"note:\" tells\n"
	"what a crash leaves and the next activation mends. On a terminal the progress is\n"
	"shown. The volume must not be active meanwhile: what it writes looks like errors.\n",
	.fsck = true,
	.run = run,
};
