/* SPDX-License-Identifier: BSD-3-Clause */
/* When to sleep and when to wake. One rule on both sides (model/doorbell.pml proves it):
 *
 *	sleeper: publish "I sleep"; full fence; look again; sleep
 *	waker:   publish the event; full fence; take the sleepers out of the word; wake only if there were any
 *
 * The sleeper's futex word is the word in which it publishes, so a wake between its look and its sleep is not lost: the word has changed and
 * the kernel refuses to sleep. It must have changed for good, even if another sleeper publishes in between: so the low bits say who
 * sleeps, and the others count the rounds of waking. The daemon fences once a turn for all events of the turn. */
#ifndef LIGHT_IPC_DOORBELL_H
#define LIGHT_IPC_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc/region.h"
#include "stack/base/nsec.h"

static inline void doorbell_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* A sleeper looks at the daemon's life at least this often. Everything else wakes it at once; only the sudden death of the daemon does
 * not (the kernel marks family_page.alive, and wakes nobody who sleeps on another word). */
#define DOORBELL_LIFE_CHECK (250 * NSEC_PER_MSEC)

/* CLOCK_MONOTONIC. */
nsec doorbell_now(void);
/* Sleeps while *word == expected, at most until `until` and at most DOORBELL_LIFE_CHECK: 0 woken (or the word differs), -EINTR,
 * -ETIMEDOUT. With NSEC_NEVER a handler with SA_RESTART does not end it; with any other time every handler does. */
int doorbell_sleep(_Atomic uint32_t *word, uint32_t expected, nsec until);
/* Wakes all who sleep on it. */
void doorbell_wake(_Atomic uint32_t *word);
#define DOORBELL_SLEEPERS 3u
#define DOORBELL_ROUND 4u

/* Sleeper: publishes its bits (within DOORBELL_SLEEPERS). Returns the value to sleep on; a fence follows by itself. */
static inline uint32_t doorbell_say_asleep(_Atomic uint32_t *word, uint32_t bits)
{
	uint32_t value = atomic_fetch_or(word, bits) | bits;

	doorbell_fence();
	return value;
}

/* Waker, after the fence: whose bits were set; they are no more. Several cores may wake at once, and rounds never go back. */
static inline uint32_t doorbell_take_sleepers(_Atomic uint32_t *word)
{
	uint32_t how = atomic_load_explicit(word, memory_order_relaxed);

	while (how & DOORBELL_SLEEPERS)
		if (atomic_compare_exchange_weak(word, &how, (how & ~DOORBELL_SLEEPERS) + DOORBELL_ROUND))
			return how & DOORBELL_SLEEPERS;
	return 0;
}

/* Waker's second half, after the fence: true if somebody slept (whoever it was has been woken). */
bool doorbell_wake_if_asleep(_Atomic uint32_t *word);

/* True: only futex(2) itself may be called any more (a seccomp filter). */
extern _Atomic bool doorbell_confined;

/* The program: tells the daemon's core of that seat that lane has requests; `bell` is the family's eventfd there. */
void doorbell_ring_lane(const struct region *, uint32_t seat, uint32_t lane, int bell);
/* ... that wanted lanes or waitsets changed. */
void doorbell_ring_control(const struct region *, uint32_t seat, int bell);

/* false: the daemon's thread is dead, or it said goodbye. */
bool doorbell_daemon_alive(const struct region *);

#endif
