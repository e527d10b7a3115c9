// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages to a live target.
 *
 * A message holds the table: a table swap waits for it.  So every wait here has
 * an end and can be killed.  Each refusal leaves one line in the log that says
 * why and what helps, as dmsetup shows nothing but an error number.
 */
#include <linux/ctype.h>
#include <linux/slab.h>
#include "live.h"
#include "shell.h"

/*
 * The engine gives up first; the shell's own limit is for a worker that waits
 * for a hung live device.
 */
#define MESSAGE_MS	60000U
#define GRACE_MS	5000U

/*
 * Messages under way for which there is memory when there is no other, and how
 * long one waits for it.  A message holds its own for a minute at most.
 */
#define SPARE_ERRANDS	4

/* A result line, at most: libdm sends a message again whose result did not fit. */
#define RESULT_BYTES	(COWP_LABEL_BYTES + 96U)

struct call {
	struct cowp_port *port;
	unsigned int argc;
	char **argv;
	char *result;
	unsigned int maxlen;
};

struct message {
	const char *word;
	int (*fn)(struct call *c);
	unsigned int min_args;
	unsigned int max_args;
	const char *usage;
};

static const char *why(int error)
{
	switch (error) {
	case -EBUSY:
		return "recovery or another such message is under way: try again when it has ended";
	case -EIO:
		return "a fault stands: see the status line, repair, send clear";
	case -ENODATA:
		return "the snapshots were given up: send reset";
	case -ENOENT:
		return "there is no such snapshot: send list";
	case -ENOSPC:
		return "no room: delete snapshots, or grow the diff device and send grow";
	case -EFBIG:
		return "the diff area cannot become that large: format a new one";
	case -ENODEV:
		return "the diff device is not there: attach it, reload the table with it";
	case -EBADMSG:
		return "the diff area is corrupt: run cowprotect check on it, restore it";
	case -EUCLEAN:
		return "the snapshots are given up, but the area was not read: format it anew";
	case -ENOMEM:
		return "no memory: free some and try again";
	case -ETIMEDOUT:
		return "not done in time, what was written stands: see the status line";
	case -EINTR:
		return "interrupted, what was written stands: see the status line";
	case -EOVERFLOW:
		return "the caller's buffer is too small for the result, or all ids are used";
	case -ENXIO:
		return "the volume was never resumed: resume it";
	case -ESHUTDOWN:
		return "the volume is being closed: activate it again";
	default:
		return "see the messages before this one";
	}
}

/**
 * struct errand - a message on its way through the worker
 * @ref:	the caller's, the worker's until the answer, a cancellation's
 * @port:	whose pool it is of; outlives it
 * @send:	hands it to the engine
 * @cancel:	takes it back
 * @message:	the message
 */
struct errand {
	struct kref ref;
	struct cowp_port *port;
	struct cowp_request send;
	struct cowp_request cancel;
	struct cowp_message message;
};

static void errand_release(struct kref *ref)
{
	struct errand *e = container_of(ref, struct errand, ref);

	mempool_free(e, &e->port->errands);
}

static void errand_put(struct errand *e)
{
	kref_put(&e->ref, errand_release);
}

/* Worker. */
static void answer(struct cowp_message *m, int error)
{
	struct errand *e = container_of(m, struct errand, message);

	m->error = error;
	complete_all(&m->answered);
	errand_put(e);
}

static void send_fn(struct cowp_port *p, struct cowp_request *r)
{
	struct errand *e = container_of(r, struct errand, send);

	if (p->retired)
		answer(&e->message, -ESHUTDOWN);
	else if (!p->started)
		answer(&e->message, -ENXIO);
	else
		cowp_engine_message(p->eng, &e->message.msg);
}

static void cancel_fn(struct cowp_port *p, struct cowp_request *r)
{
	struct errand *e = container_of(r, struct errand, cancel);

	if (!completion_done(&e->message.answered) &&
	    cowp_engine_message_cancel(p->eng, &e->message.msg) &&
	    !completion_done(&e->message.answered))
		answer(&e->message, -EINTR);
	errand_put(e);
}

/**
 * cowp_errands_init - memory for messages
 * @p:		the activation
 *
 * May sleep.  Returns 0 or -ENOMEM.
 */
int cowp_errands_init(struct cowp_port *p)
{
	return mempool_init_kmalloc_pool(&p->errands, SPARE_ERRANDS, sizeof(struct errand));
}

/*
 * Write-back may wait for this very message, and snapshots must be made and
 * deleted, faults cleared, without memory: so it waits for that of another
 * message, as long as a message takes, unless it is killed.
 */
static struct errand *errand_alloc(struct cowp_port *p)
{
	u64 end = cowp_port_now() + MESSAGE_MS + GRACE_MS;
	struct errand *e;

	while (!(e = mempool_alloc(&p->errands, GFP_NOWAIT | __GFP_NOWARN))) {
		if (schedule_timeout_killable(HZ / 10) || fatal_signal_pending(current) ||
		    cowp_port_now() >= end)
			return NULL;
	}
	return e;
}

static struct errand *errand_new(struct cowp_port *p, enum cowp_msg_op op, bool flag)
{
	struct errand *e = errand_alloc(p);

	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->port = p;
	kref_init(&e->ref);
	e->send.fn = send_fn;
	e->cancel.fn = cancel_fn;
	e->message.msg.op = op;
	e->message.msg.flag = flag;
	e->message.answer = answer;
	init_completion(&e->message.answered);
	return e;
}

/*
 * The caller keeps its reference.  When it gives up waiting the worker is told
 * so, but not waited for: if it is stuck, this must not be.
 */
static int send(struct call *c, struct errand *e)
{
	struct cowp_port *p = c->port;
	long left;
	int r;

	e->message.msg.deadline = cowp_port_now() + MESSAGE_MS;
	kref_get(&e->ref);
	r = cowp_port_call(p, &e->send);
	if (r) {
		errand_put(e);
		return r;
	}
	left = wait_for_completion_killable_timeout(&e->message.answered,
						    msecs_to_jiffies(MESSAGE_MS + GRACE_MS));
	if (left > 0)
		return e->message.error;
	kref_get(&e->ref);
	cowp_port_post(p, &e->cancel);
	return left ? -EINTR : -ETIMEDOUT;
}

static int send_op(struct call *c, enum cowp_msg_op op, bool flag)
{
	struct errand *e = errand_new(c->port, op, flag);
	int r;

	if (!e)
		return -ENOMEM;
	r = send(c, e);
	errand_put(e);
	return r;
}

static bool good_label(const char *label)
{
	size_t i, length = strlen(label);

	if (length >= COWP_LABEL_BYTES)
		return false;
	for (i = 0; i < length; i++)
		if (!isprint(label[i]) || isspace(label[i]))
			return false;
	return true;
}

static int msg_create(struct call *c)
{
	const char *label = c->argc > 1 ? c->argv[1] : "";
	char *result = c->result;
	unsigned int maxlen = c->maxlen, sz = 0;
	struct errand *e;
	int r;

	if (!good_label(label)) {
		DMERR("%s: create_snapshot: a label has up to %u letters and no white space",
		      c->port->volume->name, COWP_LABEL_BYTES - 1);
		return -EINVAL;
	}
	/* With a result that does not fit libdm would make another snapshot. */
	if (maxlen < RESULT_BYTES)
		return -EOVERFLOW;
	e = errand_new(c->port, COWP_MSG_CREATE, false);
	if (!e)
		return -ENOMEM;
	strscpy(e->message.msg.label, label, sizeof(e->message.msg.label));
	r = send(c, e);
	if (!r) {
		DMEMIT("%u", e->message.msg.id);
		r = 1;
	}
	errand_put(e);
	return r;
}

static int parse_id(struct call *c, u32 *id)
{
	if (!kstrtou32(c->argv[1], 10, id))
		return 0;
	DMERR("%s: %s: '%s' is no snapshot id: send list", c->port->volume->name,
	      c->argv[0], c->argv[1]);
	return -EINVAL;
}

static int msg_delete(struct call *c)
{
	struct cowp_volume *v = c->port->volume;
	struct cowp_delete d;
	struct errand *e;
	int r;

	r = parse_id(c, &d.id);
	if (r)
		return r;
	e = errand_new(c->port, COWP_MSG_DELETE, false);
	if (!e)
		return -ENOMEM;
	e->message.msg.id = d.id;
	r = cowp_volume_delete_begin(v, &d);
	if (r) {
		DMERR("%s: delete_snapshot: tables (active or inactive) name %u: remove them",
		      v->name, d.id);
	} else {
		r = send(c, e);
		cowp_volume_delete_end(v, &d);
	}
	errand_put(e);
	return r;
}

struct list_request {
	struct cowp_request request;
	u32 from;
	char *result;
	unsigned int maxlen;
};

static void list_fn(struct cowp_port *p, struct cowp_request *r)
{
	struct list_request *l = container_of(r, struct list_request, request);
	const struct cowp_snapshot *table;
	char *result = l->result;
	unsigned int maxlen = l->maxlen, sz = 0;
	u32 i, count = p->started && !p->retired ? cowp_engine_snapshots(p->eng, &table) : 0;

	for (i = 0; i < count && sz + RESULT_BYTES < maxlen; i++) {
		if (table[i].id < l->from)
			continue;
		DMEMIT("%s%u %s %llu %llu %s", sz ? "\n" : "", table[i].id,
		       table[i].deleting ? "deleting" : "active", table[i].created,
		       table[i].live_sectors, table[i].label[0] ? table[i].label : "-");
	}
}

static int msg_list(struct call *c)
{
	struct list_request l = {
		.request.fn = list_fn,
		.result = c->result,
		.maxlen = c->maxlen,
	};
	int r;

	if (c->argc > 1) {
		r = parse_id(c, &l.from);
		if (r)
			return r;
	}
	if (c->maxlen < 2 * RESULT_BYTES)
		return -EOVERFLOW;
	c->result[0] = '\0';
	r = cowp_port_call(c->port, &l.request);
	return r ? r : 1;
}

static int msg_protect(struct call *c)
{
	return send_op(c, COWP_MSG_PROTECT, false);
}

static int msg_noprotect(struct call *c)
{
	int r = send_op(c, COWP_MSG_NOPROTECT, false);

	if (r == -EIO)
		DMERR("%s: noprotect: the snapshots would be given up: send clear, or reset",
		      c->port->volume->name);
	return r;
}

static int wrong_word(struct call *c, const char *expected)
{
	DMERR("%s: %s: unknown word '%s', expected %s", c->port->volume->name, c->argv[0],
	      c->argv[1], expected);
	return -EINVAL;
}

static int msg_reset(struct call *c)
{
	bool force = c->argc > 1;
	int r;

	if (force && strcmp(c->argv[1], "force"))
		return wrong_word(c, "force, or nothing");
	r = send_op(c, COWP_MSG_RESET, force);
	if (r == -EIO && !force)
		DMERR("%s: reset: no durable mark, nothing released: repair, or send reset force",
		      c->port->volume->name);
	return r;
}

static int msg_clear(struct call *c)
{
	bool accept = c->argc > 1;

	if (accept && strcmp(c->argv[1], "accept_unreadable"))
		return wrong_word(c, "accept_unreadable, or nothing");
	return send_op(c, COWP_MSG_CLEAR, accept);
}

static int msg_grow(struct call *c)
{
	int r = send_op(c, COWP_MSG_GROW, false);

	if (r == -ENOMEM)
		DMERR("%s: grow: no memory for the tables of the larger area, nothing has changed",
		      c->port->volume->name);
	return r;
}

static int msg_checkpoint(struct call *c)
{
	return send_op(c, COWP_MSG_CHECKPOINT, false);
}

static int msg_blocked_io(struct call *c)
{
	bool error = !strcmp(c->argv[1], "error");

	if (!error && strcmp(c->argv[1], "hold"))
		return wrong_word(c, "hold or error");
	WRITE_ONCE(c->port->error_if_blocked, error);
	cowp_port_flag(c->port, COWP_PORT_REGATE);
	return 0;
}

static int msg_stats_reset(struct call *c)
{
	cowp_status_reset(c->port);
	return 0;
}

static const struct message messages[] = {
	{ "create_snapshot", msg_create, 0, 1, "create_snapshot [<label>]" },
	{ "delete_snapshot", msg_delete, 1, 1, "delete_snapshot <id>" },
	{ "list", msg_list, 0, 1, "list [<from id>]" },
	{ "protect", msg_protect, 0, 0, "protect" },
	{ "noprotect", msg_noprotect, 0, 0, "noprotect" },
	{ "reset", msg_reset, 0, 1, "reset [force]" },
	{ "clear", msg_clear, 0, 1, "clear [accept_unreadable]" },
	{ "grow", msg_grow, 0, 0, "grow" },
	{ "blocked_io", msg_blocked_io, 1, 1, "blocked_io hold|error" },
	{ "checkpoint", msg_checkpoint, 0, 0, "checkpoint" },
	{ "stats_reset", msg_stats_reset, 0, 0, "stats_reset" },
};

static const struct message *find_message(const char *word)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(messages); i++)
		if (!strcmp(messages[i].word, word))
			return &messages[i];
	return NULL;
}

static int carry_out(struct call *c)
{
	const struct message *m = find_message(c->argv[0]);
	const char *name = c->port->volume->name;
	u32 i;
	int r;

	if (!m) {
		DMERR("%s: unknown message '%s': these are known:", name, c->argv[0]);
		for (i = 0; i < ARRAY_SIZE(messages); i++)
			DMERR("%s: %s", name, messages[i].usage);
		return -EINVAL;
	}
	if (c->argc - 1 < m->min_args || c->argc - 1 > m->max_args) {
		DMERR("%s: wrong number of words: expected %s", name, m->usage);
		return -EINVAL;
	}
	r = m->fn(c);
	if (r < 0 && r != -EINVAL)
		DMWARN("%s: %s refused (error %d): %s", name, m->word, r, why(r));
	return r;
}

/**
 * cowp_live_message - answer a message
 * @ti:		the target
 * @argc:	words
 * @argv:	words
 * @result:	out: text
 * @maxlen:	bytes
 *
 * May sleep, a minute at most, killable.  Returns 0, 1 with a result, or -errno.
 */
int cowp_live_message(struct dm_target *ti, unsigned int argc, char **argv,
		      char *result, unsigned int maxlen)
{
	struct cowp_live *live = ti->private;
	struct call c = {
		.port = cowp_live_port(live),
		.argc = argc,
		.argv = argv,
		.result = result,
		.maxlen = maxlen,
	};
	int r = carry_out(&c);

	cowp_port_put(c.port);
	return r;
}
