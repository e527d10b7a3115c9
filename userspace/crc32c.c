// SPDX-License-Identifier: GPL-2.0-only
/*
 * crc32c (Castagnoli, reflected polynomial 0x82f63b78), with the processor's
 * instruction where it has one.
 */
#include <string.h>

#include "crc32c.h"

static u32 table[256];

static void make_table(void)
{
	u32 i, bit;

	for (i = 0; i < 256; i++) {
		u32 crc = i;

		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
		table[i] = crc;
	}
}

u32 crc32c_table(u32 seed, const void *data, size_t bytes)
{
	const u8 *p = data;

	while (bytes--)
		seed = seed >> 8 ^ table[(seed ^ *p++) & 0xff];
	return seed;
}

#ifdef __x86_64__
/*
 * The instruction takes three cycles, but one can start in each: three lanes,
 * joined by what LANE zero bytes do to a checksum, which is linear in it.
 */
#define LANE	1360U

static u32 zeros[4][256];

static void __attribute__((constructor)) make_zeros(void)
{
	static const u8 none[LANE];
	u32 i, byte;

	make_table();
	for (byte = 0; byte < 4; byte++) {
		for (i = 0; i < 256; i++)
			zeros[byte][i] = crc32c_table(i << 8 * byte, none, LANE);
	}
}

static u32 behind_zeros(u32 crc)
{
	return zeros[0][crc & 0xff] ^ zeros[1][crc >> 8 & 0xff] ^
	       zeros[2][crc >> 16 & 0xff] ^ zeros[3][crc >> 24];
}

/* A check of every word by a sanitizer would cost ten times what it checks. */
__attribute__((target("sse4.2"), no_sanitize("address", "undefined", "thread")))
static u32 three_lanes(u32 seed, const u8 *p)
{
	u64 a = seed, b = 0, c = 0, word[3];
	u32 i;

	for (i = 0; i < LANE; i += 8) {
		memcpy(&word[0], p + i, 8);
		memcpy(&word[1], p + LANE + i, 8);
		memcpy(&word[2], p + 2 * LANE + i, 8);
		a = __builtin_ia32_crc32di(a, word[0]);
		b = __builtin_ia32_crc32di(b, word[1]);
		c = __builtin_ia32_crc32di(c, word[2]);
	}
	return behind_zeros(behind_zeros(a) ^ b) ^ c;
}

__attribute__((target("sse4.2")))
static u32 crc32c_sse42(u32 seed, const void *data, size_t bytes)
{
	const u8 *p = data;
	u64 crc = seed;

	for (; bytes >= 3 * LANE; p += 3 * LANE, bytes -= 3 * LANE)
		crc = three_lanes(crc, p);
	for (; bytes >= 8; p += 8, bytes -= 8) {
		u64 word;

		memcpy(&word, p, 8);
		crc = __builtin_ia32_crc32di(crc, word);
	}
	while (bytes--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}

u32 crc32c(u32 seed, const void *data, size_t bytes)
{
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(seed, data, bytes);
	return crc32c_table(seed, data, bytes);
}
#else
static void __attribute__((constructor)) make_tables(void)
{
	make_table();
}

u32 crc32c(u32 seed, const void *data, size_t bytes)
{
	return crc32c_table(seed, data, bytes);
}
#endif
