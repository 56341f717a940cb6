/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO and TCP_CONGESTION from the stack's struct ep_info. */
#include "posix/info.h"

#include <linux/tcp.h>
#include <string.h>

#include "posix/calls.h"

#define NAME_BYTES 16   /* TCP_CA_NAME_MAX */

static int read_info(struct socket *s, struct ep_info *info)
{
	memset(info, 0, sizeof(*info));
	info->state = TCP_CLOSED;
	return is_light(s) ? client_info(light_session, s->line, info) : 0;
}

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

static void fill(const struct ep_info *i, struct tcp_info *t)
{
	t->tcpi_state = (uint8_t)i->state;
	t->tcpi_ca_state = i->backoff ? TCP_CA_Loss : i->retransmits ? TCP_CA_Recovery : TCP_CA_Open;
	t->tcpi_retransmits = i->retransmits;
	t->tcpi_probes = i->probes;
	t->tcpi_backoff = i->backoff;
	t->tcpi_options = (uint8_t)((i->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (i->sack ? TCPI_OPT_SACK : 0) |
				    (i->window_scaling ? TCPI_OPT_WSCALE : 0));
	t->tcpi_snd_wscale = i->send_scale & 15;
	t->tcpi_rcv_wscale = i->receive_scale & 15;
	t->tcpi_rto = usec(i->rto);
	t->tcpi_snd_mss = i->mss;
	t->tcpi_rcv_mss = i->receive_mss;
	t->tcpi_unacked = i->state == TCP_LISTEN ? i->receive_queued : i->in_flight_segments;
	t->tcpi_sacked = i->state == TCP_LISTEN ? i->send_queued : 0;
	t->tcpi_lost = i->lost;
	t->tcpi_last_data_sent = msec(i->last_data_sent);
	t->tcpi_last_data_recv = msec(i->last_data_received);
	t->tcpi_last_ack_recv = msec(i->last_ack_received);
	t->tcpi_pmtu = i->path_mtu;
	t->tcpi_rtt = usec(i->srtt);
	t->tcpi_rttvar = usec(i->rttvar);
	t->tcpi_min_rtt = usec(i->rtt_min);
	t->tcpi_snd_ssthresh = segments(i->ssthresh, i->mss);
	t->tcpi_snd_cwnd = segments(i->cwnd, i->mss);
	t->tcpi_advmss = i->receive_mss;
	t->tcpi_rcv_space = i->receive_buffer;
	t->tcpi_snd_wnd = i->send_window;
	t->tcpi_total_retrans = i->retransmitted_total;
	t->tcpi_reord_seen = i->reorder_seen;
	t->tcpi_bytes_acked = i->bytes_acked;
	t->tcpi_bytes_received = i->bytes_received;
	t->tcpi_bytes_sent = i->bytes_sent;
	t->tcpi_bytes_retrans = i->bytes_retransmitted;
	t->tcpi_segs_out = i->segments_sent;
	t->tcpi_segs_in = i->segments_received;
	t->tcpi_data_segs_out = i->data_segments_sent;
	t->tcpi_data_segs_in = i->data_segments_received;
	t->tcpi_notsent_bytes = i->send_unsent;
}

long info_tcp(struct socket *s, void *value, socklen_t *length)
{
	struct tcp_info t = { 0 };
	struct ep_info i;
	int error = read_info(s, &i);

	if (error != 0)
		return error;
	fill(&i, &t);
	if (*length > sizeof(t))
		*length = sizeof(t);
	memcpy(value, &t, *length);
	return 0;
}

static int read_name(struct socket *s, char name[NAME_BYTES])
{
	const char *given = NULL;
	struct ep_info i;
	int error;

	memset(name, 0, NAME_BYTES);
	error = place_light(s);
	if (error == 0)
		error = read_info(s, &i);
	if (error == 0)
		given = i.cc;
	if (given)
		strncpy(name, given, NAME_BYTES - 1);
	return error;
}

long info_congestion(struct socket *s, void *value, socklen_t *length)
{
	char name[NAME_BYTES];
	int error = read_name(s, name);

	if (error != 0)
		return error;
	if (*length > NAME_BYTES)
		*length = NAME_BYTES;
	memcpy(value, name, *length);
	return 0;
}

int64_t info_congestion_number(const void *value, socklen_t length)
{
	char wanted[NAME_BYTES] = { 0 };
	int64_t number;

	memcpy(wanted, value, length < NAME_BYTES - 1 ? length : NAME_BYTES - 1);
	if (strcmp(wanted, "reno") == 0)   /* Linux's name for it */
		return EP_CC_NEWRENO;
	for (number = 1; ep_congestion_name(number); number++)
		if (strcmp(wanted, ep_congestion_name(number)) == 0)
			return number;
	return 0;
}
