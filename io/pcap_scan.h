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
/* Who answers an ARP request for ip4: as the capture shows it; of an address that it does not show (a router's), the first
 * other host there is. false: nobody, because the capture shows us asking for it in vain, or shows nobody else. */
bool scan_find(const struct scan *, uint32_t ip4, uint8_t mac[6]);

#endif
