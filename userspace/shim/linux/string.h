/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef COWP_SHIM_LINUX_STRING_H
#define COWP_SHIM_LINUX_STRING_H

#include <string.h>

#include <linux/types.h>
#include <linux/errno.h>

/* Copies what fits, always with a terminating zero. */
static inline ssize_t strscpy(char *dst, const char *src, size_t size)
{
	size_t len = strnlen(src, size);

	if (!size)
		return -E2BIG;
	if (len == size) {
		memcpy(dst, src, size - 1);
		dst[size - 1] = 0;
		return -E2BIG;
	}
	memcpy(dst, src, len + 1);
	return len;
}

/* The first byte that is not @c, or NULL. */
static inline void *memchr_inv(const void *start, int c, size_t bytes)
{
	const unsigned char *p = start;

	if (!bytes)
		return NULL;
	if (*p != (unsigned char)c)
		return (void *)p;
	/* All bytes are equal if each equals its neighbour. */
	if (!memcmp(p, p + 1, bytes - 1))
		return NULL;
	while (*p == (unsigned char)c)
		p++;
	return (void *)p;
}

#define memzero_explicit(p, n)	explicit_bzero(p, n)

#endif /* COWP_SHIM_LINUX_STRING_H */
