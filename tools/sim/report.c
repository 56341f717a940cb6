/* SPDX-License-Identifier: BSD-3-Clause */
/* What came of a scene: for people, as JSON, and against what its file expects. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sim/scene.h"

static bool chosen(const struct flow *f, const char *name)
{
	return !name || strcmp(f->plan.name, name) == 0;
}

static void merge(struct histogram *sum, const struct histogram *h)
{
	unsigned i;

	for (i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->buckets[i] += h->buckets[i];
	sum->count += h->count;
	sum->sum += h->sum;
	sum->most = h->most > sum->most ? h->most : sum->most;
}

/* All flows of this name as one. */
static struct flow sum_of(const struct scene *s, const char *name, double *goodput, double *fairness)
{
	struct flow sum = { 0 };
	double each[SCENE_FLOWS];
	unsigned i, n = 0;

	*goodput = 0;
	for (i = 0; i < s->flow_count; i++) {
		const struct flow *f = &s->flows[i];

		if (!chosen(f, name))
			continue;
		each[n] = flow_goodput(f);
		*goodput += each[n++];
		sum.completed += f->completed;
		sum.failed += f->failed;
		sum.data_segments += f->data_segments;
		sum.retransmitted += f->retransmitted;
		merge(&sum.completion, &f->completion);
		merge(&sum.rtt, &f->rtt);
		sum.buffers_most = f->buffers_most > sum.buffers_most ? f->buffers_most : sum.buffers_most;
	}
	*fairness = flow_fairness(each, n);
	return sum;
}

/* The queue named, or of all that in which packets wait longest. */
static const struct wire_queue_stats *queue_of(const struct scene *s, const char *host, unsigned direction)
{
	const struct wire_queue_stats *most = NULL, *q;
	unsigned h, d;

	for (h = 0; h < s->host_count; h++) {
		for (d = 0; d < 2; d++) {
			q = wire_queue_stats(world_wire(s->world), h, d);
			if (host && (strcmp(s->hosts[h].name, host) != 0 || d != direction))
				continue;
			if (!most || q->delay.sum > most->delay.sum)
				most = q;
		}
	}
	return most;
}

double scene_result(const struct scene *s, enum result what, const char *name, const char *host, unsigned direction)
{
	const struct wire_queue_stats *q = queue_of(s, host, direction);
	double goodput, fairness;
	struct flow sum = sum_of(s, name, &goodput, &fairness);

	switch (what) {
	case RESULT_GOODPUT: return goodput;
	case RESULT_FAIRNESS: return fairness;
	case RESULT_RETRANSMITTED: return sum.data_segments ? (double)sum.retransmitted / (double)sum.data_segments : 0;
	case RESULT_COMPLETED: return (double)sum.completed;
	case RESULT_FAILED: return (double)sum.failed;
	case RESULT_COMPLETION_P50: return (double)histogram_at(&sum.completion, 0.5) / 1e9;
	case RESULT_COMPLETION_P99: return (double)histogram_at(&sum.completion, 0.99) / 1e9;
	case RESULT_RTT_P50: return (double)histogram_at(&sum.rtt, 0.5) / 1e9;
	case RESULT_RTT_P95: return (double)histogram_at(&sum.rtt, 0.95) / 1e9;
	case RESULT_QUEUE_MEAN: return histogram_mean(&q->delay) / 1e9;
	case RESULT_QUEUE_P95: return (double)histogram_at(&q->delay, 0.95) / 1e9;
	case RESULT_QUEUE_MARKED: return q->packets ? (double)q->marked / (double)q->packets : 0;
	case RESULT_QUEUE_DROPPED: return q->packets ? (double)(q->dropped + q->full) / (double)q->packets : 0;
	case RESULT_BUFFERS: return (double)sum.buffers_most;
	default: return 0;
	}
}

static double ms(uint64_t t)
{
	return (double)t / 1e6;
}

static void print_flow(const struct flow *f, const char *name, double goodput)
{
	printf("%-12s %10.3f %9" PRIu64 " %7" PRIu64 " %9" PRIu64 " %8.3f %9.3f %9.3f %10.3f %10.3f\n", name, goodput / 1e6,
		f->completed, f->failed, f->retransmitted,
		f->data_segments ? 100.0 * (double)f->retransmitted / (double)f->data_segments : 0,
		ms(histogram_at(&f->rtt, 0.5)), ms(histogram_at(&f->rtt, 0.95)), ms(histogram_at(&f->completion, 0.5)),
		ms(histogram_at(&f->completion, 0.99)));
}

static void print_queue(const struct scene *s, unsigned h, unsigned d)
{
	const struct wire_queue_stats *q = wire_queue_stats(world_wire(s->world), h, d);

	if (!q->packets)
		return;
	printf("%-12s %-4s %9" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8u %9.3f %9.3f %9.3f\n", s->hosts[h].name,
		d == WIRE_UP ? "up" : "down", q->packets, q->full, q->dropped, q->marked, q->packets_most,
		histogram_mean(&q->delay) / 1e6, ms(histogram_at(&q->delay, 0.95)), ms(q->delay.most));
}

void scene_print(const struct scene *s, double seconds)
{
	double goodput, fairness;
	struct flow all = sum_of(s, NULL, &goodput, &fairness);
	unsigned i, d;

	printf("flow             Mbit/s completed  failed     again   %% again  rtt p50   p95 ms   done p50     p99 ms\n");
	for (i = 0; i < s->flow_count; i++)
		print_flow(&s->flows[i], s->plans[i].name, flow_goodput(&s->flows[i]));
	if (s->flow_count > 1) {
		print_flow(&all, "all", goodput);
		printf("Jain's index of fairness %.4f\n", fairness);
	}
	printf("queue             packets     full  dropped   marked     most  mean ms    p95 ms   most ms\n");
	for (i = 0; i < s->host_count; i++)
		for (d = 0; d < 2; d++)
			print_queue(s, i, d);
	printf("buffers: at most %.3f MB on a host; wire:", (double)all.buffers_most / 1e6);
	for (i = 0; i < WIRE_COUNTS; i++)
		if (wire_count(world_wire(s->world), i))
			printf(" %" PRIu64 " %s", wire_count(world_wire(s->world), i), wire_count_name(i));
	printf("\n%.6f s of virtual time, %" PRIu64 " frames, %" PRIu64 " turns in %.2f s; hash %016" PRIx64 "\n",
		(double)world_done(s->world) / 1e9, world_frames(s->world), world_turns(s->world), seconds,
		world_hash(s->world));
}

static void print_numbers(const struct scene *s, const char *flow)
{
	unsigned i;

	for (i = 0; i < RESULTS; i++)
		printf("%s\"%s\": %.9g", i ? ", " : "", scene_result_names[i], scene_result(s, i, flow, NULL, 0));
}

void scene_print_json(const struct scene *s, double seconds)
{
	unsigned i;

	printf("{");
	print_numbers(s, NULL);
	printf(", \"flows\": [");
	for (i = 0; i < s->flow_count; i++) {
		const struct flow *f = &s->flows[i];

		printf("%s{\"name\": \"%s\", \"goodput\": %.9g, \"data_segments\": %" PRIu64 ", \"again\": %" PRIu64
		       ", \"completed\": %" PRIu64 ", \"rtt_p50\": %.9g}", i ? ", " : "", s->plans[i].name,
		       flow_goodput(f), f->data_segments, f->retransmitted, f->completed,
		       (double)histogram_at(&f->rtt, 0.5) / 1e9);
	}
	printf("], \"wire\": {");
	for (i = 0; i < WIRE_COUNTS; i++)
		printf("%s\"%s\": %" PRIu64, i ? ", " : "", wire_count_name(i), wire_count(world_wire(s->world), i));
	printf("}, \"virtual_seconds\": %.9g, \"seconds\": %.3f, \"frames\": %" PRIu64 ", \"hash\": \"%016" PRIx64
	       "\", \"failed_world\": %s}\n", (double)world_done(s->world) / 1e9, seconds, world_frames(s->world),
	       world_hash(s->world), world_failure(s->world) ? "true" : "false");
}

unsigned scene_check(const struct scene *s)
{
	unsigned i, wrong = 0;

	for (i = 0; i < s->expectation_count; i++) {
		const struct scene_expectation *e = &s->expectations[i];
		double value = scene_result(s, e->what, e->flow, e->host, e->direction);

		if (value >= e->least && value <= e->most)
			continue;
		wrong++;
		fprintf(stderr, "%s:%d: %s%s%s is %.6g,", s->name, e->line, scene_result_names[e->what], e->flow ? " of " : "",
			e->flow ? e->flow : "", value);
		if (value < e->least)
			fprintf(stderr, " expected at least %.6g\n", e->least);
		else
			fprintf(stderr, " expected at most %.6g\n", e->most);
	}
	return wrong;
}
