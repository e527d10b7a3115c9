/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What says which diff area is meant, or what it is to be: a uuid, a chunk.
 */
#ifndef COWP_TOOL_AREA_OPTIONS_H
#define COWP_TOOL_AREA_OPTIONS_H

#include "port.h"

/* Both return NULL, or what is wrong. */
const char *area_option_uuid(const char *text, u8 uuid[16]);
const char *area_option_chunk(const char *text, u64 *sectors);

#endif /* COWP_TOOL_AREA_OPTIONS_H */
