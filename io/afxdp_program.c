/* SPDX-License-Identifier: BSD-3-Clause */
/* The program's maps (addresses and VLANs that are ours, settings, a socket for each queue, counters for each CPU, a ring of copied
 * frames), and where it is attached. Its instructions: afxdp_filter.c. */
#include "afxdp_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "afxdp_filter.h"
#include "grouplist.h"

#define CPUS 1024
#define SOCKETS 256u          /* queues of an interface whose number a socket may have */
#define COPIES (256u << 10)   /* bytes: 170 frames */


struct afxdp_program {
	int fd, link;              /* -1: none */
	struct afxdp_filter maps;
	struct ring_buffer *copies;
	afxdp_copy_taken taken;    /* while copies are taken */
	void *context;
	unsigned room;
	int cpus;
	struct afxdp_wanted wanted;
};

static int load(struct afxdp_program *p, bool fragments)
{
	struct code c;
	LIBBPF_OPTS(bpf_prog_load_opts, options, .prog_flags = fragments ? BPF_F_XDP_HAS_FRAGS : 0,
		.expected_attach_type = BPF_XDP);

	afxdp_filter_write(&c, &p->maps);
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "light", "BSD-3-Clause", c.insn, c.count, &options);
}

/* The library goes on until the ring is empty, or we say no. */
static int take_copy(void *context, void *record, size_t bytes)
{
	struct afxdp_program *p = context;
	const struct afxdp_copy *copy = record;

	CHECK(bytes == sizeof(*copy) && copy->bytes <= AFXDP_COPY_MAX);
	p->taken(p->context, copy->frame, copy->bytes);
	return --p->room == 0 ? -ECANCELED : 0;
}

static int make_maps(struct afxdp_program *p)
{
	p->maps.sockets = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "light_sockets", 4, 4, SOCKETS, NULL);
	if (p->maps.sockets < 0)
		return p->maps.sockets;
	p->maps.addresses = bpf_map_create(BPF_MAP_TYPE_HASH, "light_addresses", 4, 4, 64 + GROUPLIST_MOST, NULL);
	if (p->maps.addresses < 0)
		return p->maps.addresses;
	p->maps.vlans = bpf_map_create(BPF_MAP_TYPE_HASH, "light_vlans", 4, 4, 64, NULL);
	if (p->maps.vlans < 0)
		return p->maps.vlans;
	p->maps.settings = bpf_map_create(BPF_MAP_TYPE_ARRAY, "light_settings", 4, 4, 1, NULL);
	if (p->maps.settings < 0)
		return p->maps.settings;
	p->maps.counts = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "light_counts", 4, 8, AFXDP_COUNTS, NULL);
	if (p->maps.counts < 0)
		return p->maps.counts;
	p->maps.copies = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "light_copies", 0, 0, COPIES, NULL);
	if (p->maps.copies < 0)
		return p->maps.copies;
	p->copies = ring_buffer__new(p->maps.copies, take_copy, p, NULL);
	return p->copies ? 0 : -errno;
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

	if (bpf_map_lookup_elem(p->maps.counts, &index, values) != 0)
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
	return bpf_map_update_elem(p->maps.sockets, &queue, &fd, BPF_ANY);
}

int afxdp_program_want(struct afxdp_program *p, const struct afxdp_wanted *w)
{
	uint32_t now[64], before[64], index = 0, dhcp = w->dhcp;
	unsigned i;
	int error;

	if (w->addresses > 64 || w->vlan_count > 64)
		return -E2BIG;
	error = want_keys(p->maps.addresses, w->ip4, w->addresses, p->wanted.ip4, p->wanted.addresses);
	for (i = 0; i < w->vlan_count; i++)
		now[i] = w->vlans[i];
	for (i = 0; i < p->wanted.vlan_count; i++)
		before[i] = p->wanted.vlans[i];
	if (!error)
		error = want_keys(p->maps.vlans, now, w->vlan_count, before, p->wanted.vlan_count);
	if (!error)
		error = bpf_map_update_elem(p->maps.settings, &index, &dhcp, BPF_ANY);
	p->wanted = *w;
	return error;
}

int afxdp_program_group(struct afxdp_program *p, uint32_t group, bool wanted)
{
	uint32_t value = AFXDP_GROUP;

	return wanted ? bpf_map_update_elem(p->maps.addresses, &group, &value, BPF_ANY) : bpf_map_delete_elem(p->maps.addresses, &group);
}

void afxdp_program_counts(const struct afxdp_program *p, struct afxdp_program_counts *c)
{
	c->taken = sum(p, AFXDP_COUNT_TAKEN);
	c->passed = sum(p, AFXDP_COUNT_PASSED);
	c->no_socket = sum(p, AFXDP_COUNT_NO_SOCKET);
	c->copied = sum(p, AFXDP_COUNT_COPIED);
	c->copy_lost = sum(p, AFXDP_COUNT_COPY_LOST);
}

int afxdp_program_copies(const struct afxdp_program *p)
{
	return p->maps.copies;
}

bool afxdp_program_take(struct afxdp_program *p, afxdp_copy_taken taken, void *context, unsigned n)
{
	p->taken = taken;
	p->context = context;
	p->room = n;
	return ring_buffer__consume(p->copies) < 0;
}

void afxdp_program_free(struct afxdp_program *p)
{
	int fds[] = { p->fd, p->maps.sockets, p->maps.addresses, p->maps.vlans, p->maps.settings, p->maps.counts,
		p->maps.copies };

	afxdp_program_detach(p);
	ring_buffer__free(p->copies);
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
	p->fd = p->link = -1;
	p->maps = (struct afxdp_filter){ -1, -1, -1, -1, -1, -1 };
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
