/* SPDX-License-Identifier: BSD-3-Clause */
/* The timer wheel. The order that everything rests on: all timers on a level lie after all timers on the levels
 * below, and on one level a higher slot lies after a lower one, because a timer's level is the highest digit in which its tick
 * differs from the wheel's. So the earliest timer is in the first occupied slot of the lowest occupied level. */
#include "base/wheel.h"

#include "base/check.h"

#define TICK_BITS 14   /* 16.4 us */
#define DIGIT_BITS 6
#define NO_SLOT UINT16_MAX

/* The slot for a tick, as the wheel stands; what is overdue lies in the present slot. */
static uint16_t slot_of(const struct wheel *w, uint64_t tick)
{
	unsigned level, digit;

	if (tick < w->tick)
		tick = w->tick;
	level = tick == w->tick ? 0 : (63 - (unsigned)__builtin_clzll(tick ^ w->tick)) / DIGIT_BITS;
	if (level >= WHEEL_LEVELS) {
		level = WHEEL_LEVELS - 1;
		digit = WHEEL_SLOTS - 1;
	} else {
		digit = (tick >> (level * DIGIT_BITS)) & (WHEEL_SLOTS - 1);
	}
	return (uint16_t)(level * WHEEL_SLOTS + digit);
}

static void place(struct wheel *w, struct timer *t)
{
	uint16_t index = slot_of(w, t->due >> TICK_BITS);
	struct wheel_slot *slot = &w->slots[index];

	if (list_empty(&slot->timers)) {
		slot->due_min = t->due;
		slot->rescan = false;
		w->occupied[index / WHEEL_SLOTS] |= UINT64_C(1) << (index % WHEEL_SLOTS);
	} else if (t->due < slot->due_min) {
		slot->due_min = t->due;
		slot->rescan = false;
	}
	t->slot = index;
	list_append(&slot->timers, &t->node);
}

static void unplace(struct wheel *w, struct timer *t)
{
	struct wheel_slot *slot = &w->slots[t->slot];

	list_remove(&t->node);
	if (list_empty(&slot->timers))
		w->occupied[t->slot / WHEEL_SLOTS] &= ~(UINT64_C(1) << (t->slot % WHEEL_SLOTS));
	else if (t->due == slot->due_min)
		slot->rescan = true;
}

/* The first occupied slot; NULL: none. *start: the tick at which it begins. */
static struct wheel_slot *first_slot_or_null(struct wheel *w, unsigned *level, uint64_t *start)
{
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		unsigned digit, shift = l * DIGIT_BITS;

		if (!w->occupied[l])
			continue;
		digit = (unsigned)__builtin_ctzll(w->occupied[l]);
		*level = l;
		*start = ((w->tick >> shift >> DIGIT_BITS) << DIGIT_BITS | digit) << shift;
		return &w->slots[l * WHEEL_SLOTS + digit];
	}
	return NULL;
}

/* Takes out of the first slot what is due; what is not yet due and on a level above 0 goes to lower levels. */
static void drain(struct wheel *w, struct wheel_slot *slot, unsigned level, nsec now, struct list *due)
{
	list_for_each(node, &slot->timers) {
		struct timer *t = container_of(node, struct timer, node);

		if (t->due <= now) {
			unplace(w, t);
			t->slot = NO_SLOT;
			list_append(due, &t->node);
		} else if (level > 0) {
			unplace(w, t);
			place(w, t);
		}
	}
}

void wheel_init(struct wheel *w, nsec now)
{
	*w = (struct wheel){ .tick = now >> TICK_BITS, .next = NSEC_NEVER, .next_known = true };
	for (unsigned i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++)
		list_init(&w->slots[i].timers);
}

void wheel_arm(struct wheel *w, struct timer *t, nsec due)
{
	if (timer_armed(t)) {
		if (t->due == due)
			return;
		wheel_cancel(w, t);
	}
	if (due == NSEC_NEVER)
		return;
	CHECK(t->fire);
	t->due = due;
	place(w, t);
	w->armed++;
	if (due < w->next) {
		w->next = due;
		w->next_known = true;
	}
}

void wheel_cancel(struct wheel *w, struct timer *t)
{
	if (!timer_armed(t))
		return;
	w->armed--;
	if (t->slot == NO_SLOT) {  /* about to fire in this very advance */
		list_remove(&t->node);
		return;
	}
	unplace(w, t);
	if (t->due == w->next)
		w->next_known = false;
}

nsec wheel_next(struct wheel *w)
{
	struct wheel_slot *slot;
	unsigned level;
	uint64_t start;

	if (w->next_known)
		return w->next;
	w->next_known = true;
	w->next = NSEC_NEVER;
	slot = first_slot_or_null(w, &level, &start);
	if (!slot)
		return w->next;
	if (slot->rescan) {
		slot->rescan = false;
		slot->due_min = NSEC_NEVER;
		list_for_each(node, &slot->timers) {
			const struct timer *t = container_of(node, struct timer, node);

			if (t->due < slot->due_min)
				slot->due_min = t->due;
		}
	}
	w->next = slot->due_min;
	return w->next;
}

unsigned wheel_advance(struct wheel *w, nsec now, void *context)
{
	uint64_t tick_now = now >> TICK_BITS;
	struct wheel_slot *slot;
	struct list due, *node;
	unsigned level, fired = 0;
	uint64_t start;

	if (w->next > now || wheel_next(w) > now)
		return 0;  /* the wheel's own tick may lag: it moves when something fires */
	list_init(&due);
	while ((slot = first_slot_or_null(w, &level, &start)) && start <= tick_now) {
		if (start > w->tick)
			w->tick = start;
		drain(w, slot, level, now, &due);
		if (level == 0 && !list_empty(&slot->timers)) {
			slot->rescan = true;  /* the earliest went; the rest is later than now */
			break;
		}
	}
	if (tick_now > w->tick)
		w->tick = tick_now;
	w->next = now + 1;  /* what is left is later than now; what a fire() arms may be earlier */
	w->next_known = false;
	while ((node = list_take_or_null(&due))) {
		struct timer *t = container_of(node, struct timer, node);

		w->armed--;
		fired++;
		t->fire(context, t);
	}
	return fired;
}

const char *wheel_check(const struct wheel *w)
{
	nsec earliest = NSEC_NEVER;
	uint32_t armed = 0;

	for (unsigned i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++) {
		const struct wheel_slot *slot = &w->slots[i];
		bool occupied = w->occupied[i / WHEEL_SLOTS] >> (i % WHEEL_SLOTS) & 1;

		if (occupied == list_empty(&slot->timers))
			return "timer wheel: an occupied bit is wrong";
		list_for_each(node, &slot->timers) {
			const struct timer *t = container_of(node, struct timer, node);

			if (t->slot != i || slot_of(w, t->due >> TICK_BITS) != i)
				return "timer wheel: a timer is in the wrong slot";
			if (t->due < slot->due_min)
				return "timer wheel: a slot's earliest is too late";
			if (t->due < earliest)
				earliest = t->due;
			armed++;
		}
	}
	if (armed != w->armed)
		return "timer wheel: the count of armed timers is wrong";
	if (w->next > earliest || (w->next_known && w->next != earliest))
		return "timer wheel: the next due is wrong";
	return NULL;
}
