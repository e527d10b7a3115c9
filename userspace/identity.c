// SPDX-License-Identifier: GPL-2.0-only
/* The identity of a live volume: on the diff area, and as its device shows it. */
#include <blkid/blkid.h>
#include <unistd.h>

#include "identity.h"

const char * const identity_words[COWP_IDENTITY_KINDS] = {
	[COWP_IDENTITY_NONE] = "none",
	[COWP_IDENTITY_FILESYSTEM] = "filesystem",
	[COWP_IDENTITY_PARTITION] = "partition",
};

/* It ends, has nothing behind its end, and can be shown. */
static bool good_text(const char *text)
{
	size_t length = strnlen(text, COWP_IDENTITY_BYTES), i;

	if (length == COWP_IDENTITY_BYTES ||
	    memchr_inv(text + length, 0, COWP_IDENTITY_BYTES - length))
		return false;
	for (i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

const char *identity_decode(struct identity *id, const void *block, u32 copy, const u8 *uuid)
{
	const struct cowp_identity_block *b = block;
	const char *bad = cowp_check_header(block, COWP_MAGIC_IDENTITY, uuid,
					    COWP_IDENTITY_BLOCK(copy));

	if (bad)
		return bad;
	if (b->kind >= COWP_IDENTITY_KINDS)
		return "kind of the uuid";
	if (!good_text(b->name) || !good_text(b->id))
		return "a text that is none";
	memset(id, 0, sizeof(*id));
	id->live_sectors = le64_to_cpu(b->live_sectors);
	id->kind = b->kind;
	memcpy(id->name, b->name, sizeof(id->name));
	memcpy(id->id, b->id, sizeof(id->id));
	return NULL;
}

bool identity_read(struct identity *id, const struct area *a, const u8 *uuid)
{
	void *block = xcalloc(1, COWP_BLOCK_SIZE);
	bool found = false;
	u32 i;

	for (i = 0; i < COWP_SLOTS && !found; i++)
		found = !area_read(a, COWP_IDENTITY_BLOCK(i), 1, block) &&
			!identity_decode(id, block, i, uuid);
	free(block);
	return found;
}

int identity_write(const struct identity *id, const struct area *a, const u8 *uuid)
{
	int error = 0;
	u32 i;

	for (i = 0; i < COWP_SLOTS && !error; i++) {
		void *block = xcalloc(1, COWP_BLOCK_SIZE);
		struct cowp_identity_block *b = block;
		ssize_t n;

		b->live_sectors = cpu_to_le64(id->live_sectors);
		b->kind = id->kind;
		memcpy(b->name, id->name, sizeof(b->name));
		memcpy(b->id, id->id, sizeof(b->id));
		cowp_seal(block, COWP_MAGIC_IDENTITY, uuid, COWP_IDENTITY_BLOCK(i), 0, 0);
		n = pwrite(a->fd, block, COWP_BLOCK_SIZE,
			   (off_t)COWP_IDENTITY_BLOCK(i) * COWP_BLOCK_SIZE);
		/* Of a short one nothing says why. */
		if (n != COWP_BLOCK_SIZE)
			error = n < 0 ? -errno : -EIO;
		free(block);
	}
	if (!error && fdatasync(a->fd))
		error = -errno;
	return error;
}

static bool take(struct identity *id, blkid_probe pr, const char *what, u32 kind)
{
	const char *text;

	if (blkid_probe_lookup_value(pr, what, &text, NULL) || strlen(text) >= sizeof(id->id))
		return false;
	strcpy(id->id, text);
	id->kind = kind;
	return true;
}

void identity_probe(struct identity *id, const struct area *live)
{
	blkid_probe pr = blkid_new_probe();

	id->live_sectors = live->sectors;
	id->kind = COWP_IDENTITY_NONE;
	memset(id->id, 0, sizeof(id->id));
	if (!pr || blkid_probe_set_device(pr, live->fd, 0, 0))
		goto out;
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_UUID);
	blkid_probe_enable_partitions(pr, 1);
	blkid_probe_set_partitions_flags(pr, BLKID_PARTS_ENTRY_DETAILS);
	if (blkid_do_safeprobe(pr) < 0)
		goto out;
	if (!take(id, pr, "PART_ENTRY_UUID", COWP_IDENTITY_PARTITION))
		take(id, pr, "UUID", COWP_IDENTITY_FILESYSTEM);
out:
	blkid_free_probe(pr);
}
