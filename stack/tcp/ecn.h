/* SPDX-License-Identifier: BSD-3-Clause */
/* Explicit congestion notification: RFC 3168 (classic) and RFC 9768 (accurate, accecn.h). What was negotiated, what is echoed to
 * the peer, and the one reduction a window that its echo asks for. A connection without ECN has no struct ecn. */
#ifndef LIGHT_TCP_ECN_H
#define LIGHT_TCP_ECN_H

#include "conn.h"
#include "half_open.h"

/* The ECN field of an IP header (RFC 3168 5). */
enum ecn_field { ECN_NOT_ECT = 0, ECN_ECT_1 = 1, ECN_ECT_0 = 2, ECN_CE = 3 };

enum ecn_mode { ECN_NONE, ECN_CLASSIC, ECN_ACCURATE };

/* The counters of bytes (RFC 9768 3.2.1), in the order of option kind 172. */
enum ecn_counter { ECN_E0B, ECN_CEB, ECN_E1B, ECN_COUNTERS };

struct ecn {
	uint8_t mode;            /* enum ecn_mode */
	uint8_t sent_field;      /* enum ecn_field of our SYN or SYN-ACK */
	uint8_t handshake_ace;   /* accurate: on the ACK of the SYN-ACK (RFC 9768 table 3); 0: it is out */
	uint8_t unreported;      /* accurate: CE packets since the last ACK */
	bool mute;               /* sets no ECT: the path, or the handshake, cannot be trusted with it */
	bool deaf;               /* accurate: ignores what the peer reports (RFC 9768 3.2.2.1) */
	bool seen;               /* something with ECT or CE arrived */
	/* as receiver */
	bool echo;               /* classic: ECE is on every ACK */
	bool last_ce;            /* the last data that arrived had CE */
	bool option_due;         /* accurate: a counter moved since the option was sent last */
	bool option_off;         /* accurate: the path does not take our option */
	bool await_ack;          /* accurate, server: the next pure ACK is that of the SYN-ACK */
	uint32_t cep;            /* accurate: r.cep */
	uint32_t received_ce;    /* packets */
	uint32_t bytes[ECN_COUNTERS];      /* accurate: r.e0b, r.ceb, r.e1b */
	/* as sender */
	bool cwr;                /* classic: CWR is due on the next new data */
	bool heard;              /* the acknowledgment that is being looked at reports marks */
	bool quiet;              /* the window was reduced; marks on what was sent before `until` say nothing new */
	bool reducing;           /* ... and is on its way to `target` */
	bool undoable;           /* it was for a loss, which may turn out to be none */
	bool option_seen, option_bad;      /* accurate: of the peer */
	uint32_t delivered;      /* numbers that this acknowledgment says have arrived */
	uint32_t marked;         /* ... and how many of them with CE */
	uint32_t until, target;
	uint32_t prr_from, prr_delivered;  /* RFC 9937 */
	uint32_t peer_cep;       /* accurate: s.cep */
	uint32_t peer_bytes[ECN_COUNTERS]; /* accurate: s.e0b, s.ceb, s.e1b */
	uint32_t delivered_ce;   /* packets */
	nsec held_until;         /* a window of one segment cannot be halved: it waits (RFC 3168 6.1.2) */
};

/* ---- handshake ---- */

/* A listener is asked: what the half-open connection will be. */
void ecn_asked(struct half_open *, const struct tcp_segment *syn);
/* The same SYN again, or another: false: it contradicts the first, and nobody can know what the peer takes it for
 * (RFC 9768 3.1.5). */
bool ecn_asked_again(struct half_open *, const struct tcp_segment *syn);
/* What the SYN must have had whose cookie comes back with this ACK; classic: as the cookie says (RFC 9768 5.1). */
void ecn_restore(const struct half_open *, const struct tcp_segment *ack, bool classic, struct tcp_segment *syn);
void ecn_fill_syn_ack(const struct half_open *, struct tcp_segment *);
/* ... and the child. */
void ecn_inherit(struct tcp_conn *, const struct half_open *);
/* With c->ecn: the handshake is over. What its SYN-ACKs had to leave out, the connection leaves out, too (RFC 9768 3.2.3.2.2); a child of
 * Fast Open was there before them. */
void ecn_settled(struct tcp_conn *, const struct half_open *);
/* The SYN of an active open, for the first time or again. */
void ecn_fill_syn(struct tcp_conn *, struct tcp_segment *);
/* Its answer. */
void ecn_answered(struct tcp_conn *, const struct tcp_segment *syn_ack);
/* A SYN-ACK on an established connection that would have made another mode of it (RFC 9768 3.1.5). */
bool ecn_contradicts(const struct tcp_conn *, const struct tcp_segment *);
void ecn_forget(struct tcp_conn *);

/* ---- all below: only with c->ecn ---- */

/* An acceptable segment, before its acknowledgment and its data are looked at; len: its payload before it was trimmed. */
void ecn_arrived(struct tcp_conn *, const struct tcp_segment *, uint32_t len);
/* ... and after: marks that must not wait for a delayed ACK. */
void ecn_arrived_all(struct tcp_conn *);
/* What an acknowledgment reports of `delivered` numbers, before snd_una moves; and what follows, after. */
void ecn_take_feedback(struct tcp_conn *, const struct tcp_segment *, uint32_t delivered);
void ecn_respond(struct tcp_conn *);
/* Loss was found. True: the window was reduced since what is lost was sent, once is enough (RFC 3168 6.1.2). */
bool ecn_loss(struct tcp_conn *);
/* The window was reduced, for whatever reason but marks. */
void ecn_reduced(struct tcp_conn *);
/* It was all needless. */
void ecn_undone(struct tcp_conn *);
/* No growth by this acknowledgment. */
bool ecn_forbids_growth(const struct tcp_conn *);

/* What segments carry: each; an ACK without data (returns how many SACK blocks it may have of `sacks`); data from seq on. */
void ecn_fill(const struct tcp_conn *, struct tcp_segment *);
unsigned ecn_fill_ack(struct tcp_conn *, struct tcp_segment *, unsigned sacks);
void ecn_fill_data(struct tcp_conn *, struct tcp_segment *, uint32_t len);
/* It is out. */
void ecn_sent(struct tcp_conn *, const struct tcp_segment *);

/* What is sent next must be a single segment: cutting a super-frame would take CWR off all but the first. */
static inline bool ecn_alone(const struct tcp_conn *c)
{
	const struct ecn *e = c->ecn;

	return e && (e->mode == ECN_CLASSIC ? e->cwr : e->cep & 2);
}

#endif
