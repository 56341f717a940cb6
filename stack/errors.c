/* SPDX-License-Identifier: BSD-3-Clause */
/* The error queue of a socket with EP_RECV_ERR (Linux's IP_RECVERR, ip(7)): each ICMP error about what it sent, and each datagram that was
 * too long for its path, with what a program is told of it, until it is taken. The records of a socket are a ring of which
 * it knows the newest; they are the stack's, bounded for each socket and in all. */
#include "layers.h"

#include <errno.h>

#include "wire.h"

#define QUEUE_MOST 128u         /* errors a socket */
#define ALL_MOST 16384u

struct queued_error {
	struct queued_error *next;
	struct ep_queued_error told;
	uint8_t quote[EP_QUOTE_MOST];
};

bool errors_init(struct stack *s)
{
	return pool_init(&s->queued_errors, sizeof(struct queued_error), ALL_MOST);
}

void errors_free(struct stack *s)
{
	pool_free(&s->queued_errors);
}

static void append(struct stack *s, struct endpoint *ep, const struct ep_queued_error *told, const uint8_t *quote)
{
	struct queued_error *q = ep->errors_count < QUEUE_MOST ? pool_take_or_null(&s->queued_errors) : NULL;
	uint32_t n = told->quoted < EP_QUOTE_MOST ? told->quoted : EP_QUOTE_MOST;

	if (!q) {
		drop_count(s, DROP_ERROR_QUEUE);
		return;
	}
	q->told = *told;
	q->told.quoted = n;
	if (n > 0)
		memcpy(q->quote, quote, n);
	q->next = ep->errors ? ep->errors->next : q;
	if (ep->errors)
		ep->errors->next = q;
	ep->errors = q;
	ep->errors_count++;
	ep_event_raise(s, ep, EP_ERROR);
}

static struct queued_error *take_oldest(struct endpoint *ep)
{
	struct queued_error *q = ep->errors->next;

	ep->errors->next = q->next;
	if (q == ep->errors)
		ep->errors = NULL;
	ep->errors_count--;
	return q;
}

void errors_purge(struct stack *s, struct endpoint *ep)
{
	while (ep->errors)
		pool_put(&s->queued_errors, take_oldest(ep));
}

void errors_icmp(struct stack *s, struct endpoint *ep, const struct icmp_error *e, uint32_t header_len)
{
	struct ep_queued_error told = {
		.error = e->error, .origin = EP_ORIGIN_ICMP, .type = e->type, .code = e->code, .info = e->mtu ? e->mtu : e->pointer,
		.offender = e->offender, .local = e->key.local, .destination = { e->key.remote, e->key.remote_port },
		.interface = e->interface, .ttl = e->ttl, .tos = e->tos,
	};

	if (!ep->recv_err || ep->closed)
		return;
	told.quoted = e->quoted_len > header_len ? e->quoted_len - header_len : 0;
	append(s, ep, &told, e->quoted + header_len);
}

/* The port is the connected peer's, as in Linux (ip_local_error). */
void errors_too_long(struct stack *s, struct endpoint *ep, const struct ipaddr *to, uint32_t mtu)
{
	struct ep_queued_error told = {
		.error = EMSGSIZE, .origin = EP_ORIGIN_LOCAL, .info = mtu, .local = ep->local.addr, .destination = { *to, ep->peer.port },
	};

	if (ep->recv_err && !ep->closed)
		append(s, ep, &told, NULL);
}

const char *errors_check(const struct endpoint *ep, uint32_t *count)
{
	const struct queued_error *q = ep->errors;
	uint32_t n = 0;

	if (q)
		do {
			q = q->next;
			n++;
		} while (q != ep->errors && n <= QUEUE_MOST);
	*count += n;
	return n == ep->errors_count ? NULL : "errors: the errors queued for a socket do not add up";
}

/* As sock_dequeue_err_skb: with an ICMP error goes what SO_ERROR would say of it; the next one's comes in its place. */
int ep_take_queued_error(struct stack *s, ep_id id, struct ep_queued_error *out, uint8_t *quote)
{
	struct endpoint *ep = ep_find(s, id);
	struct queued_error *q;
	bool next_is_icmp;

	if (!ep || ep->closed)
		return -EBADF;
	if (!ep->errors)
		return -EAGAIN;
	q = take_oldest(ep);
	*out = q->told;
	memcpy(quote, q->quote, q->told.quoted);
	pool_put(&s->queued_errors, q);
	next_is_icmp = ep->errors && ep->errors->next->told.origin == EP_ORIGIN_ICMP;
	out->clears = next_is_icmp || out->origin == EP_ORIGIN_ICMP;
	if (out->clears)
		ep->error = next_is_icmp ? ep->errors->next->told.error : 0;
	if (ep->errors)
		ep_event_raise(s, ep, EP_ERROR);
	return 0;
}
