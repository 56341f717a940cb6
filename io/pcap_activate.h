/* SPDX-License-Identifier: BSD-3-Clause */
/* libpcap's handle of a live interface: immediate, promiscuous, non-blocking, without what the machine itself sends. */
#ifndef LIGHT_IO_PCAP_ACTIVATE_H
#define LIGHT_IO_PCAP_ACTIVATE_H

#include <pcap/pcap.h>

#include "device.h"

/* An IP packet of 65535 bytes, Ethernet, two VLAN tags: the kernel merges segments up to that. */
#define PCAP_FRAME_MAX (65535u + 14u + 8u)

/* 0, or -errno with a sentence in why and *out as it was. warning: what libpcap could not do but goes on without. */
int pcap_activate_live(const char *name, pcap_t **out, char warning[DEVICE_WHY], char why[DEVICE_WHY]);

#endif
