/* SPDX-License-Identifier: GPL-2.0-only */
/* Pseudo-random numbers: the same seed, the same history. */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <linux/types.h>

struct rng {
	u64 state;
};

/* splitmix64 */
static inline u64 rng_mix(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline u64 rng_next(struct rng *r)
{
	r->state += 0x9e3779b97f4a7c15ULL;
	return rng_mix(r->state);
}

static inline void rng_seed(struct rng *r, u64 seed)
{
	r->state = rng_mix(seed + 0x632be59bd9b4e019ULL);
}

/* 0 to @n - 1 */
static inline u32 rng_below(struct rng *r, u32 n)
{
	return (u32)((rng_next(r) >> 32) * n >> 32);
}

/* @lo to @hi */
static inline u32 rng_range(struct rng *r, u32 lo, u32 hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

/* True once in @n times. */
static inline bool rng_one_in(struct rng *r, u32 n)
{
	return rng_below(r, n) == 0;
}

/* True @n times in 1000. */
static inline bool rng_permille(struct rng *r, u32 n)
{
	return rng_below(r, 1000) < n;
}

#endif /* SIM_RNG_H */
