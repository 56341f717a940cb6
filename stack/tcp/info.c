/* SPDX-License-Identifier: BSD-3-Clause */
/* What ss and TCP_INFO show of a connection or a listener. */
#include "info.h"

#include "ecn.h"
#include "flight.h"
#include "loss.h"
#include "meter.h"
#include "pace.h"
#include "recv.h"

static nsec ago(const struct tcp_conn *c, nsec when)
{
	return c->stack->now - when;
}

static uint32_t segments(const struct tcp_conn *c, uint32_t numbers)
{
	return (numbers + c->snd_mss - 1) / c->snd_mss;
}

/* By the scoreboard; without one nothing is missing. The sum over records is for those who ask, not for the path. */
static void fill_recovery(const struct tcp_conn *c, struct ep_info *i)
{
	const struct flight *f = c->flight;
	uint32_t again = 0;

	i->in_flight_segments = segments(c, c->snd_max - c->snd_una);
	i->recovery = c->phase == LOSS_TIMEOUT ? EP_LOSS : c->phase == LOSS_RECOVERY ? EP_RECOVERY : EP_OPEN;
	if (!f)
		return;
	list_for_each(node, &f->by_sequence) {
		const struct record *r = container_of(node, struct record, by_sequence);

		if (r->state == RECORD_RESENT)
			again += r->end - r->start;
	}
	i->sacked = segments(c, f->sacked + f->guessed);
	i->lost = segments(c, f->lost);
	i->sent_again = segments(c, again);
	if (i->recovery == EP_OPEN && i->sacked > 0)
		i->recovery = EP_DISORDER;
}

static void fill_meter(const struct tcp_conn *c, struct ep_info *i)
{
	uint32_t once = c->data_sent - c->retransmitted_total, data_end = seq_min(c->snd_max, conn_send_end(c));
	uint32_t missing = seq_gt(data_end, c->snd_una) ? segments(c, data_end - c->snd_una) : 0;
	const struct meter *m = meter_shown(c);

	missing -= i->sacked < missing ? i->sacked : missing;
	i->delivered = 1 + (once > missing ? once - missing : 0);
	i->window_limited = meter_time(c, METER_WINDOW);
	i->buffer_limited = meter_time(c, METER_BUFFER);
	i->busy = meter_time(c, METER_BUSY) + i->window_limited + i->buffer_limited;
	if (c->delivery) {
		i->delivery_rate = c->delivery->rate.latest;
		i->delivery_app_limited = c->delivery->rate.latest_app_limited;
	} else if (m->rate_usec > 0) {
		i->delivery_rate = (uint64_t)m->rate_bytes * 1000000 / m->rate_usec;
		i->delivery_app_limited = m->rate_starved;
	}
}

static void fill_transfer(const struct tcp_conn *c, struct ep_info *i)
{
	uint32_t unsent_from = seq_min(c->snd_nxt, conn_send_end(c));

	i->send_unsent = conn_send_end(c) - unsent_from;
	i->cwnd = loss_window(c);
	i->ssthresh = c->cc.ssthresh;
	i->send_window = c->snd_wnd;
	i->receive_window = recv_window_open(c);
	i->last_data_sent = ago(c, c->last_sent);
	i->last_data_received = ago(c, c->data_arrived);
	i->last_ack_received = ago(c, c->last_acked);
	fill_recovery(c, i);
	i->cc = c->cc.ops->name;
	i->pacing_rate = pace_rate(c);
	fill_meter(c, i);
}

/* The counters of accurate ECN begin with 1, so that zero is somebody else's (RFC 9768 3.2.1). */
static void fill_ecn(const struct ecn *e, struct ep_info *i)
{
	i->ecn = (enum ep_ecn)e->mode;
	i->ecn_seen = e->seen;
	i->ecn_mute = e->mute;
	i->delivered_ce = e->delivered_ce;
	i->received_ce = e->received_ce;
	i->delivered_e0_bytes = e->peer_bytes[ECN_E0B] - 1;
	i->delivered_ce_bytes = e->peer_bytes[ECN_CEB];
	i->delivered_e1_bytes = e->peer_bytes[ECN_E1B] - 1;
	i->received_e0_bytes = e->bytes[ECN_E0B] - 1;
	i->received_ce_bytes = e->bytes[ECN_CEB];
	i->received_e1_bytes = e->bytes[ECN_E1B] - 1;
}

void info_conn(const struct tcp_conn *c, struct ep_info *i)
{
	/* Data is taken and sent, but the handshake is not over (RFC 7413). */
	i->state = c->request && c->socket.state == TCP_ESTABLISHED ? TCP_SYN_RECEIVED : (enum tcp_state)c->socket.state;
	i->syn_data = c->syn_data_acked;
	i->mss = c->snd_mss;
	i->receive_mss = c->rcv_mss;
	i->send_scale = c->snd_scale;
	i->receive_scale = c->rcv_scale;
	i->backoff = c->backoff;
	i->probes = c->probes;
	i->retransmits = c->retransmits;
	i->timestamps = c->ts_on;
	i->sack = c->sack_on;
	i->window_scaling = c->scale_on;
	i->srtt = c->rtt.srtt;
	i->rttvar = c->rtt.rttvar;
	i->rto = rtt_backed_off(&c->rtt, settings_of(c), c->backoff);
	i->rtt_min = c->rtt.min == NSEC_NEVER ? 0 : c->rtt.min;
	i->bytes_acked = c->bytes_acked;
	i->bytes_received = c->bytes_received;
	i->bytes_retransmitted = c->bytes_retransmitted;
	i->segments_sent = c->segments_sent;
	i->segments_received = c->segments_received;
	i->data_segments_sent = c->data_sent;
	i->data_segments_received = c->data_received;
	i->retransmitted_total = c->retransmitted_total;
	i->received_reordered = c->reordered;
	i->duplicates = meter_shown(c)->duplicates;
	i->reorderings = meter_shown(c)->reorderings;
	i->reordering = meter_shown(c)->reordering > DUPLICATES ? meter_shown(c)->reordering : DUPLICATES;
	i->ack_timeout = c->data_received ? settings_of(c)->delayed_ack : 0;
	i->receive_rtt = c->rcv_rtt * NSEC_PER_USEC;
	i->receive_limit = c->rcv_limit;
	i->max_pacing_rate = c->socket.options.max_pacing_rate;
	i->path_mtu = c->path.mtu;
	i->cc = conn_congestion(c)->name;
	if (c->ecn)
		fill_ecn(c->ecn, i);
	if (conn_synchronised(c)) {
		i->bytes_sent = c->bytes_acked + (c->snd_max - c->snd_una) + c->bytes_retransmitted;
		fill_transfer(c, i);
	}
}

void info_listener(const struct tcp_listener *l, struct ep_info *i)
{
	i->state = TCP_LISTEN;
	i->receive_queued = l->queued;
	i->send_queued = l->backlog;
	i->send_unsent = 0;
	i->cc = "";
}
