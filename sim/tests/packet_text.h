/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests that play the peer of one host: TCP over IPv4 as text and back, in packetdrill's notation,
 *
 *     [ect0] S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 8>
 *
 * Numbers are relative to the two initial sequence numbers, timestamps of the host to its first one, which is 100. Nothing here is
 * the stack's own code, so that they do not err together. */
#ifndef LIGHT_SIM_TESTS_PACKET_TEXT_H
#define LIGHT_SIM_TESTS_PACKET_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_ROOM 65536u
#define TEXT_ROOM 256u

/* "local" is the host under test, "remote" the test. Addresses in host order. */
struct packet_names {
	uint32_t local, remote;
	uint16_t local_port, remote_port;
	uint32_t local_isn, remote_isn;
	uint32_t ts_base;
	bool isn_known, ts_known;       /* learnt from the host's first SYN and timestamp */
};

/* From the remote to the local side; the payload is a pattern of the sequence number. Returns the length; fails the test on a text that
 * makes no sense. */
size_t packet_from_text(const struct packet_names *, const char *text, uint8_t packet[PACKET_ROOM]);
/* From the local to the remote side: learns what there is to learn. Fails the test when a checksum is wrong. A packet that is no TCP
 * segment of this pair of names becomes "other ...". */
void packet_to_text(struct packet_names *, const uint8_t *packet, size_t n, char text[TEXT_ROOM]);
/* Whether a packet is as expected. An expectation without "win" or options says nothing of them; * stands for any number. */
bool packet_text_matches(const char *expected, const char *actual);
/* ICMP about a segment that the host sent with this (relative) sequence number; rest: the MTU, for "fragmentation needed". */
size_t packet_icmp(const struct packet_names *, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq, uint8_t packet[PACKET_ROOM]);
uint8_t packet_pattern(uint32_t seq);   /* the byte of the remote's payload at a relative sequence number */

#endif
