/* SPDX-License-Identifier: BSD-3-Clause */
/* What a capture tells before it is played: which MAC address is ours, and who its neighbours are. Most captures begin when
 * ARP has long been done; a stack that plays one begins with an empty cache, and would never say a word. */
#ifndef LIGHT_IO_PCAP_SCAN_H
#define LIGHT_IO_PCAP_SCAN_H

#include "pcap_source.h"

/* The MAC address of ip4 from the first frame that shows it; of captures without Ethernet addresses, one that is made up.
 * 0, or -errno and a sentence. */
int scan_own_mac(const char *path, uint32_t ip4, uint8_t mac[6], char why[DEVICE_WHY]);

struct scan;

/* NULL: memory is short. A capture that is broken tells what stands before that. */
struct scan *scan_new(const char *path, const uint8_t own_mac[6]);
void scan_free(struct scan *);
#define SCAN_ARP_FRAME 60u

/* Whether a frame of ours of len bytes is an ARP request that somebody answers, and the answer: from whom the capture shows to
 * have the address; for an address that it does not show (a router's) from the first other host there is. Nobody answers when
 * the capture shows us asking in vain, or shows nobody else. */
bool scan_answer(const struct scan *, const uint8_t *frame, uint32_t len, uint8_t answer[SCAN_ARP_FRAME]);

#endif
