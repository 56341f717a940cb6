/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds segments. The checksum of the payload is summed while it is copied from the ring, once, unless the link
 * completes checksums. Every segment carries the highest RCV.NXT and the present window (RFC 9293 3.8). */
#include "output.h"

#include <errno.h>
#include <string.h>

#include "ecn.h"
#include "gaps.h"
#include "recv.h"
#include "resets.h"
#include "timers.h"
#include "user_timeout.h"

#define PROTOCOL_TCP 6
#define CHECKSUM_OFFSET 16
#define CHALLENGES 10
#define CHALLENGE_INTERVAL 5000u /* milliseconds */

static void put_checksum(uint8_t *header, uint16_t field)
{
	memcpy(header + CHECKSUM_OFFSET, &field, sizeof(field));
}

/* Fills the checksum: `payload_sum` is that of what lies behind the header, unless the link completes it. */
static void finish_checksum(struct pkt *p, const struct path *path, uint32_t header,
	uint64_t payload_sum, bool partial)
{
	uint64_t sum = csum_pseudo(&path->source, &path->destination, PROTOCOL_TCP, p->len);

	if (partial) {
		put_checksum(p->data, csum_fold(sum));
		p->flags |= PKT_CSUM_PARTIAL;
		p->csum_start = 0;
		p->csum_offset = CHECKSUM_OFFSET;
		return;
	}
	put_checksum(p->data, csum_finish(csum_join(sum + csum_words(p->data, header / 4), payload_sum)));
}

static bool link_sums(const struct stack *s, const struct path *path)
{
	const struct link *link = stack_link_or_null(s, path->interface);

	return link && link->flags & LINK_TX_CSUM;
}

static struct output_route route_of(const struct tcp_conn *c)
{
	return (struct output_route){
		.path = &c->path,
		.ttl = c->ep->ttl,
		.tos = c->ep->tos & 0xfc, /* the ECN bits are ours (MUST-48) */
		.dont_fragment = c->ep->mtu_discover != 0,
	};
}

static int hand_to_ip(struct stack *s, struct pkt *p, const struct output_route *r, uint8_t ecn)
{
	struct ip_send how = {
		.path = r->path,
		.protocol = PROTOCOL_TCP,
		.ttl = r->ttl ? r->ttl : s->config.ttl,
		.tos = r->tos | ecn,
		.dont_fragment = r->dont_fragment,
	};

	count(s, COUNT_TCP_SENT);
	return ip_send(s, p, &how);
}

/* What was received twice (RFC 2883 4), then the most recently changed interval first (RFC 2018 4). */
static void add_sack(struct tcp_conn *c, struct tcp_segment *seg, unsigned most)
{
	struct gap_interval recent[GAPS_RECENT];
	unsigned n = 0;

	if (c->duplicate.start != c->duplicate.end) {
		seg->sack[seg->sack_count++] = c->duplicate;
		c->duplicate.end = c->duplicate.start;
	}
	if (seg->sack_count < most)
		n = gaps_recent(c, recent, most - seg->sack_count);
	for (unsigned i = 0; i < n; i++)
		seg->sack[seg->sack_count++] = (struct sack_block){ recent[i].start, recent[i].end };
}

/* All that segments of a synchronised connection have in common. */
static void fill(struct tcp_conn *c, struct tcp_segment *seg, uint32_t seq, uint8_t flags)
{
	seg->source = c->flow.key.local_port;
	seg->destination = c->flow.key.remote_port;
	seg->seq = seq;
	seg->ack = c->rcv_nxt;
	seg->flags = flags;
	seg->has = 0;
	seg->ae = false;
	seg->ecn = 0;
	seg->sack_count = 0;
	seg->urgent = 0;
	seg->window = (uint16_t)(recv_window(c) >> (c->scale_on ? c->rcv_scale : 0));
	if (c->ts_on) {
		seg->has = SEG_HAS_TS;
		seg->tsval = conn_ts_now(c->stack, c->ts_offset);
		seg->tsecr = c->ts_recent;
	}
	if (c->ecn)
		ecn_fill(c, seg);
	/* RFC 6093: SND.UP as everybody means it, the number behind the urgent byte. */
	if (seq_gt(c->snd_up, c->snd_una) && seq_gt(c->snd_up, seq) && c->snd_up - seq <= 0xffff) {
		seg->flags |= SEG_URG;
		seg->urgent = (uint16_t)(c->snd_up - seq);
	}
}

static void ack_went_out(struct tcp_conn *c)
{
	c->last_ack_sent = c->rcv_nxt;
	c->ack_now = false;
	c->unacked_segments = 0;
	c->segments_sent++;
	timers_ack_sent(c);
}

/* The number of a segment without payload: SND.NXT, but within what the peer may accept when it shrank its
 * window below what is in flight. */
static uint32_t bare_seq(const struct tcp_conn *c)
{
	uint32_t edge = c->snd_una + c->snd_wnd;

	return seq_lt(edge, c->snd_max) && c->snd_wnd < c->snd_max - c->snd_una ? seq_max(edge, c->snd_una)
										 : c->snd_max;
}

/* The sending itself of len bytes, from this index of the ring on, as one packet. */
static bool emit(struct tcp_conn *c, struct tcp_segment *seg, uint32_t index, uint32_t len)
{
	struct output_route route = route_of(c);
	struct pkt *p = pkt_borrow(c->stack, &c->path);
	bool partial = link_sums(c->stack, &c->path);
	uint32_t header;
	uint64_t sum = 0;

	if (!p)
		return false;
	CHECK(pkt_tailroom(p) >= SEGMENT_HEADER_MAX);
	header = segment_write(seg, p->data);
	if (pkt_tailroom(p) < header + len) {
		pkt_drop(c->stack, p, DROP_IP_TOO_LONG);
		return false;
	}
	if (partial)
		bytering_read_at(&c->ep->send, index, p->data + header, len);
	else
		sum = bytering_read_sum_at(&c->ep->send, index, p->data + header, len);
	p->len = header + len;
	if (len > c->snd_mss) {
		p->gso_size = c->snd_mss;
		p->header_len = (uint16_t)header;
	}
	finish_checksum(p, &c->path, header, sum, partial);
	if (hand_to_ip(c->stack, p, &route, seg->ecn) == -EMSGSIZE) {
		c->mtu_changed = true;
		conn_refresh_path(c);
	}
	return true;
}

bool output_bare(struct stack *s, const struct output_route *r, const struct tcp_segment *seg)
{
	struct pkt *p = pkt_borrow(s, r->path);
	uint32_t header;

	if (!p)
		return false;
	header = segment_write(seg, p->data);
	p->len = header;
	finish_checksum(p, r->path, header, 0, link_sums(s, r->path));
	return hand_to_ip(s, p, r, seg->ecn) == 0;
}

bool output_data(struct tcp_conn *c, uint32_t seq, uint32_t len, uint8_t flags)
{
	struct tcp_segment seg;

	fill(c, &seg, seq, flags | SEG_ACK);
	if (c->sack_on && c->gaps && len + 12 <= c->snd_mss)
		add_sack(c, &seg, 1);
	if (c->ecn)
		ecn_fill_data(c, &seg, len);
	if (c->uto_due)
		user_timeout_fill(c, &seg, len);
	if (!emit(c, &seg, seq - c->send_base, len)) {
		user_timeout_not_sent(c, &seg);
		return false;
	}
	if (c->ecn)
		ecn_sent(c, &seg);
	if (len > 0) {
		uint32_t segments = len <= c->snd_mss ? 1 : (len + c->snd_mss - 1) / c->snd_mss;

		c->data_sent += segments;
		c->segments_sent += segments - 1;
	}
	c->last_sent = c->stack->now;
	ack_went_out(c);
	return true;
}

void output_ack(struct tcp_conn *c)
{
	struct output_route route = route_of(c);
	struct tcp_segment seg;
	unsigned most = c->ts_on ? 3 : 4;

	conn_refresh_path(c);
	fill(c, &seg, bare_seq(c), SEG_ACK);
	if (c->ecn)
		most = ecn_fill_ack(c, &seg, c->sack_on ? gaps_count(c) + (c->duplicate.start != c->duplicate.end) : 0);
	if (c->sack_on)
		add_sack(c, &seg, most);
	if (c->uto_due)
		user_timeout_fill(c, &seg, 0);
	if (output_bare(c->stack, &route, &seg)) {
		if (c->ecn)
			ecn_sent(c, &seg);
		ack_went_out(c);
	} else {
		user_timeout_not_sent(c, &seg);
		timers_ack_owed(c, settings_of(c)->delayed_ack);
	}
}

static void fill_syn(struct tcp_conn *c, struct tcp_segment *seg)
{
	bool answer = c->socket.state == TCP_SYN_RECEIVED;
	uint32_t window = recv_window(c);

	*seg = (struct tcp_segment){
		.source = c->flow.key.local_port,
		.destination = c->flow.key.remote_port,
		.seq = c->iss,
		.ack = c->rcv_nxt,
		.flags = (uint8_t)(SEG_SYN | (answer ? SEG_ACK : 0)),
		.has = SEG_HAS_MSS,
		.mss = conn_mss_option(c->stack, &c->path, c->socket.options.max_segment),
		.scale = c->rcv_scale,
		.tsval = conn_ts_now(c->stack, c->ts_offset),
		.tsecr = answer ? c->ts_recent : 0,
		/* RFC 7323 2.2: the window of a SYN is never scaled. */
		.window = (uint16_t)(window > 0xffff ? 0xffff : window),
	};
	c->rcv_mss = seg->mss;
	if (c->ts_on)
		seg->has |= SEG_HAS_TS;
	if (c->sack_on)
		seg->has |= SEG_HAS_SACK_OK;
	if (c->scale_on)
		seg->has |= SEG_HAS_SCALE;
	ecn_fill_syn(c, seg);
	c->last_sent = c->stack->now;
	c->segments_sent++;
}

void output_syn(struct tcp_conn *c)
{
	struct output_route route = route_of(c);
	struct tcp_segment seg;

	fill_syn(c, &seg);
	/* Asks for a cookie; the second try does without, in case it was this that got the first one lost (RFC 7413 4.2.1). */
	if (c->fastopen_on && c->retransmits == 0 && c->socket.state == TCP_SYN_SENT)
		seg.has |= SEG_HAS_FASTOPEN;
	user_timeout_fill_syn(settings_of(c), &c->socket.options, c->retransmits, &seg);
	output_bare(c->stack, &route, &seg);
}

uint32_t output_syn_data(struct tcp_conn *c, const struct fastopen_cookie *cookie, uint32_t mss, uint32_t queued)
{
	uint32_t by_path = c->path.mtu - (ipaddr_is_ip4(&c->path.destination) ? 20 : 40) - SEGMENT_HEADER_MIN;
	struct tcp_segment seg;
	uint32_t options, n;

	fill_syn(c, &seg);
	seg.has |= SEG_HAS_FASTOPEN;
	seg.fastopen = *cookie;
	user_timeout_fill_syn(settings_of(c), &c->socket.options, c->retransmits, &seg);
	options = segment_header_len(&seg) - SEGMENT_HEADER_MIN;
	mss = mss < by_path ? mss : by_path;
	n = mss > options ? mss - options : 0;
	n = n < queued ? n : queued;
	c->snd_mss = (uint16_t)mss;
	emit(c, &seg, c->iss + 1 - c->send_base, n);
	return n;
}

void output_reset(struct tcp_conn *c)
{
	resets_send(c, bare_seq(c));
}

void output_keepalive(struct tcp_conn *c)
{
	struct output_route route = route_of(c);
	struct tcp_segment seg;

	conn_refresh_path(c);
	fill(c, &seg, c->snd_max - 1, SEG_ACK);
	c->segments_sent++;
	output_bare(c->stack, &route, &seg);
}

void output_reset_for(struct stack *s, const struct ip_received *ip, const struct tcp_segment *in)
{
	struct path path;
	struct output_route route = { .path = &path, .dont_fragment = true };
	struct tcp_segment seg = {
		.source = in->destination,
		.destination = in->source,
		.flags = SEG_RST,
	};

	if (in->flags & SEG_RST || ip->to_broadcast)
		return;
	if (route_find(s, &ip->destination, &ip->source, &path) < 0)
		return;
	if (in->flags & SEG_ACK) {
		seg.seq = in->ack;
	} else {
		seg.ack = in->seq + segment_space(in);
		seg.flags |= SEG_ACK;
	}
	count(s, COUNT_TCP_RESETS_SENT);
	output_bare(s, &route, &seg);
}

void output_challenge(struct tcp_conn *c)
{
	uint32_t now = milliseconds_now(c);

	if (now - c->challenge_since >= CHALLENGE_INTERVAL || c->challenges == 0) {
		c->challenge_since = now;
		c->challenges = 0;
	}
	if (c->challenges >= CHALLENGES)
		return;
	c->challenges++;
	count(c->stack, COUNT_TCP_CHALLENGES);
	output_ack(c);
}

bool output_takes_super_frames(const struct tcp_conn *c)
{
	const struct link *link = stack_link_or_null(c->stack, c->path.interface);

	return link && link->flags & LINK_TSO;
}
