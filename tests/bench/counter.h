/* SPDX-License-Identifier: GPL-2.0-only */
/* Instructions that this thread has executed in userspace. */
#ifndef COWP_BENCH_COUNTER_H
#define COWP_BENCH_COUNTER_H

void counter_open(void);

/* Returns 0 where the processor does not count them for us. */
unsigned long long counter_read(void);

#endif /* COWP_BENCH_COUNTER_H */
