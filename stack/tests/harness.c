/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks on links that are arrays in memory, for the tests of TCP. */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOST_PREFIX 24
#define PEER 9
#define IP_HEADER 20
#define ETH_HEADER 14
#define HEADERS (ETH_HEADER + IP_HEADER)

static struct pkt *new_packet(struct harness_link *l)
{
	struct pkt *p = calloc(1, sizeof(*p));

	p->buffer_size = l->buffer_size;
	p->buffer = malloc(p->buffer_size);
	p->link = &l->link;
	pkt_reset(p);
	l->alive++;
	return p;
}

static void free_packet(struct pkt *p)
{
	struct harness_link *l = container_of(p->link, struct harness_link, link);

	l->alive--;
	free(p->buffer);
	free(p);
}

static void put_received(struct harness_link *l, struct pkt *p)
{
	assert_true(l->received_to - l->received_from < HARNESS_QUEUE);
	l->received[l->received_to++ % HARNESS_QUEUE] = p;
}

static unsigned link_receive(struct link *link, struct pkt **out, unsigned n)
{
	struct harness_link *l = container_of(link, struct harness_link, link);
	unsigned i;

	for (i = 0; i < n && l->received_from != l->received_to; i++)
		out[i] = l->received[l->received_from++ % HARNESS_QUEUE];
	return i;
}

static unsigned link_borrow(struct link *link, struct pkt **out, unsigned n)
{
	struct harness_link *l = container_of(link, struct harness_link, link);

	for (unsigned i = 0; i < n; i++) {
		if (l->dry)
			return i;
		out[i] = new_packet(l);
	}
	return n;
}

static unsigned link_transmit(struct link *link, struct pkt **packets, unsigned n)
{
	struct harness_link *l = container_of(link, struct harness_link, link);

	for (unsigned i = 0; i < n; i++) {
		unsigned nth = l->sent_total++;

		if (l->lose && l->lose(l, packets[i], nth)) {
			free_packet(packets[i]);
		} else if (l->other) {
			struct pkt *copy = new_packet(l->other);

			memcpy(copy->data, packets[i]->data, packets[i]->len);
			copy->len = packets[i]->len;
			copy->gso_size = packets[i]->gso_size;
			if (packets[i]->flags & PKT_CSUM_PARTIAL)
				copy->flags = PKT_CSUM_GOOD;
			put_received(l->other, copy);
			free_packet(packets[i]);
		} else {
			assert_true(l->sent_to - l->sent_from < HARNESS_QUEUE);
			l->sent[l->sent_to++ % HARNESS_QUEUE] = packets[i];
		}
	}
	return n;
}

static void link_release(struct link *link, struct pkt **packets, unsigned n)
{
	(void)link;
	for (unsigned i = 0; i < n; i++)
		free_packet(packets[i]);
}

static void link_close(struct link *link)
{
	(void)link;
}

static const struct link_ops ops = {
	.name = "harness",
	.receive = link_receive,
	.borrow = link_borrow,
	.transmit = link_transmit,
	.release = link_release,
	.close = link_close,
};

struct ipaddr harness_addr(unsigned n)
{
	return ipaddr_from_ip4(__builtin_bswap32(0x0a000000u + n));
}

struct harness_host *harness_host_new(unsigned n, const struct tcp_settings *settings, uint32_t flags)
{
	struct harness_host *h = calloc(1, sizeof(*h));
	struct stack_config config;
	int interface;

	h->link.link = (struct link){ .ops = &ops, .mtu = 1500, .flags = flags, .up = 1 };
	h->link.link.mac[0] = 2;
	h->link.link.mac[5] = (uint8_t)n;
	h->link.buffer_size = flags & LINK_TSO ? 66000 : 2048;
	h->addr = harness_addr(n);
	stack_config_init(&config);
	memset(config.secret, (int)(n + 1), sizeof(config.secret));
	config.max_endpoints = 4096;
	if (settings)
		config.tcp = *settings;
	h->stack = stack_new(&config);
	assert_non_null(h->stack);
	h->now = NSEC_PER_SEC;
	stack_at(h->stack, h->now);
	interface = stack_add_link(h->stack, &h->link.link, "test");
	assert_true(interface > 0);
	assert_int_equal(stack_add_address(h->stack, interface, &h->addr, HOST_PREFIX), 0);
	for (unsigned i = 1; i <= PEER; i++) {
		struct ipaddr neighbour = harness_addr(i);

		if (i != n)
			assert_int_equal(stack_add_neighbour(h->stack, interface, &neighbour,
						(uint8_t[6]){ 2, 0, 0, 0, 0, (uint8_t)i }), 0);
	}
	return h;
}

void harness_join(struct harness_host *a, struct harness_host *b)
{
	a->link.other = &b->link;
	b->link.other = &a->link;
}

static void check(struct harness_host *h)
{
	const char *wrong = stack_check(h->stack);

	if (wrong)
		fail_msg("%s", wrong);
}

void harness_host_free(struct harness_host *h)
{
	struct harness_link *l = &h->link;

	check(h);
	stack_free(h->stack);
	while (l->received_from != l->received_to)
		free_packet(l->received[l->received_from++ % HARNESS_QUEUE]);
	while (l->sent_from != l->sent_to)
		free_packet(l->sent[l->sent_from++ % HARNESS_QUEUE]);
	assert_int_equal(l->alive, 0);
	free(h);
}

static bool busy(struct harness_host *h)
{
	return h->link.received_from != h->link.received_to;
}

void harness_turn(struct harness_host *h)
{
	do {
		stack_turn(h->stack, h->now);
		check(h);
	} while (busy(h) || stack_deadline(h->stack) <= h->now);
}

void harness_pass(struct harness_host *h, nsec duration)
{
	nsec to = h->now + duration;

	harness_turn(h);
	while (stack_deadline(h->stack) <= to) {
		h->now = stack_deadline(h->stack);
		harness_turn(h);
	}
	h->now = to;
	harness_turn(h);
}

void harness_run(struct harness_host *a, struct harness_host *b, nsec to)
{
	for (;;) {
		nsec next;

		a->now = b->now = a->now > b->now ? a->now : b->now;
		do {
			stack_turn(a->stack, a->now);
			check(a);
			stack_turn(b->stack, b->now);
			check(b);
		} while (busy(a) || busy(b) || stack_deadline(a->stack) <= a->now ||
			 stack_deadline(b->stack) <= b->now);
		next = stack_deadline(a->stack) < stack_deadline(b->stack) ? stack_deadline(a->stack)
									     : stack_deadline(b->stack);
		if (next > to)
			break;
		a->now = b->now = next;
	}
	if (to != NSEC_NEVER)
		a->now = b->now = to > a->now ? to : a->now;
}

static void put_headers(const struct harness_host *h, uint8_t *eth, uint32_t len, uint32_t from, uint32_t to, uint8_t ecn)
{
	uint8_t *ip = eth + ETH_HEADER;
	uint16_t total = __builtin_bswap16((uint16_t)len), sum;

	memset(eth, 0, HEADERS);
	memcpy(eth, h->link.link.mac, 6);
	eth[6] = 2;
	eth[11] = PEER;
	eth[12] = 8;
	ip[0] = 0x45;
	ip[1] = ecn;
	memcpy(ip + 2, &total, 2);
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, &from, 4);
	memcpy(ip + 16, &to, 4);
	sum = csum_finish(csum_add(0, ip, IP_HEADER));
	memcpy(ip + 10, &sum, 2);
}

static void give(struct harness_host *h, const uint8_t *tcp, uint32_t len, uint8_t ecn)
{
	struct pkt *packet = new_packet(&h->link);
	struct ipaddr peer = harness_addr(PEER);

	put_headers(h, packet->data, IP_HEADER + len, ipaddr_ip4(&peer), ipaddr_ip4(&h->addr), ecn);
	memcpy(packet->data + HEADERS, tcp, len);
	packet->len = HEADERS + len;
	put_received(&h->link, packet);
	harness_turn(h);
}

void harness_send_raw(struct harness_host *h, const struct harness_peer *p, const uint8_t *tcp, uint32_t len)
{
	(void)p;
	give(h, tcp, len, 0);
}

void harness_send(struct harness_host *h, const struct harness_peer *p, struct tcp_segment seg)
{
	uint8_t bytes[2048];
	struct ipaddr peer = harness_addr(PEER);
	uint32_t header;
	uint16_t sum;

	seg.source = p->port;
	seg.destination = seg.destination ? seg.destination : OUR_PORT;
	if (seg.seq == 0)
		seg.seq = p->seq;
	if (seg.ack == 0)
		seg.ack = p->ack;
	if (seg.window == 0)
		seg.window = p->window;
	if (p->timestamps && !(seg.flags & SEG_RST) && !(seg.has & SEG_HAS_TS)) {
		seg.has |= SEG_HAS_TS;
		seg.tsval = p->tsval;
	}
	header = segment_write(&seg, bytes);
	if (seg.len && seg.payload)
		memcpy(bytes + header, seg.payload, seg.len);
	else
		memset(bytes + header, 'x', seg.len);
	sum = csum_finish(csum_add(csum_pseudo(&peer, &h->addr, 6, header + seg.len), bytes, header + seg.len));
	memcpy(bytes + 16, &sum, 2);
	give(h, bytes, header + seg.len, seg.ecn);
}

bool harness_sent(struct harness_host *h, struct tcp_segment *seg)
{
	static uint8_t bytes[70000];
	struct ipaddr peer = harness_addr(PEER);
	struct harness_link *l = &h->link;
	enum drop reason;
	struct pkt *p;
	uint32_t len;
	bool ip;

	do {
		if (l->sent_from == l->sent_to)
			return false;
		p = l->sent[l->sent_from++ % HARNESS_QUEUE];
		ip = p->data[12] == 8 && p->data[13] == 0;
		if (!ip)
			free_packet(p);
	} while (!ip); /* not the announcements of ARP */
	/* Bytes behind the IP packet are padding of the frame. */
	len = (uint32_t)(p->data[ETH_HEADER + 2] << 8 | p->data[ETH_HEADER + 3]) - IP_HEADER;
	if (p->gso_size)
		len = p->len - HEADERS;
	memcpy(bytes, p->data + HEADERS, len);
	if (!(p->flags & PKT_CSUM_PARTIAL))
		assert_int_equal(csum_finish(csum_add(csum_pseudo(&h->addr, &peer, 6, len), bytes, len)), 0);
	assert_true(segment_parse(seg, bytes, len, &reason));
	seg->ecn = p->data[ETH_HEADER + 1] & 3;
	free_packet(p);
	return true;
}

struct tcp_segment harness_expect(struct harness_host *h, uint8_t flags)
{
	struct tcp_segment seg;

	if (!harness_sent(h, &seg))
		fail_msg("nothing was sent");
	assert_int_equal(seg.flags, flags);
	return seg;
}

void harness_expect_none(struct harness_host *h)
{
	struct tcp_segment seg;

	if (harness_sent(h, &seg))
		fail_msg("sent: flags %02x seq %u ack %u len %u", seg.flags, seg.seq, seg.ack, seg.len);
}

ep_id harness_listen(struct harness_host *h, uint16_t port, uint32_t backlog)
{
	struct ep_name name = { harness_addr(0), port };
	ep_id id;

	name.addr = ipaddr_from_ip4(0);
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_set(h->stack, id, EP_REUSE_ADDR, 1), 0);
	assert_int_equal(ep_bind(h->stack, id, &name), 0);
	assert_int_equal(ep_listen(h->stack, id, backlog), 0);
	return id;
}

ep_id harness_accepted(struct harness_host *h, struct harness_peer *p, uint16_t mss)
{
	ep_id listener = harness_listen(h, OUR_PORT, 8), child;
	struct tcp_segment s;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = p->window ? p->window : 65535,
				    .tsval = 100, .timestamps = p->timestamps };
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN, .has = mss ? SEG_HAS_MSS : 0, .mss = mss });
	s = harness_expect(h, SEG_SYN | SEG_ACK);
	p->seq = 1001;
	p->ack = s.seq + 1;
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_ACK });
	assert_int_equal(ep_accept(h->stack, listener, &child, NULL), 0);
	assert_int_equal(ep_close(h->stack, listener), 0);
	return child;
}

ep_id harness_connected(struct harness_host *h, struct harness_peer *p, uint16_t mss)
{
	struct ep_name peer = { harness_addr(PEER), PEER_PORT }, local = { h->addr, OUR_PORT };
	struct tcp_segment s;
	ep_id id;

	*p = (struct harness_peer){ .seq = 1000, .port = PEER_PORT, .window = p->window ? p->window : 65535,
				    .tsval = 100, .timestamps = p->timestamps };
	assert_int_equal(ep_open(h->stack, EP_STREAM, 1, NULL, &id), 0);
	assert_int_equal(ep_bind(h->stack, id, &local), 0);
	assert_int_equal(ep_connect(h->stack, id, &peer), -EINPROGRESS);
	harness_turn(h);
	s = harness_expect(h, SEG_SYN);
	p->ack = s.seq + 1;
	harness_send(h, p, (struct tcp_segment){ .flags = SEG_SYN | SEG_ACK, .has = mss ? SEG_HAS_MSS : 0, .mss = mss });
	p->seq = 1001;
	harness_expect(h, SEG_ACK);
	return id;
}

struct tcp_conn *harness_conn(struct harness_host *h, ep_id id)
{
	struct endpoint *ep = ep_find(h->stack, id);

	assert_non_null(ep);
	return ep->tcp;
}

enum tcp_state harness_state(struct harness_host *h, ep_id id)
{
	struct ep_info info;

	assert_int_equal(ep_info(h->stack, id, &info), 0);
	return info.state;
}

uint64_t harness_drops(const struct harness_host *h, enum drop reason)
{
	return h->stack->drops[reason];
}
