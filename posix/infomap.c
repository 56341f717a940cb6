/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO of what the stack knows, and the names of congestion controls. */
#include "posix/infomap.h"

#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>

#include "stack/endpoint.h"

_Static_assert(offsetof(struct infomap_tcp, snd_wnd) == offsetof(struct tcp_info, tcpi_snd_wnd), "Linux's layout");
_Static_assert((int)EP_DISORDER == TCP_CA_Disorder && (int)EP_REDUCED == TCP_CA_CWR && (int)EP_RECOVERY == TCP_CA_Recovery &&
	       (int)EP_LOSS == TCP_CA_Loss, "Linux's numbers");
_Static_assert(offsetof(struct infomap_tcp, total_rto_time_ms) == 244, "Linux's layout");

static uint32_t usec(nsec t)
{
	return (uint32_t)(t / NSEC_PER_USEC);
}

static uint32_t msec(nsec t)
{
	return (uint32_t)(t / NSEC_PER_MSEC);
}

static uint32_t segments(uint32_t bytes, uint32_t mss)
{
	return mss ? bytes / mss : bytes;
}

static void fill_state(const struct ep_info *i, struct infomap_tcp *t)
{
	t->state = (uint8_t)i->state;
	t->ca_state = (uint8_t)i->recovery;
	t->retransmits = i->retransmits;
	t->probes = i->probes;
	t->backoff = i->backoff;
	t->options = (uint8_t)((i->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (i->sack ? TCPI_OPT_SACK : 0) |
			       (i->window_scaling ? TCPI_OPT_WSCALE : 0) | (i->syn_data ? TCPI_OPT_SYN_DATA : 0) |
			       (i->ecn != EP_ECN_NONE ? TCPI_OPT_ECN : 0) | (i->ecn_seen ? TCPI_OPT_ECN_SEEN : 0));
	t->scales = (uint8_t)((i->send_scale & 15) | (i->receive_scale & 15) << 4);
	t->flags = i->delivery_app_limited;   /* the lowest bit */
	t->pmtu = i->path_mtu;
	t->rto = usec(i->rto);
	t->rtt = usec(i->srtt);
	t->rttvar = usec(i->rttvar);
	t->min_rtt = usec(i->rtt_min);
	t->last_data_sent_ms = msec(i->last_data_sent);
	t->last_data_recv_ms = msec(i->last_data_received);
	t->last_ack_recv_ms = msec(i->last_ack_received);
}

void infomap_tcp(const struct ep_info *i, struct infomap_tcp *t)
{
	memset(t, 0, sizeof(*t));
	fill_state(i, t);
	t->snd_mss = i->mss;
	t->rcv_mss = i->receive_mss;
	t->advmss = i->receive_mss;
	t->unacked = i->state == TCP_LISTEN ? i->receive_queued : i->in_flight_segments;
	t->sacked = i->state == TCP_LISTEN ? i->send_queued : i->sacked;
	t->lost = i->lost;
	t->retrans = i->sent_again;
	t->snd_ssthresh = segments(i->ssthresh, i->mss);
	t->snd_cwnd = segments(i->cwnd, i->mss);
	t->rcv_space = i->receive_buffer;
	t->snd_wnd = i->send_window;
	t->rcv_wnd = i->receive_window;
	t->total_retrans = i->retransmitted_total;
	t->delivered = i->delivered;
	t->dsack_dups = i->duplicates;
	t->reordering = i->reordering;
	t->reord_seen = i->reorderings;
	t->rcv_ooopack = i->received_reordered;
	t->busy_time = i->busy / NSEC_PER_USEC;
	t->rwnd_limited = i->window_limited / NSEC_PER_USEC;
	t->sndbuf_limited = i->buffer_limited / NSEC_PER_USEC;
	t->ato = usec(i->ack_timeout);
	t->rcv_rtt = usec(i->receive_rtt);
	t->rcv_ssthresh = i->receive_limit;
	t->max_pacing_rate = i->max_pacing_rate ? i->max_pacing_rate : UINT64_MAX;
	t->bytes_acked = i->bytes_acked;
	t->bytes_received = i->bytes_received;
	t->bytes_sent = i->bytes_sent;
	t->bytes_retrans = i->bytes_retransmitted;
	t->segs_out = i->segments_sent;
	t->segs_in = i->segments_received;
	t->data_segs_out = i->data_segments_sent;
	t->data_segs_in = i->data_segments_received;
	t->notsent_bytes = i->send_unsent;
	t->delivered_ce = i->delivered_ce;
	t->received_ce = i->received_ce;
	t->delivered_e0_bytes = i->delivered_e0_bytes;
	t->delivered_e1_bytes = i->delivered_e1_bytes;
	t->delivered_ce_bytes = i->delivered_ce_bytes;
	t->received_e0_bytes = i->received_e0_bytes;
	t->received_e1_bytes = i->received_e1_bytes;
	t->received_ce_bytes = i->received_ce_bytes;
	t->pacing_rate = i->pacing_rate ? i->pacing_rate : UINT64_MAX;   /* Linux: not limited */
	t->delivery_rate = i->delivery_rate;
}

void infomap_write_tcp(const struct ep_info *i, void *value, socklen_t *length)
{
	struct infomap_tcp t;

	infomap_tcp(i, &t);
	if (*length > sizeof(t))
		*length = sizeof(t);
	memcpy(value, &t, *length);
}

void infomap_congestion_name(const char *given, char name[INFOMAP_NAME_BYTES])
{
	memset(name, 0, INFOMAP_NAME_BYTES);
	for (unsigned i = 0; given && given[i] && i < INFOMAP_NAME_BYTES - 1; i++)
		name[i] = given[i];
}

int64_t infomap_congestion_number(const void *value, socklen_t length)
{
	char wanted[INFOMAP_NAME_BYTES] = { 0 };
	int64_t number;

	memcpy(wanted, value, length < INFOMAP_NAME_BYTES - 1 ? length : INFOMAP_NAME_BYTES - 1);
	if (strcmp(wanted, "reno") == 0)   /* Linux's name for it */
		return EP_CC_NEWRENO;
	for (number = 1; ep_congestion_name(number); number++)
		if (strcmp(wanted, ep_congestion_name(number)) == 0)
			return number;
	return 0;
}
