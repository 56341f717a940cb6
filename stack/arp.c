/* SPDX-License-Identifier: BSD-3-Clause */
/* ARP packets (RFC 826): answering, asking, announcing, and defending our addresses (RFC 5227 2.3, 2.4 (c)). What is
 * learnt is kept by neighbor.c. */
#include "dhcp_client.h"

#include "wire.h"

#define ANNOUNCE_NUM 2                          /* RFC 5227 1.1 */
#define ANNOUNCE_INTERVAL (2 * NSEC_PER_SEC)
#define DEFEND_INTERVAL (10 * NSEC_PER_SEC)

static const uint8_t broadcast_mac[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void send(struct stack *s, struct interface *i, uint16_t operation, uint32_t sender, uint32_t target,
		 const uint8_t *target_mac, const uint8_t *to)
{
	struct arp_packet *arp;
	struct pkt *p;

	if (i->link->ops->borrow(i->link, &p, 1) != 1) {
		drop_count(s, DROP_LINK_NO_PACKET);
		return;
	}
	p->len = sizeof(*arp);
	arp = (struct arp_packet *)p->data;
	arp->hardware = be16(1);
	arp->protocol = be16(ETH_TYPE_IP4);
	arp->hardware_len = 6;
	arp->protocol_len = 4;
	arp->operation = be16(operation);
	memcpy(arp->sender_mac, i->link->mac, 6);
	arp->sender_ip = sender;
	if (target_mac)
		memcpy(arp->target_mac, target_mac, 6);
	else
		memset(arp->target_mac, 0, 6);
	arp->target_ip = target;
	count(s, operation == ARP_REQUEST ? COUNT_ARP_REQUESTS_SENT : COUNT_ARP_REPLIES_SENT);
	eth_send(s, i, p, to, ETH_TYPE_ARP);
}

/* Of a host's cores, each of which learns from a copy of what comes in, only one answers, announces and defends (steer.h). */
static bool speaks_for_the_host(const struct stack *s)
{
	return s->config.core == 0;
}

static struct interface_address *own_address(struct interface *i, uint32_t ip4)
{
	for (unsigned n = 0; n < i->address_count; n++)
		if (i->addresses[n].ip4 == ip4)
			return &i->addresses[n];
	return NULL;
}

/* Somebody else uses our address: keep it, and say so at most once in DEFEND_INTERVAL, so that two hosts that both
 * defend do not flood the net (RFC 5227 2.4 (c)). */
static void conflict(struct stack *s, struct interface *i, struct interface_address *a, const uint8_t mac[6])
{
	const uint8_t *ip = &a->addr.bytes[12];

	if (!speaks_for_the_host(s))
		return;
	stack_log(s, "%s: address %u.%u.%u.%u is also used by %02x:%02x:%02x:%02x:%02x:%02x", i->name, ip[0], ip[1], ip[2],
		  ip[3], mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	if (a->defended && s->now - a->defended < DEFEND_INTERVAL)
		return;
	a->defended = s->now ? s->now : 1;
	send(s, i, ARP_REQUEST, a->ip4, a->ip4, NULL, broadcast_mac);
}

/* RFC 5227 2.3: an announcement is a request with sender and target both the address. */
static void fire_announce(void *context, struct timer *t)
{
	struct interface *i = container_of(t, struct interface, announce);
	struct stack *s = context;
	bool more = false;

	for (unsigned n = 0; n < i->address_count; n++) {
		struct interface_address *a = &i->addresses[n];

		if (!a->announcements)
			continue;
		a->announcements--;
		more |= a->announcements > 0;
		send(s, i, ARP_REQUEST, a->ip4, a->ip4, NULL, broadcast_mac);
	}
	if (more)
		wheel_arm(&s->wheel, t, s->now + ANNOUNCE_INTERVAL);
}

void arp_announce(struct stack *s, struct interface *i, struct interface_address *a)
{
	if (!speaks_for_the_host(s))
		return;
	a->announcements = ANNOUNCE_NUM;
	i->announce.fire = fire_announce;
	wheel_arm(&s->wheel, &i->announce, s->now);
}

void arp_request(struct stack *s, struct interface *i, uint32_t target, const uint8_t *mac)
{
	uint32_t source = route_source(i, target);

	if (source)
		send(s, i, ARP_REQUEST, source, target, mac, mac ? mac : broadcast_mac);
}

void arp_probe(struct stack *s, struct interface *i, uint32_t target)
{
	send(s, i, ARP_REQUEST, 0, target, NULL, broadcast_mac);
}

/* True: the packet may be looked at further. */
static bool well_formed(const struct pkt *p)
{
	const struct arp_packet *arp = (const struct arp_packet *)p->data;

	return p->len >= sizeof(*arp) && arp->hardware == be16(1) && arp->protocol == be16(ETH_TYPE_IP4) &&
	       arp->hardware_len == 6 && arp->protocol_len == 4 &&
	       (arp->operation == be16(ARP_REQUEST) || arp->operation == be16(ARP_REPLY));
}

void arp_receive(struct stack *s, struct interface *i, struct pkt *p)
{
	const struct arp_packet *arp = (const struct arp_packet *)p->data;
	struct interface_address *own;
	bool request, for_us;

	if (!well_formed(p)) {
		pkt_drop(s, p, DROP_ARP_MALFORMED);
		return;
	}
	if (i->dhcp)
		dhcp_arp(i->dhcp, arp->sender_mac, arp->sender_ip, arp->target_ip, arp->operation == be16(ARP_REQUEST));
	own = own_address(i, arp->sender_ip);
	if (own && memcmp(arp->sender_mac, i->link->mac, 6) != 0) {
		conflict(s, i, own, arp->sender_mac);
		pkt_drop(s, p, DROP_ARP_CONFLICT);
		return;
	}
	if (own || (arp->sender_mac[0] & 1) || ip4_is_multicast(arp->sender_ip) || ip4_is_reserved(arp->sender_ip) ||
	    ip4_is_loopback(arp->sender_ip) || (ip4_is_this_net(arp->sender_ip) && arp->sender_ip) ||
	    route_is_broadcast(i, arp->sender_ip)) {
		pkt_drop(s, p, DROP_ARP_SENDER);
		return;
	}
	request = arp->operation == be16(ARP_REQUEST);
	for_us = own_address(i, arp->target_ip) != NULL;
	/* RFC 826: known senders are always updated, unknown ones remembered only when they talk to us. A sender
	 * of 0 is a probe (RFC 5227 2.1.1): answered, but there is nothing to learn. */
	if (arp->sender_ip)
		neighbour_learn(s, i, arp->sender_ip, arp->sender_mac, !request && for_us, for_us && request);
	if (request && for_us && speaks_for_the_host(s))
		send(s, i, ARP_REPLY, arp->target_ip, arp->sender_ip, arp->sender_mac, arp->sender_mac);
	pkt_done(s, p);
}
