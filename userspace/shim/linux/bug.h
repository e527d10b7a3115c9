/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef COWP_SHIM_LINUX_BUG_H
#define COWP_SHIM_LINUX_BUG_H

#include <linux/kernel.h>

#endif /* COWP_SHIM_LINUX_BUG_H */
