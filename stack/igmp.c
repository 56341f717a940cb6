/* SPDX-License-Identifier: BSD-3-Clause */
/* IGMP, what a host does of it: version 3 (RFC 3376 5) for groups of any source, and the older versions while a router of these is on the
 * link (RFC 3376 7.2, RFC 2236 3, RFC 1112 appendix I). All is driven by joins, leaves, queries and the timers of struct igmp and struct
 * group; nothing is ever answered at once, so no flood of queries makes one of reports. */
#include "group.h"

#include "wire.h"

#define QUERY 0x11
#define REPORT_V1 0x12
#define REPORT_V2 0x16
#define LEAVE_V2 0x17
#define REPORT_V3 0x22
#define ALL_ROUTERS be32(0xe0000002)
#define ALL_V3_ROUTERS be32(0xe0000016)

#define IP_HEADER 24u           /* with the router alert option (RFC 2113) */
#define HEADER 8u               /* of queries of older versions, and of reports */
#define QUERY_V3 12u
#define RECORD 8u               /* of a report, without sources */

enum { IS_INCLUDE = 1, IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE };  /* record types (RFC 3376 4.2.12) */

/* RFC 3376 8 */
#define ROBUSTNESS 2
#define QUERY_INTERVAL (125 * NSEC_PER_SEC)
#define RESPONSE_INTERVAL (10 * NSEC_PER_SEC)
#define UNSOLICITED (1 * NSEC_PER_SEC)
#define UNSOLICITED_OLD (10 * NSEC_PER_SEC)  /* RFC 2236 8.10 */

static nsec random_until(struct stack *s, nsec most)
{
	return s->now + 1 + rng_below(&s->rng, most);
}

/* ---- out ---- */

struct report {
	struct interface *interface;
	struct pkt *pkt;          /* NULL: none is begun */
	unsigned records;
};

static struct pkt *begin(struct stack *s, const struct interface *i)
{
	struct path path = { .interface = i->number };

	return pkt_borrow(s, &path);
}

/* An IGMP message as it is: sums it, and sends it to a group of its link. Of an interface without address, from 0.0.0.0 (RFC 3376 4.2.13). */
static void transmit(struct stack *s, struct interface *i, struct pkt *p, uint32_t destination)
{
	static const uint8_t alert[4] = { 0x94, 4, 0, 0 };
	struct ip4_header *ip;
	uint16_t sum = csum_finish(csum_add(0, p->data, p->len));
	uint8_t mac[6];

	memcpy(p->data + 2, &sum, sizeof(sum));
	CHECK(pkt_headroom(p) >= IP_HEADER);
	p->data -= IP_HEADER;
	p->len += IP_HEADER;
	ip = (struct ip4_header *)p->data;
	*ip = (struct ip4_header){
		.version_ihl = 0x46, .tos = 0xc0, .total_length = be16((uint16_t)p->len), .fragment = be16(IP4_DF), .ttl = 1,
		.protocol = PROTOCOL_IGMP, .source = i->address_count ? i->addresses[0].ip4 : 0, .destination = destination,
	};
	memcpy(ip + 1, alert, sizeof(alert));
	ip->checksum = csum_finish(csum_words(ip, IP_HEADER / 4));
	eth_multicast_mac(destination, mac);
	count(s, COUNT_IGMP_SENT);
	count(s, COUNT_IP_SENT);
	eth_send(s, i, p, mac, ETH_TYPE_IP4);
}

static void finish(struct stack *s, struct report *r)
{
	uint16_t records = be16((uint16_t)r->records);

	if (!r->pkt)
		return;
	memcpy(r->pkt->data + 6, &records, sizeof(records));
	transmit(s, r->interface, r->pkt, ALL_V3_ROUTERS);
	*r = (struct report){ .interface = r->interface };
}

/* A report is full when the next record would make it longer than the interface takes (RFC 3376 4.2.16). Where the link has no packet
 * now, the record is lost, as any packet may be. */
static void add_record(struct stack *s, struct report *r, uint8_t type, const struct group *g, uint32_t sources)
{
	uint32_t size = RECORD + sources * 4;
	uint8_t head[4] = { type, 0, 0, (uint8_t)sources };

	if (r->pkt && r->pkt->len + size + IP_HEADER > interface_mtu(r->interface))
		finish(s, r);
	if (!r->pkt) {
		r->pkt = begin(s, r->interface);
		if (!r->pkt || pkt_tailroom(r->pkt) < interface_mtu(r->interface)) {
			if (r->pkt)
				pkt_done(s, r->pkt);
			r->pkt = NULL;
			return;
		}
		memset(r->pkt->data, 0, HEADER);
		r->pkt->data[0] = REPORT_V3;
		r->pkt->len = HEADER;
	}
	memcpy(r->pkt->data + r->pkt->len, head, sizeof(head));
	memcpy(r->pkt->data + r->pkt->len + 4, &g->address, 4);
	memcpy(r->pkt->data + r->pkt->len + RECORD, g->sources, sources * sizeof(g->sources[0]));
	r->pkt->len += size;
	r->records++;
}

static void send_old(struct stack *s, const struct group *g, uint8_t type)
{
	struct interface *i = g->interface;
	struct pkt *p = begin(s, i);

	if (!p)
		return;
	memset(p->data, 0, HEADER);
	p->data[0] = type;
	memcpy(p->data + 4, &g->address, 4);
	p->len = HEADER;
	transmit(s, i, p, type == LEAVE_V2 ? ALL_ROUTERS : g->address);
}

static void report_old(struct stack *s, struct group *g)
{
	send_old(s, g, g->interface->igmp.version == 1 ? REPORT_V1 : REPORT_V2);
	g->last_reporter = true;
}

/* ---- which version ---- */

/* RFC 3376 7.2.1: "whenever a host changes its compatibility mode, it cancels all its pending response and retransmission timers". */
static void set_version(struct stack *s, struct interface *i, uint8_t version)
{
	struct group *g, *next;

	if (version == i->igmp.version)
		return;
	i->igmp.version = version;
	wheel_cancel(&s->wheel, &i->igmp.answer);
	wheel_cancel(&s->wheel, &i->igmp.change);
	for (g = i->igmp.groups; g; g = next) {
		next = g->next;
		wheel_cancel(&s->wheel, &g->answer);
		g->repeats = 0;
		if (!g->users)
			group_forget(s, g);
	}
}

/* The timers of older queriers are only looked at when something happens: in between nobody can tell. */
static void look_at_version(struct stack *s, struct interface *i)
{
	set_version(s, i, s->now < i->igmp.v1_until ? 1 : s->now < i->igmp.v2_until ? 2 : 3);
}

/* True: this timer is not of the version that is spoken now. */
static bool is_stale(struct stack *s, struct interface *i)
{
	uint8_t version = i->igmp.version;

	look_at_version(s, i);
	return version != i->igmp.version;
}

/* ---- timers ---- */

static void answer_general(void *context, struct timer *t)
{
	struct interface *i = container_of(t, struct interface, igmp.answer);
	struct report r = { .interface = i };
	struct stack *s = context;

	if (is_stale(s, i))
		return;
	for (const struct group *g = i->igmp.groups; g; g = g->next)
		if (g->users && g->address != ALL_HOSTS && group_is_answered_here(s, g))
			add_record(s, &r, IS_EXCLUDE, g, 0);
	finish(s, &r);
}

static void answer_about_group(void *context, struct timer *t)
{
	struct group *g = container_of(t, struct group, answer);
	struct report r = { .interface = g->interface };
	struct stack *s = context;

	if (is_stale(s, g->interface) || !g->users)
		return;
	if (g->interface->igmp.version < 3) {
		report_old(s, g);
		if (g->repeats) {
			g->repeats--;
			wheel_arm(&s->wheel, t, random_until(s, UNSOLICITED_OLD));
		}
		return;
	}
	/* Of a group with the filter EXCLUDE {}, all sources that were asked for are wanted (RFC 3376 5.2). */
	add_record(s, &r, g->source_count ? IS_INCLUDE : IS_EXCLUDE, g, g->source_count);
	g->source_count = 0;
	finish(s, &r);
}

static void report_changes(void *context, struct timer *t)
{
	struct interface *i = container_of(t, struct interface, igmp.change);
	struct report r = { .interface = i };
	struct stack *s = context;
	struct group *g, *next;
	bool more = false;

	if (is_stale(s, i))
		return;
	for (g = i->igmp.groups; g; g = next) {
		next = g->next;
		if (!g->repeats)
			continue;
		add_record(s, &r, g->users ? TO_EXCLUDE : TO_INCLUDE, g, 0);
		g->repeats--;
		more |= g->repeats != 0;
		if (!g->repeats && !g->users)
			group_forget(s, g);
	}
	finish(s, &r);
	if (more)
		wheel_arm(&s->wheel, t, random_until(s, UNSOLICITED));
}

/* ---- queries ---- */

/* RFC 3376 4.1.1, 4.1.7: a small floating-point number from 128 on. */
static uint32_t decode(uint8_t code)
{
	return code < 128 ? code : ((code & 15u) | 16u) << ((code >> 4 & 7u) + 3);
}

/* What a query says of its querier; the longest time that the answer may take. */
static nsec heed(struct stack *s, struct interface *i, const uint8_t *query, uint32_t len)
{
	struct igmp *m = &i->igmp;
	nsec most = decode(query[1]) * (NSEC_PER_SEC / 10);

	if (len == HEADER) {
		most = query[1] ? query[1] * (NSEC_PER_SEC / 10) : RESPONSE_INTERVAL;
		/* RFC 3376 8.12 */
		*(query[1] ? &m->v2_until : &m->v1_until) = s->now + m->robustness * m->query_interval + most;
	} else {
		m->robustness = query[8] & 7 ? query[8] & 7 : ROBUSTNESS;
		m->query_interval = query[9] ? decode(query[9]) * NSEC_PER_SEC : QUERY_INTERVAL;
	}
	look_at_version(s, i);
	return most ? most : NSEC_PER_SEC / 10;
}

/* RFC 2236 3: a timer that runs is set again only if it has longer to go than the query allows. */
static void schedule_old(struct stack *s, struct group *g, nsec most)
{
	if (g->users && g->address != ALL_HOSTS && group_is_answered_here(s, g) &&
	    (!timer_armed(&g->answer) || g->answer.due > s->now + most))
		wheel_arm(&s->wheel, &g->answer, random_until(s, most));
}

/* RFC 3376 5.2, rules 3 to 5. sources: what the query names, n of them. */
static void schedule_group(struct stack *s, struct group *g, nsec due, const uint8_t *sources, uint32_t n)
{
	bool pending = timer_armed(&g->answer);

	if (n == 0 || (pending && !g->source_count) || n + (pending ? g->source_count : 0) > GROUP_SOURCES) {
		g->source_count = 0;
	} else {
		memcpy(&g->sources[pending ? g->source_count : 0], sources, n * sizeof(g->sources[0]));
		g->source_count = (uint8_t)(n + (pending ? g->source_count : 0));
	}
	if (!pending || due < g->answer.due)
		wheel_arm(&s->wheel, &g->answer, due);
}

static void answer_query(struct stack *s, struct interface *i, uint32_t group, nsec most, const uint8_t *sources, uint32_t n)
{
	nsec due = random_until(s, most);
	struct group *g;

	if (i->igmp.version < 3) {
		for (g = i->igmp.groups; g; g = g->next)
			if (!group || g->address == group)
				schedule_old(s, g, most);
		return;
	}
	/* Rule 1: what is about to be said of all groups answers this, too. */
	if (timer_armed(&i->igmp.answer) && i->igmp.answer.due <= due)
		return;
	if (!group) {
		if (i->igmp.groups)
			wheel_arm(&s->wheel, &i->igmp.answer, due);
		return;
	}
	g = group_find_or_null(s, i, group);
	if (g && group != ALL_HOSTS && group_is_answered_here(s, g))
		schedule_group(s, g, due, sources, n);
}

static enum drop receive_query(struct stack *s, struct interface *i, const uint8_t *query, uint32_t len)
{
	uint32_t group, sources = 0;
	uint16_t n;
	nsec most;

	if (len > HEADER) {
		if (len < QUERY_V3)
			return DROP_IGMP_SHORT;  /* RFC 3376 7.1 */
		memcpy(&n, query + 10, sizeof(n));
		sources = be16(n);
		if (sources * 4 > len - QUERY_V3)
			return DROP_IGMP_SHORT;
	}
	memcpy(&group, query + 4, sizeof(group));
	most = heed(s, i, query, len);
	answer_query(s, i, group, most, query + QUERY_V3, sources);
	return DROP_REASONS;
}

/* Another host has said what we were about to (RFC 2236 3, RFC 3376 7.2.2). */
static void receive_report(struct stack *s, struct interface *i, const uint8_t *report)
{
	uint32_t address;
	struct group *g;

	look_at_version(s, i);
	memcpy(&address, report + 4, sizeof(address));
	g = group_find_or_null(s, i, address);
	if (!g || i->igmp.version == 3)
		return;
	wheel_cancel(&s->wheel, &g->answer);
	g->repeats = 0;
	g->last_reporter = false;
}

/* ---- for the other files ---- */

void igmp_init(struct interface *i)
{
	i->igmp = (struct igmp){ .robustness = ROBUSTNESS, .version = 3, .query_interval = QUERY_INTERVAL };
	i->igmp.answer.fire = answer_general;
	i->igmp.change.fire = report_changes;
}

void igmp_receive(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	struct interface *i = stack_interface_or_null(s, rx->interface);
	enum drop reason = DROP_REASONS;

	if (p->len < HEADER || !i)
		reason = DROP_IGMP_SHORT;
	else if (csum_finish(csum_add(0, p->data, p->len)) != 0)
		reason = DROP_IGMP_CHECKSUM;
	else if (p->data[0] == QUERY)
		reason = receive_query(s, i, p->data, p->len);
	else if (p->data[0] == REPORT_V1 || p->data[0] == REPORT_V2)
		receive_report(s, i, p->data);
	else
		reason = DROP_IGMP_TYPE;
	if (reason != DROP_REASONS) {
		pkt_drop(s, p, reason);
		return;
	}
	count(s, COUNT_IGMP_RECEIVED);
	pkt_done(s, p);
}

void igmp_joined(struct stack *s, struct group *g, bool first)
{
	struct interface *i = g->interface;
	struct report r = { .interface = i };

	g->answer.fire = answer_about_group;
	/* RFC 3376 5: of all-hosts nothing is ever reported; a host hears what it sends itself without any router. */
	if (!first || i->loopback || g->address == ALL_HOSTS)
		return;
	look_at_version(s, i);
	if (i->igmp.version < 3) {
		report_old(s, g);
		g->repeats = 0;
		wheel_arm(&s->wheel, &g->answer, random_until(s, UNSOLICITED_OLD));
		return;
	}
	add_record(s, &r, TO_EXCLUDE, g, 0);
	finish(s, &r);
	g->repeats = (uint8_t)(i->igmp.robustness - 1);
	if (g->repeats && !timer_armed(&i->igmp.change))
		wheel_arm(&s->wheel, &i->igmp.change, random_until(s, UNSOLICITED));
}

void igmp_left(struct stack *s, struct group *g)
{
	struct interface *i = g->interface;
	struct report r = { .interface = i };

	wheel_cancel(&s->wheel, &g->answer);
	g->source_count = 0;
	g->repeats = 0;
	if (!i->loopback && g->address != ALL_HOSTS) {
		/* Without members a change of version forgets a group: this one must live through it. */
		g->users = 1;
		look_at_version(s, i);
		g->users = 0;
		if (i->igmp.version == 2 && g->last_reporter)
			send_old(s, g, LEAVE_V2);
		if (i->igmp.version == 3) {
			add_record(s, &r, TO_INCLUDE, g, 0);
			finish(s, &r);
			g->repeats = (uint8_t)(i->igmp.robustness - 1);
		}
	}
	if (!g->repeats)
		group_forget(s, g);
	else if (!timer_armed(&i->igmp.change))
		wheel_arm(&s->wheel, &i->igmp.change, random_until(s, UNSOLICITED));
}

void igmp_carrier(struct stack *s, struct interface *i)
{
	bool any = false;

	look_at_version(s, i);
	for (struct group *g = i->igmp.groups; g; g = g->next) {
		if (!g->users || g->address == ALL_HOSTS || !group_is_answered_here(s, g))
			continue;
		if (i->igmp.version < 3)
			wheel_arm(&s->wheel, &g->answer, random_until(s, UNSOLICITED));
		else
			g->repeats = i->igmp.robustness;
		any = true;
	}
	if (any && i->igmp.version == 3)
		wheel_arm(&s->wheel, &i->igmp.change, random_until(s, UNSOLICITED));
}

void igmp_stop(struct stack *s, struct interface *i)
{
	wheel_cancel(&s->wheel, &i->igmp.answer);
	wheel_cancel(&s->wheel, &i->igmp.change);
}
