/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A look at a diff device before anything is activated.
 */
#ifndef COWP_AREA_H
#define COWP_AREA_H

#include "engine.h"
#include "leg.h"

int cowp_area_read(struct cowp_leg *diff, enum cowp_area *area, struct cowp_area_info *info);

#endif /* COWP_AREA_H */
