// SPDX-License-Identifier: GPL-2.0-only
/*
 * libdevmapper-event-cowprotect.so: dmeventd's plugin, which watches volumes.
 *
 * dmeventd has a thread for each volume.  It calls process_event() when the
 * module has raised an event, and every few seconds besides; decide() then says
 * what to do about how the volume is.  Nothing here depends on having seen a
 * change: after a restart of the daemon all goes on.
 *
 * The volume that is blocked may hold the root file system.  What is needed to
 * tell, to send "grow" and to send "clear" is therefore locked in memory, and the
 * configuration is read only while nothing is wrong.  Programs (lvextend, those
 * of the administrator) may still have to wait for the disk; they are given up
 * after a time.
 *
 * A daemon that is started while a volume is blocked has read nothing yet, so it
 * reads then, too.  dmeventd registers a volume in the thread that is the volume's,
 * without a lock: should the file be on that very volume, which then holds the
 * daemon's own program as well, no other volume waits for it.
 */
#include <ctype.h>
#include <errno.h>
/* dmeventd finds its three functions; all others stay inside. */
#pragma GCC visibility push(default)
#include <libdevmapper-event.h>
#pragma GCC visibility pop
/* The shim of the kernel's headers has this, too */
#define hweight32 dm_hweight32
#include <libdevmapper.h>
#undef hweight32
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "decide.h"
#include "device.h"
#include "journal.h"
#include "record.h"
#include "remedy.h"
#include "volume.h"

#define ERROR_CHARS	512

/**
 * struct monitored - a volume that dmeventd has a thread for
 * @name:	of it
 * @watch:	what is remembered
 * @policy:	what is wanted
 * @error:	of the configuration, as told
 * @left:	a program that was killed and has not ended
 * @record:	its witness
 */
struct monitored {
	char name[NAME_CHARS];
	struct watch watch;
	struct policy policy;
	char error[ERROR_CHARS];
	pid_t left;
	struct record record;
};

/* What the parts shared with the command tell while this thread works for a volume */
static __thread struct {
	const char *volume;
	const struct info *info;
} working;

void tool_error(const char *subject, const char *fmt, ...)
{
	char text[ERROR_CHARS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	journal(JOURNAL_FAILED, working.volume, working.info, "%s: %s", subject, text);
}

/* A daemon does not end for want of memory, it waits for some. */
void *xcalloc(size_t count, size_t bytes)
{
	void *p;

	while (!(p = calloc(count, bytes)))
		sleep(1);
	return p;
}

void *xrealloc(void *old, size_t bytes)
{
	void *p;

	while (!(p = realloc(old, bytes)))
		sleep(1);
	return p;
}

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Memory that comes later too, but only what is touched: threads have large stacks. */
static void stay_in_memory(void)
{
	mlockall(MCL_CURRENT);
	mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static void read_policy(struct monitored *m, const struct info *info)
{
	char error[ERROR_CHARS];
	bool good = policy_read(&m->policy, POLICY_FILE, m->name, error, sizeof(error));

	if (good && !record_misplaced(&m->record, &m->policy, error, sizeof(error)))
		error[0] = 0;
	if (!strcmp(error, m->error))
		return;
	strcpy(m->error, error);
	if (*error)
		journal(JOURNAL_FAILED, m->name, info, "%s%s", error,
			good ? "" : " (what was read before still counts)");
}

/* ---- what is done ---- */

static void tell_remedy(enum journal_kind kind, const struct monitored *m,
			const struct info *info)
{
	char steps[REMEDY_STEPS * (REMEDY_CHARS + 2)] = "";
	struct remedy r;
	size_t at = 0;
	u32 i;

	if (!remedy_find(&r, m->name, info))
		return;
	for (i = 0; i < r.count; i++)
		at += snprintf(steps + at, sizeof(steps) - at, "%s%s", i ? "; " : "", r.steps[i]);
	journal(kind, m->name, info, "%s (%s), the volume is %s. To mend it: %s", r.reason,
		cowp_fault_words[info->fault], cowp_state_words[info->state], steps);
}

/* The device below the volume's own linear one, or "" */
static void diff_below(const struct monitored *m, char path[PATH_MAX])
{
	char name[NAME_CHARS], below[NAME_CHARS];
	struct mapper_target t;

	*path = 0;
	name_of(name, m->name, NAME_DIFF, 0);
	if (mapper_table(name, &t))
		return;
	if (!strcmp(t.type, "linear") && sscanf(t.line, "%127s", below) == 1)
		device_shown(below, path);
	free(t.line);
}

/*
 * @what:	it is, to people
 * True: it has ended with status 0.
 */
static bool run(struct monitored *m, const struct info *info, const char *what,
		char * const argv[], const char *diff)
{
	struct command_about about = { .volume = m->name, .diff = diff, .info = info };
	int status = command_run(argv, &about, m->policy.command_secs, &m->left);

	if (status == -ETIMEDOUT)
		journal(JOURNAL_FAILED, m->name, info,
			"%s was killed, as it took more than command_secs (%u s)%s", what,
			m->policy.command_secs,
			m->left ? "; it waits for a disk and has not ended yet" : "");
	else if (status == -EBUSY)
		journal(JOURNAL_FAILED, m->name, info,
			"%s is not run, as process %d, which was killed, has not ended", what,
			(int)m->left);
	else if (status < 0)
		journal(JOURNAL_FAILED, m->name, info, "%s cannot be run: %s", what,
			strerror(-status));
	else if (status)
		journal(JOURNAL_FAILED, m->name, info, "%s ended with status %d", what, status);
	return !status;
}

static bool run_shell(struct monitored *m, const struct info *info, const char *what,
		      char *command, const char *diff)
{
	char shell[] = "/bin/sh", option[] = "-c";
	char * const argv[] = { shell, option, command, NULL };

	return run(m, info, what, argv, diff);
}

/*
 * lvm looks for physical volumes on each block device that it may read, and on a
 * blocked volume it would wait, in vain and in a way that cannot be killed.
 * A filter that leaves our volumes out.  It must not end in "a|.*|": a device is taken
 * if any of its names is.  Returns NULL if it cannot be told which the volumes are.
 */
static char *filter_without_volumes(void)
{
	char **names, *filter, *to;
	const char *from;
	size_t count, i;

	if (volume_names(&names, &count))
		return NULL;
	/* 32: what stands around each name, and around all */
	filter = xcalloc(1, 32 + count * (32 + NAME_CHARS));
	to = stpcpy(filter, "=[");
	for (i = 0; i < count; i++) {
		to = stpcpy(to, i ? ",\"r|^/dev/mapper/" : "\"r|^/dev/mapper/");
		/* Nothing in a name shall mean anything: a dot is any character. */
		for (from = names[i]; *from; from++)
			*to++ = isalnum((unsigned char)*from) ? *from : '.';
		to = stpcpy(to, "$|\"");
	}
	strcpy(to, "]");
	names_free(names, count);
	return filter;
}

/*
 * The shell finds it by our PATH; the daemon's is that of whoever has started it.  lvm
 * has two filters, which both count: ours is to take the place of none that is set.
 */
static bool run_lvextend(struct monitored *m, const struct info *info, char *diff, char *filter)
{
	char shell[] = "/bin/sh", option[] = "-c";
	char command[] = "of=global_filter;"
		" ! lvm lvmconfig devices/$of > /dev/null 2>&1 || of=filter;"
		" exec lvextend --config \"devices/$of$1\" -l \"$2\" \"$3\"";
	char name[] = "lvextend", size[32];
	char * const argv[] = { shell, option, command, name, filter, size, diff, NULL };

	snprintf(size, sizeof(size), "+%u%%LV", m->policy.extend_percent);
	return run(m, info, name, argv, diff);
}

static bool extend_volume(struct monitored *m, const struct info *info, char *diff)
{
	char *filter;
	bool good;

	if (strncmp(diff, "/dev/mapper/", strlen("/dev/mapper/"))) {
		journal(JOURNAL_FAILED, m->name, info,
			"its diff device is no logical volume: set extend_command instead of extend_percent in "
			POLICY_FILE);
		return false;
	}
	filter = filter_without_volumes();
	good = filter && run_lvextend(m, info, diff, filter);
	free(filter);
	return good;
}

static void enlarge(struct monitored *m, const struct info *info)
{
	char diff[PATH_MAX];

	diff_below(m, diff);
	if (*m->policy.extend_command ?
	    run_shell(m, info, "extend_command", m->policy.extend_command, diff) :
	    extend_volume(m, info, diff))
		decide_enlarged(&m->watch);
}

static void grow(struct monitored *m, const struct info *info)
{
	u64 before = info->total;
	struct volume v;
	bool helped;

	if (!m->watch.enlarged || volume_open(&v, m->name))
		return;
	if (!volume_grow(&v)) {
		helped = !v.info.fault || !volume_message(&v, NULL, "clear");
		decide_extended(&m->watch, &m->policy, helped, now());
		if (helped && !volume_refresh(&v))
			journal(JOURNAL_EXTENDED, m->name, &v.info,
				"its diff area has grown from %llu to %llu chunks, %llu are used",
				before, v.info.total, v.info.used);
	}
	volume_close(&v);
}

/* What it comes to is told by the event that follows. */
static void clear(const struct monitored *m)
{
	char *answer = NULL;

	if (!mapper_message(m->name, "clear", &answer))
		free(answer);
}

static void react(struct monitored *m, const struct info *info)
{
	enum witness_word *word = &m->watch.witness;
	u32 todo;

	*word = record_look(&m->record, &m->policy, *word);
	todo = decide(&m->watch, &m->policy, info, now());
	/* First of all: whatever follows may take its time, and the wait has begun. */
	if (todo & DECIDE_WRITE)
		*word = record_write(&m->record, &m->policy, info, *word);
	if (todo & DECIDE_REMOVE)
		*word = record_remove(&m->record, &m->policy, info, *word);
	if (todo & DECIDE_TELL_UNHEARD)
		record_tell_unheard(&m->record, &m->policy, info);
	if (todo & DECIDE_CLEAR)
		clear(m);
	if (todo & DECIDE_TELL_FAULT)
		tell_remedy(JOURNAL_FAULT, m, info);
	if (todo & DECIDE_TELL_LOST)
		tell_remedy(JOURNAL_LOST, m, info);
	if (todo & DECIDE_TELL_WELL)
		journal(JOURNAL_WELL, m->name, info, "the fault is over, the volume is %s",
			cowp_state_words[info->state]);
	if (todo & DECIDE_TELL_LOW)
		journal(JOURNAL_LOW, m->name, info,
			"room in its diff area runs low: %llu of %llu chunks are used", info->used,
			info->total);
	if (todo & DECIDE_ENLARGE)
		enlarge(m, info);
	if (todo & DECIDE_GROW)
		grow(m, info);
	if ((todo & DECIDE_HOOK) && *m->policy.fault_command) {
		char diff[PATH_MAX];

		diff_below(m, diff);
		run_shell(m, info, "fault_command", m->policy.fault_command, diff);
	}
}

/* ---- what dmeventd calls ---- */

int register_device(const char *name, const char *uuid, int major, int minor, void **user)
{
	struct monitored *m = calloc(1, sizeof(*m));
	struct info nothing = { 0 };

	if (!m)
		return 0;
	snprintf(m->name, sizeof(m->name), "%s", name_plain(name));
	if (!record_begin(&m->record, m->name, uuid, major, minor)) {
		free(m);
		return 0;
	}
	policy_default(&m->policy);
	read_policy(m, &nothing);
	stay_in_memory();
	*user = m;
	return 1;
}

int unregister_device(const char *name, const char *uuid, int major, int minor, void **user)
{
	(void)name;
	(void)uuid;
	(void)major;
	(void)minor;
	free(*user);
	*user = NULL;
	return 1;
}

void process_event(struct dm_task *dmt, enum dm_event_mask mask, void **user)
{
	struct monitored *m = *user;
	char *type = NULL, *line = NULL;
	uint64_t start, length;
	struct info info;

	(void)mask;
	dm_get_next_target(dmt, NULL, &start, &length, &type, &line);
	if (!type || strcmp(type, COWP_TARGET) || !line || info_parse(&info, line))
		return;
	working.volume = m->name;
	working.info = &info;
	stay_in_memory();
	if (!info.fault && info.state != COWP_STATE_LOST)
		read_policy(m, &info);
	react(m, &info);
	working.info = NULL;
}
