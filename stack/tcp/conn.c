/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a connection: its block, its numbers, its path, its end. The only setter of the state
 * (RFC 9293 3.3.2). */
#include "conn.h"

#include <errno.h>

#include "ecn.h"
#include "flight.h"
#include "gaps.h"
#include "half_open.h"
#include "meter.h"
#include "mtu_probe.h"
#include "output.h"
#include "pace.h"
#include "recv.h"
#include "timers.h"
#include "validate.h"

#define MSS_FLOOR 8 /* a peer that announces next to nothing gets segments, however small */

/* Which states may follow which: RFC 9293 figure 5, and the end from anywhere. */
static bool may_follow(enum tcp_state from, enum tcp_state to)
{
	switch (to) {
	case TCP_CLOSED: return true;
	case TCP_SYN_SENT: return from == TCP_CLOSED;
	case TCP_SYN_RECEIVED: return from == TCP_CLOSED || from == TCP_SYN_SENT;
	case TCP_ESTABLISHED: return from == TCP_SYN_SENT || from == TCP_SYN_RECEIVED;
	case TCP_FIN_WAIT_1: return from == TCP_ESTABLISHED || from == TCP_SYN_RECEIVED;
	case TCP_FIN_WAIT_2: return from == TCP_FIN_WAIT_1;
	case TCP_CLOSING: return from == TCP_FIN_WAIT_1;
	case TCP_CLOSE_WAIT: return from == TCP_ESTABLISHED || from == TCP_SYN_RECEIVED;
	case TCP_LAST_ACK: return from == TCP_CLOSE_WAIT;
	case TCP_TIME_WAIT: return from == TCP_FIN_WAIT_1 || from == TCP_FIN_WAIT_2 || from == TCP_CLOSING;
	case TCP_LISTEN: break;
	}
	return false;
}

static uint64_t hash_addresses(const struct siphash_key *key, const struct flow_key *k, bool ports)
{
	struct {
		struct ipaddr local, remote;
		uint16_t ports[2];
	} input = { k->local, k->remote, { 0, 0 } };

	if (ports) {
		input.ports[0] = k->local_port;
		input.ports[1] = k->remote_port;
	}
	return siphash24(key, &input, sizeof(input.local) + sizeof(input.remote) + sizeof(input.ports));
}

static uint32_t ip_header_len(const struct path *p)
{
	return ipaddr_is_ip4(&p->destination) ? 20 : 40;
}

struct tcp_conn *conn_new(struct stack *s, struct endpoint *ep)
{
	struct tcp_conn *c = pool_take_or_null(&s->tcp->conns);

	if (!c)
		return NULL;
	c->stack = s;
	c->ep = ep;
	c->socket.state = TCP_CLOSED;
	c->phase = LOSS_OPEN;
	c->peer_mss = TCP_MSS_DEFAULT;
	list_init(&c->ready_node);
	list_init(&c->accept_node);
	timers_start(c);
	rtt_start(&c->rtt, settings_of(c));
	c->reorder_steps = 1;
	ep->tcp = c;
	return c;
}

void conn_free(struct tcp_conn *c)
{
	CHECK(c->socket.state == TCP_CLOSED || c->detached);
	CHECK(!c->in_flows);
	if (c->listener) {
		list_remove(&c->accept_node);
		c->listener->queued--;
		c->listener = NULL;
	}
	list_remove(&c->ready_node);
	timers_stop(c);
	gaps_forget(c);
	flight_forget(c);
	mtu_probe_forget(c);
	pace_detach(c);
	ecn_forget(c);
	validate_detach(c);
	meter_detach(c);
	c->ep->tcp = NULL;
	c->stack->tcp->orphans -= c->orphan;
	pool_put(&c->stack->tcp->conns, c);
}

void conn_set_state(struct tcp_conn *c, enum tcp_state to)
{
	CHECK(may_follow(c->socket.state, to));
	c->socket.state = (uint8_t)to;
}

uint32_t conn_isn(const struct stack *s, const struct flow_key *key)
{
	return (uint32_t)(s->now / 4000) + (uint32_t)hash_addresses(&s->tcp->isn_key, key, true);
}

uint32_t conn_ts_offset(const struct stack *s, const struct flow_key *key)
{
	return (uint32_t)hash_addresses(&s->tcp->ts_key, key, false);
}

uint32_t conn_ts_now(const struct stack *s, uint32_t offset)
{
	return (uint32_t)(s->now / NSEC_PER_MSEC) + offset;
}

void conn_update_mss(struct tcp_conn *c)
{
	/* RFC 9293 3.7.1: min(SendMSS + 20, MMS_S) - TCPhdrsize - IPoptionsize. */
	uint32_t overhead = ip_header_len(&c->path) + SEGMENT_HEADER_MIN;
	uint32_t mtu = c->mtu ? mtu_probe_limit(c, c->path.mtu) : c->path.mtu;
	uint32_t mss = mtu > overhead ? mtu - overhead : MSS_FLOOR;
	uint32_t options = c->ts_on ? SEGMENT_TS_LEN : 0;

	if (c->peer_mss < mss)
		mss = c->peer_mss;
	if (c->socket.options.max_segment && c->socket.options.max_segment < mss)
		mss = c->socket.options.max_segment;
	mss = mss > options + MSS_FLOOR ? mss - options : MSS_FLOOR;
	c->snd_mss = (uint16_t)mss;
	if (c->cc.ops && mss < c->cc.mss)
		c->cc.cwnd = (uint32_t)((uint64_t)c->cc.cwnd * mss / c->cc.mss);
	c->cc.mss = mss;
	if (c->cc.ops && c->cc.cwnd < mss)
		c->cc.cwnd = mss;
}

bool conn_refresh_path(struct tcp_conn *c)
{
	struct path fresh;

	if (c->path.generation == c->stack->route_generation && !c->mtu_changed)
		return true;
	/* The source stays what the peer knows (MUST-45). */
	if (route_find(c->stack, &c->flow.key.local, &c->flow.key.remote, &fresh) < 0)
		return false;
	c->mtu_changed = false;
	c->path = fresh;
	conn_update_mss(c);
	return true;
}

uint16_t conn_mss_option(const struct stack *s, const struct path *p, uint16_t wish)
{
	const struct interface *i = stack_interface_or_null(s, p->interface);
	/* RFC 1191 3.1: what we can receive, not what the path back carries. */
	uint32_t mtu = i ? interface_mtu(i) : p->mtu;
	uint32_t mss = mtu - ip_header_len(p) - SEGMENT_HEADER_MIN;

	if (mss > 65495)
		mss = 65495;
	return (uint16_t)(wish && wish < mss ? wish : mss);
}

uint8_t conn_scale_for(uint32_t receive_max)
{
	uint8_t scale = 0;

	while (scale < 14 && (UINT32_C(65535) << scale) < receive_max)
		scale++;
	return scale;
}

uint32_t conn_initial_window(const struct tcp_conn *c)
{
	uint32_t mss = c->snd_mss, segments = settings_of(c)->initial_window, older = mss > 2190 ? 2 : mss > 1095 ? 3 : 4;

	/* No more than four is RFC 5681's window, with its table. */
	if (segments <= 4)
		return (segments < older ? segments : older) * mss;
	if (segments > 10 || segments * mss <= 14600)
		return segments * mss;
	return 2 * mss > 14600 ? 2 * mss : 14600;
}

void conn_established(struct tcp_conn *c)
{
	const struct tcp_settings *settings = settings_of(c);
	uint32_t window;

	conn_set_state(c, TCP_ESTABLISHED);
	mtu_probe_begin(c);
	conn_update_mss(c);
	window = conn_initial_window(c);
	/* More than one lost SYN says that the path is full (RFC 6928 2). */
	if (c->retransmits > 1)
		window = c->snd_mss;
	/* RFC 6298 5.7: a timeout of the SYN before a sample makes the first RTO 3 s. */
	if (c->syn_retransmitted && c->rtt.srtt == 0 && c->rtt.rto < 3 * NSEC_PER_SEC)
		c->rtt.rto = 3 * NSEC_PER_SEC;
	c->retransmits = c->backoff = 0;
	pace_attach(c, conn_congestion(c));
	cc_start(&c->cc, conn_congestion(c), c->snd_mss, window, c->stack->now);
	c->send_base = c->snd_una - c->ep->send.tail;
	c->receive_base = c->rcv_nxt - c->ep->receive.head;
	/* So that the loss of the very first segment can enter fast retransmit (RFC 6582 3.2). */
	c->recover = c->iss - 1;
	c->snd_small = c->snd_una;
	validate_forget(c);
	c->quickacks = 16;
	c->last_received = c->data_arrived = c->last_acked = c->last_sent = c->stack->now;
	c->autotune_from = c->rcv_nxt;
	c->autotune_since = c->stack->now;
	timers_all_acked(c);
	timers_keepalive_changed(c);
	c->confirmed = seconds_now(c);
	neighbour_confirm(c->stack, &c->path);
	/* An owner in another process writes into the ring by itself and needs it now; one in this process gets it with its
	 * first ep_send, so that an idle connection costs no buffer. */
	if (c->ep->send.shared_head)
		ep_lend(c->stack, c->ep, EP_SEND, settings->send_buffer_initial);
}

void conn_ready(struct tcp_conn *c)
{
	if (!list_linked(&c->ready_node))
		list_append(&c->stack->tcp->ready, &c->ready_node);
}

void conn_end(struct tcp_conn *c, int error)
{
	struct stack *s = c->stack;
	struct endpoint *ep = c->ep;

	if (c->in_flows) {
		flow_remove(s, &c->flow);
		c->in_flows = false;
	}
	if (c->request)
		half_open_acked(c->request);
	timers_stop(c);
	gaps_forget(c);
	flight_forget(c);
	mtu_probe_forget(c);
	list_remove(&c->ready_node);
	conn_set_state(c, TCP_CLOSED);
	if (ep->closed) {
		conn_free(c);
		ep_release(s, ep);
		return;
	}
	if (error)
		ep_fail(s, ep, error, EP_READABLE | EP_WRITABLE | EP_READ_CLOSED | EP_HANGUP);
	else
		ep_event_raise(s, ep, EP_READABLE | EP_WRITABLE | EP_READ_CLOSED | EP_HANGUP);
}

void conn_abort(struct tcp_conn *c, int error)
{
	switch (c->socket.state) {
	case TCP_SYN_RECEIVED:
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT_1:
	case TCP_FIN_WAIT_2:
	case TCP_CLOSE_WAIT:
		/* RFC 9293 3.10.5. */
		output_reset(c);
		break;
	default:
		break;
	}
	conn_end(c, error);
}

static const char *check_send(const struct tcp_conn *c)
{
	uint32_t end = conn_send_end(c) + c->fin_wanted;

	if (!seq_leq(c->snd_una, c->snd_nxt) || !seq_leq(c->snd_nxt, c->snd_max))
		return "tcp: snd_una <= snd_nxt <= snd_max does not hold";
	if (seq_gt(c->snd_max, end))
		return "tcp: more was sent than is queued";
	if (c->send_base + c->ep->send.tail != c->snd_una - conn_fin_acked(c))
		return "tcp: the send ring does not begin at snd_una";
	if (c->retransmit_mode == RETRANSMIT_NONE && c->due[DUE_RETRANSMIT] != NSEC_NEVER)
		return "tcp: a retransmission deadline without a purpose";
	if (c->snd_nxt != c->snd_una && c->retransmit_mode != RETRANSMIT_DATA)
		return "tcp: something is outstanding and no retransmission timer runs";
	if (c->cc.cwnd < c->cc.mss)
		return "tcp: cwnd below one segment";
	return NULL;
}

static const char *check_receive(const struct tcp_conn *c)
{
	const struct bytering *r = &c->ep->receive;
	const char *wrong;

	if (c->receive_base + r->head != c->rcv_nxt - c->fin_received)
		return "tcp: the receive ring does not end at rcv_nxt";
	if (r->next.size != 0 && !c->receive_short && !c->fin_received &&
	    seq_gt(c->rcv_adv, c->receive_base + r->tail + r->next.size))
		return "tcp: more is advertised than can be lent";
	wrong = flight_check(c);
	if (!wrong)
		wrong = mtu_probe_check(c);
	return wrong ? wrong : gaps_check(c);
}

const char *tcp_conn_check(const struct tcp_conn *c)
{
	const char *wrong;

	if (c->ep->tcp != c)
		return "tcp: a connection and its endpoint do not know each other";
	if (c->socket.state == TCP_CLOSED || c->detached)
		return c->in_flows ? "tcp: a closed connection is in the flow table" : NULL;
	if (!c->in_flows || flow_find(c->stack, &c->flow.key) != &c->flow)
		return "tcp: a connection is not in the flow table";
	if (!conn_synchronised(c))
		return NULL;
	wrong = check_send(c);
	return wrong ? wrong : check_receive(c);
}
