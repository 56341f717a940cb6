/* SPDX-License-Identifier: BSD-3-Clause */
/* A small pool for what undecided sockets have been told: few are undecided at a time, and none for long. */
#include "posix/early.h"

#include <stdatomic.h>
#include <stddef.h>

#include "posix/fdtable.h"

#define EARLY_MOST 4096u

static struct socket_early pool[EARLY_MOST];
static _Atomic uint64_t taken[EARLY_MOST / 64];

struct socket_early *early_or_null(struct socket *s)
{
	if (s->early)
		return s->early;
	for (unsigned word = 0; word < EARLY_MOST / 64; word++) {
		uint64_t seen = atomic_load(&taken[word]);

		while (seen != UINT64_MAX) {
			unsigned bit = (unsigned)__builtin_ctzll(~seen);

			if (!atomic_compare_exchange_weak(&taken[word], &seen, seen | UINT64_C(1) << bit))
				continue;
			s->early = &pool[word * 64 + bit];
			s->early->count = 0;
			return s->early;
		}
	}
	return NULL;
}

void early_free(struct socket *s)
{
	size_t i;

	if (!s->early)
		return;
	i = (size_t)(s->early - pool);
	s->early = NULL;
	atomic_fetch_and(&taken[i / 64], ~(UINT64_C(1) << (i % 64)));
}
