/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP (RFC 792, RFC 1122 3.2.2): echo, errors about what we received (rate limited, RFC 1812 4.3.2.8), and errors about what we
 * sent, which are believed only if they quote a packet with an address of ours (RFC 5927 4). Redirects and source quench
 * (RFC 6633) are ignored. */
#include "layers.h"

#include <errno.h>

#include "wire.h"

#define TARGET_BURST 6          /* as Linux's XRLIM_BURST_FACTOR */
#define ERROR_MAX 576u          /* RFC 1812 4.3.2.3: bytes of the whole message, its IP header included */

/* One token is as many nanoseconds as an error costs. That is one on average, and not exactly one, so that nobody learns from
 * what is left of them which packets we answered (as Linux, against SAD DNS). */
static bool may_send_error(struct stack *s)
{
	int64_t cost = (int64_t)(NSEC_PER_SEC / s->config.icmp_errors_per_second);
	int64_t most = cost * s->config.icmp_errors_burst;
	nsec elapsed = s->now - s->icmp_refilled;

	s->icmp_refilled = s->now;
	s->icmp_tokens += elapsed < (nsec)(most - s->icmp_tokens) ? (int64_t)elapsed : most - s->icmp_tokens;
	if (s->icmp_tokens < cost)
		return false;
	s->icmp_tokens -= cost * (int64_t)rng_below(&s->rng, 3);
	return true;
}

/* And to one host only so many, that a forged source does not make us flood it; hosts of the same hash share. What stays on
 * this host is nobody's flood. */
static bool may_send_to(struct stack *s, const struct path *path)
{
	uint64_t hash = siphash13_words(&s->port_key, path->destination.halves[0], path->destination.halves[1], 0);
	nsec *spoken_for = &s->icmp_targets[hash % (sizeof(s->icmp_targets) / sizeof(s->icmp_targets[0]))];
	nsec interval = s->config.icmp_target_interval;

	if (path->interface == s->loopback_number)
		return true;
	if (*spoken_for < s->now)
		*spoken_for = s->now;
	if (*spoken_for - s->now > (TARGET_BURST - 1) * interval)
		return false;
	*spoken_for += interval;
	return true;
}

/* RFC 1122 3.2.2: what must not be answered with an error. */
static bool forbidden(const struct stack *s, const struct pkt *about, const struct ip_received *rx)
{
	const struct ip4_header *ip = (const struct ip4_header *)rx->header;
	bool outside = rx->interface != s->loopback_number;

	if (rx->to_broadcast || (be16(ip->fragment) & IP4_OFFSET))
		return true;
	if (rx->protocol == PROTOCOL_ICMP &&
	    (about->len < 1 || (about->data[0] != ICMP_ECHO && about->data[0] != ICMP_ECHO_REPLY)))
		return true;
	return ip4_is_this_net(ip->source) || ip4_is_multicast(ip->source) || ip4_is_reserved(ip->source) ||
	       (outside && ip4_is_loopback(ip->source)) || route_is_any_broadcast(s, ip->source);
}

static void finish(struct pkt *p)
{
	struct icmp_header *icmp = (struct icmp_header *)p->data;

	icmp->checksum = 0;
	icmp->checksum = csum_finish(csum_add(0, p->data, p->len));
}

void icmp_send_error(struct stack *s, const struct pkt *about, const struct ip_received *rx, uint8_t type, uint8_t code,
		     uint32_t extra)
{
	uint32_t quote = ERROR_MAX - 20 - (uint32_t)sizeof(struct icmp_header) - rx->header_len;
	struct icmp_header *icmp;
	struct path path;
	struct pkt *p;

	if (forbidden(s, about, rx)) {
		drop_count(s, DROP_ICMP_FORBIDDEN);
		return;
	}
	if (route_find(s, &rx->destination, &rx->source, &path) != 0) {
		drop_count(s, DROP_IP_NO_ROUTE);
		return;
	}
	if (!may_send_to(s, &path) || !may_send_error(s)) {
		drop_count(s, DROP_ICMP_RATE);
		return;
	}
	p = pkt_borrow(s, &path);
	if (!p)
		return;
	if (quote > about->len)
		quote = about->len;
	p->len = (uint32_t)sizeof(*icmp) + rx->header_len + quote;
	icmp = (struct icmp_header *)p->data;
	*icmp = (struct icmp_header){ .type = type, .code = code, .rest = be32(extra) };
	memcpy(icmp + 1, rx->header, rx->header_len);
	memcpy((uint8_t *)(icmp + 1) + rx->header_len, about->data, quote);
	finish(p);
	count(s, COUNT_ICMP_ERRORS_SENT);
	ip_send(s, p, &(struct ip_send){ .path = &path, .protocol = PROTOCOL_ICMP, .ttl = s->config.ttl });
}

/* The request itself turns round: same identifier, sequence and data, from the address it was sent to
 * (RFC 1122 3.2.2.6). */
static void echo(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	struct icmp_header *icmp = (struct icmp_header *)p->data;
	struct ip_received from = *rx;
	struct path path;

	if (route_find(s, &from.destination, &from.source, &path) != 0) {
		pkt_drop(s, p, DROP_IP_NO_ROUTE);
		return;
	}
	icmp->type = ICMP_ECHO_REPLY;
	finish(p);
	p->flags = 0;
	p->gso_size = 0;
	count(s, COUNT_ICMP_ECHOES);
	ip_send(s, p, &(struct ip_send){ .path = &path, .protocol = PROTOCOL_ICMP, .ttl = s->config.ttl, .tos = from.tos });
}

/* What an unreachable means to a program (RFC 1122 4.2.3.9, errno as Linux). False: nothing. */
static bool unreachable_means(uint8_t code, int *error, bool *hard)
{
	static const struct {
		int error;
		bool hard;
	} meanings[] = {
		{ ENETUNREACH, false }, { EHOSTUNREACH, false }, { ENOPROTOOPT, true }, { ECONNREFUSED, true },
		{ EMSGSIZE, false }, { EOPNOTSUPP, false }, { ENETUNREACH, true }, { EHOSTDOWN, true },
		{ ENONET, true }, { ENETUNREACH, true }, { EHOSTUNREACH, true }, { ENETUNREACH, false },
		{ EHOSTUNREACH, false }, { EHOSTUNREACH, true }, { EHOSTUNREACH, true }, { EHOSTUNREACH, true },
	};

	if (code >= sizeof(meanings) / sizeof(meanings[0]))
		return false;
	*error = meanings[code].error;
	*hard = meanings[code].hard;
	return true;
}

/* RFC 1191 7: a router that does not tell its MTU: the next plateau below the packet's own length. */
static uint32_t plateau(uint32_t length)
{
	static const uint16_t plateaus[] = { 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296 };

	for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < length)
			return plateaus[i];
	return 68;
}

/* An error about a packet that begins at `ip` (length bytes of it), to the transport it came from. */
static bool deliver_error(struct stack *s, const struct ip4_header *ip, uint32_t length, uint8_t type, uint8_t code,
			  uint32_t rest, const struct ip_received *rx)
{
	struct icmp_error e = {
		.type = type, .code = code, .offender = rx->source, .error = EHOSTUNREACH,
		.interface = rx->interface, .ttl = rx->ttl, .tos = rx->tos,
	};
	uint32_t header_len = length < sizeof(*ip) ? 0 : (ip->version_ihl & 15u) * 4;
	const struct udp_header *ports;

	if (header_len < 20 || ip->version_ihl >> 4 != 4 || length < header_len + 8 ||
	    (ip->fragment & be16(IP4_OFFSET)) || !route_is_own(s, ip->source))
		return false;
	if (type == ICMP_UNREACHABLE && !unreachable_means(code, &e.error, &e.hard))
		return false;
	if (type == ICMP_UNREACHABLE && code == 4)
		e.mtu = rest & 0xffff ? rest & 0xffff : plateau(be16(ip->total_length));
	if (type == ICMP_PARAMETER) {
		e.error = EPROTO;
		e.pointer = rest >> 24;
		e.hard = true;
	}
	ports = (const struct udp_header *)((const uint8_t *)ip + header_len);
	e.quoted = (const uint8_t *)ports;
	e.quoted_len = length - header_len;
	e.key = (struct flow_key){
		.local = ipaddr_from_ip4(ip->source), .remote = ipaddr_from_ip4(ip->destination),
		.local_port = be16(ports->source), .remote_port = be16(ports->destination),
	};
	if (ip->protocol == PROTOCOL_TCP)
		tcp_icmp_error(s, &e);
	else if (ip->protocol == PROTOCOL_UDP)
		udp_icmp_error(s, &e);
	else
		return false;
	return true;
}

void icmp_report_own(struct stack *s, const struct pkt *p, uint8_t type, uint8_t code)
{
	const struct ip4_header *ip = (const struct ip4_header *)p->data;
	struct ip_received us = { .source = ipaddr_from_ip4(ip->source), .ttl = s->config.ttl };

	deliver_error(s, ip, p->len, type, code, 0, &us);
}

void icmp_receive(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	const struct icmp_header *icmp = (const struct icmp_header *)p->data;

	count(s, COUNT_ICMP_RECEIVED);
	if (p->len < sizeof(*icmp)) {
		pkt_drop(s, p, DROP_ICMP_SHORT);
		return;
	}
	if (!(p->flags & PKT_CSUM_GOOD) && csum_finish(csum_add(0, p->data, p->len)) != 0) {
		pkt_drop(s, p, DROP_ICMP_CHECKSUM);
		return;
	}
	if (rx->to_broadcast) {
		pkt_drop(s, p, DROP_ICMP_BROADCAST);
		return;
	}
	switch (icmp->type) {
	case ICMP_ECHO:
		if (icmp->code == 0) {
			echo(s, p, rx);
			return;
		}
		pkt_drop(s, p, DROP_ICMP_TYPE);
		return;
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER:
		if (deliver_error(s, (const struct ip4_header *)(icmp + 1), p->len - (uint32_t)sizeof(*icmp), icmp->type,
				  icmp->code, be32(icmp->rest), rx))
			pkt_done(s, p);
		else
			pkt_drop(s, p, DROP_ICMP_QUOTE);
		return;
	case ICMP_REDIRECT:
		pkt_drop(s, p, DROP_ICMP_REDIRECT);
		return;
	case ICMP_SOURCE_QUENCH:
		pkt_drop(s, p, DROP_ICMP_SOURCE_QUENCH);
		return;
	default:
		pkt_drop(s, p, DROP_ICMP_TYPE);
	}
}
