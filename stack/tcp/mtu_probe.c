/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 4821 for TCP, with the black holes of RFC 2923. One size passes, one is the most worth trying; the first probe is of that one, since
 * most black holes are a router or a peer that was away for a while, the others halve what lies between. Probes need SACK: without it
 * one lost segment cannot be told from several. */
#include "mtu_probe.h"

#include "flight.h"
#include "loss.h"

#define IP4_HEADER 20u
#define CLOSE_ENOUGH 8u          /* as Linux's tcp_probe_threshold */
#define MSS_LEAST 48u            /* as Linux's tcp_mtu_probe_floor: packets of 88 bytes, above the 68 of RFC 791 */
#define SEGMENTS_BEHIND 3u       /* RFC 4821 7.4: so that acknowledgments can tell that a probe was lost */

static uint32_t overhead(void)
{
	return IP4_HEADER + SEGMENT_HEADER_MIN;
}

/* Payload of a segment in a packet of this size. */
static uint32_t payload(const struct tcp_conn *c, uint32_t size)
{
	return size - overhead() - (c->ts_on ? SEGMENT_TS_LEN : 0);
}

/* RFC 4821 7.2: the interface's MTU or what ICMP left of it, and what the peer and the program allow. */
static uint32_t ceiling(const struct tcp_conn *c)
{
	uint32_t most = c->path.mtu, own = c->socket.options.max_segment;

	if (c->peer_mss + overhead() < most)
		most = c->peer_mss + overhead();
	if (own && own + overhead() < most)
		most = own + overhead();
	return most;
}

static bool over(const struct mtu_search *m)
{
	return m->high < m->size + CLOSE_ENOUGH;
}

/* RFC 4821 7.3: what the path takes may have changed. */
static void restart(struct tcp_conn *c)
{
	struct mtu_search *m = c->mtu;
	uint32_t high = ceiling(c);

	m->high = (uint16_t)(high > m->size ? high : m->size);
	m->whole = true;
	m->next = c->stack->now + (over(m) ? settings_of(c)->mtu_probe_again : 0);
}

static bool start(struct tcp_conn *c, uint32_t size)
{
	c->mtu = pool_take_or_null(&c->stack->tcp->mtu_searches);
	if (!c->mtu)
		return false;
	c->mtu->size = (uint16_t)size;
	restart(c);
	return true;
}

/* What the next probe is like. */
static uint32_t next_size(const struct mtu_search *m)
{
	return m->whole ? m->high : (m->high + m->size + 1u) / 2;
}

/* RFC 4821 7.4: nothing in doubt, no recovery under way. */
static bool calm(const struct tcp_conn *c)
{
	const struct mtu_search *m = c->mtu;

	if (m->probe || m->failed || c->stack->now < m->next || !c->sack_on || c->ep->mtu_discover == 0)
		return false;
	if (c->phase != LOSS_OPEN || c->probe_out || c->snd_nxt != c->snd_max)
		return false;
	return !c->flight || (c->flight->lost == 0 && c->flight->sacked == 0);
}

/* How long the loss of one probe must not be followed by another (RFC 4821 7.6.2): it would not be told from a path on which
 * congestion loses one segment in so many. */
static nsec pause_after_loss(const struct tcp_conn *c)
{
	nsec longest = settings_of(c)->mtu_probe_again, pause = c->cc.cwnd / c->cc.mss * (c->rtt.srtt ? c->rtt.srtt : 1);

	return pause < longest ? pause : longest;
}

static void resolved(struct tcp_conn *c, nsec pause)
{
	struct mtu_search *m = c->mtu;

	m->probe = 0;
	m->whole = false;
	m->next = c->stack->now + (over(m) ? settings_of(c)->mtu_probe_again : pause);
}

/* The numbers of the probe that are marked lost for the first time. */
static uint32_t lost_of_probe(const struct tcp_conn *c)
{
	const struct mtu_search *m = c->mtu;
	uint32_t n = 0;

	list_for_each(node, &c->flight->by_sequence) {
		const struct record *r = container_of(node, struct record, by_sequence);

		if (seq_geq(r->start, m->end))
			break;
		if (r->state == RECORD_LOST && !r->again && seq_geq(r->start, m->start) && seq_leq(r->end, m->end))
			n += r->end - r->start;
	}
	return n;
}

void mtu_probe_begin(struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);
	uint32_t base = settings->mtu_probe_base + overhead(), most = ceiling(c);

	if (settings->mtu_probing >= 2)
		start(c, base < most ? base : most);
}

void mtu_probe_forget(struct tcp_conn *c)
{
	if (c->mtu)
		pool_put(&c->stack->tcp->mtu_searches, c->mtu);
	c->mtu = NULL;
}

uint32_t mtu_probe_limit(struct tcp_conn *c, uint32_t path_mtu)
{
	struct mtu_search *m = c->mtu;

	if (m->high > path_mtu)
		m->high = (uint16_t)path_mtu;
	if (m->size > m->high)
		m->size = m->high;
	return m->size;
}

enum mtu_turn mtu_probe_turn(struct tcp_conn *c, uint32_t *len)
{
	uint32_t window = loss_window(c), pipe = flight_pipe(c), need;

	if (!calm(c))
		return MTU_NOTHING;
	if (over(c->mtu))
		restart(c);
	if (over(c->mtu))
		return MTU_NOTHING;
	*len = payload(c, next_size(c->mtu));
	need = *len + SEGMENTS_BEHIND * c->snd_mss;
	if (!seq_leq(c->snd_nxt + need, conn_send_end(c)) || !seq_leq(c->snd_nxt + need, c->snd_una + c->snd_wnd) || window < need)
		return MTU_NOTHING;
	return window >= pipe + *len ? MTU_PROBE : MTU_WAIT;
}

void mtu_probe_sent(struct tcp_conn *c, uint32_t len)
{
	struct mtu_search *m = c->mtu;

	count(c->stack, COUNT_TCP_MTU_PROBES);
	m->probe = (uint16_t)next_size(m);
	m->end = c->snd_nxt;
	m->start = c->snd_nxt - len;
}

void mtu_probe_acked(struct tcp_conn *c)
{
	struct mtu_search *m = c->mtu;

	if (!seq_geq(c->snd_una, m->end))
		return;
	m->failed = false;
	if (!m->probe)
		return;
	count(c->stack, COUNT_TCP_MTU_PROBES_PASSED);
	m->size = m->probe;
	resolved(c, 0);
	conn_update_mss(c);
	if (settings_of(c)->mtu_probing < 2 && m->size >= ceiling(c))
		mtu_probe_forget(c);   /* as if there had been no black hole */
}

bool mtu_probe_explains_loss(struct tcp_conn *c)
{
	struct mtu_search *m = c->mtu;

	if (!m->probe && !m->failed)
		return false;
	if (lost_of_probe(c) != c->flight->lost) {
		mtu_probe_inconclusive(c);
		return false;
	}
	if (m->probe) {
		m->failed = true;
		if (m->probe <= m->high)
			m->high = (uint16_t)(m->probe - 1);
		resolved(c, pause_after_loss(c));
	}
	return true;
}

void mtu_probe_inconclusive(struct tcp_conn *c)
{
	c->mtu->probe = 0;
	c->mtu->failed = false;
}

void mtu_probe_suspect_black_hole(struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);
	uint32_t options = c->ts_on ? SEGMENT_TS_LEN : 0, now = c->snd_mss + options;
	uint32_t mss = now > settings->mtu_probe_base ? settings->mtu_probe_base : now / 2;

	if (settings->mtu_probing == 0 || c->ep->mtu_discover == 0)
		return;
	if (mss < MSS_LEAST)
		mss = MSS_LEAST;
	/* What would fit into the shorter size was not lost for its length. */
	if (mss >= now || c->snd_max - c->snd_una <= mss - options)
		return;
	if (!c->mtu && !start(c, mss + overhead()))
		return;
	count(c->stack, COUNT_TCP_BLACK_HOLES);
	c->mtu->size = (uint16_t)(mss + overhead());
	restart(c);
	conn_update_mss(c);
}

const char *mtu_probe_check(const struct tcp_conn *c)
{
	const struct mtu_search *m = c->mtu;

	if (!m)
		return NULL;
	if (m->size > m->high || m->high > c->path.mtu || m->size < overhead())
		return "tcp: the range of packet sizes to search makes no sense";
	if (c->snd_mss > payload(c, m->size))
		return "tcp: segments are longer than what is known to pass";
	if ((m->probe || m->failed) && !seq_lt(c->snd_una, m->end))
		return "tcp: a probe of the path MTU was acknowledged and is still under way";
	return NULL;
}
