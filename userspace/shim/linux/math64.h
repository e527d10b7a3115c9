/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef COWP_SHIM_LINUX_MATH64_H
#define COWP_SHIM_LINUX_MATH64_H

#include <linux/types.h>

static inline u64 div_u64_rem(u64 dividend, u32 divisor, u32 *remainder)
{
	*remainder = dividend % divisor;
	return dividend / divisor;
}

static inline u64 div_u64(u64 dividend, u32 divisor)
{
	return dividend / divisor;
}

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

static inline u64 div64_u64_rem(u64 dividend, u64 divisor, u64 *remainder)
{
	*remainder = dividend % divisor;
	return dividend / divisor;
}

static inline u64 mul_u64_u32_div(u64 a, u32 mul, u32 divisor)
{
	return (u64)((unsigned __int128)a * mul / divisor);
}

#define DIV_ROUND_UP_ULL(n, d)	DIV_ROUND_UP((u64)(n), (u64)(d))

/* Divides in place, returns the remainder. */
#define do_div(n, base)				\
({						\
	u32 __base = (base);			\
	u32 __rem = (u64)(n) % __base;		\
						\
	(n) = (u64)(n) / __base;		\
	__rem;					\
})

#endif /* COWP_SHIM_LINUX_MATH64_H */
