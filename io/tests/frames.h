/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of two hosts on one wire, built byte by byte, and the captures that hold them. */
#ifndef LIGHT_IO_TESTS_FRAMES_H
#define LIGHT_IO_TESTS_FRAMES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "stack/base/checksum.h"

static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 0x22 }, peer_mac[6] = { 2, 0, 0, 0, 0, 0x11 };
static const uint8_t our_ip[4] = { 10, 0, 0, 2 }, peer_ip[4] = { 10, 0, 0, 1 };

/* Frames of the other host (or of ours), built into f; each returns its length. */
static inline uint32_t put_eth(uint8_t *f, bool ours, uint16_t type)
{
	memcpy(f, ours ? peer_mac : our_mac, 6);
	memcpy(f + 6, ours ? our_mac : peer_mac, 6);
	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	return 14;
}

static inline uint32_t arp_request(uint8_t *f, bool ours)
{
	static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	put_eth(f, ours, 0x0806);
	memset(f, 0xff, 6);
	memcpy(f + 14, head, 8);
	memcpy(f + 22, ours ? our_mac : peer_mac, 6);
	memcpy(f + 28, ours ? our_ip : peer_ip, 4);
	memset(f + 32, 0, 6);
	memcpy(f + 38, ours ? peer_ip : our_ip, 4);
	memset(f + 42, 0, 18);
	return 60;
}

static inline uint32_t put_ip(uint8_t *f, bool ours, uint8_t protocol, uint32_t payload)
{
	uint32_t total = 20 + payload;
	uint8_t *ip = f + 14;
	uint16_t sum;

	put_eth(f, ours, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, ours ? our_ip : peer_ip, 4);
	memcpy(ip + 16, ours ? peer_ip : our_ip, 4);
	sum = csum_finish(csum_add(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
	return 14 + total;
}

static inline uint32_t echo_request(uint8_t *f, bool ours)
{
	uint32_t len = put_ip(f, ours, 1, 8 + 56);
	uint8_t *icmp = f + 34;
	uint16_t sum;

	for (unsigned i = 0; i < 64; i++)
		icmp[i] = (uint8_t)i;
	memcpy(icmp, "\x08\0\0\0\x12\x34\0\1", 8);
	sum = csum_finish(csum_add(0, icmp, 64));
	memcpy(icmp + 2, &sum, 2);
	return len;
}

static inline uint32_t syn(uint8_t *f, bool open_checksum)
{
	uint32_t len = put_ip(f, false, 6, 20);
	uint8_t pseudo[4] = { 0, 6, 0, 20 }, *tcp = f + 34;
	uint64_t sum = csum_add(csum_add(0, f + 26, 8), pseudo, 4);
	uint16_t field;

	memset(tcp, 0, 20);
	memcpy(tcp, "\x30\x39\x00\x51\x01\x02\x03\x04", 8);
	tcp[12] = 0x50;
	tcp[13] = 0x02;
	tcp[14] = 0x40;
	field = open_checksum ? csum_fold(sum) : csum_finish(csum_add(sum, tcp, 20));
	memcpy(tcp + 16, &field, 2);
	return len;
}

struct writer {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
};

static inline struct writer write_open(const char *path, int type, bool nano)
{
	struct writer w = { .pcap = pcap_open_dead_with_tstamp_precision(type, 262144,
		nano ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO) };

	assert_non_null(w.pcap);
	w.dumper = pcap_dump_open(w.pcap, path);
	assert_non_null(w.dumper);
	return w;
}

static inline void write_at(struct writer *w, uint64_t when, bool nano, const uint8_t *f, uint32_t len, uint32_t caplen)
{
	struct pcap_pkthdr h = { .len = len, .caplen = caplen };

	h.ts.tv_sec = (time_t)(when / 1000000000u);
	h.ts.tv_usec = (suseconds_t)(when % 1000000000u / (nano ? 1 : 1000));
	pcap_dump((u_char *)w->dumper, &h, f);
}

static inline void write_close(struct writer *w)
{
	pcap_dump_close(w->dumper);
	pcap_close(w->pcap);
}

#endif
