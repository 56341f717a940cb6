/* SPDX-License-Identifier: BSD-3-Clause */
/* Every reason to discard a packet, and the totals: the enums behind drops.def and counts.def. */
#ifndef LIGHT_DROPS_H
#define LIGHT_DROPS_H

enum drop {
#define X(name, sentence) DROP_##name,
#include "drops.def"
#undef X
	DROP_REASONS
};

enum count {
#define X(name, sentence) COUNT_##name,
#include "counts.def"
#undef X
	COUNT_TOTALS
};

#endif
