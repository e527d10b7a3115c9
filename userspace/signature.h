/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Signatures of a device that is going to be overwritten.
 */
#ifndef COWP_TOOL_SIGNATURE_H
#define COWP_TOOL_SIGNATURE_H

#include "area.h"

/* Does it hold anything that is known, or can that not be told?  Then it was told. */
bool signature_found(const struct area *a);

#endif /* COWP_TOOL_SIGNATURE_H */
