// SPDX-License-Identifier: GPL-2.0-only
/*
 * A memtable.  See memtable.h.
 */
#include "budget.h"
#include "memtable.h"

/* A node has one link and with probability 1/4 each further one: 4/3 on average. */
static u32 links_of(u32 capacity)
{
	return capacity + capacity / 3 + COWP_MEMTABLE_LEVELS;
}

u64 cowp_memtable_bytes(u32 capacity)
{
	return cowp_footprint(capacity * sizeof(struct cowp_node)) +
	       cowp_footprint(links_of(capacity) * sizeof(u32));
}

int cowp_memtable_init(struct cowp_memtable *t, u32 capacity)
{
	memset(t, 0, sizeof(*t));
	t->capacity = capacity;
	t->nodes = port_zalloc(capacity * sizeof(*t->nodes));
	t->links = port_zalloc(links_of(capacity) * sizeof(*t->links));
	if (!t->nodes || !t->links) {
		cowp_memtable_exit(t);
		return -ENOMEM;
	}
	cowp_memtable_reset(t, 0);
	return 0;
}

void cowp_memtable_exit(struct cowp_memtable *t)
{
	port_free(t->nodes);
	port_free(t->links);
	t->nodes = NULL;
	t->links = NULL;
}

void cowp_memtable_reset(struct cowp_memtable *t, u64 base_batch)
{
	t->count = 0;
	t->links_used = 0;
	t->min_epoch = COWP_MAX_EPOCH;
	t->max_epoch = 0;
	t->base_batch = base_batch;
	t->height = 1;
	memset(t->head, 0xff, sizeof(t->head));
	memset(t->before, 0xff, sizeof(t->before));
}

/* The link of a level: in the head, or in the node that comes before. */
static u32 *link_of(const struct cowp_memtable *t, u32 node, u32 level)
{
	if (node == COWP_MEMTABLE_NIL)
		return (u32 *)&t->head[level];
	return &t->links[t->nodes[node].links + level];
}

/* Fills @before with the last node below @key of each level; returns the next. */
static u32 descend(const struct cowp_memtable *t, u64 key, u32 *before)
{
	const struct cowp_node *nodes = t->nodes;
	const u32 *links = t->head;
	u32 at = COWP_MEMTABLE_NIL;
	u32 end = COWP_MEMTABLE_NIL;	/* where the level above has ended */
	u32 level = t->height;
	u32 next;

	do {
		level--;
		while ((next = links[level]) != end && nodes[next].rec.key < key) {
			at = next;
			links = &t->links[nodes[at].links];
		}
		end = next;
		if (before)
			before[level] = at;
	} while (level);
	return next;
}

/* The node that a key is inserted before, at @t->before: the last place if that fits. */
static u32 find_place(struct cowp_memtable *t, u64 key)
{
	u32 at = t->before[0];
	u32 next = *link_of(t, at, 0);

	if ((at == COWP_MEMTABLE_NIL || t->nodes[at].rec.key < key) &&
	    (next == COWP_MEMTABLE_NIL || t->nodes[next].rec.key >= key))
		return next;
	return descend(t, key, t->before);
}

static u32 choose_height(const struct cowp_memtable *t, u32 random)
{
	u32 left = links_of(t->capacity) - t->links_used;
	u32 nodes_left = t->capacity - t->count;
	u32 height = 1;

	while (height < COWP_MEMTABLE_LEVELS && !(random & 3)) {
		random >>= 2;
		height++;
	}
	/* One link for each node to come is always left. */
	return min(height, left - nodes_left + 1);
}

bool cowp_memtable_insert(struct cowp_memtable *t, const struct cowp_rec *rec, u64 batch,
			  u32 random)
{
	u32 order = batch > t->base_batch ? batch - t->base_batch : 0;
	u32 at = find_place(t, rec->key);
	struct cowp_node *node;
	u32 height, level;

	if (at != COWP_MEMTABLE_NIL && t->nodes[at].rec.key == rec->key) {
		node = &t->nodes[at];
		if (order < node->batch) {
			node->rec = *rec;
			node->batch = order;
		}
		return false;
	}

	height = choose_height(t, random);
	while (t->height < height)
		t->before[t->height++] = COWP_MEMTABLE_NIL;

	at = t->count++;
	node = &t->nodes[at];
	node->rec = *rec;
	node->batch = order;
	node->links = t->links_used;
	t->links_used += height;
	for (level = 0; level < height; level++) {
		u32 *from = link_of(t, t->before[level], level);

		t->links[node->links + level] = *from;
		*from = at;
		t->before[level] = at;
	}
	t->min_epoch = min(t->min_epoch, cowp_key_epoch(rec->key));
	t->max_epoch = max(t->max_epoch, cowp_key_epoch(rec->key));
	return true;
}

const struct cowp_node *cowp_memtable_ceiling(const struct cowp_memtable *t, u64 key)
{
	u32 at = descend(t, key, NULL);

	return at == COWP_MEMTABLE_NIL ? NULL : &t->nodes[at];
}

const struct cowp_node *cowp_memtable_next(const struct cowp_memtable *t,
					   const struct cowp_node *node)
{
	u32 at = t->links[node->links];

	return at == COWP_MEMTABLE_NIL ? NULL : &t->nodes[at];
}
