/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 (RFC 791, RFC 1122 3.2.1): what is accepted, and sending, with fragmentation where a packet is longer than its
 * path takes. A host: nothing is ever forwarded. */
#include "layers.h"

#include <errno.h>

#include "dhcp_message.h"
#include "wire.h"

#define IP4_HEADER 20u
#define TAGGED_HEADERS (IP4_HEADER + (uint32_t)(sizeof(struct eth_header) + sizeof(struct vlan_tag)))
#define OPTION_LOOSE_ROUTE 131
#define OPTION_STRICT_ROUTE 137

/* ---- in ---- */

/* Options are not acted on, but each must lie within the header (RFC 1122 3.2.1.8), and source routes are refused, as
 * Linux does by default (RFC 7126 4.3, 4.4). DROP_REASONS: they are well; else *bad is the index of the bad byte. */
static enum drop check_options(const uint8_t *header, uint32_t header_len, uint32_t *bad)
{
	uint32_t i = IP4_HEADER;

	while (i < header_len && header[i] != 0) {
		if (header[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= header_len || header[i + 1] < 2 || header[i + 1] > header_len - i) {
			*bad = i;
			return DROP_IP_OPTIONS;
		}
		if (header[i] == OPTION_LOOSE_ROUTE || header[i] == OPTION_STRICT_ROUTE)
			return DROP_IP_SOURCE_ROUTE;
		i += header[i + 1];
	}
	return DROP_REASONS;
}

/* Lengths, version and checksum; DROP_REASONS: all are right. */
static enum drop check_header(const struct pkt *p, uint32_t *header_len, uint32_t *total)
{
	const struct ip4_header *ip = (const struct ip4_header *)p->data;

	if (p->len < IP4_HEADER)
		return DROP_IP_SHORT;
	if (ip->version_ihl >> 4 != 4)
		return DROP_IP_VERSION;
	*header_len = (ip->version_ihl & 15u) * 4;
	*total = be16(ip->total_length);
	if (*header_len < IP4_HEADER || *total < *header_len || *total > p->len)
		return DROP_IP_LENGTH;
	if (!(p->flags & PKT_CSUM_GOOD) && csum_finish(csum_words(ip, *header_len / 4)) != 0)
		return DROP_IP_CHECKSUM;
	return DROP_REASONS;
}

/* RFC 1122 3.2.1.3, RFC 1812 5.3.7: who may send to whom; DROP_REASONS: these may. */
static enum drop check_addresses(const struct stack *s, const struct interface *i, uint32_t source,
				 uint32_t destination, bool redirected, bool *broadcast)
{
	bool joined = ip4_is_multicast(destination) && group_is_wanted(s, i, destination);

	if (i->loopback) {
		*broadcast |= joined;
		return joined || route_is_own(s, destination) ? DROP_REASONS : DROP_IP_DESTINATION;
	}
	if (ip4_is_loopback(source) || ip4_is_loopback(destination))
		return DROP_IP_MARTIAN;
	if (!route_is_own(s, destination)) {
		/* Of the groups, those that were joined, and all-hosts, which needs no joining (RFC 1112 4). */
		if (!joined && !route_is_broadcast(i, destination) && destination != be32(0xe0000001))
			return DROP_IP_DESTINATION;
		*broadcast = true;
	} else if (*broadcast) {
		return DROP_IP_LINK_BROADCAST;  /* RFC 1122 3.3.6 */
	}
	if (ip4_is_multicast(source) || ip4_is_reserved(source) || route_is_broadcast(i, source))
		return DROP_IP_SOURCE;
	/* 0.0.0.0 is a host that has no address yet, and broadcasts. */
	if (ip4_is_this_net(source) && (source || !*broadcast))
		return DROP_IP_SOURCE;
	return route_is_own(s, source) && !redirected ? DROP_IP_MARTIAN : DROP_REASONS;
}

/* Packets come in runs of one flow: the pair that was accepted last is accepted again, until an address changes. */
RARELY_CALLED enum drop check_pair(const struct stack *s, struct interface *i, uint32_t source, uint32_t destination,
			    bool redirected, bool *broadcast)
{
	bool to_all = *broadcast;
	enum drop reason = check_addresses(s, i, source, destination, redirected, &to_all);

	if (reason == DROP_REASONS && !to_all) {
		i->accepted_source = source;
		i->accepted_destination = destination;
		i->accepted_generation = s->route_generation;
	}
	*broadcast = to_all;
	return reason;
}

/* For the DHCP client of the interface, which has no address yet to be called by (RFC 2131 4.1). */
static bool is_for_dhcp(const struct interface *i, const struct pkt *p, uint32_t total)
{
	const struct ip4_header *ip = (const struct ip4_header *)p->data;
	const struct udp_header *udp = (const struct udp_header *)(ip + 1);

	return i->dhcp && ip->version_ihl == 0x45 && ip->protocol == PROTOCOL_UDP && total >= IP4_HEADER + sizeof(*udp) &&
	       !(ip->fragment & be16(IP4_MF | IP4_OFFSET)) && udp->destination == be16(DHCP_CLIENT_PORT);
}

void ip4_receive(struct stack *s, struct interface *i, struct pkt *p, bool link_broadcast)
{
	const struct ip4_header *ip = (const struct ip4_header *)p->data;
	uint32_t header_len = 0, total = 0, bad = 0;
	struct ip_received rx;
	enum drop reason;

	count(s, COUNT_IP_RECEIVED);
	reason = check_header(p, &header_len, &total);
	/* What a host sends itself is as it was on the loopback interface when another of its cores hands it over; to a group, on the
	 * interface by which it left. */
	if (reason == DROP_REASONS && (p->flags & PKT_REDIRECTED) && route_is_own(s, ip->source) &&
	    (!ip4_is_multicast(ip->destination) || ip4_is_loopback(ip->source)))
		i = s->interfaces[s->loopback_number];
	if (reason == DROP_REASONS && (link_broadcast || ip->source != i->accepted_source ||
				       ip->destination != i->accepted_destination ||
				       i->accepted_generation != s->route_generation) &&
	    !is_for_dhcp(i, p, total))
		reason = check_pair(s, i, ip->source, ip->destination, p->flags & PKT_REDIRECTED, &link_broadcast);
	if (reason != DROP_REASONS) {
		pkt_drop(s, p, reason);
		return;
	}
	rx = (struct ip_received){
		.source = ipaddr_from_ip4(ip->source), .destination = ipaddr_from_ip4(ip->destination),
		.interface = i->number, .protocol = ip->protocol, .ttl = ip->ttl, .tos = ip->tos,
		.to_broadcast = link_broadcast, .header = p->data, .header_len = header_len,
	};
	p->data += header_len;
	p->len = total - header_len;  /* what follows is the link's padding */
	if (header_len > IP4_HEADER)
		reason = check_options(rx.header, header_len, &bad);
	if (reason != DROP_REASONS) {
		if (reason == DROP_IP_OPTIONS)
			icmp_send_error(s, p, &rx, ICMP_PARAMETER, 0, bad << 24);
		pkt_drop(s, p, reason);
		return;
	}
	if (ip->fragment & be16(IP4_MF | IP4_OFFSET))
		fragment_receive(s, p, &rx);
	else if (!s->config.steer || !i->loopback || !core_took(s, p, &rx))
		ip4_deliver(s, p, &rx);
}

void ip4_deliver(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	count(s, COUNT_IP_DELIVERED);
	switch (rx->protocol) {
	case PROTOCOL_TCP:
		tcp_receive(s, p, rx);
		break;
	case PROTOCOL_UDP:
		udp_receive(s, p, rx);
		break;
	case PROTOCOL_ICMP:
		icmp_receive(s, p, rx);
		break;
	case PROTOCOL_IGMP:
		igmp_receive(s, p, rx);
		break;
	default:
		icmp_send_error(s, p, rx, ICMP_UNREACHABLE, 2, 0);
		pkt_drop(s, p, DROP_IP_PROTOCOL);
	}
}

/* ---- out ---- */

/* RFC 6864 4.3: IDs of packets that may be fragmented do not repeat soon for one source, destination and protocol. */
static uint16_t next_id(struct stack *s, const struct ip_send *send)
{
	uint64_t hash = siphash13_words(&s->port_key, send->path->source.halves[1], send->path->destination.halves[1],
					send->protocol);

	uint16_t *counter = &s->ip_ids[hash % (sizeof(s->ip_ids) / sizeof(s->ip_ids[0]))];

	return (uint16_t)((*counter += s->ip_id_step) - s->ip_id_step);
}

ALWAYS_INLINE void push_header(struct pkt *p, const struct ip_send *send, uint16_t id, uint16_t fragment)
{
	uint32_t lengths, fragments, kind, source = ipaddr_ip4(&send->path->source), destination = ipaddr_ip4(&send->path->destination);

	CHECK(pkt_headroom(p) >= IP4_HEADER && p->len + IP4_HEADER <= UINT16_MAX);
	p->data -= IP4_HEADER;
	p->len += IP4_HEADER;
	p->csum_start += IP4_HEADER;
	p->header_len += IP4_HEADER;
	/* In words that are still at hand: a sum that reads back what was just written in pieces has to wait until that is in the cache. */
	lengths = be32(UINT32_C(0x45) << 24 | (uint32_t)send->tos << 16 | p->len);
	fragments = be32((uint32_t)id << 16 | fragment);
	kind = be32((send->ttl ? send->ttl : 1u) << 24 | (uint32_t)send->protocol << 16);  /* RFC 1122 3.2.1.7: never 0 */
	kind |= be32(be16(csum_finish((uint64_t)lengths + fragments + kind + source + destination)));
	memcpy(p->data, &lengths, 4);
	memcpy(p->data + 4, &fragments, 4);
	memcpy(p->data + 8, &kind, 4);
	memcpy(p->data + 12, &source, 4);
	memcpy(p->data + 16, &destination, 4);
}

/* A packet with its IP header, to the link: finds the MAC. */
static int transmit(struct stack *s, struct interface *i, struct pkt *p, const struct path *path)
{
	uint32_t next_hop = ipaddr_ip4(&path->next_hop);
	uint8_t mac[6];

	if (i->loopback) {
		interface_transmit(s, i, p);
		return 0;
	}
	if (ip4_is_multicast(next_hop)) {
		eth_multicast_mac(next_hop, mac);
		eth_send(s, i, p, mac, ETH_TYPE_IP4);
		return 0;
	}
	if (route_is_broadcast(i, next_hop)) {
		memset(mac, 0xff, sizeof(mac));
		eth_send(s, i, p, mac, ETH_TYPE_IP4);
		return 0;
	}
	return neighbour_send(s, i, next_hop, p);
}

/* The payload of a packet of any link, in as many packets of this one as the path needs (RFC 791 2.3). */
RARELY_CALLED int send_copied(struct stack *s, struct interface *i, struct pkt *p, const struct ip_send *send)
{
	uint32_t room = (send->path->mtu - IP4_HEADER) & ~7u;
	bool whole = p->len + IP4_HEADER <= send->path->mtu;
	uint16_t id = next_id(s, send);
	int result = 0;

	for (uint32_t offset = 0; offset < p->len || offset == 0; offset += room) {
		uint32_t n = whole || p->len - offset <= room ? p->len - offset : room;
		uint16_t more = offset + n < p->len ? IP4_MF : 0;
		uint16_t df = whole && send->dont_fragment ? IP4_DF : 0;
		struct pkt *piece = pkt_borrow(s, send->path);

		if (!piece || pkt_tailroom(piece) < n) {
			if (piece)
				pkt_done(s, piece);
			result = -ENOBUFS;
			break;
		}
		memcpy(piece->data, p->data + offset, n);
		piece->len = n;
		push_header(piece, send, df ? 0 : id, df | more | (uint16_t)(offset / 8));
		count(s, whole ? COUNT_IP_SENT : COUNT_IP_FRAGMENTS_SENT);
		result = transmit(s, i, piece, send->path);
		if (result || whole)
			break;
	}
	pkt_done(s, p);
	return result;
}

/* A connection keeps its path when it finds none instead of it: its address, or the way, may have gone (or its interface's number now means
 * another one). Nothing is sent then, as on Linux, until it gives up or they come back. */
RARELY_CALLED bool still_leads(struct stack *s, const struct path *path)
{
	struct path fresh;

	return route_find(s, &path->source, &path->destination, &fresh) == 0 && fresh.interface == path->interface;
}

void ip4_loop(struct stack *s, const struct pkt *p, const struct ip_send *send)
{
	const struct interface *i = stack_interface_or_null(s, send->path->interface);
	struct ip_received rx = {
		.source = send->path->source, .destination = send->path->destination, .interface = send->path->interface,
		.protocol = send->protocol, .ttl = send->ttl, .tos = send->tos, .to_broadcast = true, .header_len = IP4_HEADER,
	};
	struct pkt *copy;

	/* On the loopback interface it comes back by itself. */
	if (!i || i->loopback || !group_is_wanted(s, i, ipaddr_ip4(&rx.destination)))
		return;
	copy = loopback_borrow(s);
	if (!copy) {
		drop_count(s, DROP_LINK_NO_PACKET);
		return;
	}
	CHECK(pkt_tailroom(copy) >= p->len);
	memcpy(copy->data, p->data, p->len);
	copy->len = p->len;
	copy->flags = PKT_CSUM_GOOD;
	push_header(copy, send, 0, 0);
	rx.header = copy->data;
	copy->data += IP4_HEADER;
	copy->len -= IP4_HEADER;
	count(s, COUNT_UDP_LOOPED);
	if (!s->config.steer || !core_took(s, copy, &rx))
		ip4_deliver(s, copy, &rx);
}

int ip_send(struct stack *s, struct pkt *p, const struct ip_send *send)
{
	struct interface *i = stack_interface_or_null(s, send->path->interface);
	bool fits = p->gso_size || p->len + IP4_HEADER <= send->path->mtu;

	if (!i || (send->path->generation != s->route_generation && !still_leads(s, send->path))) {
		pkt_drop(s, p, DROP_IP_NO_ROUTE);
		return -ENETUNREACH;
	}
	if (!fits && (send->dont_fragment || p->len + IP4_HEADER > UINT16_MAX)) {
		pkt_drop(s, p, DROP_IP_TOO_LONG);
		return -EMSGSIZE;
	}
	/* A received packet that turns round into a VLAN may lack the room for a tag that it did not come with. */
	if (!fits || p->link != i->link || (i->vid && pkt_headroom(p) < TAGGED_HEADERS)) {
		CHECK(!p->gso_size && !(p->flags & PKT_CSUM_PARTIAL));
		return send_copied(s, i, p, send);
	}
	/* Who makes super-frames looks at the link first: the path and its link are one decision. */
	CHECK(!p->gso_size || (i->link->flags & LINK_TSO));
	push_header(p, send, send->dont_fragment ? 0 : next_id(s, send), send->dont_fragment ? IP4_DF : 0);
	count(s, COUNT_IP_SENT);
	if (neighbour_send_recent(s, i, ipaddr_ip4(&send->path->next_hop), p))
		return 0;
	return transmit(s, i, p, send->path);
}
