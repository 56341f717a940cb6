/* SPDX-License-Identifier: BSD-3-Clause */
/* A list: joins are rare, and what is looked up for each frame is the device's own. */
#include "grouplist.h"

#include <errno.h>
#include <string.h>

int grouplist_add(struct grouplist *l, uint32_t group)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->list[i].group == group) {
			l->list[i].users++;
			return 0;
		}
	if (l->count == GROUPLIST_MOST)
		return -ENOBUFS;
	l->list[l->count].group = group;
	l->list[l->count++].users = 1;
	return 1;
}

bool grouplist_drop(struct grouplist *l, uint32_t group)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->list[i].group == group) {
			if (--l->list[i].users)
				return false;
			l->list[i] = l->list[--l->count];
			return true;
		}
	return false;
}

void grouplist_mac(uint32_t group, uint8_t mac[6])
{
	const uint8_t start[3] = { 0x01, 0x00, 0x5e };

	memcpy(mac, start, sizeof(start));
	memcpy(mac + 3, (const uint8_t *)&group + 1, 3);
	mac[3] &= 0x7f;
}

/* 32 groups share an address. */
unsigned grouplist_macs(const struct grouplist *l, uint8_t (*macs)[6], unsigned most)
{
	unsigned n = 0, k;
	uint8_t mac[6];

	for (unsigned i = 0; i < l->count && n <= most; i++) {
		grouplist_mac(l->list[i].group, mac);
		for (k = 0; k < n && memcmp(macs[k], mac, 6) != 0; k++)
			;
		if (k < n)
			continue;
		if (n < most)
			memcpy(macs[n], mac, 6);
		n++;
	}
	return n;
}
