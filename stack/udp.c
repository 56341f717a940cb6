/* SPDX-License-Identifier: BSD-3-Clause */
/* UDP (RFC 768, RFC 1122 4.1). A socket's rings hold records (dgram.h). Nothing is kept between datagrams but what lies
 * in the rings: what a full link could not take waits in the send ring, and its socket on udp_waiting. */
#include "layers.h"

#include <errno.h>

#include "dgram.h"
#include "dhcp_client.h"
#include "dhcp_message.h"
#include "wire.h"

#define IP_HEADER 20u
#define PAYLOAD_MAX 65507u      /* 65,535 less both headers */

enum { PMTU_DONT, PMTU_WANT, PMTU_DO, PMTU_PROBE };  /* IP_MTU_DISCOVER of Linux */

/* ---- in ---- */

static enum drop check_datagram(struct pkt *p, const struct ip_received *rx)
{
	const struct udp_header *udp = (const struct udp_header *)p->data;
	uint32_t length;

	if (p->len < sizeof(*udp))
		return DROP_UDP_SHORT;
	length = be16(udp->length);
	if (length < sizeof(*udp) || length > p->len)
		return DROP_UDP_SHORT;
	p->len = length;  /* what follows is not the datagram's */
	/* RFC 768: a field of zero says that the sender did not sum. */
	if (udp->checksum && !(p->flags & PKT_CSUM_GOOD) &&
	    csum_finish(csum_add(csum_pseudo(&rx->source, &rx->destination, PROTOCOL_UDP, length), udp, length)) != 0)
		return DROP_UDP_CHECKSUM;
	return DROP_REASONS;
}

/* Room for a record in the receive ring: what the reader took, else more memory. */
static bool make_room(struct stack *s, struct endpoint *ep, uint32_t size)
{
	struct bytering *r = &ep->receive;

	if (bytering_room(r) >= size)
		return true;
	if (!bytering_sync_tail(r))
		return false;
	ep_settle(s, ep, EP_RECEIVE);
	if (bytering_room(r) >= size)
		return true;
	/* Whole at once: while a ring grows it cannot grow again, and datagrams come in bursts. Where nothing waits, one
	 * datagram beyond the limit is taken (as Linux). */
	return ep_lend(s, ep, EP_RECEIVE, bytering_used(r) == 0 && size > ep->receive_max ? size : ep->receive_max) &&
	       bytering_room(r) >= size;
}

/* DROP_REASONS: delivered. */
static enum drop deliver(struct stack *s, struct endpoint *ep, const struct pkt *p, const struct ip_received *rx)
{
	const struct udp_header *udp = (const struct udp_header *)p->data;
	uint32_t length = p->len - (uint32_t)sizeof(*udp), size = dgram_record_size(length);
	struct bytering *r = &ep->receive;
	struct dgram_header header = {
		.peer = rx->source, .local = rx->destination, .length = length,
		.peer_port = be16(udp->source), .local_port = be16(udp->destination),
		.interface = rx->interface, .tos = rx->tos, .ttl = rx->ttl,
	};

	if (ep->shut & EP_SHUT_READ)
		return DROP_UDP_SHUT;
	if (!make_room(s, ep, size))
		return bytering_capacity(r) ? DROP_UDP_BUFFER : DROP_UDP_NO_MEMORY;
	bytering_write_at(r, r->head, &header, sizeof(header));
	bytering_write_at(r, r->head + (uint32_t)sizeof(header), udp + 1, length);
	bytering_publish(r, r->head + size);
	count(s, COUNT_UDP_RECEIVED);
	ep_event_raise(s, ep, EP_READABLE);
	return DROP_REASONS;
}

/* RFC 1122 4.1.3.3 has broadcasts, and RFC 1112 6.1 groups, for all who listen: every socket that fits gets one. */
static void deliver_to_all(struct stack *s, struct pkt *p, const struct ip_received *rx, const struct flow_key *key)
{
	uint32_t group = ip4_is_multicast(ipaddr_ip4(&key->local)) ? ipaddr_ip4(&key->local) : 0;
	enum drop reason = DROP_UDP_NO_PORT;

	for (struct endpoint *ep = s->ports[1][key->local_port].bound; ep; ep = ep->port_next)
		if (port_score(ep, key) >= 0 && (!group || group_reaches(s, ep, rx->interface, group))) {
			enum drop result = deliver(s, ep, p, rx);

			if (reason != DROP_REASONS)
				reason = result;
		}
	if (reason == DROP_REASONS)
		pkt_done(s, p);
	else
		pkt_drop(s, p, reason);
}

void udp_receive(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	const struct udp_header *udp = (const struct udp_header *)p->data;
	enum drop reason = check_datagram(p, rx);
	struct flow_key key;
	struct endpoint *ep;

	if (reason != DROP_REASONS) {
		pkt_drop(s, p, reason);
		return;
	}
	key = (struct flow_key){ .local = rx->destination, .remote = rx->source,
				 .local_port = be16(udp->destination), .remote_port = be16(udp->source) };
	if (key.local_port == DHCP_CLIENT_PORT && s->interfaces[rx->interface] && s->interfaces[rx->interface]->dhcp) {
		dhcp_receive(s, s->interfaces[rx->interface]->dhcp, p);
		return;
	}
	if (rx->to_broadcast && !stack_is_own(s, &rx->destination)) {
		deliver_to_all(s, p, rx, &key);
		return;
	}
	ep = port_lookup(s, EP_DATAGRAM, &key);
	if (!ep) {
		icmp_send_error(s, p, rx, ICMP_UNREACHABLE, 3, 0);
		pkt_drop(s, p, DROP_UDP_NO_PORT);
		return;
	}
	reason = deliver(s, ep, p, rx);
	if (reason == DROP_REASONS)
		pkt_done(s, p);
	else
		pkt_drop(s, p, reason);
}

void udp_icmp_error(struct stack *s, const struct icmp_error *e)
{
	struct endpoint *ep = port_lookup(s, EP_DATAGRAM, &e->key);

	if (!ep)
		return;
	if (e->mtu) {
		if (ep->mtu_discover == PMTU_DONT)
			return;
		if (ep->mtu_discover != PMTU_PROBE)
			pmtu_lower(s, &e->key.remote, e->mtu < UINT16_MAX ? (uint16_t)e->mtu : UINT16_MAX);
	}
	errors_icmp(s, ep, e, (uint32_t)sizeof(struct udp_header));
	/* RFC 1122 4.1.3.3: passed up, to whoever surely sent it. */
	if (ep->peer.port || ep->recv_err)
		ep_fail(s, ep, e->error, EP_READABLE | EP_WRITABLE);
}

/* ---- out ---- */

/* Where a payload lies: in memory, or in the send ring. */
struct payload {
	const void *bytes;  /* NULL: in the ring, at index */
	uint32_t index, length;
};

struct request {
	struct ep_name to;
	struct ipaddr source;
	struct payload payload;
};

static uint64_t fill(const struct endpoint *ep, uint8_t *to, const struct payload *payload)
{
	if (payload->bytes)
		return csum_copy(0, to, payload->bytes, payload->length);
	return bytering_read_sum_at(&ep->send, payload->index, to, payload->length);
}

/* Path and rights. 0 or -errno. */
static int prepare(struct stack *s, struct endpoint *ep, struct request *r, struct path *path)
{
	uint32_t to;
	int error;

	if (r->payload.length > PAYLOAD_MAX)
		return -EMSGSIZE;
	if (!r->to.port)
		return -EINVAL;
	if (ipaddr_is_any(&r->to.addr))
		r->to.addr = ipaddr_from_ip4(be32(0x7f000001));
	if (!ipaddr_is_ip4(&r->to.addr))
		return -EAFNOSUPPORT;
	to = ipaddr_ip4(&r->to.addr);
	if (!ep->broadcast && route_is_any_broadcast(s, to))
		return -EACCES;
	if (!ep->bound) {
		error = port_bind(s, ep, &(struct ep_name){ .addr = ep->local.addr });
		if (error)
			return error == -EADDRINUSE ? -EAGAIN : error;
	}
	if (ipaddr_is_any(&r->source) && !ipaddr_is_any(&ep->local.addr) && !route_to_many(s, &ep->local.addr))
		r->source = ep->local.addr;
	if (ip4_is_multicast(to))
		error = group_path(s, ep, &r->source, &r->to.addr, path);
	else
		error = route_find(s, ipaddr_is_any(&r->source) ? NULL : &r->source, &r->to.addr, path);
	if (error == -EADDRNOTAVAIL && !ipaddr_is_any(&r->source))
		return -EINVAL;  /* as Linux: the socket's address is no longer, or never was, ours */
	if (!error && ep->mtu_discover == PMTU_PROBE)
		path->mtu = interface_mtu(s->interfaces[path->interface]);
	return error;
}

static int64_t send(struct stack *s, struct endpoint *ep, struct request *r)
{
	uint32_t length = r->payload.length + (uint32_t)sizeof(struct udp_header);
	struct ip_send how = { .protocol = PROTOCOL_UDP, .ttl = ep->ttl ? ep->ttl : s->config.ttl, .tos = ep->tos };
	struct udp_header *udp;
	struct path path;
	struct pkt *p;
	uint64_t sum;
	bool whole, to_group;
	int error = prepare(s, ep, r, &path);

	if (error)
		return error;
	how.path = &path;
	whole = length + IP_HEADER <= path.mtu;
	how.dont_fragment = ep->mtu_discover >= PMTU_DO || (ep->mtu_discover == PMTU_WANT && whole);
	if (!whole && how.dont_fragment) {
		errors_too_long(s, ep, &r->to.addr, path.mtu);
		return -EMSGSIZE;
	}
	to_group = ip4_is_multicast(ipaddr_ip4(&path.destination));
	if (to_group)
		how.ttl = ep->multicast_ttl;
	p = whole ? pkt_borrow(s, &path) : loopback_borrow(s);
	if (!p)
		return -EAGAIN;
	if (pkt_tailroom(p) < length) {
		pkt_done(s, p);
		return -ENOBUFS;
	}
	p->len = length;
	udp = (struct udp_header *)p->data;
	*udp = (struct udp_header){ .source = be16(ep->local.port), .destination = be16(r->to.port),
				    .length = be16((uint16_t)length) };
	sum = csum_join(fill(ep, (uint8_t *)(udp + 1), &r->payload), csum_add(0, udp, sizeof(*udp)));
	sum = csum_join(sum, csum_pseudo(&path.source, &path.destination, PROTOCOL_UDP, length));
	udp->checksum = csum_finish(sum);
	if (!udp->checksum)
		udp->checksum = 0xffff;
	if (to_group && ep->multicast_loop)
		ip4_loop(s, p, &how);
	if (to_group && !how.ttl) {
		pkt_done(s, p);  /* restricted to this host (RFC 1112 6.1, as Linux) */
		return r->payload.length;
	}
	error = ip_send(s, p, &how);
	if (error)
		return error;
	count(s, COUNT_UDP_SENT);
	return r->payload.length;
}

/* A pending error is told once, before anything is sent. */
static int pending(struct endpoint *ep)
{
	int error = ep->error;

	ep->error = 0;
	return -error;
}

int64_t udp_send_to(struct stack *s, struct endpoint *ep, const void *bytes, uint32_t n, const struct ep_name *to)
{
	struct request r = { .payload = { .bytes = bytes ? bytes : "", .length = n } };

	if (ep->error)
		return pending(ep);
	if (ep->shut & EP_SHUT_WRITE)
		return -EPIPE;
	if (!to && !ep->peer.port)
		return -EDESTADDRREQ;
	r.to = to ? *to : ep->peer;
	return send(s, ep, &r);
}

/* The next record of the send ring, checked. False: it is no record. */
static bool next_record(const struct endpoint *ep, struct dgram_header *header)
{
	uint32_t used = bytering_used(&ep->send);

	if (used < sizeof(*header))
		return false;
	bytering_read_at(&ep->send, ep->send.tail, header, sizeof(*header));
	return header->length <= PAYLOAD_MAX && dgram_record_size(header->length) <= used;
}

static int udp_sent(struct stack *s, struct endpoint *ep)
{
	struct dgram_header header;

	while (bytering_used(&ep->send)) {
		struct request r;
		int64_t result;

		if (!next_record(ep, &header))
			return -EPROTO;
		r = (struct request){ .to = { header.peer, header.peer_port }, .source = header.local,
				      .payload = { .index = ep->send.tail + (uint32_t)sizeof(header), .length = header.length } };
		if (ipaddr_is_any(&header.peer) && !header.peer_port)
			r.to = ep->peer;
		result = ep->shut & EP_SHUT_WRITE ? -EPIPE : r.to.port ? send(s, ep, &r) : -EDESTADDRREQ;
		if (result == -EAGAIN) {
			if (!ep->waiting)
				list_append(&s->udp_waiting, &ep->waiting_node);
			ep->waiting = true;
			return 0;
		}
		if (result < 0) {
			drop_count(s, DROP_UDP_SEND);
			ep_fail(s, ep, (int)-result, 0);
		}
		bytering_release(&ep->send, ep->send.tail + dgram_record_size(header.length));
		ep_settle(s, ep, EP_SEND);
	}
	return 0;
}

unsigned udp_send_waiting(struct stack *s)
{
	struct list waiting, *node;
	unsigned done = 0;

	list_init(&waiting);
	list_splice(&waiting, &s->udp_waiting);
	while ((node = list_take_or_null(&waiting))) {
		struct endpoint *ep = container_of(node, struct endpoint, waiting_node);
		uint32_t tail = ep->send.tail;

		ep->waiting = false;
		udp_sent(s, ep);  /* -EPROTO: the next ep_sent will say so */
		if (ep->send.tail != tail)
			done++;
		if (!ep->waiting)
			ep_event_raise(s, ep, EP_WRITABLE);
	}
	return done;
}

/* ---- the calls ---- */

static int udp_open(struct stack *s, struct endpoint *ep)
{
	(void)s, (void)ep;
	return 0;
}

static int udp_bound(struct stack *s, struct endpoint *ep)
{
	(void)s, (void)ep;
	return 0;
}

static int udp_connect(struct stack *s, struct endpoint *ep, const struct ep_name *peer)
{
	struct request r = { .source = ep->local_chosen ? ipaddr_from_ip4(0) : ep->local.addr };
	struct path path;
	int error;

	if (!peer) {
		ep->peer = (struct ep_name){ 0 };
		if (ep->local_chosen)
			ep->local.addr = ipaddr_from_ip4(0);
		ep->local_chosen = false;
		return 0;
	}
	r.to = *peer;
	error = prepare(s, ep, &r, &path);
	if (error)
		return error;
	ep->peer = r.to;
	if (ep->local_chosen || ipaddr_is_any(&ep->local.addr)) {
		ep->local.addr = path.source;
		ep->local_chosen = true;
	}
	ep->error = 0;
	ep_event_raise(s, ep, EP_WRITABLE);
	return 0;
}

static int udp_shutdown(struct stack *s, struct endpoint *ep, enum ep_how how)
{
	if (!ep->peer.port)
		return -ENOTCONN;
	ep->shut |= (uint8_t)how;
	ep_event_raise(s, ep, (how & EP_SHUT_READ ? EP_READABLE | EP_READ_CLOSED : 0) |
			      (ep->shut == EP_SHUT_BOTH ? EP_HANGUP : 0));
	return 0;
}

static int udp_received(struct stack *s, struct endpoint *ep)
{
	(void)s, (void)ep;
	return 0;
}

static int udp_option_set(struct stack *s, struct endpoint *ep, enum ep_option option, int64_t value)
{
	(void)s, (void)ep, (void)option, (void)value;
	return -ENOPROTOOPT;
}

static int udp_option_get(struct stack *s, struct endpoint *ep, enum ep_option option, int64_t *value)
{
	(void)s, (void)ep, (void)option, (void)value;
	return -ENOPROTOOPT;
}

static uint32_t udp_ready(const struct stack *s, const struct endpoint *ep)
{
	uint32_t ready = 0;

	(void)s;
	if (bytering_used(&ep->receive) || (ep->shut & EP_SHUT_READ))
		ready |= EP_READABLE;
	if (ep->shut & EP_SHUT_READ)
		ready |= EP_READ_CLOSED;
	if (!ep->waiting)
		ready |= EP_WRITABLE;
	return ep->shut == EP_SHUT_BOTH ? ready | EP_HANGUP : ready;
}

static void udp_info(const struct stack *s, const struct endpoint *ep, struct ep_info *info)
{
	(void)s;
	info->state = ep->peer.port ? TCP_ESTABLISHED : TCP_CLOSED;
}

static const char *udp_check(const struct stack *s, const struct endpoint *ep)
{
	(void)s;
	if (list_linked(&ep->waiting_node) != ep->waiting)
		return "udp: a socket waits for a link but is not on the list, or the other way round";
	return ep->waiting && !bytering_used(&ep->send) ? "udp: a socket waits with nothing to send" : NULL;
}

const struct ep_ops udp_ep_ops = {
	.open = udp_open,
	.bound = udp_bound,
	.connect = udp_connect,
	.shutdown = udp_shutdown,
	.close = ep_release,
	.abort = ep_release,
	.sent = udp_sent,
	.received = udp_received,
	.option_set = udp_option_set,
	.option_get = udp_option_get,
	.ready = udp_ready,
	.info = udp_info,
	.check = udp_check,
};
