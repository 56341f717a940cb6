/* SPDX-License-Identifier: BSD-3-Clause */
/* The link in memory, templates for frames, and the checks that every test ends with. */
#include "tests/fixture.h"

const uint8_t us_mac[6] = { 2, 0, 0, 0, 0, 1 }, peer_mac[6] = { 2, 0, 0, 0, 0, 2 };
const uint8_t router_mac[6] = { 2, 0, 0, 0, 0, 0xfe };
const uint8_t everyone_mac[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* ---- the link ---- */

static struct world *world_of(struct link *link)
{
	return container_of(link, struct world, link);
}

static unsigned link_borrow(struct link *link, struct pkt **out, unsigned n)
{
	struct world *w = world_of(link);
	unsigned i;

	for (i = 0; i < n && w->free && w->lends; i++) {
		out[i] = w->free;
		w->free = out[i]->next;
		pkt_reset(out[i]);
		memset(out[i]->buffer, 0xee, out[i]->buffer_size);
		w->lends--;
		w->lent++;
	}
	return i;
}

static void link_release(struct link *link, struct pkt **p, unsigned n)
{
	struct world *w = world_of(link);

	for (unsigned i = 0; i < n; i++) {
		assert_ptr_equal(p[i]->link, link);
		p[i]->next = w->free;
		w->free = p[i];
		w->lent--;
	}
}

static unsigned link_receive(struct link *link, struct pkt **out, unsigned n)
{
	struct world *w = world_of(link);

	if (n > w->incoming_count)
		n = w->incoming_count;
	memcpy(out, w->incoming, n * sizeof(*out));
	w->incoming_count -= n;
	memmove(w->incoming, w->incoming + n, w->incoming_count * sizeof(*out));
	return n;
}

static unsigned link_transmit(struct link *link, struct pkt **p, unsigned n)
{
	struct world *w = world_of(link);
	unsigned i;

	for (i = 0; i < n && w->accepts; i++) {
		struct frame *f = &w->sent[w->sent_count];

		assert_true(w->sent_count < FRAMES);
		assert_true(p[i]->len <= FRAME_MAX);
		memcpy(f->bytes, p[i]->data, p[i]->len);
		f->len = p[i]->len;
		w->sent_count++;
		w->accepts--;
	}
	link_release(link, p, i);
	return i;
}

static int link_group(struct link *link, uint32_t group, bool wanted)
{
	struct world *w = container_of(link, struct world, link);

	if (wanted && w->group_error)
		return w->group_error;
	w->group = group;
	w->groups += wanted ? 1 : -1;
	assert_true(w->groups >= 0);
	return 0;
}

static void link_close(struct link *link)
{
	(void)link;
}

static const struct link_ops ops = {
	.name = "test", .receive = link_receive, .borrow = link_borrow, .transmit = link_transmit,
	.release = link_release, .group = link_group, .close = link_close,
};

/* ---- the world ---- */

static void keep_line(void *context, const char *line)
{
	struct world *w = context;

	snprintf(w->log[w->log_count++ % 4], sizeof(w->log[0]), "%s", line);
}

void world_config(struct stack_config *config)
{
	stack_config_init(config);
	memcpy(config->secret, "0123456789abcdef", 16);
	config->max_endpoints = 256;
}

struct world *world_new(const struct stack_config *given)
{
	struct world *w = calloc(1, sizeof(*w));
	struct stack_config config;
	struct ipaddr address = ipaddr_from_ip4(US), any = ipaddr_from_ip4(0), router = ipaddr_from_ip4(ROUTER);

	for (unsigned i = 0; i < FRAMES; i++) {
		struct pkt *p = &w->packets[i];

		*p = (struct pkt){ .buffer = calloc(1, FRAME_MAX), .buffer_size = FRAME_MAX, .link = &w->link };
		p->next = w->free;
		w->free = p;
	}
	w->accepts = w->lends = UINT32_MAX;
	w->link = (struct link){ .ops = &ops, .mtu = 1500, .up = 1 };
	memcpy(w->link.mac, us_mac, 6);
	if (given)
		config = *given;
	else
		world_config(&config);
	config.log = keep_line;
	config.log_context = w;
	w->s = stack_new(&config);
	assert_non_null(w->s);
	w->now = NSEC_PER_SEC;
	stack_at(w->s, w->now);
	w->interface = stack_add_link(w->s, &w->link, "eth0");
	assert_true(w->interface > 0);
	assert_int_equal(stack_add_address(w->s, w->interface, &address, 24), 0);
	assert_int_equal(stack_add_route(w->s, &any, 0, &router, 0), 0);
	world_run(w, w->now + 3 * NSEC_PER_SEC);  /* the announcements */
	world_clear(w);
	return w;
}

int world_setup(void **state)
{
	*state = world_new(NULL);
	return 0;
}

int world_setup_known(void **state)
{
	struct world *w = world_new(NULL);
	struct ipaddr peer = ipaddr_from_ip4(PEER), router = ipaddr_from_ip4(ROUTER);

	assert_int_equal(stack_add_neighbour(w->s, w->interface, &peer, peer_mac), 0);
	assert_int_equal(stack_add_neighbour(w->s, w->interface, &router, router_mac), 0);
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	assert_null(stack_check(w->s));
	stack_free(w->s);
	assert_int_equal(w->lent, w->incoming_count);
	for (unsigned i = 0; i < FRAMES; i++)
		free(w->packets[i].buffer);
	free(w);
	return 0;
}

void world_clear(struct world *w)
{
	w->sent_count = 0;
}

void world_turn(struct world *w)
{
	const char *wrong;

	stack_turn(w->s, w->now);
	wrong = stack_check(w->s);
	if (wrong)
		fail_msg("%s", wrong);
}

void world_run(struct world *w, nsec until)
{
	while (stack_deadline(w->s) <= until) {
		nsec due = stack_deadline(w->s);

		assert_true(due >= w->now);
		w->now = due;
		world_turn(w);
	}
	w->now = until;
	stack_at(w->s, until);
}

void world_queue(struct world *w, const void *frame, uint32_t len)
{
	unsigned lends = w->lends;
	struct pkt *p;

	w->lends = 1;
	assert_int_equal(link_borrow(&w->link, &p, 1), 1);
	w->lends = lends;
	if (w->tight)
		p->data = p->buffer + p->buffer_size - len;
	memcpy(p->data, frame, len);
	p->len = len;
	assert_true(w->incoming_count < FRAMES);
	w->incoming[w->incoming_count++] = p;
}

void world_give(struct world *w, const struct frame *f)
{
	world_queue(w, f->bytes, f->len);
	world_turn(w);
}

uint64_t dropped(const struct world *w, enum drop reason)
{
	return w->s->drops[reason];
}

void expect_drop(struct world *w, const struct frame *f, enum drop reason)
{
	uint64_t before[DROP_REASONS];

	memcpy(before, w->s->drops, sizeof(before));
	world_clear(w);
	world_give(w, f);
	assert_int_equal(w->sent_count, 0);
	for (unsigned i = 0; i < DROP_REASONS; i++) {
		struct stack_counter counter;

		if (w->s->drops[i] == before[i] + (i == reason))
			continue;
		assert_true(stack_counter(w->s, i, &counter));
		fail_msg("counter %s rose by %d", counter.name, (int)(w->s->drops[i] - before[i]));
	}
}

/* ---- frames ---- */

struct frame eth_frame(const uint8_t to[6], const uint8_t from[6], uint16_t type, const void *payload, uint32_t n)
{
	struct frame f = { .len = (uint32_t)sizeof(struct eth_header) + n };
	struct eth_header *eth = (struct eth_header *)f.bytes;

	assert_true(f.len <= FRAME_MAX);
	memcpy(eth->destination, to, 6);
	memcpy(eth->source, from, 6);
	eth->type = be16(type);
	if (n)
		memcpy(eth + 1, payload, n);
	return f;
}

struct frame arp_frame(uint16_t operation, const uint8_t sender_mac[6], uint32_t sender, uint32_t target)
{
	struct arp_packet arp = {
		.hardware = be16(1), .protocol = be16(ETH_TYPE_IP4), .hardware_len = 6, .protocol_len = 4,
		.operation = be16(operation), .sender_ip = sender, .target_ip = target,
	};

	memcpy(arp.sender_mac, sender_mac, 6);
	if (operation == ARP_REPLY)
		memcpy(arp.target_mac, us_mac, 6);
	return eth_frame(operation == ARP_REPLY ? us_mac : everyone_mac, sender_mac, ETH_TYPE_ARP, &arp, sizeof(arp));
}

struct frame ip4_frame(uint32_t source, uint32_t destination, uint8_t protocol, const void *payload, uint32_t n)
{
	uint8_t bytes[FRAME_MAX];
	struct ip4_header *ip = (struct ip4_header *)bytes;
	bool broadcast = ip4_is_multicast(destination) || (destination & be32(0xff)) == be32(0xff);
	struct frame f;

	assert_true(n <= FRAME_MAX - 64);
	*ip = (struct ip4_header){
		.version_ihl = 0x45, .total_length = be16((uint16_t)(20 + n)), .id = be16(0x1234), .ttl = 60,
		.protocol = protocol, .source = source, .destination = destination,
	};
	if (n)
		memcpy(ip + 1, payload, n);
	f = eth_frame(broadcast ? everyone_mac : us_mac, peer_mac, ETH_TYPE_IP4, bytes, 20 + n);
	frame_fix_ip4(&f);
	return f;
}

struct frame udp_frame(uint32_t source, uint16_t from, uint32_t destination, uint16_t to, const void *payload, uint32_t n)
{
	uint8_t bytes[FRAME_MAX];
	struct udp_header *udp = (struct udp_header *)bytes;
	struct frame f;

	*udp = (struct udp_header){ .source = be16(from), .destination = be16(to), .length = be16((uint16_t)(8 + n)) };
	if (n)
		memcpy(udp + 1, payload, n);
	f = ip4_frame(source, destination, PROTOCOL_UDP, bytes, 8 + n);
	frame_fix_udp(&f);
	return f;
}

struct frame icmp_frame(uint32_t source, uint32_t destination, uint8_t type, uint8_t code, uint32_t rest,
			const void *payload, uint32_t n)
{
	uint8_t bytes[FRAME_MAX];
	struct icmp_header *icmp = (struct icmp_header *)bytes;

	*icmp = (struct icmp_header){ .type = type, .code = code, .rest = be32(rest) };
	if (n)
		memcpy(icmp + 1, payload, n);
	icmp->checksum = csum_finish(csum_add(0, bytes, 8 + n));
	return ip4_frame(source, destination, PROTOCOL_ICMP, bytes, 8 + n);
}

struct ip4_header *frame_ip4(struct frame *f)
{
	return (struct ip4_header *)(f->bytes + sizeof(struct eth_header));
}

void *frame_l4(struct frame *f)
{
	return (uint8_t *)frame_ip4(f) + (frame_ip4(f)->version_ihl & 15) * 4;
}

uint32_t frame_l4_len(struct frame *f)
{
	return be16(frame_ip4(f)->total_length) - (frame_ip4(f)->version_ihl & 15u) * 4;
}

void frame_fix_ip4(struct frame *f)
{
	struct ip4_header *ip = frame_ip4(f);

	ip->checksum = 0;
	ip->checksum = csum_finish(csum_add(0, ip, (ip->version_ihl & 15u) * 4));
}

static uint64_t pseudo(struct frame *f)
{
	struct ipaddr source = ipaddr_from_ip4(frame_ip4(f)->source);
	struct ipaddr destination = ipaddr_from_ip4(frame_ip4(f)->destination);

	return csum_pseudo(&source, &destination, frame_ip4(f)->protocol, frame_l4_len(f));
}

void frame_fix_udp(struct frame *f)
{
	struct udp_header *udp = frame_l4(f);

	udp->checksum = 0;
	udp->checksum = csum_finish(csum_add(pseudo(f), udp, frame_l4_len(f)));
}

void frame_verify(struct frame *f)
{
	struct ip4_header *ip = frame_ip4(f);
	bool fragment = ip->fragment & be16(IP4_MF | IP4_OFFSET);

	assert_int_equal(((struct eth_header *)f->bytes)->type, be16(ETH_TYPE_IP4));
	assert_true(f->len >= sizeof(struct eth_header) + be16(ip->total_length));
	assert_int_equal(csum_finish(csum_add(0, ip, (ip->version_ihl & 15u) * 4)), 0);
	assert_true(ip->ttl > 0);
	if (ip->protocol == PROTOCOL_ICMP && !fragment)
		assert_int_equal(csum_finish(csum_add(0, frame_l4(f), frame_l4_len(f))), 0);
	if (ip->protocol == PROTOCOL_UDP && !fragment)
		assert_int_equal(csum_finish(csum_add(pseudo(f), frame_l4(f), frame_l4_len(f))), 0);
	/* RFC 894: padding is zeros */
	for (uint32_t i = (uint32_t)sizeof(struct eth_header) + be16(ip->total_length); i < f->len; i++)
		assert_int_equal(f->bytes[i], 0);
}

struct ep_name name_of(uint32_t ip4, uint16_t port)
{
	return (struct ep_name){ ipaddr_from_ip4(ip4), port };
}

ep_id udp_socket(struct world *w, uint32_t ip4, uint16_t port)
{
	struct ep_name name = name_of(ip4, port);
	ep_id id;

	assert_int_equal(ep_open(w->s, EP_DATAGRAM, 1, NULL, &id), 0);
	if (port)
		assert_int_equal(ep_bind(w->s, id, &name), 0);
	return id;
}
