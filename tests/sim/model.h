/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What must be true, kept apart from everything that makes it so.
 *
 * Live volume: for every sector the writes that it may hold, told apart by the
 * stamp in the sector.  Snapshots: the image at creation, and whether the
 * snapshot must exist, or only may.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <linux/list.h>

#include "cowprotect_format.h"
#include "page.h"

struct sim;
struct device;

#define STAMP_MAGIC	0x504d4154534d4953ULL
#define STAMP_NONE	0ULL		/* never written */
#define STAMP_GARBAGE	(~0ULL)

/* The content of a sector of a user's write. */
void stamp_fill(void *sector, u64 seed, u64 stamp, u64 nr);

/* Which write a sector's content is of; STAMP_GARBAGE: of none, or not wholly. */
u64 stamp_of(const void *sector, u64 seed, u64 nr);

/* A write to the live device that is not known to be durable. */
struct live_write {
	struct list_head node;
	u64 sector;
	u32 sectors;
	u64 stamp;
	u64 completed;		/* by the device's count, 0: in flight */
};

/**
 * struct model_snapshot - a snapshot
 * @id:		and epoch
 * @must:	it was acknowledged, and nothing that removes it was asked for
 * @acked:	its creation was acknowledged
 * @going:	its deletion was asked for
 * @image:	the live volume at its creation
 * @sectors:	the live volume's size then
 * @label:	empty while not known which creation made it
 * @bad:	sectors (bytes) that could not be read while it needed them; may be NULL
 */
struct model_snapshot {
	u32 id;
	bool must;
	bool acked;
	bool going;
	struct image *image;
	u64 sectors;
	u8 *bad;
	char label[COWP_LABEL_BYTES];
};

#define MODEL_SNAPSHOTS	64U
#define MODEL_LABELS	256U

/*
 * struct model - see above
 * @snap:	snapshots that may exist, by rising id
 * @max_id:	largest id that anyone was told of
 * @may_normal:	normal mode is possible
 * @may_protected: so is protected mode
 * @may_lose:	the snapshots may be given up: normal mode met a fault, or a reset was asked for
 * @lost:	they were
 * @marked:	durably
 * @creating:	a creation was asked for and is not known to have ended
 * @asked:	labels of the last creations asked for: what a creation that was
 *		not acknowledged made is one of them
 * @asked_sectors: size of the live volume then
 * @base:	live volume: each sector's stamp as is durable
 * @went:	epoch in which a write of the sector was last let go as preserved
 */
struct model {
	struct model_snapshot snap[MODEL_SNAPSHOTS];
	u32 nr_snaps;
	u32 max_id;
	bool may_normal;
	bool may_protected;
	bool may_lose;
	u32 protects;		/* messages under way */
	u32 resets;		/* likewise, and those that end protection alone */
	bool lost;
	bool marked;
	bool reset_asked;
	bool faulty;		/* a fault was injected since the last clean check */
	bool creating;
	char asked[MODEL_LABELS][COWP_LABEL_BYTES];
	u64 asked_sectors[MODEL_LABELS];
	u32 nr_asked;
	struct image *cut_live;	/* the live volume as it was visible at the cut */
	bool cut_busy;		/* with writes under way */
	u64 *base;
	u64 *base_count;	/* device count of that write's completion */
	u32 *went;
	u64 base_sectors;
	struct list_head writes;
};

void model_init(struct model *m, u64 live_sectors);
void model_exit(struct model *m);

/* A copy to come back to. */
void model_copy(struct model *to, const struct model *from);

void model_grow(struct model *m, u64 live_sectors);

struct live_write *model_write_submitted(struct model *m, u64 sector, u32 sectors, u64 stamp);

/*
 * A write that went as preserved, and a read of the live volume for a copy: an
 * old chunk is copied once, however many snapshots need it, and whatever happens
 * to the preserved bits.  What went was durable, so that holds over power cuts.
 */
void model_preserved(struct model *m, u64 sector, u32 sectors, u32 epoch);
void model_copied(struct sim *s, u64 sector, u32 sectors);

/* @durable: at once.  @error: what of it landed is looked up in @visible. */
void model_write_completed(struct sim *s, u64 sector, u64 stamp, u64 count, bool durable,
			   int error);
void model_flushed(struct model *m, u64 count);
void model_durable(struct model *m, u64 sector, u32 sectors, u64 stamp, u64 count);

/* After a cut: the content must be one of those possible; then it is the only one. */
void model_settle_live(struct sim *s);

struct model_snapshot *model_find(struct model *m, u32 id);
struct model_snapshot *model_add(struct sim *s, u32 id, const struct image *live);
void model_remove(struct model *m, struct model_snapshot *snap);
u32 model_must_exist(const struct model *m);
void model_bad_sector(struct model *m, u64 sector);

/* The engine's table against the model.  @settle: what is uncertain is now as the table says. */
void model_check_table(struct sim *s, bool settle);

/* The epoch changed, state or mode may have. */
void model_observe(struct sim *s);
void model_msg_sent(struct sim *s, u8 op, u32 id, const char *label);
void model_msg_done(struct sim *s, u8 op, u32 id, const char *label, int error, bool clean);
void model_fault(struct sim *s);
void model_cut(struct sim *s);

#endif /* SIM_MODEL_H */
