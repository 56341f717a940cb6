/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of a flow, and the sums over them. */
#include "flow.h"

#include <errno.h>
#include <string.h>

static bool sends(const struct flow *f, const struct talk *t)
{
	return t->host->number == f->plan.from && !t->client;
}

static void note_open(struct talk *t)
{
	struct flow *f = t->script->context;
	struct talk **list = sends(f, t) ? f->senders : f->receivers;
	unsigned i;

	for (i = 0; i < FLOW_TALKS; i++) {
		if (!list[i]) {
			list[i] = t;
			return;
		}
	}
}

static void forget(struct talk **list, const struct talk *t)
{
	unsigned i;

	for (i = 0; i < FLOW_TALKS; i++)
		if (list[i] == t)
			list[i] = NULL;
}

static void note_end(struct talk *t, int error)
{
	struct flow *f = t->script->context;
	struct ep_info info;

	forget(f->senders, t);
	forget(f->receivers, t);
	if (sends(f, t)) {
		f->bytes_sent += t->sent;
		if (ep_info(t->stack, t->ep, &info) != 0)
			return;
		f->data_segments += info.data_segments_sent;
		f->retransmitted += info.retransmitted_total;
		return;
	}
	f->bytes_received += t->received;
	f->last_ended = world_now(f->world);
	if (error) {
		f->failed++;
		return;
	}
	f->completed++;
	histogram_add(&f->completion, f->last_ended - t->began);
}

uint64_t flow_received(const struct flow *f)
{
	uint64_t sum = f->bytes_received;
	unsigned i;

	for (i = 0; i < FLOW_TALKS; i++)
		if (f->receivers[i])
			sum += f->receivers[i]->received;
	return sum;
}

static void note_buffers(struct flow *f, const struct talk *t)
{
	struct stack_memory memory;

	if (!t)
		return;
	stack_memory(t->stack, &memory);
	if (memory.stream_buffers > f->buffers_most)
		f->buffers_most = memory.stream_buffers;
}

void flow_look(struct flow *f)
{
	struct ep_info info;
	unsigned i;

	for (i = 0; i < FLOW_TALKS; i++) {
		if (f->senders[i] && ep_info(f->senders[i]->stack, f->senders[i]->ep, &info) == 0 && info.srtt)
			histogram_add(&f->rtt, info.srtt);
		note_buffers(f, f->senders[i]);
		note_buffers(f, f->receivers[i]);
	}
}

static void measure(void *context, uint64_t until)
{
	struct flow *f = context;

	if (until)
		f->received_at_until = flow_received(f);
	else
		f->received_at_from = flow_received(f);
}

void flow_measure(struct flow *f, nsec from, nsec until)
{
	f->measure_from = from;
	f->measure_until = until;
	world_at(f->world, from, measure, f, 0);
	if (until != NSEC_NEVER)
		world_at(f->world, until, measure, f, 1);
}

double flow_goodput(const struct flow *f)
{
	nsec until = f->measure_until;
	uint64_t bytes = f->received_at_until;

	/* It ended before, or nobody said when to look. */
	if (until == NSEC_NEVER || (f->last_ended && f->last_ended < until && f->completed + f->failed == f->plan.connections)) {
		until = f->last_ended;
		bytes = f->bytes_received;
	}
	if (until <= f->measure_from || bytes < f->received_at_from)
		return 0;
	return (double)(bytes - f->received_at_from) * 8e9 / (double)(until - f->measure_from);
}

double flow_fairness(const double *values, unsigned n)
{
	double sum = 0, squares = 0;
	unsigned i;

	for (i = 0; i < n; i++) {
		sum += values[i];
		squares += values[i] * values[i];
	}
	return squares > 0 ? sum * sum / (n * squares) : 0;
}

bool flow_start(struct flow *f, struct world *w, const struct flow_plan *plan)
{
	struct client_plan client;

	if (plan->from >= world_hosts(w) || plan->to >= world_hosts(w) || plan->from == plan->to
	    || plan->kind == TALK_SINK || (plan->congestion && plan->congestion >= EP_CC_END))
		return false;
	memset(f, 0, sizeof(*f));
	f->plan = *plan;
	f->world = w;
	f->measure_until = NSEC_NEVER;
	if (!f->plan.connections)
		f->plan.connections = 1;
	f->script = (struct talk_script){
		.kind = plan->kind, .port = plan->port, .bytes = plan->bytes, .ask = plan->ask, .answer = plan->answer,
		.rounds = plan->rounds, .half_close = true, .reader_waits = true, .may_fail = plan->may_fail,
		.endless = plan->bytes == 0 && plan->kind == TALK_SOURCE, .stop = plan->stop,
		.opened = note_open, .closing = note_end, .context = f,
		.server = { .congestion = plan->congestion, .send_buffer = plan->send_buffer, .chunk = plan->chunk },
		.client = { .congestion = plan->congestion, .receive_buffer = plan->receive_buffer,
			.read_pause = plan->read_pause, .chunk = plan->chunk },
	};
	client = (struct client_plan){
		.server = world_host(w, plan->from)->addr, .script = &f->script, .connections = f->plan.connections,
		.together = plan->together, .start = plan->start, .pause = plan->pause, .stagger = plan->stagger,
		.every = plan->every,
	};
	host_serve(world_host(w, plan->from), &f->script, 4096);
	if (world_failure(w))
		return false;
	host_connect(world_host(w, plan->to), &client);
	return true;
}
