/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef COWP_SHIM_LINUX_KERNEL_H
#define COWP_SHIM_LINUX_KERNEL_H

#include <stdio.h>
#include <stdlib.h>

#include <linux/types.h>
#include <linux/build_bug.h>
#include <linux/minmax.h>

#define U8_MAX		((u8)~0U)
#define U16_MAX		((u16)~0U)
#define U32_MAX		((u32)~0U)
#define U64_MAX		((u64)~0ULL)
#define S32_MAX		((s32)(U32_MAX >> 1))
#define S64_MAX		((s64)(U64_MAX >> 1))

#define SECTOR_SHIFT	9
#define SECTOR_SIZE	(1 << SECTOR_SHIFT)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member)					\
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#ifndef offsetof
#define offsetof(type, member)	__builtin_offsetof(type, member)
#endif
#define offsetofend(type, member) \
	(offsetof(type, member) + sizeof(((type *)0)->member))
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define struct_size(p, member, count) \
	(sizeof(*(p)) + sizeof((p)->member[0]) * (size_t)(count))

#define DIV_ROUND_UP(n, d)		(((n) + (d) - 1) / (d))
#define DIV_ROUND_CLOSEST(n, d)		(((n) + (d) / 2) / (d))

/* To powers of two. */
#define __round_mask(x, y)		((__typeof__(x))((y) - 1))
#define round_up(x, y)			((((x) - 1) | __round_mask(x, y)) + 1)
#define round_down(x, y)		((x) & ~__round_mask(x, y))
#define ALIGN(x, a)			round_up(x, a)
#define IS_ALIGNED(x, a)		(((x) & __round_mask(x, a)) == 0)

/* To any multiple. */
#define roundup(x, y)			(DIV_ROUND_UP(x, y) * (y))
#define rounddown(x, y)			\
({					\
	__typeof__(x) __v = (x);	\
					\
	__v - __v % (y);		\
})

#define upper_32_bits(n)		((u32)((u64)(n) >> 32))
#define lower_32_bits(n)		((u32)(n))

#define IS_ENABLED(option)		0

/* A broken assumption ends the run, so that a sanitizer's or a core's trace shows it. */
#define BUG()									\
do {										\
	fprintf(stderr, "BUG at %s:%d (%s)\n", __FILE__, __LINE__, __func__);	\
	abort();								\
} while (0)

#define BUG_ON(cond)								\
do {										\
	if (__builtin_expect(!!(cond), 0)) {					\
		fprintf(stderr, "BUG_ON(%s) ", #cond);				\
		BUG();								\
	}									\
} while (0)

#define WARN_ON(cond)								\
({										\
	bool __cond = !!(cond);							\
										\
	if (__builtin_expect(__cond, 0)) {					\
		fprintf(stderr, "WARN_ON(%s) ", #cond);				\
		BUG();								\
	}									\
	__cond;									\
})
#define WARN_ON_ONCE(cond)	WARN_ON(cond)

#endif /* COWP_SHIM_LINUX_KERNEL_H */
