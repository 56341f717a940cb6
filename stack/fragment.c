/* SPDX-License-Identifier: BSD-3-Clause */
/* Reassembly of IPv4 datagrams (RFC 791 3.2, RFC 1122 3.3.2). Bytes are copied into 2 KB chunks from a pool that is all
 * the memory there ever is: a flood evicts the oldest datagram, nothing else. An overlap with other bytes or another
 * end gives the whole datagram up (RFC 1858, 3128, and as RFC 5722 has it for IPv6); the same bytes again are ignored. */
#include "layers.h"

#include <stdlib.h>

#include "wire.h"

#define CHUNK 2048u
#define CHUNKS (65536 / CHUNK)
#define RANGES 64                          /* disjoint pieces of one datagram */
#define TIMEOUT (60 * NSEC_PER_SEC)        /* RFC 1122 3.3.2: 60 to 120 s, from the first fragment to come */
#define TINY_MIN 8                         /* bytes of layer 4 that fragment zero must have (RFC 1858 3) */

struct range {
	uint32_t start, end;
};

struct datagram {
	struct map_node node;
	struct list order;                 /* oldest first */
	struct timer timer;
	uint32_t source, destination, interface;
	uint16_t id;
	uint8_t protocol, ttl, tos, header_len;  /* header_len 0: fragment zero has not come */
	bool to_broadcast, ce, not_ect;
	uint32_t length;                   /* 0: the last fragment has not come */
	uint32_t bytes;                    /* received */
	uint8_t header[60];                /* of fragment zero, as received */
	unsigned range_count;
	struct range ranges[RANGES];       /* in order, not touching */
	uint8_t *chunks[CHUNKS];
};

struct reassembly {
	struct map map;
	struct pool datagrams, chunks;
	struct list order;
};

static uint32_t hash_of(const struct stack *s, const struct ip4_header *ip)
{
	return (uint32_t)siphash13_words(&s->flow_key, (uint64_t)ip->source << 32 | ip->destination,
					 (uint64_t)ip->id << 8 | ip->protocol, 2);
}

static struct datagram *find(struct stack *s, const struct ip4_header *ip)
{
	for (struct map_node *m = map_first(&s->reassembly->map, hash_of(s, ip)); m; m = map_next(m)) {
		struct datagram *d = container_of(m, struct datagram, node);

		if (d->source == ip->source && d->destination == ip->destination && d->id == ip->id &&
		    d->protocol == ip->protocol)
			return d;
	}
	return NULL;
}

static void forget(struct stack *s, struct datagram *d)
{
	struct reassembly *r = s->reassembly;

	for (unsigned i = 0; i < CHUNKS; i++)
		if (d->chunks[i])
			pool_put(&r->chunks, d->chunks[i]);
	wheel_cancel(&s->wheel, &d->timer);
	list_remove(&d->order);
	map_remove(&r->map, &d->node);
	pool_put(&r->datagrams, d);
}

/* Copies between the datagram and memory, chunk by chunk. */
static void copy_out(const struct datagram *d, uint8_t *to, uint32_t offset, uint32_t n)
{
	while (n) {
		uint32_t within = offset % CHUNK, run = CHUNK - within < n ? CHUNK - within : n;

		memcpy(to, d->chunks[offset / CHUNK] + within, run);
		to += run;
		offset += run;
		n -= run;
	}
}

static bool same_bytes(const struct datagram *d, const uint8_t *bytes, uint32_t offset, uint32_t n)
{
	while (n) {
		uint32_t within = offset % CHUNK, run = CHUNK - within < n ? CHUNK - within : n;

		if (memcmp(bytes, d->chunks[offset / CHUNK] + within, run) != 0)
			return false;
		bytes += run;
		offset += run;
		n -= run;
	}
	return true;
}

/* Room by evicting the oldest datagrams, but never `keep`. False: there is nothing left to evict. */
static bool evict(struct stack *s, const struct datagram *keep)
{
	list_for_each(node, &s->reassembly->order) {
		struct datagram *d = container_of(node, struct datagram, order);

		if (d == keep)
			continue;
		drop_count(s, DROP_FRAGMENT_MEMORY);
		forget(s, d);
		return true;
	}
	return false;
}

static bool copy_in(struct stack *s, struct datagram *d, const uint8_t *bytes, uint32_t offset, uint32_t n)
{
	while (n) {
		uint32_t within = offset % CHUNK, run = CHUNK - within < n ? CHUNK - within : n;
		uint8_t **chunk = &d->chunks[offset / CHUNK];

		while (!*chunk && !(*chunk = pool_take_or_null(&s->reassembly->chunks)))
			if (!evict(s, d))
				return false;
		memcpy(*chunk + within, bytes, run);
		bytes += run;
		offset += run;
		n -= run;
	}
	return true;
}

/* Enters [start, end) into the ranges: DROP_REASONS, or why not. */
static enum drop add_range(struct datagram *d, const uint8_t *bytes, uint32_t start, uint32_t end)
{
	unsigned at = 0;
	bool joins_before, joins_after;

	while (at < d->range_count && d->ranges[at].end <= start)
		at++;
	if (at < d->range_count && d->ranges[at].start < end) {
		if (start < d->ranges[at].start || end > d->ranges[at].end)
			return DROP_FRAGMENT_OVERLAP;
		return same_bytes(d, bytes, start, end - start) ? DROP_FRAGMENT_DUPLICATE : DROP_FRAGMENT_OVERLAP;
	}
	joins_before = at > 0 && d->ranges[at - 1].end == start;
	joins_after = at < d->range_count && d->ranges[at].start == end;
	if (joins_before && joins_after) {
		d->ranges[at - 1].end = d->ranges[at].end;
		d->range_count--;
		memmove(&d->ranges[at], &d->ranges[at + 1], (d->range_count - at) * sizeof(struct range));
	} else if (joins_before) {
		d->ranges[at - 1].end = end;
	} else if (joins_after) {
		d->ranges[at].start = start;
	} else {
		if (d->range_count == RANGES)
			return DROP_FRAGMENT_MEMORY;
		memmove(&d->ranges[at + 1], &d->ranges[at], (d->range_count - at) * sizeof(struct range));
		d->ranges[at] = (struct range){ start, end };
		d->range_count++;
	}
	d->bytes += end - start;
	return DROP_REASONS;
}

static struct ip_received received_of(const struct datagram *d, const uint8_t *header)
{
	return (struct ip_received){
		.source = ipaddr_from_ip4(d->source), .destination = ipaddr_from_ip4(d->destination),
		.interface = d->interface, .protocol = d->protocol, .ttl = d->ttl, .tos = d->tos,
		.to_broadcast = d->to_broadcast, .header = header, .header_len = d->header_len,
	};
}

/* RFC 1122 3.3.2: the sender is told, if fragment zero came, since only that can be quoted. */
static void fire(void *context, struct timer *t)
{
	struct datagram *d = container_of(t, struct datagram, timer);
	struct stack *s = context;
	uint8_t start[576];
	struct pkt quoted = { .data = start };
	struct ip_received rx = received_of(d, d->header);

	if (d->header_len) {
		quoted.len = d->ranges[0].end < sizeof(start) ? d->ranges[0].end : (uint32_t)sizeof(start);
		copy_out(d, start, 0, quoted.len);
		icmp_send_error(s, &quoted, &rx, ICMP_TIME_EXCEEDED, 1, 0);
	}
	drop_count(s, DROP_FRAGMENT_TIMEOUT);
	forget(s, d);
}

static struct datagram *create(struct stack *s, const struct ip4_header *ip, const struct ip_received *rx)
{
	struct reassembly *r = s->reassembly;
	struct datagram *d = pool_take_or_null(&r->datagrams);

	if (!d && evict(s, NULL))
		d = pool_take_or_null(&r->datagrams);
	CHECK(d);
	d->source = ip->source;
	d->destination = ip->destination;
	d->id = ip->id;
	d->protocol = ip->protocol;
	d->interface = rx->interface;
	d->ttl = rx->ttl;
	d->tos = rx->tos;
	d->timer.fire = fire;
	map_insert(&r->map, &d->node, hash_of(s, ip));
	list_append(&r->order, &d->order);
	wheel_arm(&s->wheel, &d->timer, s->now + TIMEOUT);
	return d;
}

/* All bytes are here: one packet of them, with fragment zero's header before it for whoever quotes it. */
static void complete(struct stack *s, struct datagram *d)
{
	struct pkt *p = loopback_borrow(s);
	struct ip_received rx;

	if (!p) {
		drop_count(s, DROP_FRAGMENT_MEMORY);
		forget(s, d);
		return;
	}
	copy_out(d, p->data, 0, d->length);
	p->len = d->length;
	p->stamp = s->now;
	memcpy(p->data - d->header_len, d->header, d->header_len);
	/* RFC 3168 5.3: one marked fragment marks the datagram. */
	if (d->ce)
		d->tos |= 3;
	rx = received_of(d, p->data - d->header_len);
	forget(s, d);
	count(s, COUNT_IP_REASSEMBLED);
	if (!s->config.steer || !core_took(s, p, &rx))
		ip4_deliver(s, p, &rx);
}

/* DROP_REASONS: taken. */
static enum drop take(struct stack *s, struct datagram *d, const struct pkt *p, const struct ip_received *rx,
		      uint32_t offset, bool more)
{
	uint32_t end = offset + p->len;
	uint32_t furthest = d->range_count ? d->ranges[d->range_count - 1].end : 0;
	enum drop reason;

	/* The end is where the last fragment said first; nothing may lie beyond it, nor move it. */
	if ((d->length && (end > d->length || (!more && end != d->length))) || (!more && end < furthest))
		return DROP_FRAGMENT_OVERLAP;
	reason = add_range(d, p->data, offset, end);
	if (reason != DROP_REASONS)
		return reason;
	if (!copy_in(s, d, p->data, offset, p->len))
		return DROP_FRAGMENT_MEMORY;
	if (!more)
		d->length = end;
	d->ce |= (rx->tos & 3) == 3;
	d->not_ect |= (rx->tos & 3) == 0;
	/* RFC 3168 5.3: the mark must not get lost, and may not be given to who would not understand it. */
	if (d->ce && d->not_ect)
		return DROP_FRAGMENT_ECN;
	if (offset == 0) {
		memcpy(d->header, rx->header, rx->header_len);
		d->header_len = (uint8_t)rx->header_len;
		d->tos = rx->tos;
		d->ttl = rx->ttl;
	}
	d->to_broadcast |= rx->to_broadcast;
	return DROP_REASONS;
}

void fragment_receive(struct stack *s, struct pkt *p, const struct ip_received *rx)
{
	const struct ip4_header *ip = (const struct ip4_header *)rx->header;
	uint32_t offset = (be16(ip->fragment) & IP4_OFFSET) * 8u;
	bool more = ip->fragment & be16(IP4_MF);
	struct datagram *d;
	enum drop reason;

	if (p->len == 0 || (more && p->len % 8) || offset + p->len + rx->header_len > UINT16_MAX) {
		pkt_drop(s, p, DROP_FRAGMENT_MALFORMED);
		return;
	}
	if (offset == 0 && more && p->len < (rx->protocol == PROTOCOL_TCP ? 2u : 1u) * TINY_MIN) {
		pkt_drop(s, p, DROP_FRAGMENT_TINY);
		return;
	}
	d = find(s, ip);
	if (!d)
		d = create(s, ip, rx);
	reason = take(s, d, p, rx, offset, more);
	if (reason != DROP_REASONS) {
		if (reason != DROP_FRAGMENT_DUPLICATE)
			forget(s, d);
		pkt_drop(s, p, reason);
		return;
	}
	pkt_done(s, p);
	if (d->length && d->bytes == d->length)
		complete(s, d);
}

bool fragments_init(struct stack *s)
{
	struct reassembly *r = s->reassembly = calloc(1, sizeof(*r));
	uint32_t chunks = s->config.max_fragments / CHUNK;

	/* Two whole datagrams at least: one that is coming in, and room for it. */
	if (chunks < 2 * CHUNKS)
		chunks = 2 * CHUNKS;
	if (!r)
		return false;
	list_init(&r->order);
	return map_init(&r->map, chunks) && pool_init(&r->chunks, CHUNK, chunks) &&
	       pool_init(&r->datagrams, sizeof(struct datagram), chunks);
}

void fragments_free(struct stack *s)
{
	if (!s->reassembly)
		return;
	map_free(&s->reassembly->map);
	pool_free(&s->reassembly->chunks);
	pool_free(&s->reassembly->datagrams);
	free(s->reassembly);
	s->reassembly = NULL;
}

uint32_t fragments_held(const struct stack *s)
{
	return s->reassembly->datagrams.used;
}

size_t fragments_bytes(const struct stack *s)
{
	return pool_bytes(&s->reassembly->datagrams) + pool_bytes(&s->reassembly->chunks);
}

const char *fragments_check(const struct stack *s)
{
	const struct reassembly *r = s->reassembly;
	uint32_t chunks = 0, datagrams = 0;

	list_for_each(node, &r->order) {
		const struct datagram *d = container_of(node, struct datagram, order);
		uint32_t bytes = 0;

		for (unsigned i = 0; i < d->range_count; i++) {
			if (d->ranges[i].start >= d->ranges[i].end || (i && d->ranges[i].start <= d->ranges[i - 1].end))
				return "reassembly: ranges are out of order";
			bytes += d->ranges[i].end - d->ranges[i].start;
		}
		if (bytes != d->bytes || (d->length && bytes >= d->length))
			return "reassembly: the count of bytes is wrong";
		for (unsigned i = 0; i < CHUNKS; i++)
			chunks += d->chunks[i] != NULL;
		if (!timer_armed(&d->timer))
			return "reassembly: a datagram would wait for ever";
		datagrams++;
	}
	if (datagrams != r->datagrams.used || datagrams != r->map.count || chunks != r->chunks.used)
		return "reassembly: a datagram or a chunk is lost";
	return NULL;
}
