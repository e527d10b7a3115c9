// SPDX-License-Identifier: GPL-2.0-only
/* What lies where in a generated diff area; and the file itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

/*
 * Segments beyond those in use, so that the volume can go on: a few, and a part,
 * which is more than the 16th below which the engine looks for room.
 */
#define SPARE_PART	8U
#define SPARE_SEGMENTS	128U

void give_up(const char *name, const char *why)
{
	fprintf(stderr, "scale: %s: %s\n", name, why);
	exit(1);
}

int make_file(const char *name, u64 bytes)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, bytes))
		give_up(name, strerror(errno));
	return fd;
}

void put_bytes(int fd, const char *name, u64 at, const void *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = pwrite(fd, data, bytes, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			give_up(name, strerror(errno));
		data = (const u8 *)data + n;
		at += n;
		bytes -= n;
	}
}

void image_write(const struct image *im, u64 block, const void *data, u32 blocks)
{
	put_bytes(im->fd, im->name, block * COWP_BLOCK_SIZE, data,
		  (size_t)blocks * COWP_BLOCK_SIZE);
}

void image_header(const struct image *im, u32 segment, u8 kind, void *block)
{
	struct cowp_segment_header *h = block;

	memset(h, 0, COWP_BLOCK_SIZE);
	h->segment = cpu_to_le32(segment);
	h->kind = kind;
	cowp_seal(h, COWP_MAGIC_SEGMENT, im->super.uuid, cowp_segment_block(&im->geo, segment),
		  IMAGE_SESSION, image_incarnation(segment));
}

/*
 * Four lanes took turns: neighbours in the log have their entries in different
 * summary blocks.
 */
struct cowp_place image_place(const struct image *im, u64 record)
{
	u32 slot = record % im->geo.slots;
	u32 home = slot / (COWP_LANES * im->geo.entries) * COWP_LANES + slot % COWP_LANES;
	u32 entry = slot / COWP_LANES % im->geo.entries;

	return (struct cowp_place) {
		.segment = record / im->geo.slots,
		.slot = slot,
		.pos = home * im->geo.entries + entry,
	};
}

/* At least the segments that the log and the runs need, for blocks of the size. */
static u64 needed_segments(const struct image *im)
{
	const struct plan *p = im->plan;
	u64 used = DIV_ROUND_UP(p->records, im->geo.slots);

	/* A 160th for the index's blocks above the leaves and ends of segments, and more. */
	used += p->records / cowp_leaf_records() * 161 / 160 / im->geo.segment_blocks + 64;
	return used + used / SPARE_PART + SPARE_SEGMENTS;
}

static void choose_sizes(struct image *im)
{
	const struct plan *p = im->plan;
	u64 blocks = p->records * p->chunk_blocks;
	const char *bad;

	for (;;) {
		im->super.chunk_blocks = p->chunk_blocks;
		bad = cowp_layout(&im->super, blocks);
		if (bad && blocks > 1 << 24)
			give_up(im->name, bad);
		if (!bad) {
			cowp_geometry_init(&im->geo, p->chunk_blocks, im->super.segment_blocks);
			if (im->super.segments >= needed_segments(im))
				break;
			if (im->super.segments == COWP_FORMAT_SEGMENTS)
				give_up(im->name, "more records than an area has room for");
		}
		blocks += blocks / 64 + COWP_MIN_SEGMENT_BLOCKS;
	}
	im->geo.segments = im->super.segments;
	im->geo.first_segment = im->super.first_segment;
	/* Log segments have room for one creation of a snapshot each. */
	if (p->records / p->snapshots < im->geo.slots)
		give_up(im->name, "fewer records in an epoch than a segment has slots");
}

void image_open(struct image *im, const struct plan *p, const char *name)
{
	u64 uuid[2] = { plan_hash(p->seed, p->records, 1), plan_hash(p->seed, p->snapshots, 2) };

	memset(im, 0, sizeof(*im));
	im->plan = p;
	im->name = name;
	choose_sizes(im);
	memcpy(im->super.uuid, uuid, sizeof(im->super.uuid));
	im->super.session = IMAGE_SESSION;
	im->log_segments = DIV_ROUND_UP(p->records, im->geo.slots);
	im->next_segment = im->log_segments;
	im->fd = make_file(name, im->super.area_blocks * COWP_BLOCK_SIZE);
}

void image_close(struct image *im)
{
	if (close(im->fd))
		give_up(im->name, strerror(errno));
}
