/* SPDX-License-Identifier: BSD-3-Clause */
/* Sleeping and waking between programs and the daemon (doorbell.h). Futexes are shared ones: the words lie in memfds. */
#include "ipc/doorbell.h"

#include <linux/futex.h>
#include <time.h>

#include "ipc/raw.h"

_Atomic bool doorbell_confined;

nsec doorbell_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

/* A wait without an end is one the kernel restarts after a handler with SA_RESTART, as it does with recv and accept: of the futex
 * calls that take a time limit (we want to look at the daemon's life) only futex_waitv does so. Before Linux 5.16, and
 * where it is not allowed: no limit. */
static long sleep_for_good(_Atomic uint32_t *word, uint32_t expected, nsec limit)
{
	struct futex_waitv wait = { .val = expected, .uaddr = (uint64_t)(uintptr_t)word, .flags = FUTEX_32 };
	struct timespec t = { (time_t)(limit / NSEC_PER_SEC), (long)(limit % NSEC_PER_SEC) };
	long rc = -ENOSYS;

	if (!atomic_load_explicit(&doorbell_confined, memory_order_relaxed))
		rc = raw_call6(SYS_futex_waitv, (long)&wait, 1, 0, (long)&t, CLOCK_MONOTONIC, 0);
	return rc == -ENOSYS ? raw_call6(SYS_futex, (long)word, FUTEX_WAIT, expected, 0, 0, 0) : rc;
}

static long sleep_for(_Atomic uint32_t *word, uint32_t expected, nsec span)
{
	struct timespec t = { (time_t)(span / NSEC_PER_SEC), (long)(span % NSEC_PER_SEC) };

	return raw_call6(SYS_futex, (long)word, FUTEX_WAIT, expected, (long)&t, 0, 0);
}

int doorbell_sleep(_Atomic uint32_t *word, uint32_t expected, nsec until)
{
	nsec now = doorbell_now(), limit;
	long rc;

	if (until <= now)
		return -ETIMEDOUT;
	limit = until - now < DOORBELL_LIFE_CHECK ? until - now : DOORBELL_LIFE_CHECK;
	rc = until == NSEC_NEVER ? sleep_for_good(word, expected, now + limit) : sleep_for(word, expected, limit);
	if (rc == -ETIMEDOUT && doorbell_now() < until)
		return 0;
	return rc == -EINTR || rc == -ETIMEDOUT ? (int)rc : 0;
}

void doorbell_wake(_Atomic uint32_t *word)
{
	raw_call6(SYS_futex, (long)word, FUTEX_WAKE, INT32_MAX, 0, 0, 0);
}

bool doorbell_wake_if_asleep(_Atomic uint32_t *word)
{
	if (doorbell_take_sleepers(word) == 0)
		return false;
	doorbell_wake(word);
	return true;
}

static void wake_daemon(const struct region *r, uint32_t seat, int bell)
{
	_Atomic uint32_t *sleeps = &region_family(r)->core[seat / REGION_SESSIONS].sleeps;
	const uint64_t one = 1;

	if (atomic_load_explicit(sleeps, memory_order_relaxed) && atomic_exchange(sleeps, 0))
		raw_call3(SYS_write, bell, (long)&one, sizeof(one));
}

/* Both read-modify-writes are full fences between the event and the look whether the daemon sleeps. */
void doorbell_ring_lane(const struct region *r, uint32_t seat, uint32_t lane, int bell)
{
	atomic_fetch_or(&region_session(r, seat)->doorbell[lane / 64], UINT64_C(1) << (lane % 64));
	wake_daemon(r, seat, bell);
}

void doorbell_ring_control(const struct region *r, uint32_t seat, int bell)
{
	atomic_exchange(&region_session(r, seat)->control, 1);
	wake_daemon(r, seat, bell);
}

bool doorbell_daemon_alive(const struct region *r)
{
	return !(atomic_load_explicit(&region_family(r)->alive, memory_order_relaxed) & FUTEX_OWNER_DIED);
}
