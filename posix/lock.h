/* SPDX-License-Identifier: BSD-3-Clause */
/* A lock of one word for what happens seldom (attaching, placing a socket, options): not for the path of the bytes, whose locks are
 * in the shared line. 0 free, 1 held, 2 held and waited for. */
#ifndef LIGHT_POSIX_LOCK_H
#define LIGHT_POSIX_LOCK_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "posix/libc.h"

static inline void lock_take(_Atomic uint32_t *lock)
{
	uint32_t seen = 0;

	if (atomic_compare_exchange_strong_explicit(lock, &seen, 1, memory_order_acquire, memory_order_relaxed))
		return;
	while (atomic_exchange_explicit(lock, 2, memory_order_acquire) != 0)
		system_call(SYS_futex, (long)lock, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}

static inline void lock_give(_Atomic uint32_t *lock)
{
	if (atomic_exchange_explicit(lock, 0, memory_order_release) == 2)
		system_call(SYS_futex, (long)lock, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

#endif
