/* SPDX-License-Identifier: GPL-2.0-only */
/* Little-endian machines only (linux/types.h checks): nothing but big-endian swaps. */
#ifndef COWP_SHIM_ASM_BYTEORDER_H
#define COWP_SHIM_ASM_BYTEORDER_H

#include <linux/types.h>

#define cpu_to_le16(x)		((__le16)(x))
#define cpu_to_le32(x)		((__le32)(x))
#define cpu_to_le64(x)		((__le64)(x))
#define le16_to_cpu(x)		((u16)(x))
#define le32_to_cpu(x)		((u32)(x))
#define le64_to_cpu(x)		((u64)(x))

#define cpu_to_be16(x)		((__be16)__builtin_bswap16(x))
#define cpu_to_be32(x)		((__be32)__builtin_bswap32(x))
#define cpu_to_be64(x)		((__be64)__builtin_bswap64(x))
#define be16_to_cpu(x)		((u16)__builtin_bswap16(x))
#define be32_to_cpu(x)		((u32)__builtin_bswap32(x))
#define be64_to_cpu(x)		((u64)__builtin_bswap64(x))

static inline u16 le16_to_cpup(const __le16 *p)
{
	return *p;
}

static inline u32 le32_to_cpup(const __le32 *p)
{
	return *p;
}

static inline u64 le64_to_cpup(const __le64 *p)
{
	return *p;
}

static inline void le16_add_cpu(__le16 *p, u16 v)
{
	*p += v;
}

static inline void le32_add_cpu(__le32 *p, u32 v)
{
	*p += v;
}

static inline void le64_add_cpu(__le64 *p, u64 v)
{
	*p += v;
}

#endif /* COWP_SHIM_ASM_BYTEORDER_H */
