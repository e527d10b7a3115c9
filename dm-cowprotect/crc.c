// SPDX-License-Identifier: GPL-2.0-only
/*
 * crc32c for the engine.
 *
 * Not lib/libcrc32c: that one holds on to whatever implementation was there
 * when it was loaded, which is the table-driven one (ten times slower) where
 * nothing loads crc32c-intel by itself.  This module asks for it first
 * (MODULE_SOFTDEP) and then takes the best there is.
 */
#include <crypto/hash.h>
#include "engine.h"
#include "shell.h"

static struct crypto_shash *cowp_crc_tfm;

/**
 * port_crc32c - continue a crc32c
 * @seed:	what the bytes before gave, or ~0
 * @data:	bytes
 * @bytes:	how many, less than 4 GiB
 *
 * Any context.  Returns the checksum, not inverted.
 */
u32 port_crc32c(u32 seed, const void *data, size_t bytes)
{
	/* Not SHASH_DESC_ON_STACK(): that has hundreds of bytes, which may be cleared. */
	u8 room[sizeof(struct shash_desc) + sizeof(u32)] __aligned(__alignof__(struct shash_desc));
	struct shash_desc *desc = (struct shash_desc *)room;
	u32 *state = (u32 *)shash_desc_ctx(desc);

	desc->tfm = cowp_crc_tfm;
	*state = seed;
	/* Only digests with a key or with blocks of their own can fail here. */
	WARN_ON_ONCE(crypto_shash_update(desc, data, bytes));
	return *state;
}

/**
 * cowp_crc_init - find an implementation
 *
 * May sleep, and load modules.  Returns 0 or -errno.
 */
int __init cowp_crc_init(void)
{
	cowp_crc_tfm = crypto_alloc_shash("crc32c", 0, 0);
	if (IS_ERR(cowp_crc_tfm)) {
		DMERR("the kernel's crypto API has no crc32c: load the module crc32c_generic");
		return PTR_ERR(cowp_crc_tfm);
	}
	/* port_crc32c() takes the state for the checksum so far, and nothing else. */
	if (crypto_shash_descsize(cowp_crc_tfm) != sizeof(u32)) {
		DMERR("crc32c by %s has a state of its own: blacklist that driver",
		      crypto_tfm_alg_driver_name(crypto_shash_tfm(cowp_crc_tfm)));
		crypto_free_shash(cowp_crc_tfm);
		return -EINVAL;
	}
	return 0;
}

/**
 * cowp_crc_exit - let the implementation go
 */
void cowp_crc_exit(void)
{
	crypto_free_shash(cowp_crc_tfm);
}
