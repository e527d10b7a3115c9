/* SPDX-License-Identifier: GPL-2.0-only */
/* libc's own errno.h comes here, too. */
#ifndef COWP_SHIM_LINUX_ERRNO_H
#define COWP_SHIM_LINUX_ERRNO_H

#include <asm/errno.h>

#endif /* COWP_SHIM_LINUX_ERRNO_H */
