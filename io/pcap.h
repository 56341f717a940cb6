/* SPDX-License-Identifier: BSD-3-Clause */
/* libpcap: live on anything it opens (immediate mode, promiscuous, own frames not received back), one queue; and captures
 * as input: a file is read with its timestamps as the clock, answers are written to another file. */
#ifndef LIGHT_IO_PCAP_H
#define LIGHT_IO_PCAP_H

#include "device.h"

/* A packet socket says nothing of offloads: a checksum that the sender left to its card, as a peer on veth does, is recognised
 * and taken as good, and segments that the kernel merged come as super-frames although the link is without LINK_TSO. Both
 * are counted, and the first is named in the log. The kernel's own stack sees the frames too: its end must have no address on
 * the interface. */
struct pcap_live_config {
	struct device_config device;
	const char *interface;
	uint8_t mac[6];         /* ours; all zero: the interface's own */
	uint32_t packets;       /* 0: 4096 */
};
/* 0, or -errno and a sentence in why. */
int pcap_live_open(const struct pcap_live_config *, struct device **, char why[DEVICE_WHY]);

/* A capture played through a stack (pcap or pcapng; Ethernet, raw IP, Linux cooked). Nothing is received before its time:
 * whoever drives it asks pcap_file_next for the time of the next frame, sets its clock there, and turns the stack. ARP
 * requests are answered for the hosts that the capture shows, and for routers beyond it: most captures begin when ARP has long
 * been done. Frames of which the capture holds only a part are counted and not played. */
struct pcap_file_config {
	struct device_config device;
	const char *input, *output;  /* output NULL: answers are counted and dropped */
	uint8_t mac[6];              /* ours: frames from it in the capture are not played; all zero: must be known by `ip4` */
	uint32_t ip4;                /* ours, network order: the MAC is learnt from the first frame to or from it; 0: none */
	uint32_t packets;
};
int pcap_file_open(const struct pcap_file_config *, struct device **, char why[DEVICE_WHY]);
/* Nanoseconds since 1970 of the next frame to be received (at once: the time that pcap_file_clock set); NSEC_NEVER: the file
 * has ended. */
nsec pcap_file_next(struct device *);
/* The time from now on: what is due is received, what is sent is stamped with it. */
void pcap_file_clock(struct device *, nsec);

#endif
