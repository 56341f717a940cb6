/* SPDX-License-Identifier: BSD-3-Clause */
/* Cookies of Fast Open: made and verified as a server, remembered as a client (RFC 7413 4.1.2, 4.1.3). */
#ifndef LIGHT_TCP_FASTOPEN_COOKIE_H
#define LIGHT_TCP_FASTOPEN_COOKIE_H

#include "conn.h"

#define FASTOPEN_KEY_LIFE (3600 * NSEC_PER_SEC)

/* The cookie of the client in this flow; the form that it was asked for stays. */
void fastopen_cookie_make(const struct stack *, const struct flow_key *, struct fastopen_cookie *);
/* Made with the key of now or the one before; *old: with the one before. */
bool fastopen_cookie_valid(const struct stack *, const struct flow_key *, const struct fastopen_cookie *, bool *old);

struct fastopen_cache *fastopen_cache_new(void); /* NULL: no memory */
void fastopen_cache_free(struct fastopen_cache *);

enum fastopen_advice {
	FASTOPEN_ASK,   /* no cookie: ask for one */
	FASTOPEN_DATA,  /* here is one, and how much the server takes in one segment */
	FASTOPEN_AVOID, /* data in a SYN got lost on this way, not long ago */
};
enum fastopen_advice fastopen_recall(const struct stack *, const struct flow_key *, struct fastopen_cookie *, uint16_t *mss);
void fastopen_learn(struct stack *, const struct flow_key *, const struct fastopen_cookie *, uint16_t mss);
/* Data in a SYN was acknowledged; or it was not, or the SYN itself not answered. */
void fastopen_worked(struct stack *, const struct flow_key *);
void fastopen_failed(struct stack *, const struct flow_key *);

#endif
