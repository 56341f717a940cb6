/* SPDX-License-Identifier: BSD-3-Clause */
/* On a host of several cores (steer.h): a datagram that came to be whole only here, put together from fragments or sent by this host to
 * itself, and the core that it is for. It goes there as the frame that would have brought it. */
#include "layers.h"

#include "steer.h"
#include "wire.h"

#define IP_HEADER 20u
#define LOOK 96u                /* bytes of layer 4 that steering looks at: an ICMP error with the header that it quotes */

static const uint8_t everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, nobody[6] = { 2 };

/* Fragment zero's header as it would be had nobody cut the datagram, with the mark that any fragment had (RFC 3168 5.3). */
static void make_whole(struct ip4_header *ip, const struct ip_received *rx, uint32_t payload)
{
	ip->tos = rx->tos;
	ip->total_length = be16((uint16_t)(rx->header_len + payload));
	ip->fragment = 0;
	ip->checksum = 0;
	ip->checksum = csum_finish(csum_words(ip, rx->header_len / 4));
}

static unsigned core_of_reassembled(const struct stack *s, const struct pkt *p, const struct ip_received *rx)
{
	uint8_t start[60 + LOOK];
	uint32_t look = p->len < LOOK ? p->len : LOOK;

	memcpy(start, rx->header, rx->header_len);
	memcpy(start + rx->header_len, p->data, look);
	make_whole((struct ip4_header *)start, rx, look);
	return steer_packet(s->config.steer, start, rx->header_len + look);
}

/* What a host sends itself stays on the core that sent it, but for datagrams to sockets of another, and errors about those. */
static unsigned core_of_own(const struct stack *s, const struct pkt *p, const struct ip_received *rx)
{
	const struct ip4_header *quoted = (const struct ip4_header *)(p->data + sizeof(struct icmp_header));
	const struct udp_header *udp = (const struct udp_header *)p->data;
	uint32_t at = 0;
	uint16_t port;

	if (rx->protocol == PROTOCOL_ICMP && p->len >= sizeof(struct icmp_header) + IP_HEADER && p->data[0] != ICMP_ECHO &&
	    p->data[0] != ICMP_ECHO_REPLY && quoted->protocol == PROTOCOL_UDP && !(quoted->fragment & be16(IP4_OFFSET)))
		at = (uint32_t)sizeof(struct icmp_header) + (quoted->version_ihl & 15u) * 4;
	else if (rx->protocol != PROTOCOL_UDP)
		return STEER_HERE;
	if (p->len < at + sizeof(*udp))
		return STEER_HERE;
	udp = (const struct udp_header *)(p->data + at);
	port = be16(at ? udp->source : udp->destination);
	return steer_udp_bound(s->config.steer, port) ? steer_home(s->config.steer, port) : STEER_HERE;
}

/* The interface that it goes over: its own, or for what this host sends itself the first that is no loopback. NULL: there is none. */
static struct interface *interface_for(const struct stack *s, const struct ip_received *rx)
{
	struct interface *i = stack_interface_or_null(s, rx->interface);

	for (uint32_t n = 1; i && i->loopback && n <= s->interface_count; n++)
		if (s->interfaces[n] && !s->interfaces[n]->loopback)
			return s->interfaces[n];
	return i && !i->loopback ? i : NULL;
}

bool core_took(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	bool own = rx->interface == s->loopback_number;
	unsigned core = own ? core_of_own(s, p, rx) : core_of_reassembled(s, p, rx);
	struct interface *i;

	if (core == s->config.core || core >= s->config.steer->cores)
		return false;
	i = interface_for(s, rx);
	if (!i || !s->config.redirect) {
		pkt_drop(s, p, DROP_CORE_FULL);
		return true;
	}
	p->data -= rx->header_len;
	make_whole((struct ip4_header *)p->data, rx, p->len);
	p->len += rx->header_len;
	p->flags |= PKT_REDIRECTED;
	eth_push(i, p, rx->to_broadcast ? everyone : i->link->mac, nobody, ETH_TYPE_IP4);
	if (s->config.redirect(s->config.redirect_context, (int)i->device->number, p, core))
		count(s, COUNT_IP_REDIRECTED);
	else
		pkt_drop(s, p, DROP_CORE_FULL);
	return true;
}
