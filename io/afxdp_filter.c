/* SPDX-License-Identifier: BSD-3-Clause */
/* The program, instruction by instruction. XDP gives a frame to one side only, so ARP goes to Light exactly if it speaks of an
 * address of Light's, as target or as sender. What concerns both sides (announcements; with a DHCP client of ours its answers, and
 * all ARP while addresses are probed) stays with the kernel, and a copy goes to Light through a ring (BPF_MAP_TYPE_RINGBUF). */
#include "afxdp_filter.h"

#include <arpa/inet.h>
#include <stddef.h>

enum { L_UNTAGGED, L_ARP, L_OURS, L_NO_SOCKET, L_COPY, L_DISCARD, L_COPY_LOST, L_NOT_OURS, L_PASS, L_COUNTED /* and one more a count */ };

enum { R0 = BPF_REG_0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };
/* What the registers that calls leave alone hold: */
enum { CONTEXT = R6, PACKET = R7, END = R8, TYPE = R9, STACK = R10 };
enum { KEY = -4, INDEX = -8, OFFSET = -12 };  /* words of the program's own stack; OFFSET: of PACKET in the frame */

/* Leaves to the kernel what has no `bytes` more bytes at PACKET. The verifier insists, too. */
static void within(struct code *c, int bytes)
{
	code_move(c, R2, PACKET);
	code_compute(c, BPF_ADD, R2, bytes);
	code_jump_if_reg(c, BPF_JGT, R2, END, L_PASS);
}

/* R0: the value of the key at STACK + slot, or 0. */
static void lookup(struct code *c, int map, int slot)
{
	code_move(c, R2, STACK);
	code_compute(c, BPF_ADD, R2, slot);
	code_map(c, R1, map);
	code_call(c, BPF_FUNC_map_lookup_elem);
}

/* R0: not 0 if the address at PACKET + offset is ours. */
static void lookup_address(struct code *c, const struct afxdp_filter *f, int offset)
{
	code_load(c, BPF_W, R2, PACKET, offset);
	code_store(c, BPF_W, STACK, KEY, R2);
	lookup(c, f->addresses, KEY);
}

static void count(struct code *c, const struct afxdp_filter *f, int index)
{
	unsigned counted = L_COUNTED + (unsigned)index;

	code_store_value(c, BPF_W, STACK, INDEX, index);
	lookup(c, f->counts, INDEX);
	code_jump_if(c, BPF_JEQ, R0, 0, counted);
	code_load(c, BPF_DW, R1, R0, 0);
	code_compute(c, BPF_ADD, R1, 1);
	code_store(c, BPF_DW, R0, 0, R1);
	code_label(c, counted);
}

/* R1: the setting. */
static void load_dhcp(struct code *c, const struct afxdp_filter *f)
{
	code_store_value(c, BPF_W, STACK, INDEX, 0);
	lookup(c, f->settings, INDEX);
	code_jump_if(c, BPF_JEQ, R0, 0, L_PASS);
	code_load(c, BPF_W, R1, R0, 0);
}

/* PACKET moves behind the Ethernet header, TYPE is what follows it; tagged frames of others' VLANs leave. */
static void write_ethernet(struct code *c, const struct afxdp_filter *f)
{
	code_move(c, CONTEXT, R1);
	code_load(c, BPF_W, PACKET, CONTEXT, offsetof(struct xdp_md, data));
	code_load(c, BPF_W, END, CONTEXT, offsetof(struct xdp_md, data_end));
	within(c, 14);
	code_load(c, BPF_H, TYPE, PACKET, 12);
	code_compute(c, BPF_ADD, PACKET, 14);
	code_store_value(c, BPF_W, STACK, OFFSET, 14);
	code_jump_if(c, BPF_JNE, TYPE, htons(0x8100), L_UNTAGGED);
	within(c, 4);
	code_load(c, BPF_H, R2, PACKET, 0);
	code_from_network16(c, R2);
	code_compute(c, BPF_AND, R2, 0xfff);
	code_store(c, BPF_W, STACK, KEY, R2);
	code_load(c, BPF_H, TYPE, PACKET, 2);
	code_compute(c, BPF_ADD, PACKET, 4);
	code_store_value(c, BPF_W, STACK, OFFSET, 18);
	lookup(c, f->vlans, KEY);
	code_jump_if(c, BPF_JEQ, R0, 0, L_PASS);
	code_label(c, L_UNTAGGED);
}

/* By destination alone, so that all fragments come, and ICMP errors. A copy of UDP to port 68, if asked for: the kernel may have a
 * client too, with the same MAC address, and each knows its own answers by their xid. */
static void write_ip4(struct code *c, const struct afxdp_filter *f)
{
	within(c, 20);
	lookup_address(c, f, 16);
	code_jump_if(c, BPF_JEQ, R0, 0, L_NOT_OURS);
	code_load(c, BPF_W, R1, R0, 0);
	code_jump_if(c, BPF_JEQ, R1, AFXDP_GROUP, L_COPY);
	code_jump(c, L_OURS);
	code_label(c, L_NOT_OURS);
	load_dhcp(c, f);
	code_jump_if(c, BPF_JEQ, R1, 0, L_PASS);
	code_load(c, BPF_B, R2, PACKET, 9);
	code_jump_if(c, BPF_JNE, R2, 17, L_PASS);
	code_load(c, BPF_H, R2, PACKET, 6);
	code_compute(c, BPF_AND, R2, htons(0x1fff));    /* a fragment but the first has no ports */
	code_jump_if(c, BPF_JNE, R2, 0, L_PASS);
	/* A pointer moved by the header's length would need CAP_PERFMON; this helper does not. */
	code_load(c, BPF_B, R2, PACKET, 0);
	code_compute(c, BPF_AND, R2, 15);
	code_compute(c, BPF_LSH, R2, 2);
	code_load(c, BPF_W, R1, STACK, OFFSET);
	code_add(c, R2, R1);
	code_compute(c, BPF_ADD, R2, 2);                /* the destination port */
	code_move(c, R1, CONTEXT);
	code_move(c, R3, STACK);
	code_compute(c, BPF_ADD, R3, KEY);
	code_set(c, R4, 2);
	code_call(c, BPF_FUNC_xdp_load_bytes);
	code_jump_if(c, BPF_JNE, R0, 0, L_PASS);
	code_load(c, BPF_H, R2, STACK, KEY);
	code_jump_if(c, BPF_JNE, R2, htons(68), L_PASS);
	code_jump(c, L_COPY);
}

/* RFC 826, Ethernet and IPv4. Target: questions and answers to us. Sender: somebody claims our address (RFC 5227). Both
 * the same: an announcement, by which a gateway's successor makes itself known. */
static void write_arp(struct code *c, const struct afxdp_filter *f)
{
	within(c, 28);
	code_load(c, BPF_W, R2, PACKET, 0);
	code_jump_if(c, BPF_JNE, R2, (int)htonl(0x00010800), L_PASS);
	code_load(c, BPF_H, R2, PACKET, 4);
	code_jump_if(c, BPF_JNE, R2, htons(0x0604), L_PASS);
	lookup_address(c, f, 24);
	code_jump_if(c, BPF_JNE, R0, 0, L_OURS);
	lookup_address(c, f, 14);
	code_jump_if(c, BPF_JNE, R0, 0, L_OURS);
	code_load(c, BPF_W, R2, PACKET, 14);
	code_load(c, BPF_W, R3, PACKET, 24);
	code_jump_if_reg(c, BPF_JEQ, R2, R3, L_COPY);
	load_dhcp(c, f);
	code_jump_if(c, BPF_JEQ, R1, 0, L_PASS);
	code_jump(c, L_COPY);
}

/* PACKET, END and TYPE are no longer needed: their registers outlive calls. */
static void write_copy(struct code *c, const struct afxdp_filter *f)
{
	enum { LENGTH = END, RECORD = TYPE };

	code_label(c, L_COPY);
	code_move(c, R1, CONTEXT);
	code_call(c, BPF_FUNC_xdp_get_buff_len);
	code_jump_if(c, BPF_JGT, R0, AFXDP_COPY_MAX, L_COPY_LOST);
	code_jump_if(c, BPF_JLT, R0, 14, L_COPY_LOST);
	code_move(c, LENGTH, R0);
	code_map(c, R1, f->copies);
	code_set(c, R2, sizeof(struct afxdp_copy));
	code_set(c, R3, 0);
	code_call(c, BPF_FUNC_ringbuf_reserve);
	code_jump_if(c, BPF_JEQ, R0, 0, L_COPY_LOST);
	code_move(c, RECORD, R0);
	code_store(c, BPF_W, RECORD, offsetof(struct afxdp_copy, bytes), LENGTH);
	code_move(c, R1, CONTEXT);
	code_set(c, R2, 0);
	code_move(c, R3, RECORD);
	code_compute(c, BPF_ADD, R3, offsetof(struct afxdp_copy, frame));
	code_move(c, R4, LENGTH);
	code_call(c, BPF_FUNC_xdp_load_bytes);
	code_jump_if(c, BPF_JNE, R0, 0, L_DISCARD);
	code_move(c, R1, RECORD);
	code_set(c, R2, 0);
	code_call(c, BPF_FUNC_ringbuf_submit);
	count(c, f, AFXDP_COUNT_COPIED);
	code_jump(c, L_PASS);
	code_label(c, L_DISCARD);
	code_move(c, R1, RECORD);
	code_set(c, R2, 0);
	code_call(c, BPF_FUNC_ringbuf_discard);
	code_label(c, L_COPY_LOST);
	count(c, f, AFXDP_COUNT_COPY_LOST);
	code_jump(c, L_PASS);
}

static void write_ends(struct code *c, const struct afxdp_filter *f)
{
	code_label(c, L_OURS);
	code_load(c, BPF_W, R2, CONTEXT, offsetof(struct xdp_md, rx_queue_index));
	code_store(c, BPF_W, STACK, KEY, R2);
	lookup(c, f->sockets, KEY);
	code_jump_if(c, BPF_JEQ, R0, 0, L_NO_SOCKET);
	count(c, f, AFXDP_COUNT_TAKEN);
	code_map(c, R1, f->sockets);
	code_load(c, BPF_W, R2, STACK, KEY);
	code_set(c, R3, XDP_PASS);                      /* if the socket has gone meanwhile */
	code_call(c, BPF_FUNC_redirect_map);
	code_leave(c);
	code_label(c, L_NO_SOCKET);
	count(c, f, AFXDP_COUNT_NO_SOCKET);
	code_set(c, R0, XDP_PASS);
	code_leave(c);
	code_label(c, L_PASS);
	count(c, f, AFXDP_COUNT_PASSED);
	code_set(c, R0, XDP_PASS);
	code_leave(c);
}

void afxdp_filter_write(struct code *c, const struct afxdp_filter *f)
{
	code_start(c);
	write_ethernet(c, f);
	code_jump_if(c, BPF_JEQ, TYPE, htons(0x0806), L_ARP);
	code_jump_if(c, BPF_JNE, TYPE, htons(0x0800), L_PASS);
	write_ip4(c, f);
	code_label(c, L_ARP);
	write_arp(c, f);
	write_copy(c, f);
	write_ends(c, f);
	code_finish(c);
}
