/* SPDX-License-Identifier: BSD-3-Clause */
/* CHECK: for our own invariants only, in release builds too. Never for bytes from the wire or from a program. */
#ifndef LIGHT_BASE_CHECK_H
#define LIGHT_BASE_CHECK_H

_Noreturn void check_failed(const char *file, int line, const char *condition);

#define CHECK(condition) \
	do { \
		if (__builtin_expect(!(condition), 0)) \
			check_failed(__FILE__, __LINE__, #condition); \
	} while (0)

/* Of a function on the way of each segment that has two callers: the compiler would call it. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))
/* Of one that is seldom called from there: it stays out of the way, and what it would need of registers is not saved each time. */
#define RARELY_CALLED static __attribute__((noinline))

#endif
