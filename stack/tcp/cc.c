/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of congestion controls, and how one begins. */
#include "cc.h"

#include <stddef.h>
#include <string.h>

/* In the order of enum ep_congestion, from 1. */
static const struct cc_ops *const known[] = { &cc_newreno, &cc_cubic, &cc_bbr, &cc_dctcp };

const struct cc_ops *cc_find(const char *name)
{
	if (!name)
		return known[0];
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i]->name, name) == 0)
			return known[i];
	return NULL;
}

const struct cc_ops *cc_number(unsigned number)
{
	return number >= 1 && number <= sizeof(known) / sizeof(known[0]) ? known[number - 1] : NULL;
}

static void *large_of(const struct cc *cc, const struct cc_ops *ops)
{
	return ops->flags & CC_LARGE ? cc->large : NULL;
}

void cc_switch(struct cc *cc, const struct cc_ops *ops, nsec now)
{
	*cc = (struct cc){
		.ops = ops, .mss = cc->mss, .cwnd = cc->cwnd, .ssthresh = cc->ssthresh, .large = large_of(cc, ops),
	};
	ops->start(cc, now);
}

void cc_start(struct cc *cc, const struct cc_ops *ops, uint32_t mss, uint32_t window, nsec now)
{
	*cc = (struct cc){
		.ops = ops, .mss = mss, .cwnd = window, .ssthresh = CC_SSTHRESH_MAX, .large = large_of(cc, ops),
	};
	ops->start(cc, now);
}
