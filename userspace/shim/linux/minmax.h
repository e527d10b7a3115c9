/* SPDX-License-Identifier: GPL-2.0-only */
/* The pointers compared refuse a mix of types, as the kernel's do. */
#ifndef COWP_SHIM_LINUX_MINMAX_H
#define COWP_SHIM_LINUX_MINMAX_H

#define __shim_pick(x, op, y)			\
({						\
	__typeof__(x) __x = (x);		\
	__typeof__(y) __y = (y);		\
						\
	(void)(&__x == &__y);			\
	__x op __y ? __x : __y;			\
})

#define min(x, y)		__shim_pick(x, <, y)
#define max(x, y)		__shim_pick(x, >, y)
#define min3(x, y, z)		min((__typeof__(x))min(x, y), z)
#define max3(x, y, z)		max((__typeof__(x))max(x, y), z)

#define min_t(type, x, y)			\
({						\
	type __a = (x);				\
	type __b = (y);				\
						\
	__a < __b ? __a : __b;			\
})

#define max_t(type, x, y)			\
({						\
	type __a = (x);				\
	type __b = (y);				\
						\
	__a > __b ? __a : __b;			\
})

#define clamp(val, lo, hi)	min((__typeof__(val))max(val, lo), hi)
#define clamp_t(type, val, lo, hi) min_t(type, max_t(type, val, lo), hi)

#define swap(a, b)				\
do {						\
	__typeof__(a) __tmp = (a);		\
						\
	(a) = (b);				\
	(b) = __tmp;				\
} while (0)

#endif /* COWP_SHIM_LINUX_MINMAX_H */
