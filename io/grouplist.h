/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 groups that the links of a device want, each counted: what their `group` (stack/link.h) has in common. The caller serialises. */
#ifndef LIGHT_IO_GROUPLIST_H
#define LIGHT_IO_GROUPLIST_H

#include <stdbool.h>
#include <stdint.h>

#define GROUPLIST_MOST 1024u

struct grouplist {
	unsigned count;
	struct {
		uint32_t group;      /* network order */
		uint32_t users;
	} list[GROUPLIST_MOST];
};

/* 1: the first who wants it; 0: others did already; -ENOBUFS. */
int grouplist_add(struct grouplist *, uint32_t group);
/* True: nobody wants it any more. What was never added is nobody's. */
bool grouplist_drop(struct grouplist *, uint32_t group);
/* RFC 1112 6.4. */
void grouplist_mac(uint32_t group, uint8_t mac[6]);
/* The MAC addresses of all, each once, up to `most`; how many there are (more than `most`: not all were written). */
unsigned grouplist_macs(const struct grouplist *, uint8_t (*macs)[6], unsigned most);

#endif
