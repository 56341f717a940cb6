/* SPDX-License-Identifier: BSD-3-Clause */
/* The scripted application at one end of a connection: reads and verifies, writes, closes, as its script says,
 * and nothing more than the events and the clock allow. Every byte is checked against its position. */
#include "talk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host.h"
#include "pattern.h"
#include "world.h"

#define CLIENT_SENDS UINT64_C(0x636c69656e74)
#define KEEP_IDLE 60      /* seconds */
#define KEEP_INTERVAL 10
#define SERVER_SENDS UINT64_C(0x736572766572)

static const struct talk_habits *habits(const struct talk *t)
{
	return t->client ? &t->script->client : &t->script->server;
}

static bool may_break(const struct talk_script *s)
{
	return s->may_fail || s->client.abort_after || s->server.abort_after;
}

uint64_t talk_total(const struct talk_script *s, bool client, enum ep_side side)
{
	bool from_client = client == (side == EP_SEND);

	if (s->endless && from_client == (s->kind == TALK_SINK))
		return UINT64_MAX;
	switch (s->kind) {
	case TALK_SINK: return from_client ? s->bytes : 0;
	case TALK_SOURCE: return from_client ? 0 : s->bytes;
	case TALK_ASK: return (uint64_t)s->rounds * (from_client ? s->ask : s->answer);
	default: return s->bytes;
	}
}

/* What this end has sent when it is done. */
static uint64_t send_total(const struct talk *t)
{
	uint64_t total = talk_total(t->script, t->client, EP_SEND);

	return total == UINT64_MAX && world_now(t->host->world) >= t->script->stop ? t->sent : total;
}

/* What may have been sent by now: an answer needs its question. */
static uint64_t send_limit(const struct talk *t)
{
	const struct talk_script *s = t->script;
	uint64_t rounds, total = send_total(t);

	if (s->kind == TALK_ECHO && !t->client)
		return t->received;
	if (s->kind != TALK_ASK)
		return total;
	if (t->client) {
		rounds = s->answer ? t->received / s->answer + 1 : s->rounds;
		return rounds * s->ask < total ? rounds * s->ask : total;
	}
	rounds = s->ask ? t->received / s->ask : s->rounds;
	return rounds * s->answer < total ? rounds * s->answer : total;
}

static void say_failure(struct talk *t, const char *what, int64_t detail)
{
	world_fail(t->host->world, "host %u, %s of port %u, kind %d: %s (%" PRId64 "); sent %" PRIu64
		" of %" PRIu64 ", received %" PRIu64 " of %" PRIu64, t->host->number,
		t->client ? "client" : "server", t->script->port, (int)t->script->kind, what, detail, t->sent,
		talk_total(t->script, t->client, EP_SEND), t->received,
		talk_total(t->script, t->client, EP_RECEIVE));
}

static void over(struct talk *t, int error)
{
	world_note_done(t->host->world);
	if (error == 0)
		t->host->stats.completed++;
	else if (error == ECONNABORTED)
		t->host->stats.aborted++;
	else
		t->host->stats.failed++;
	if (error)
		t->host->stats.last_error = error;
	if (t->finished)
		t->finished(t, error);
	t->finished = NULL;
}

static void gone(struct talk *t)
{
	t->state = TALK_FREE;
	t->ep = 0;
	t->host->talks--;
	if (t->timers == 0)
		host_talk_put(t);
}

/* What the connection says of itself, while it still does. */
static void note_connection(struct talk *t)
{
	struct host_stats *stats = &t->host->stats;
	struct ep_info i;

	if (ep_info(t->stack, t->ep, &i) != 0)
		return;
	stats->data_segments += i.data_segments_sent;
	stats->retransmitted += i.retransmitted_total;
	if (i.srtt == 0)
		return;
	stats->rtt_sum += i.srtt;
	stats->rtt_count++;
	if (i.srtt > stats->rtt_max)
		stats->rtt_max = i.srtt;
	if (!stats->rtt_min || i.srtt < stats->rtt_min)
		stats->rtt_min = i.srtt;
}

static void close_talk(struct talk *t, int error)
{
	int r;

	note_connection(t);
	if (t->script->closing)
		t->script->closing(t, error);
	r = ep_close(t->stack, t->ep);

	t->host->touched = true;
	if (r != 0)
		say_failure(t, "ep_close", r);
	t->state = TALK_CLOSING;
	over(t, error);
}

static void broken(struct talk *t, int error)
{
	if (!may_break(t->script))
		say_failure(t, strerror(error), error);
	close_talk(t, error ? error : ECONNRESET);
}

void talk_abort(struct talk *t)
{
	struct ep_name name;
	int r;

	if (t->script->closing)
		t->script->closing(t, ECONNABORTED);
	r = ep_abort(t->stack, t->ep);

	t->host->touched = true;
	if (r != 0)
		say_failure(t, "ep_abort", r);
	t->state = TALK_CLOSING;
	over(t, ECONNABORTED);
	/* Where an abort frees the handle at once, no EP_RELEASED will come. */
	if (ep_local(t->stack, t->ep, &name) == -EBADF)
		gone(t);
}

static void wake(void *context, uint64_t when)
{
	struct talk *t = context;

	t->timers--;
	if (t->wake_at == when)
		t->wake_at = NSEC_NEVER;
	if (t->state == TALK_FREE) {
		if (t->timers == 0)
			host_talk_put(t);
		return;
	}
	stack_at(t->stack, world_now(t->host->world));
	t->host->touched = true;
	if (t->state == TALK_OPEN)
		talk_run(t);
}

static void wake_at(struct talk *t, nsec when)
{
	if (t->wake_at <= when)
		return;
	t->wake_at = when;
	t->timers++;
	world_at(t->host->world, when, wake, t, when);
}

static uint32_t chunk_of(const struct talk *t)
{
	uint32_t c = habits(t)->chunk;

	return c && c < HOST_SCRATCH ? c : HOST_SCRATCH;
}

/* False: the connection broke. */
static bool read_some(struct talk *t)
{
	uint64_t total = talk_total(t->script, t->client, EP_RECEIVE);
	nsec now = world_now(t->host->world);
	uint32_t wrong;
	int64_t n;

	while (!t->read_over) {
		if (now < t->next_read) {
			wake_at(t, t->next_read);
			return true;
		}
		n = ep_recv(t->stack, t->ep, t->host->scratch, chunk_of(t));
		if (n == -EAGAIN)
			return true;
		if (n < 0) {
			broken(t, (int)-n);
			return false;
		}
		if (n == 0) {
			t->read_over = true;
			if (t->received != total && total != UINT64_MAX)
				say_failure(t, "the stream ended early", 0);
			return true;
		}
		wrong = pattern_differs(t->receive_key, t->received, t->host->scratch, (uint32_t)n);
		if (wrong != n)
			say_failure(t, "a wrong byte at stream offset", (int64_t)(t->received + wrong));
		t->received += (uint64_t)n;
		t->host->stats.bytes_received += (uint64_t)n;
		if (t->received > total)
			say_failure(t, "more bytes than were sent", n);
		if (habits(t)->read_pause)
			t->next_read = now + habits(t)->read_pause;
	}
	return true;
}

static bool write_some(struct talk *t)
{
	nsec now = world_now(t->host->world);
	uint64_t limit = send_limit(t);
	uint32_t n;
	int64_t r;

	while (t->sent < limit) {
		if (now < t->next_write) {
			wake_at(t, t->next_write);
			return true;
		}
		n = chunk_of(t);
		if (n > limit - t->sent)
			n = (uint32_t)(limit - t->sent);
		pattern_fill(t->send_key, t->sent, t->host->scratch, n);
		r = ep_send(t->stack, t->ep, t->host->scratch, n);
		if (r == -EAGAIN)
			return true;
		if (r <= 0 || r > n) {
			broken(t, r < 0 ? (int)-r : EPROTO);
			return false;
		}
		t->sent += (uint64_t)r;
		t->host->stats.bytes_sent += (uint64_t)r;
		if (habits(t)->write_pause)
			t->next_write = now + habits(t)->write_pause;
	}
	return true;
}

/* Whether this end has nothing more to do but to close. */
static bool said_all(const struct talk *t)
{
	bool first = t->client != (t->script->kind == TALK_SOURCE);

	if (t->sent != send_total(t))
		return false;
	if (t->script->half_close || !first)
		return t->read_over;
	return t->received == talk_total(t->script, t->client, EP_RECEIVE);
}

static void finish_some(struct talk *t)
{
	nsec now = world_now(t->host->world);
	int r;

	if (habits(t)->abort_after && t->sent + t->received >= habits(t)->abort_after) {
		talk_abort(t);
		return;
	}
	if (t->script->half_close && !t->shut && t->sent == send_total(t)
	    && (!t->script->reader_waits || t->read_over || send_total(t) > 0)) {
		t->shut = true;
		r = ep_shutdown(t->stack, t->ep, EP_SHUT_WRITE);
		if (r != 0 && !may_break(t->script))
			say_failure(t, "ep_shutdown", r);
	}
	if (!said_all(t))
		return;
	if (t->client && t->script->hold) {
		if (t->close_at == NSEC_NEVER)
			t->close_at = now + t->script->hold;
		if (now < t->close_at) {
			wake_at(t, t->close_at);
			return;
		}
	}
	close_talk(t, 0);
}

static uint64_t key_of(const struct ep_name *client, const struct ep_name *server)
{
	uint64_t a = (uint64_t)client->addr.words[3] << 32 | server->addr.words[3];

	return pattern_word(a, (uint64_t)client->port << 16 | server->port);
}

/* The handshake is complete: both ends know both names now. */
static void open_talk(struct talk *t)
{
	struct ep_name local, peer;
	uint64_t key;

	if (ep_local(t->stack, t->ep, &local) != 0 || ep_peer(t->stack, t->ep, &peer) != 0) {
		broken(t, ENOTCONN);
		return;
	}
	key = t->client ? key_of(&local, &peer) : key_of(&peer, &local);
	t->send_key = key ^ (t->client ? CLIENT_SENDS : SERVER_SENDS);
	t->receive_key = key ^ (t->client ? SERVER_SENDS : CLIENT_SENDS);
	t->state = TALK_OPEN;
	if (t->client)
		t->host->stats.connected++;
	else
		t->host->stats.accepted++;
	if (t->script->endless && talk_total(t->script, t->client, EP_SEND) == UINT64_MAX
	    && t->script->stop > world_now(t->host->world))
		wake_at(t, t->script->stop);
	if (t->script->opened)
		t->script->opened(t);
	talk_run(t);
}

static void set_options(struct talk *t)
{
	const struct talk_habits *h = habits(t);

	if (h->receive_buffer)
		ep_set(t->stack, t->ep, EP_RECEIVE_BUFFER, h->receive_buffer);
	if (h->send_buffer)
		ep_set(t->stack, t->ep, EP_SEND_BUFFER, h->send_buffer);
	if (h->congestion)
		ep_set(t->stack, t->ep, EP_CONGESTION, h->congestion);
	if (h->nodelay)
		ep_set(t->stack, t->ep, EP_NODELAY, 1);
	if (!may_break(t->script))
		return;
	/* The peer may be gone without a word. */
	ep_set(t->stack, t->ep, EP_KEEPALIVE, 1);
	ep_set(t->stack, t->ep, EP_KEEP_IDLE, KEEP_IDLE);
	ep_set(t->stack, t->ep, EP_KEEP_INTERVAL, KEEP_INTERVAL);
}

void talk_run(struct talk *t)
{
	t->host->touched = true;
	if (read_some(t) && write_some(t))
		finish_some(t);
}

void talk_event(struct talk *t, uint32_t mask)
{
	if (mask & EP_RELEASED) {
		if (t->state != TALK_CLOSING)
			say_failure(t, "released, but never closed", mask);
		else
			gone(t);
		return;
	}
	if (t->state == TALK_CONNECTING) {
		if (mask & EP_CONNECTED)
			open_talk(t);
		else if (mask & (EP_ERROR | EP_HANGUP))
			broken(t, ep_take_error(t->stack, t->ep));
		return;
	}
	if (t->state == TALK_OPEN)
		talk_run(t);
}

void talk_begin(struct talk *t, struct host *h, struct stack *stack, ep_id ep, const struct talk_script *s, bool client)
{
	t->stack = stack;
	t->app_kind = APP_TALK;
	t->host = h;
	t->ep = ep;
	t->script = s;
	t->client = client;
	t->state = TALK_CONNECTING;
	t->close_at = t->wake_at = NSEC_NEVER;
	t->began = world_now(h->world);
	h->talks++;
	set_options(t);
	if (!client)
		open_talk(t);
}
