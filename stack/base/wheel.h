/* SPDX-License-Identifier: BSD-3-Clause */
/* Timers: a hierarchical wheel of 8 levels of 64 slots, 16 us wide on the lowest, in which a timer lies on the
 * level of the highest digit in which its tick differs from the wheel's (Varghese and Lauck, scheme 7). Arming and
 * cancelling are O(1); slots only group timers, what fires is decided by comparing the exact nanosecond. */
#ifndef LIGHT_BASE_WHEEL_H
#define LIGHT_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "nsec.h"

#define WHEEL_LEVELS 8
#define WHEEL_SLOTS 64

/* Embedded in its owner (container_of finds it). Zeroed memory with `fire` set is a timer that is not armed. */
struct timer {
	struct list node;
	nsec due;
	/* context: wheel_advance's. The timer is no longer armed and may be armed again or freed in here. */
	void (*fire)(void *context, struct timer *);
	uint16_t slot;
};

struct wheel_slot {
	struct list timers;
	nsec due_min;      /* the earliest in the slot, or earlier if `rescan` */
	bool rescan;       /* the earliest was cancelled: due_min is only a lower bound */
};

struct wheel {
	uint64_t tick;     /* no armed timer lies in an earlier tick, but for overdue ones in its own slot */
	nsec next;         /* nothing is due before this */
	bool next_known;   /* and something is due at it (or it is NSEC_NEVER) */
	uint32_t armed;
	uint64_t occupied[WHEEL_LEVELS];
	struct wheel_slot slots[WHEEL_LEVELS * WHEEL_SLOTS];
};

void wheel_init(struct wheel *, nsec now);

static inline bool timer_armed(const struct timer *t)
{
	return list_linked(&t->node);
}

/* Arms, or moves if armed already. due NSEC_NEVER: cancels. A due in the past fires at the next advance. */
void wheel_arm(struct wheel *, struct timer *, nsec due);
/* Harmless if not armed. */
void wheel_cancel(struct wheel *, struct timer *);
/* Fires everything that is due by now and nothing else; a timer armed while this runs waits for the next call.
 * Returns how many fired. */
unsigned wheel_advance(struct wheel *, nsec now, void *context);
/* The earliest due, exactly; NSEC_NEVER: none. Cheap: the answer is kept between changes. */
nsec wheel_next(struct wheel *);
/* NULL: all invariants hold; else which one does not. Slow. */
const char *wheel_check(const struct wheel *);

#endif
