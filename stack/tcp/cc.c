/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of congestion controls, and how one begins. */
#include "cc.h"

#include <stddef.h>
#include <string.h>

static const struct cc_ops *const known[] = { &cc_newreno, &cc_cubic };

const struct cc_ops *cc_find(const char *name)
{
	if (!name)
		return known[0];
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i]->name, name) == 0)
			return known[i];
	return NULL;
}

void cc_start(struct cc *cc, const struct cc_ops *ops, uint32_t mss, uint32_t window, nsec now)
{
	*cc = (struct cc){ .ops = ops, .mss = mss, .cwnd = window, .ssthresh = CC_SSTHRESH_MAX };
	ops->start(cc, now);
}
