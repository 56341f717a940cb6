/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection, and what the files of tcp/ share: the transmission control block of RFC 9293 3.3.1 with the names
 * that the RFC gives. Who owns which part is said at the part; conn.c alone sets the state. */
#ifndef LIGHT_TCP_CONN_H
#define LIGHT_TCP_CONN_H

#include "../base/seq.h"
#include "../core.h"
#include "cc.h"
#include "rtt.h"
#include "segment.h"

#define TCP_MSS_DEFAULT 536        /* RFC 9293 MUST-15 */
#define TCP_SEND_FIRST_EXTENT 16384
#define TCP_RECEIVE_FIRST_EXTENT 16384

/* What a step says of a segment; only its caller answers the peer. */
enum verdict { NEXT, DONE, DROP, ACK, CHALLENGE, RESET };

/* Settings of a socket that outlive listen and are inherited by the children of a listener. */
struct tcp_options {
	uint64_t max_pacing_rate;          /* bytes a second; 0: none */
	uint32_t user_timeout;             /* milliseconds; 0: the stack's */
	uint32_t notsent_low, window_clamp;
	uint16_t keep_idle, keep_interval; /* seconds; 0: the stack's */
	int16_t linger2;                   /* seconds in FIN-WAIT-2; 0: the stack's, < 0: none */
	uint16_t max_segment;              /* 0: as the path allows */
	uint16_t defer_accept;             /* seconds */
	uint16_t fastopen;                 /* a listener's: handshakes at a time whose data is taken; 0: none */
	uint8_t keep_count, syn_count;     /* 0: the stack's */
	uint8_t congestion;                /* enum ep_congestion; 0: the stack's */
	bool fastopen_connect : 1;         /* connect waits for the first bytes, if there is a cookie for the peer */
	bool nodelay : 1, cork : 1;
};

/* The beginning of both things that endpoint.tcp can be: TCP_LISTEN is a listener, all else a connection. */
struct tcp_socket {
	struct tcp_options options;
	uint8_t state; /* enum tcp_state */
};

/* What the retransmission deadline is for; one at a time (timers.c). */
enum retransmit_mode {
	RETRANSMIT_NONE,
	RETRANSMIT_DATA,     /* RFC 6298: what is unacknowledged is taken for lost */
	RETRANSMIT_PROBE,    /* zero window (RFC 9293 3.8.6.1) */
	RETRANSMIT_OVERRIDE, /* a small segment was held long enough (3.8.6.2.1), or a cork */
};

enum conn_deadline { DUE_RETRANSMIT, DUE_ACK, DUE_KEEPALIVE, DUE_LIFE, DUE_LOSS, DUE_PACE, CONN_DEADLINES };

/* What the deadline for loss is for (RFC 8985). */
enum loss_timer { LOSS_TIMER_NONE, LOSS_TIMER_REORDER, LOSS_TIMER_PROBE };

/* DupThresh (RFC 5681 3.2, RFC 6675 2). */
#define DUPLICATES 3

enum loss_phase { LOSS_OPEN, LOSS_RECOVERY, LOSS_TIMEOUT };

enum urgent_state { URGENT_NONE, URGENT_EXPECTED, URGENT_HERE, URGENT_TAKEN };

/* validate.c: whether the window is in use (RFC 7661). */
#define VALIDATION_BINS 5

struct validation {
	nsec bin_end, unvalidated_since;
	uint32_t most[VALIDATION_BINS]; /* acknowledged in one round trip, the newest bin first */
	uint32_t pipe_ack;      /* the most of them; 0: undefined */
	uint32_t round_end;     /* the round trip is over when this is acknowledged */
	uint32_t from, window;  /* low bits of bytes_acked, and cwnd, when it began */
	uint32_t resent_from;   /* low bits of bytes_retransmitted when a loss was seen */
	uint32_t burst;         /* that may leave at once in the non-validated phase, */
	uint32_t burst_end;     /* and the sequence number to which it reaches before the next acknowledgment */
	bool begun;             /* it counts: there was no recovery in it */
	bool open;              /* nothing was acknowledged in it yet: what is in flight then is its end */
	bool in_loss;           /* the loss was in the non-validated phase */
};

/* What a sender is about (meter.h): nothing; sending; waiting for the peer's window; for a program that waits for room in the buffer. */
enum meter_state { METER_IDLE, METER_BUSY, METER_WINDOW, METER_BUFFER, METER_STATES };

struct meter {
	uint32_t changed, time[METER_STATES - 1]; /* milliseconds */
	uint32_t since, from;           /* of the measurement of a rate: when, in microseconds, and snd_una then */
	uint32_t rate_bytes, rate_usec; /* the last good one */
	uint32_t duplicates, reorderings;
	uint16_t reordering;            /* the farthest, in segments */
	uint8_t state;
	bool rate_starved;              /* the program had no more to send */
};

struct gap_interval {
	uint32_t start, end; /* bytes [start, end) are in the ring */
};

struct tcp_conn {
	struct tcp_socket socket;
	/* state bits; conn.c, close.c */
	bool in_flows : 1;       /* found by its four-tuple */
	bool fin_wanted : 1;     /* the program has no more to send: FIN behind the last byte */
	bool fin_received : 1;   /* the peer's FIN was in order */
	bool fin_seen : 1;       /* a FIN lies beyond a gap, at fin_seq */
	bool passive : 1;        /* came from a listener */
	bool detached : 1;       /* TIME-WAIT: the four-tuple lives on in the small pool */
	bool time_wait_reuse : 1;
	/* negotiated */
	bool ts_on : 1, sack_on : 1, scale_on : 1;
	/* send.c, recv.c */
	bool ack_now : 1;        /* an ACK is owed at the end of the turn */
	bool uto_due : 1;        /* the next segment with room carries the user timeout (user_timeout.c) */
	bool was_full : 1;       /* the send ring was seen nearly full: EP_WRITABLE is owed when it empties */
	bool push_small : 1;     /* the override timer fired: small segments may go */
	bool receive_short : 1;  /* memory could not be lent: the window stays at what there is */
	bool timed : 1;          /* timed_seq is being measured */
	bool unvalidated : 1;    /* the window is larger than what is used of it (validate.c) */
	bool syn_retransmitted : 1;
	/* active_open.c: our SYN waits for data to carry; carried some; the peer took it; has the option of Fast Open */
	bool syn_deferred : 1, syn_data : 1, syn_data_acked : 1, fastopen_on : 1;
	bool reordering_seen : 1, dsack_round_on : 1; /* rack.c */
	bool probe_out : 1, probe_again : 1;          /* a tail loss probe is not acknowledged yet; TLP.is_retrans */
	bool probe_unmeasured : 1;                    /* no round trip was measured since the last one */
	bool mtu_changed : 1;
	bool orphan : 1;         /* its owner has gone (close.c) */
	bool rtt_resume : 1;     /* a timeout was needless: the next sample replaces what is smaller (RFC 4015 3.1) */
	bool ecn_plain : 1;      /* a SYN without ECN went out after one with it */
	bool own_timeout : 1;    /* not the stack's user timeout: the program's, or one adopted */
	uint8_t urgent : 2;      /* enum urgent_state of what is received */
	uint8_t ecn_offered : 2; /* enum ecn_mode of our SYN */
	uint8_t challenges : 4;  /* in the current interval (RFC 5961 7) */
	uint8_t urgent_byte;
	uint8_t phase;           /* enum loss_phase */
	uint8_t retransmit_mode; /* enum retransmit_mode */
	uint8_t loss_timer;      /* enum loss_timer */
	uint8_t quickacks;       /* full segments still to be acknowledged at once */
	uint8_t snd_scale : 4, rcv_scale : 4;
	uint8_t backoff, retransmits, probes, keep_probes, dupacks;
	uint8_t reorder_steps, reorder_persist; /* RACK.reo_wnd_mult, RACK.reo_wnd_persist */
	uint8_t unacked_segments; /* full segments received since the last ACK */
	uint8_t soft_error;       /* an ICMP error to report if the connection fails; positive errno */
	uint16_t snd_mss;         /* payload of a full segment now, options taken off */
	uint16_t peer_mss, rcv_mss;
	uint16_t remote_uto;      /* the peer's User Timeout Option; 0: neither end uses any */

	/* What every segment needs, in and out, lies together. Send sequence (RFC 9293 3.3.1); snd_nxt goes back where the path's MTU fell or
	 * the window closed, snd_max is the highest ever. */
	uint32_t snd_una, snd_nxt, snd_max, snd_wnd, snd_wl1, snd_wl2, max_snd_wnd;
	uint32_t send_base;       /* the sequence number of index 0 of the send ring */
	/* Receive sequence. rcv_adv is the right edge ever advertised; rcv_limit bytes may be unread. */
	uint32_t rcv_nxt, rcv_adv, rcv_limit, last_ack_sent;
	uint32_t receive_base;
	uint32_t ts_recent, ts_recent_at, ts_offset; /* ts_recent_at: seconds */
	uint32_t autotune_from;   /* rcv_nxt when the measurement began */
	uint32_t segments_received, data_received;
	struct stack *stack;
	struct endpoint *ep;      /* never NULL */
	nsec autotune_since;
	nsec last_received, last_acked, data_arrived;
	struct ecn *ecn;          /* NULL: not negotiated (ecn.c) */
	struct gaps *gaps;        /* what arrived beyond a gap; NULL: nothing (gaps.c) */
	struct flight *flight;    /* the scoreboard; NULL: what is outstanding left at sent_at, together and once (flight.c) */
	struct delivery *delivery; /* pace.h: what is paced or measured; NULL: neither */
	struct meter *meter;      /* NULL: nothing was sent yet (meter.c) */
	struct validation *validation; /* NULL: nothing was acknowledged yet (validate.c) */
	struct mtu_search *mtu;   /* what size of packets passes, while that is in doubt (mtu_probe.c); else NULL */
	uint64_t bytes_received;
	struct list ready_node;   /* on tcp->ready: something may be sent */
	struct flow flow;

	/* What is sent, and acknowledged. */
	nsec due[CONN_DEADLINES]; /* NSEC_NEVER: not armed */
	nsec last_sent, sent_at, timed_at, stalled_since;
	uint32_t timed_seq, recover;
	uint32_t snd_up;          /* the number behind the urgent byte; urgent while beyond snd_una */
	uint32_t snd_small;       /* end of the last small segment sent (Minshall) */
	uint32_t segments_sent, data_sent;
	uint64_t bytes_acked;
	struct path path;
	struct rtt rtt;
	struct cc cc;
	struct timer timer;       /* one for all deadlines; timers.c */

	/* What few segments need. */
	struct tcp_listener *listener; /* whose backlog it is in, or NULL */
	struct half_open *request;     /* of a child that came with its SYN, until the handshake is complete */
	struct list accept_node;
	uint32_t iss, irs, rcv_up, fin_seq;
	struct sack_block duplicate; /* received again, to be reported with the next ACK (RFC 2883); start == end: nothing */
	uint32_t dsack_round, probe_end; /* RACK.dsack_round, TLP.end_seq */
	uint32_t challenge_since, oow_acked; /* milliseconds; challenges are counted from, ... was last answered (0: never) */
	uint32_t confirmed;       /* seconds: when the neighbour was last told that it answers */
	uint32_t rcv_rtt;         /* microseconds: a round trip as the receiver sees it; 0: not known (recv.c) */
	/* what ep_info shows besides */
	uint64_t bytes_retransmitted;
	uint32_t retransmitted_total, reordered;
};

struct tcp_listener {
	struct tcp_socket socket;
	struct endpoint *ep;
	struct list accept_queue;  /* of tcp_conn.accept_node, the oldest first */
	struct list half_opens;    /* of half_open.listener_node */
	uint32_t backlog, queued;
	uint32_t half_open_count;
	uint32_t fastopen_pending; /* of those: children that came with their SYN, or were reset before its time was over */
	nsec cookie_sent;          /* the last SYN cookie, so that ACKs may bring one back; 0: none yet */
};

#define TCP_LINK_WAIT (20 * NSEC_PER_USEC)  /* before a link without room is asked again */

struct tcp_stack {
	struct pool conns, listeners, half_opens, time_waits, gaps, many_gaps, most_gaps, flights, records, deliveries, ecns, mtu_searches, validations, meters;
	uint32_t orphans;
	struct list ready;
	struct list half_open_age, time_wait_age; /* the oldest first */
	nsec retry_at; /* a link had no packet: nobody sends before this */
	struct siphash_key isn_key, ts_key, cookie_key, fastopen_key;
	struct fastopen_cache *fastopen; /* fastopen_cookie.c */
	uint32_t fastopen_requests;      /* half-open connections that are not in the flow table: their child is */
	const struct cc_ops *cc;
	struct resets *resets;  /* waiting for a link (resets.c) */
};

static inline struct tcp_conn *conn_of(const struct endpoint *ep)
{
	return ep->tcp;
}

static inline const struct tcp_settings *settings_of(const struct tcp_conn *c)
{
	return &c->stack->config.tcp;
}

static inline const struct cc_ops *conn_congestion(const struct tcp_conn *c)
{
	unsigned own = c->socket.options.congestion;

	return own ? cc_number(own) : c->stack->tcp->cc;
}

/* For what is compared across hours or days, in half the memory. */
static inline uint32_t seconds_now(const struct tcp_conn *c)
{
	return (uint32_t)(c->stack->now / NSEC_PER_SEC);
}

static inline uint32_t milliseconds_now(const struct tcp_conn *c)
{
	return (uint32_t)(c->stack->now / NSEC_PER_MSEC);
}

/* The sequence number behind the last byte that the program has queued. */
static inline uint32_t conn_send_end(const struct tcp_conn *c)
{
	return c->send_base + c->ep->send.head;
}

/* Bytes and FIN sent and not acknowledged. */
static inline uint32_t conn_in_flight(const struct tcp_conn *c)
{
	return c->snd_nxt - c->snd_una;
}

/* Everything from the SYN to the FIN, for states from ESTABLISHED on. */
static inline bool conn_synchronised(const struct tcp_conn *c)
{
	uint8_t s = c->socket.state;

	return s == TCP_ESTABLISHED || (s != TCP_CLOSED && s != TCP_SYN_SENT && s != TCP_SYN_RECEIVED && s != TCP_TIME_WAIT);
}

static inline bool conn_fin_acked(const struct tcp_conn *c)
{
	return c->fin_wanted && seq_gt(c->snd_una, conn_send_end(c));
}

/* Whether there is anything that could be sent (again): bytes, or the FIN. */
static inline bool conn_has_unsent(const struct tcp_conn *c)
{
	return conn_send_end(c) + c->fin_wanted != c->snd_nxt;
}

/* conn.c: life. */

/* In CLOSED, not in the flow table. NULL: the pool is dry. */
struct tcp_conn *conn_new(struct stack *, struct endpoint *);
void conn_free(struct tcp_conn *);
/* The one place where the state changes. */
void conn_set_state(struct tcp_conn *, enum tcp_state);
/* RFC 6528: 4 us clock + keyed hash of the four-tuple. */
uint32_t conn_isn(const struct stack *, const struct flow_key *);
/* The offset of the timestamp clock towards this peer: one for all ports, so that it grows across
 * connections (RFC 7323 5.4, RFC 6191). */
uint32_t conn_ts_offset(const struct stack *, const struct flow_key *);
uint32_t conn_ts_now(const struct stack *, uint32_t offset);
/* The payload of a full segment from path, peer and options. A smaller one leaves cwnd as many segments, a larger one as many bytes
 * (RFC 4821 4: packets neither come faster nor carry more at once). */
void conn_update_mss(struct tcp_conn *);
/* Looks for the path anew if it may have changed. False: there is none now. */
bool conn_refresh_path(struct tcp_conn *);
/* The MSS option for an interface, and the shift for the largest window it may offer (RFC 7323 2.2). */
uint16_t conn_mss_option(const struct stack *, const struct path *, uint16_t wish);
uint8_t conn_scale_for(uint32_t receive_max);
/* The most of the first flight (RFC 6928 2, RFC 5681 3.1), and after idle times. */
uint32_t conn_initial_window(const struct tcp_conn *);
/* The handshake is done: windows, first extent of the send ring, congestion control. */
void conn_established(struct tcp_conn *);
/* There is something to send, or an ACK: looked at the end of the turn. */
void conn_ready(struct tcp_conn *);
/* The connection is over: out of all tables. error: what the program is told (0: an orderly end). Frees *c if the
 * program had closed: do not touch it after this. */
void conn_end(struct tcp_conn *, int error);
/* Sends RST (if the state calls for one) and ends. */
void conn_abort(struct tcp_conn *, int error);
/* NULL: all invariants of the connection hold. */
const char *tcp_conn_check(const struct tcp_conn *);

#endif
