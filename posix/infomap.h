/* SPDX-License-Identifier: BSD-3-Clause */
/* What the stack knows of a connection (struct ep_info) in the form of Linux's TCP_INFO, and the names of congestion controls. Pure: for
 * the preload library and for the simulated process of sim/ alike. */
#ifndef LIGHT_POSIX_INFOMAP_H
#define LIGHT_POSIX_INFOMAP_H

#include <stdint.h>
#include <sys/socket.h>

struct ep_info;

#define INFOMAP_NAME_BYTES 16   /* TCP_CA_NAME_MAX */

/* struct tcp_info as Linux has it today: the system's header may be older and end sooner. Times are microseconds but for those that
 * say otherwise, windows of segments are segments. */
struct infomap_tcp {
	uint8_t state, ca_state, retransmits, probes, backoff, options, scales, flags;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent_ms, last_ack_sent_ms, last_data_recv_ms, last_ack_recv_ms;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
	uint16_t total_rto, total_rto_recoveries;
	uint32_t total_rto_time_ms;
	uint32_t received_ce, delivered_e1_bytes, delivered_e0_bytes, delivered_ce_bytes;
	uint32_t received_e1_bytes, received_e0_bytes, received_ce_bytes;
	uint16_t accecn_fail_mode, accecn_opt_seen;
};
_Static_assert(sizeof(struct infomap_tcp) == 280, "Linux's length");

void infomap_tcp(const struct ep_info *, struct infomap_tcp *);
/* Cut to what the program has room for. */
void infomap_write_tcp(const struct ep_info *, void *value, socklen_t *length);
/* NULL is no name. */
void infomap_congestion_name(const char *given, char name[INFOMAP_NAME_BYTES]);
/* enum ep_congestion of a name as a program gives it; 0: there is none of that name. */
int64_t infomap_congestion_number(const void *value, socklen_t length);

#endif
