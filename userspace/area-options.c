// SPDX-License-Identifier: GPL-2.0-only
/* What says which diff area is meant, or what it is to be. */
#include <uuid/uuid.h>

#include "area-options.h"
#include "engine.h"
#include "tool.h"

const char *area_option_uuid(const char *text, u8 uuid[16])
{
	return uuid_parse(text, uuid) || uuid_is_null(uuid) ? "is not a uuid" : NULL;
}

const char *area_option_chunk(const char *text, u64 *sectors)
{
	const char *bad = tool_sectors(text, sectors);

	if (!bad && (!is_power_of_2(*sectors) || *sectors < COWP_BLOCK_SECTORS ||
		     *sectors > COWP_MAX_CHUNK_BLOCKS * COWP_BLOCK_SECTORS))
		bad = "is not a power of two from 4K to 1M";
	return bad;
}
