/* SPDX-License-Identifier: GPL-2.0-only */
/* crc32c for the userspace build: plain, the caller seeds and inverts. */
#ifndef COWP_USERSPACE_CRC32C_H
#define COWP_USERSPACE_CRC32C_H

#include <linux/types.h>

u32 crc32c(u32 seed, const void *data, size_t bytes);

/* The table's version, for the test that compares the two. */
u32 crc32c_table(u32 seed, const void *data, size_t bytes);

#endif /* COWP_USERSPACE_CRC32C_H */
