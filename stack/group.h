/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the stack only: an IPv4 group on an interface, which group.c and igmp.c share. group.c owns it; how and when it is reported is
 * igmp.c's. Memberships are of any source: there are no source filters, so a group's filter is EXCLUDE {} while anybody is in it. */
#ifndef LIGHT_GROUP_H
#define LIGHT_GROUP_H

#include "layers.h"

#define GROUP_SOURCES 64u         /* of queries that name sources; of more the answer is about the group */
#define ALL_HOSTS be32(0xe0000001)

struct group {
	struct interface *interface;
	struct group *chain;      /* of its bucket */
	struct group *next;       /* of its interface */
	uint32_t address;         /* network order */
	uint32_t users;           /* memberships; 0: its leaving is still to be reported again */
	struct timer answer;      /* a query about it is answered then; with older queriers any, and its first reports are repeated */
	uint8_t repeats;          /* how often its change is still to be reported */
	bool last_reporter;       /* version 2: nobody reported it after us (RFC 2236 3) */
	uint8_t source_count;     /* the pending answer is about these; 0: about the whole group */
	uint32_t sources[GROUP_SOURCES];
};

/* NULL: nobody on this core joined it there, or it is only still being reported. */
struct group *group_find_or_null(const struct stack *, const struct interface *, uint32_t address);
/* Nobody is in it, and nothing is left to report. */
void group_forget(struct stack *, struct group *);
/* Of the cores with members, is it this one that answers queries? */
bool group_is_answered_here(const struct stack *, const struct group *);

#endif
