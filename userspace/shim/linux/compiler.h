/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Annotations, once-accesses and barriers.
 *
 * The once-accesses are relaxed atomics and not volatile, so that
 * ThreadSanitizer takes them for what they are.  It does not model fences: what
 * the barriers order is checked by what a stress finds, not by its reports.
 */
#ifndef COWP_SHIM_LINUX_COMPILER_H
#define COWP_SHIM_LINUX_COMPILER_H

#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)

#undef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#ifndef noinline
#define noinline		__attribute__((noinline))
#endif
#define __packed		__attribute__((packed))
#define __aligned(n)		__attribute__((aligned(n)))
#define __maybe_unused		__attribute__((unused))
#define __noreturn		__attribute__((noreturn))
#define __must_check		__attribute__((warn_unused_result))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define __percpu
#define __init
#define __exit
#define __force
#define __user
#define fallthrough		__attribute__((fallthrough))

#define barrier()		__asm__ __volatile__("" : : : "memory")

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

#define smp_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define smp_store_mb(x, v)	do { WRITE_ONCE(x, v); smp_mb(); } while (0)

#ifdef __SANITIZE_THREAD__
/*
 * The compiler refuses to instrument a fence, and rightly warns; the processor
 * obeys it all the same.  On x86 the full one is all that needs an instruction.
 */
#if !defined(__x86_64__)
#error "the ThreadSanitizer build is for x86-64"
#endif
#define smp_mb()		__asm__ __volatile__("mfence" : : : "memory")
#define smp_rmb()		barrier()
#define smp_wmb()		barrier()
#else
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#endif

#define xchg(p, v)		__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define cmpxchg(p, o, n)						\
({									\
	__typeof__(*(p)) __old = (o);					\
									\
	__atomic_compare_exchange_n((p), &__old, (n), false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	__old;								\
})

#endif /* COWP_SHIM_LINUX_COMPILER_H */
