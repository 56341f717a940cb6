/* SPDX-License-Identifier: BSD-3-Clause */
/* The program, instruction by instruction, and its maps: addresses and VLANs that are ours (hashes: the key is the answer), settings,
 * a socket for each queue, counters for each CPU. XDP can give a frame to one side only, so ARP comes to Light exactly if
 * it speaks of an address of Light's, as target or as sender. */
#include "afxdp_program.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afxdp_code.h"

#define CPUS 1024
#define SOCKETS 256u     /* queues of an interface whose number a socket may have */

enum { COUNT_TAKEN, COUNT_PASSED, COUNT_NO_SOCKET, COUNTS };
enum { L_UNTAGGED, L_ARP, L_OURS, L_NO_SOCKET, L_PASS, L_COUNTED /* and one more a count */ };

struct afxdp_program {
	int fd, link;              /* -1: none */
	int sockets, addresses, vlans, settings, counts;
	int cpus;
	struct afxdp_wanted wanted;
};

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
static void lookup_address(struct code *c, const struct afxdp_program *p, int offset)
{
	code_load(c, BPF_W, R2, PACKET, offset);
	code_store(c, BPF_W, STACK, KEY, R2);
	lookup(c, p->addresses, KEY);
}

static void count(struct code *c, const struct afxdp_program *p, int index)
{
	unsigned counted = L_COUNTED + (unsigned)index;

	code_store_value(c, BPF_W, STACK, INDEX, index);
	lookup(c, p->counts, INDEX);
	code_jump_if(c, BPF_JEQ, R0, 0, counted);
	code_load(c, BPF_DW, R1, R0, 0);
	code_compute(c, BPF_ADD, R1, 1);
	code_store(c, BPF_DW, R0, 0, R1);
	code_label(c, counted);
}

/* PACKET moves behind the Ethernet header, TYPE is what follows it; tagged frames of others' VLANs leave. */
static void write_ethernet(struct code *c, const struct afxdp_program *p)
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
	lookup(c, p->vlans, KEY);
	code_jump_if(c, BPF_JEQ, R0, 0, L_PASS);
	code_label(c, L_UNTAGGED);
}

/* By destination alone, so that all fragments come, and ICMP errors; or UDP to port 68, if asked for. */
static void write_ip4(struct code *c, const struct afxdp_program *p)
{
	within(c, 20);
	lookup_address(c, p, 16);
	code_jump_if(c, BPF_JNE, R0, 0, L_OURS);
	code_store_value(c, BPF_W, STACK, INDEX, 0);
	lookup(c, p->settings, INDEX);
	code_jump_if(c, BPF_JEQ, R0, 0, L_PASS);
	code_load(c, BPF_W, R1, R0, 0);
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
	code_jump(c, L_OURS);
}

/* RFC 826, Ethernet and IPv4. Target: questions and answers to us. Sender: somebody claims our address (RFC 5227). */
static void write_arp(struct code *c, const struct afxdp_program *p)
{
	within(c, 28);
	code_load(c, BPF_W, R2, PACKET, 0);
	code_jump_if(c, BPF_JNE, R2, (int)htonl(0x00010800), L_PASS);
	code_load(c, BPF_H, R2, PACKET, 4);
	code_jump_if(c, BPF_JNE, R2, htons(0x0604), L_PASS);
	lookup_address(c, p, 24);
	code_jump_if(c, BPF_JNE, R0, 0, L_OURS);
	lookup_address(c, p, 14);
	code_jump_if(c, BPF_JEQ, R0, 0, L_PASS);
}

static void write_ends(struct code *c, const struct afxdp_program *p)
{
	code_label(c, L_OURS);
	code_load(c, BPF_W, R2, CONTEXT, offsetof(struct xdp_md, rx_queue_index));
	code_store(c, BPF_W, STACK, KEY, R2);
	lookup(c, p->sockets, KEY);
	code_jump_if(c, BPF_JEQ, R0, 0, L_NO_SOCKET);
	count(c, p, COUNT_TAKEN);
	code_map(c, R1, p->sockets);
	code_load(c, BPF_W, R2, STACK, KEY);
	code_set(c, R3, XDP_PASS);                      /* if the socket has gone meanwhile */
	code_call(c, BPF_FUNC_redirect_map);
	code_leave(c);
	code_label(c, L_NO_SOCKET);
	count(c, p, COUNT_NO_SOCKET);
	code_set(c, R0, XDP_PASS);
	code_leave(c);
	code_label(c, L_PASS);
	count(c, p, COUNT_PASSED);
	code_set(c, R0, XDP_PASS);
	code_leave(c);
}

static int load(struct afxdp_program *p, bool fragments)
{
	struct code c;
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = fragments ? BPF_F_XDP_HAS_FRAGS : 0,
		.expected_attach_type = BPF_XDP);

	code_start(&c);
	write_ethernet(&c, p);
	code_jump_if(&c, BPF_JEQ, TYPE, htons(0x0806), L_ARP);
	code_jump_if(&c, BPF_JNE, TYPE, htons(0x0800), L_PASS);
	write_ip4(&c, p);
	code_label(&c, L_ARP);
	write_arp(&c, p);
	write_ends(&c, p);
	code_finish(&c);
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "light", "BSD-3-Clause", c.insn, c.count, &options);
}

static int make_maps(struct afxdp_program *p)
{
	p->sockets = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "light_sockets", 4, 4, SOCKETS, NULL);
	if (p->sockets < 0)
		return p->sockets;
	p->addresses = bpf_map_create(BPF_MAP_TYPE_HASH, "light_addresses", 4, 4, 64, NULL);
	if (p->addresses < 0)
		return p->addresses;
	p->vlans = bpf_map_create(BPF_MAP_TYPE_HASH, "light_vlans", 4, 4, 64, NULL);
	if (p->vlans < 0)
		return p->vlans;
	p->settings = bpf_map_create(BPF_MAP_TYPE_ARRAY, "light_settings", 4, 4, 1, NULL);
	if (p->settings < 0)
		return p->settings;
	p->counts = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "light_counts", 4, 8, COUNTS, NULL);
	return p->counts < 0 ? p->counts : 0;
}

/* The key is all there is to know. What stays is never missing meanwhile. */
static int want_keys(int map, const uint32_t *now, unsigned n, const uint32_t *before, unsigned before_n)
{
	uint32_t value = 1;
	unsigned i, k;
	int result = 0, error;

	/* What goes makes room first: the map holds no more than one list. */
	for (i = 0; i < before_n; i++) {
		for (k = 0; k < n && now[k] != before[i]; k++)
			;
		if (k == n)
			bpf_map_delete_elem(map, &before[i]);
	}
	for (i = 0; i < n; i++) {
		error = bpf_map_update_elem(map, &now[i], &value, BPF_ANY);
		if (error)
			result = error;
	}
	return result;
}

static uint64_t sum(const struct afxdp_program *p, uint32_t index)
{
	uint64_t values[CPUS], total = 0;

	if (bpf_map_lookup_elem(p->counts, &index, values) != 0)
		return 0;
	for (int i = 0; i < p->cpus; i++)
		total += values[i];
	return total;
}

static uint32_t link_info(const struct afxdp_program *p, struct bpf_link_info *info)
{
	uint32_t bytes = sizeof(*info);

	memset(info, 0, sizeof(*info));
	if (p->link < 0 || bpf_obj_get_info_by_fd(p->link, info, &bytes) != 0)
		return 0;
	return info->xdp.ifindex;
}

static int refused(int error, const char *name, unsigned ifindex, char why[DEVICE_WHY])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	uint32_t id = 0;

	if (error == -EBUSY || error == -EEXIST) {
		if (bpf_xdp_query((int)ifindex, 0, &q) == 0)
			id = q.prog_id ? q.prog_id : q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id;
		snprintf(why, DEVICE_WHY, "%s has an XDP program already (id %u): another lightd, or one that "
			"'ip link set dev %s xdp off' removes", name, id, name);
	} else if (error == -EPERM || error == -EACCES) {
		snprintf(why, DEVICE_WHY, "attaching to %s is not permitted: CAP_NET_ADMIN and CAP_BPF are needed", name);
	} else {
		snprintf(why, DEVICE_WHY, "%s takes no XDP program: %s", name, strerror(-error));
	}
	return error;
}

int afxdp_program_attach(struct afxdp_program *p, const char *name, unsigned ifindex, bool skb, bool *generic,
	char why[DEVICE_WHY])
{
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, any, .flags = XDP_FLAGS_SKB_MODE);
	int error = -EOPNOTSUPP;

	afxdp_program_detach(p);
	*generic = false;
	if (!skb) {
		error = p->link = bpf_link_create(p->fd, (int)ifindex, BPF_XDP, &native);
		if (p->link >= 0)
			return 0;
		p->link = -1;
		if (error == -EBUSY || error == -EEXIST || error == -EPERM || error == -ENODEV)
			return refused(error, name, ifindex, why);
		snprintf(why, DEVICE_WHY, "the driver refuses it (%s)", strerror(-error));
	} else {
		snprintf(why, DEVICE_WHY, "asked for");
	}
	*generic = true;
	error = p->link = bpf_link_create(p->fd, (int)ifindex, BPF_XDP, &any);
	if (p->link >= 0)
		return 0;
	p->link = -1;
	return refused(error, name, ifindex, why);
}

void afxdp_program_detach(struct afxdp_program *p)
{
	if (p->link >= 0)
		close(p->link);
	p->link = -1;
}

bool afxdp_program_attached(const struct afxdp_program *p)
{
	struct bpf_link_info info;

	return link_info(p, &info) != 0;
}

uint32_t afxdp_program_link_id(const struct afxdp_program *p)
{
	struct bpf_link_info info;

	return link_info(p, &info) ? info.id : 0;
}

int afxdp_program_socket(struct afxdp_program *p, unsigned queue, int fd)
{
	return bpf_map_update_elem(p->sockets, &queue, &fd, BPF_ANY);
}

int afxdp_program_want(struct afxdp_program *p, const struct afxdp_wanted *w)
{
	uint32_t now[64], before[64], index = 0, dhcp = w->dhcp;
	unsigned i;
	int error;

	if (w->addresses > 64 || w->vlan_count > 64)
		return -E2BIG;
	error = want_keys(p->addresses, w->ip4, w->addresses, p->wanted.ip4, p->wanted.addresses);
	for (i = 0; i < w->vlan_count; i++)
		now[i] = w->vlans[i];
	for (i = 0; i < p->wanted.vlan_count; i++)
		before[i] = p->wanted.vlans[i];
	if (!error)
		error = want_keys(p->vlans, now, w->vlan_count, before, p->wanted.vlan_count);
	if (!error)
		error = bpf_map_update_elem(p->settings, &index, &dhcp, BPF_ANY);
	p->wanted = *w;
	return error;
}

void afxdp_program_counts(const struct afxdp_program *p, struct afxdp_program_counts *c)
{
	c->taken = sum(p, COUNT_TAKEN);
	c->passed = sum(p, COUNT_PASSED);
	c->no_socket = sum(p, COUNT_NO_SOCKET);
}

void afxdp_program_free(struct afxdp_program *p)
{
	int fds[] = { p->fd, p->sockets, p->addresses, p->vlans, p->settings, p->counts };

	afxdp_program_detach(p);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(p);
}

int afxdp_program_new(struct afxdp_program **out, bool fragments, char why[DEVICE_WHY])
{
	struct afxdp_program *p = calloc(1, sizeof(*p));
	int error;

	if (!p) {
		snprintf(why, DEVICE_WHY, "no memory");
		return -ENOMEM;
	}
	p->fd = p->link = p->sockets = p->addresses = p->vlans = p->settings = p->counts = -1;
	p->cpus = libbpf_num_possible_cpus();
	error = p->cpus < 0 ? p->cpus : p->cpus > CPUS ? -E2BIG : make_maps(p);
	if (!error) {
		p->fd = load(p, fragments);
		error = p->fd < 0 ? p->fd : 0;
	}
	if (error) {
		snprintf(why, DEVICE_WHY, error == -EPERM ? "loading an XDP program is not permitted (%s): CAP_BPF and "
			"CAP_NET_ADMIN are needed" : "the kernel does not take the XDP program: %s", strerror(-error));
		afxdp_program_free(p);
		return error;
	}
	*out = p;
	return 0;
}
