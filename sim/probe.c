/* SPDX-License-Identifier: BSD-3-Clause */
/* Samples, and time-sequence data from the frames themselves: what a connection says of itself cannot show which
 * segment went twice. */
#include "probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/check.h"
#include "stack/base/seq.h"

#define IP 14u
#define TCP_SYN 0x02u
#define WATCHED 256u

/* One connection whose segments are written: sequence numbers count from the first byte. */
struct watched {
	struct flow *flow;
	uint16_t client_port;
	uint32_t first, highest;
};

struct probe {
	struct world *world;
	struct probe_plan plan;
	struct watched watched[WATCHED];
	unsigned watched_count;
};

static double seconds(nsec t)
{
	return (double)t / 1e9;
}

/* ---- samples ---- */

static void sample_connections(struct probe *p, const struct flow *f)
{
	struct ep_info i;
	unsigned n;

	for (n = 0; n < FLOW_TALKS; n++) {
		const struct talk *t = f->senders[n];

		if (!t || ep_info(t->stack, t->ep, &i) != 0)
			continue;
		fprintf(p->plan.connections, "%.6f,%s,%u,%u,%.0f,%u,%u,%.6f,%.6f,%.6f,%" PRIu64 ",%" PRIu64 ",%u,%u,%" PRIu64 ",%" PRIu64 ",%d\n",
			seconds(world_now(p->world)), f->plan.name, i.peer.port, i.cwnd,
			i.ssthresh >= INT32_MAX ? -1.0 : (double)i.ssthresh, i.mss, i.in_flight_segments * i.mss,
			seconds(i.srtt), seconds(i.rttvar), seconds(i.rto), i.bytes_acked,
			i.bytes_acked + i.send_queued - i.send_unsent, i.retransmitted_total, i.lost, i.pacing_rate,
			i.delivery_rate, (int)i.state);
	}
}

static void sample_queues(struct probe *p)
{
	const struct wire *wire = world_wire(p->world);
	unsigned h, d;

	for (h = 0; h < world_hosts(p->world); h++) {
		for (d = 0; d < 2; d++) {
			const struct wire_queue_stats *s = wire_queue_stats(wire, h, d);
			struct wire_queue_now now = wire_queue_now(wire, h, d);

			if (s->packets || now.packets)
				fprintf(p->plan.queues, "%.6f,%u,%s,%u,%u,%.6f,%" PRIu64 ",%" PRIu64 "\n",
					seconds(world_now(p->world)), h, d == WIRE_UP ? "up" : "down", now.packets,
					now.bytes, seconds(now.delay), s->marked, s->full + s->dropped);
		}
	}
}

static bool all_ended(const struct probe *p)
{
	unsigned i;

	for (i = 0; i < p->plan.flow_count; i++)
		if (p->plan.flows[i].completed + p->plan.flows[i].failed < p->plan.flows[i].plan.connections)
			return false;
	return true;
}

static void look(void *context, uint64_t argument)
{
	struct probe *p = context;
	unsigned i;

	(void)argument;
	for (i = 0; i < p->plan.flow_count; i++) {
		flow_look(&p->plan.flows[i]);
		if (p->plan.connections)
			sample_connections(p, &p->plan.flows[i]);
	}
	if (p->plan.queues)
		sample_queues(p);
	if (!all_ended(p))
		world_at(p->world, world_now(p->world) + p->plan.every, look, p, 0);
}

/* ---- segments ---- */

static uint32_t get32(const uint8_t *d)
{
	return (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
}

/* The TCP header of an IPv4 frame without tag or fragments, and the bytes behind it; NULL: it is none. */
static const uint8_t *tcp_of(const struct pkt *p, uint32_t *payload)
{
	uint32_t header, total, offset;

	if (p->len < IP + 40 || memcmp(p->data + 12, "\x08\x00", 2) != 0 || p->data[IP + 9] != 6)
		return NULL;
	header = (p->data[IP] & 15u) * 4u;
	if (IP + header + 20 > p->len)
		return NULL;
	/* A super-frame's length field may say nothing. */
	total = p->gso_size ? p->len - IP : (uint32_t)p->data[IP + 2] << 8 | p->data[IP + 3];
	offset = (p->data[IP + header + 12] >> 4) * 4u;
	if (header + offset > total || IP + total > p->len)
		return NULL;
	*payload = total - header - offset;
	return p->data + IP + header;
}

static struct watched *watched_of(struct probe *p, unsigned host, uint16_t port, uint16_t client_port)
{
	unsigned i;

	for (i = 0; i < p->watched_count; i++) {
		struct watched *w = &p->watched[i];

		if (w->flow->plan.from == host && w->flow->plan.port == port && w->client_port == client_port)
			return w;
	}
	return NULL;
}

/* A SYN-ACK begins one. */
static struct watched *begin(struct probe *p, unsigned host, uint16_t port, uint16_t client_port, uint32_t sequence)
{
	struct watched *w = watched_of(p, host, port, client_port);
	unsigned i;

	for (i = 0; !w && i < p->plan.flow_count && p->watched_count < WATCHED; i++) {
		if (p->plan.flows[i].plan.from != host || p->plan.flows[i].plan.port != port)
			continue;
		w = &p->watched[p->watched_count++];
		*w = (struct watched){ .flow = &p->plan.flows[i], .client_port = client_port };
	}
	if (w)
		w->first = w->highest = sequence + 1;
	return w;
}

static void segment_sent(void *context, unsigned host, nsec now, const struct pkt *frame)
{
	struct probe *p = context;
	struct watched *w;
	uint32_t payload, sequence;
	const uint8_t *tcp = tcp_of(frame, &payload);
	uint16_t from, to;

	if (!tcp)
		return;
	from = (uint16_t)(tcp[0] << 8 | tcp[1]);
	to = (uint16_t)(tcp[2] << 8 | tcp[3]);
	sequence = get32(tcp + 4);
	if (tcp[13] & TCP_SYN) {
		begin(p, host, from, to, sequence);
		return;
	}
	if (payload == 0 || !(w = watched_of(p, host, from, to)))
		return;
	fprintf(p->plan.segments, "%.9f,%s,%u,%s,%u,%u\n", seconds(now), w->flow->plan.name, to,
		seq_lt(sequence, w->highest) ? "again" : "sent", sequence - w->first, payload);
	if (seq_gt(sequence + payload, w->highest))
		w->highest = sequence + payload;
}

static void segment_came(void *context, unsigned host, nsec now, const struct pkt *frame)
{
	struct probe *p = context;
	struct watched *w;
	uint32_t payload;
	const uint8_t *tcp = tcp_of(frame, &payload);

	if (!tcp || tcp[13] & TCP_SYN)
		return;
	w = watched_of(p, host, (uint16_t)(tcp[2] << 8 | tcp[3]), (uint16_t)(tcp[0] << 8 | tcp[1]));
	if (w)
		fprintf(p->plan.segments, "%.9f,%s,%u,ack,%u,0\n", seconds(now), w->flow->plan.name,
			w->client_port, get32(tcp + 8) - w->first);
}

struct probe *probe_new(struct world *w, const struct probe_plan *plan)
{
	struct probe *p = calloc(1, sizeof(*p));

	CHECK(p && plan->every > 0);
	p->world = w;
	p->plan = *plan;
	if (plan->connections)
		fprintf(plan->connections, "time,flow,port,cwnd,ssthresh,mss,in_flight,srtt,rttvar,rto,una,nxt,"
			"retransmitted,lost,pacing,delivery,state\n");
	if (plan->queues)
		fprintf(plan->queues, "time,host,direction,packets,bytes,delay,marked,dropped\n");
	if (plan->segments) {
		fprintf(plan->segments, "time,flow,port,event,sequence,bytes\n");
		wire_observe_sent(world_wire(w), segment_sent, p);
		world_watch(w, segment_came, p);
	}
	world_at(w, world_now(w), look, p, 0);
	return p;
}

void probe_free(struct probe *p)
{
	free(p);
}
