// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory bound.  See budget.h.
 *
 * A function for each part, in the words of its constructor: a KUnit case holds
 * the sum against what the constructors count, to the byte.
 */
#include "budget.h"
#include "recovery.h"

/* Beyond this the kernel's allocator maps single pages. */
#define LARGEST_PIECE	(4U << 20)

const char * const cowp_budget_words[COWP_BUDGET_COUNT] = {
#define COWP_BUDGET_WORD(part, word) \
	[COWP_BUDGET_##part] = word,
	COWP_BUDGET_PARTS(COWP_BUDGET_WORD)
#undef COWP_BUDGET_WORD
};

u64 cowp_footprint(u64 bytes)
{
	if (bytes > LARGEST_PIECE)
		return round_up(bytes, (u64)COWP_BLOCK_SIZE);
	return bytes ? roundup_pow_of_two(max_t(u64, bytes, 8)) : 0;
}

static u64 block_bytes(u64 count)
{
	return count * COWP_BLOCK_SIZE;
}

/* An io with a block of its own for each that it has room for. */
static u64 io_with_blocks(u32 count)
{
	return cowp_io_footprint(count) + block_bytes(count);
}

/* Written to a fixed place, with the flush behind it (cowp_put_init()). */
static u64 put(void)
{
	return io_with_blocks(1) + cowp_io_footprint(0);
}

u32 cowp_budget_records(const struct cowp_config *cfg)
{
	u64 chunks = DIV_ROUND_UP_ULL(cfg->live_sectors,
				      cfg->chunk_blocks * COWP_BLOCK_SECTORS);

	return clamp_t(u64, chunks, min(COWP_MEMTABLE_MIN, COWP_MEMTABLE_MAX),
		       COWP_MEMTABLE_MAX);
}

u32 cowp_budget_sets(const struct cowp_config *cfg)
{
	u64 pages = DIV_ROUND_UP_ULL(cfg->live_sectors, (u64)cfg->chunk_blocks *
				     COWP_BLOCK_SECTORS * COWP_PAGE_CHUNKS);
	u32 frames = cfg->bits_blocks;

	if (!frames)
		frames = min_t(u64, pages, COWP_BITS_BLOCKS);
	return DIV_ROUND_UP(max(frames, COWP_FRAME_WAYS), COWP_FRAME_WAYS);
}

static u64 base(void)
{
	return cowp_footprint(sizeof(struct cowp_engine)) +
	       cowp_footprint(COWP_MAX_SNAPSHOTS * sizeof(struct cowp_snapshot)) +
	       cowp_footprint(COWP_SEQ_COUNTS * sizeof(u32)) +
	       cowp_io_footprint(0) +	/* flushes the live device */
	       COWP_DISCARDS * cowp_io_footprint(0) +
	       2 * port_percpu_bytes(struct cowp_count_cpu);
}

static u64 bits(const struct cowp_config *cfg)
{
	u32 frames = cowp_budget_sets(cfg) * COWP_FRAME_WAYS;

	return cowp_footprint(frames * sizeof(struct cowp_frame)) + block_bytes(frames);
}

static u64 cache(const struct cowp_config *cfg)
{
	return cowp_footprint(cfg->cache_blocks * sizeof(struct cowp_cached)) +
	       cfg->cache_blocks * io_with_blocks(1);
}

static u64 writer(u32 leaves)
{
	return cowp_footprint(leaves * sizeof(u64)) + 2 * io_with_blocks(COWP_RUN_WINDOW);
}

static u64 index_and_flush(u32 records)
{
	return cowp_footprint(COWP_MAX_FRAGMENTS * sizeof(struct cowp_fragment)) +
	       writer(DIV_ROUND_UP(records, cowp_leaf_records()));
}

static u64 mover(const struct cowp_config *cfg)
{
	u32 chunk = cfg->chunk_blocks;
	u32 count = max(COWP_MOVE_BLOCKS / chunk, 1U);

	return cowp_footprint(count * sizeof(struct cowp_move)) +
	       cowp_io_footprint(count * chunk) + 2 * io_with_blocks(1) +
	       count * (io_with_blocks(chunk) + cowp_footprint(chunk * sizeof(u32)));
}

static u64 merge(const struct cowp_config *cfg)
{
	return cowp_io_footprint(0) + COWP_MAX_RUNS * io_with_blocks(COWP_MERGE_WINDOW) +
	       writer(COWP_MERGE_LEAVES) + mover(cfg) + cowp_footprint(sizeof(struct cowp_choice));
}

static u64 segment_table(u32 segments)
{
	return cowp_footprint(COWP_OPEN_LIST_MAX * sizeof(struct cowp_listed)) +
	       cowp_footprint(segments * sizeof(struct cowp_segment));
}

static u64 manifest(u32 segments)
{
	u32 body = segments ? cowp_body_max(segments) : 0;

	return cowp_footprint(body * sizeof(void *)) + block_bytes(body) +
	       cowp_io_footprint(COWP_BODY_WINDOW) + cowp_io_footprint(0) + io_with_blocks(1) +
	       2 * put();
}

static u64 copies(const struct cowp_config *cfg)
{
	u32 chunk = cfg->chunk_blocks;
	u32 window = max(chunk, COWP_READ_BLOCKS);
	u32 count = max(COWP_COPY_BLOCKS / chunk, 4U);

	return cowp_footprint(count * sizeof(struct cowp_copy)) +
	       count * (cowp_footprint(chunk * sizeof(void *)) +
			cowp_footprint(chunk * sizeof(u32)) +
			cowp_footprint(window * sizeof(u32)) + cowp_io_footprint(window) +
			block_bytes(chunk)) +
	       io_with_blocks(1);	/* salvage */
}

static u64 log_and_lanes(void)
{
	u64 batch = block_bytes(1) + io_with_blocks(1) +
		    COWP_DATA_IOS * cowp_io_footprint(COWP_DATA_IO_BLOCKS);

	return block_bytes(1) + cowp_io_footprint(0) + COWP_BATCHES * batch +
	       COWP_LANES * block_bytes(1) + COWP_SUMMARY_IOS * io_with_blocks(1);
}

static u64 recovery(const struct cowp_config *cfg, u32 records)
{
	u32 window = max(cfg->chunk_blocks, COWP_RECOVERY_BLOCKS);

	return cowp_footprint(sizeof(struct cowp_recovery)) + 2 * COWP_SLOTS * io_with_blocks(1) +
	       io_with_blocks(window) + cowp_footprint(window * sizeof(u32)) +
	       cowp_footprint(window * sizeof(void *)) + block_bytes(COWP_RING_BLOCKS) +
	       cowp_footprint(cowp_replay_room(records) * sizeof(struct cowp_replay_batch));
}

void cowp_budget(struct cowp_budget *b, const struct cowp_config *cfg, u32 segments)
{
	u32 records = cowp_budget_records(cfg);
	u32 i;

	b->bytes[COWP_BUDGET_BASE] = base();
	b->bytes[COWP_BUDGET_MEMTABLES] = 2 * cowp_memtable_bytes(records);
	b->bytes[COWP_BUDGET_BITS] = bits(cfg);
	b->bytes[COWP_BUDGET_CACHE] = cache(cfg);
	b->bytes[COWP_BUDGET_INDEX] = index_and_flush(records);
	b->bytes[COWP_BUDGET_SEGMENTS] = segment_table(segments);
	b->bytes[COWP_BUDGET_MANIFEST] = manifest(segments);
	b->bytes[COWP_BUDGET_COPIES] = copies(cfg);
	b->bytes[COWP_BUDGET_LOG] = log_and_lanes();
	b->bytes[COWP_BUDGET_RECOVERY] = recovery(cfg, records);
	b->bytes[COWP_BUDGET_MERGE] = merge(cfg);
	b->bytes[COWP_BUDGET_READERS] = cowp_readers_footprint(cfg->chunk_blocks);
	b->bytes[COWP_BUDGET_SHELL] = COWP_SHELL_BYTES;
	b->total = 0;
	for (i = 0; i < COWP_BUDGET_COUNT; i++)
		b->total += b->bytes[i];
}
