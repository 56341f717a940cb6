/* SPDX-License-Identifier: BSD-3-Clause */
/* See bell.h. */
#include "posix/bell.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "posix/fdtable.h"

enum { FDS = 1 << 20, WORD = 64 };

static _Atomic uint64_t own[FDS / WORD];        /* memory only where touched */

static uint64_t bit(int fd)
{
	return UINT64_C(1) << (fd % WORD);
}

int bell_new(void)
{
	long low = system_call(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK, 0, 0, 0, 0), high;

	if (low < 0)
		return (int)low;
	high = system_call(SYS_fcntl, low, F_DUPFD_CLOEXEC, fdtable_lowest_own(), 0, 0, 0);
	system_call(SYS_close, low, 0, 0, 0, 0, 0);
	if (high >= 0 && high < FDS)
		atomic_fetch_or(&own[high / WORD], bit((int)high));
	return (int)high;
}

void bell_free(int bell)
{
	if (bell < 0)
		return;
	if (bell < FDS)
		atomic_fetch_and(&own[bell / WORD], ~bit(bell));
	system_call(SYS_close, bell, 0, 0, 0, 0, 0);
}

void bell_ring(int bell)
{
	uint64_t one = 1;

	system_call(SYS_write, bell, (long)&one, sizeof(one), 0, 0, 0);
}

void bell_clear(int bell)
{
	uint64_t count;

	system_call(SYS_read, bell, (long)&count, sizeof(count), 0, 0, 0);
}

bool bell_is_own(int fd)
{
	return fd >= 0 && fd < FDS && (atomic_load_explicit(&own[fd / WORD], memory_order_relaxed) & bit(fd));
}
