/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the volume and its snapshots must show: of each chunk the serial number
 * of the write that it comes from (0: none yet).  It is kept in a file between
 * two calls of the program.
 *
 * The chunks are those of a few regions, which lie apart in the volume.
 */
#ifndef ROTATION_MODEL_H
#define ROTATION_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define CHUNK_BYTES	4096U
#define REGIONS		8U
#define REGION_CHUNKS	256U
#define CHUNKS		(REGIONS * REGION_CHUNKS)
#define MAX_IMAGES	128U

/*
 * struct image - what a snapshot or the volume shows
 * @again:	a write was under way that is not in the snapshot: a copy for the
 *		snapshot before may have been made, and another one for this
 */
struct image {
	uint32_t id;
	uint32_t serial[CHUNKS];
	bool again[CHUNKS];
};

struct model {
	uint64_t rng;
	uint32_t last_serial;
	uint32_t count;				/* of images */
	struct image live;
	struct image images[MAX_IMAGES];	/* in the order of ids */
};

extern struct model model;

void model_load(const char *path);
void model_save(const char *path);

/* @limit: above 0 */
uint32_t model_random(uint64_t *rng, uint32_t limit);

/* Another snapshot, for which the caller knows what it shows. */
struct image *model_add(uint32_t id);
void model_remove(uint32_t index);

/*
 * Copies that the snapshots need: of each chunk one for every two neighbours among
 * them, or the newest one and the volume, that show different content.
 */
uint32_t model_needed(void);

/* Copies that may be there beside them, for two neighbours that show the same. */
uint32_t model_copied_again(void);

void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...);

#endif
