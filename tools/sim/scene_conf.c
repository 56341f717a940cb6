/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of what a world's file may say, and how lists of hosts, flows, events and expectations become a scene. */
#include "tools/sim/conf.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "tools/refuse.h"
#include "tools/sim/scene.h"
#include "tools/units.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FIRST_PORT 5001u

static const char *const offloads[] = { "none", "csum", "tso", NULL };
static const char *const disciplines[] = { "drop-tail", "red", "codel", "step", NULL };
static const char *const kinds[] = { "bulk", "ask", "echo", "both", NULL };
static const enum talk_kind kind_values[] = { TALK_SOURCE, TALK_ASK, TALK_ECHO, TALK_BOTH };
static const char *const directions[] = { "up", "down", NULL };
static const char *const ecns[] = { "off", "passive", "request", "accurate-passive", "accurate", NULL };  /* enum tcp_ecn */
static const char *const links[] = { "down", "up", NULL };
const char *const scene_result_names[RESULTS + 1] = {
	"goodput", "fairness", "retransmitted", "completed", "failed", "completion-p50", "completion-p99", "rtt-p50",
	"rtt-p95", "queue-mean", "queue-p95", "queue-marked", "queue-dropped", "buffers", NULL,
};

#define TOP(field) offsetof(struct scene, field)
static const struct conf_field top_fields[] = {
	{ "seed", CONF_U64, TOP(seed), 0, UINT64_MAX, NULL },
	{ "mtu", CONF_U16, TOP(mtu), 576, 9216, NULL },
	{ "offload", CONF_CHOICE, TOP(offload), 0, 0, offloads },
	{ "packets", CONF_U32, TOP(packets), 1024, 1 << 24, NULL },
	{ "check", CONF_U32, TOP(check), 0, UINT32_MAX, NULL },
	{ "duration", CONF_TIME, TOP(duration), 0, 0, NULL },
	{ "measure", CONF_TIME, TOP(measure), 0, 0, NULL },
	{ "sample", CONF_TIME, TOP(sample), 0, 0, NULL },
	{ "limit", CONF_TIME, TOP(limit), 0, 0, NULL },
	{ "cc", CONF_NAME, TOP(cc), 0, 0, NULL },
	{ "tcp", CONF_OTHER, 0, 0, 0, NULL }, { "hosts", CONF_OTHER, 0, 0, 0, NULL },
	{ "flows", CONF_OTHER, 0, 0, 0, NULL }, { "events", CONF_OTHER, 0, 0, 0, NULL },
	{ "expect", CONF_OTHER, 0, 0, 0, NULL },
};

#define TCP_TIME(field) { #field, CONF_TIME, offsetof(struct tcp_settings, field), 0, 0, NULL }
#define TCP_NUMBER(field, least, most) { #field, CONF_U32, offsetof(struct tcp_settings, field), least, most, NULL }
#define TCP_BYTES(field) { #field, CONF_U64, offsetof(struct tcp_settings, field), 0, UINT64_MAX, NULL }
#define TCP_SWITCH(field) { #field, CONF_BOOL, offsetof(struct tcp_settings, field), 0, 0, NULL }
static const struct conf_field tcp_fields[] = {
	TCP_TIME(rto_initial), TCP_TIME(rto_min), TCP_TIME(rto_max), TCP_TIME(clock_granularity), TCP_TIME(delayed_ack),
	TCP_TIME(msl), TCP_TIME(fin_wait_2), TCP_TIME(keep_idle), TCP_TIME(keep_interval), TCP_TIME(user_timeout),
	TCP_TIME(adv_uto), TCP_TIME(uto_lower), TCP_TIME(uto_upper),
	TCP_NUMBER(keep_count, 1, 127), TCP_NUMBER(syn_retries, 1, 127), TCP_NUMBER(syn_ack_retries, 1, 127),
	TCP_NUMBER(retries_1, 1, 255), TCP_NUMBER(retries_2, 1, 255), TCP_NUMBER(orphan_retries, 1, 255),
	TCP_NUMBER(initial_window, 1, 1000), TCP_NUMBER(receive_buffer_initial, 4096, 1 << 30),
	TCP_NUMBER(receive_buffer_max, 4096, 1 << 30), TCP_NUMBER(send_buffer_initial, 4096, 1 << 30),
	TCP_NUMBER(send_buffer_max, 4096, 1 << 30), TCP_NUMBER(max_half_open, 1, 1 << 20),
	TCP_BYTES(memory_low), TCP_BYTES(memory_pressure), TCP_BYTES(memory_high),
	TCP_NUMBER(max_time_wait, 1, 1 << 20), TCP_SWITCH(window_scaling), TCP_SWITCH(timestamps), TCP_SWITCH(sack),
	TCP_SWITCH(close_unread_resets), { "ecn", CONF_CHOICE, offsetof(struct tcp_settings, ecn), 0, 0, ecns },
};

#define CABLE(field) offsetof(struct wire_impairment, field)
static const struct conf_field cable_fields[] = {
	{ "rate", CONF_RATE, CABLE(rate), 0, 0, NULL },
	{ "delay", CONF_TIME, CABLE(delay), 0, 0, NULL },
	{ "jitter", CONF_TIME, CABLE(jitter), 0, 0, NULL },
	{ "queue", CONF_U32, CABLE(queue_packets), 0, UINT32_MAX, NULL },
	{ "queue_bytes", CONF_U32, CABLE(queue_bytes), 0, UINT32_MAX, NULL },
	{ "discipline", CONF_CHOICE, CABLE(discipline), 0, 0, disciplines },
	{ "ecn", CONF_BOOL, CABLE(ecn), 0, 0, NULL },
	{ "red_min", CONF_U32, CABLE(red_min), 1, 1 << 24, NULL },
	{ "red_max", CONF_U32, CABLE(red_max), 2, 1 << 24, NULL },
	{ "red_probability", CONF_PART, CABLE(red_probability), 0, 0, NULL },
	{ "target", CONF_TIME, CABLE(target), 0, 0, NULL },
	{ "interval", CONF_TIME, CABLE(interval), 0, 0, NULL },
	{ "step_delay", CONF_TIME, CABLE(step_delay), 0, 0, NULL },
	{ "step_packets", CONF_U32, CABLE(step_packets), 1, 1 << 24, NULL },
	{ "loss", CONF_PART, CABLE(loss), 0, 0, NULL },
	{ "duplicate", CONF_PART, CABLE(duplicate), 0, 0, NULL },
	{ "reorder", CONF_PART, CABLE(reorder), 0, 0, NULL },
	{ "reorder_delay", CONF_TIME, CABLE(reorder_delay), 0, 0, NULL },
	{ "corrupt", CONF_PART, CABLE(corrupt), 0, 0, NULL },
	{ "burst_enter", CONF_PART, CABLE(burst_enter), 0, 0, NULL },
	{ "burst_leave", CONF_PART, CABLE(burst_leave), 0, 0, NULL },
	{ "burst_loss", CONF_PART, CABLE(burst_loss), 0, 0, NULL },
	{ "hold", CONF_TIME, CABLE(hold), 0, 0, NULL },
	{ "silent_mtu", CONF_U32, CABLE(mtu), 68, 65535, NULL },
};

static const struct conf_field host_fields[] = {
	{ "name", CONF_NAME, offsetof(struct scene_host, name), 0, 0, NULL },
	{ "cores", CONF_U8, offsetof(struct scene_host, cores), 1, STEER_CORES, NULL },
	{ "up", CONF_OTHER, 0, 0, 0, NULL }, { "down", CONF_OTHER, 0, 0, 0, NULL },
	{ "both", CONF_OTHER, 0, 0, 0, NULL },
};

struct flow_words {
	struct flow_plan plan;
	const char *from, *to, *cc;
	unsigned kind;
	uint32_t copies;
	nsec copy_stagger;
};
#define PLAN(field) offsetof(struct flow_words, plan.field)
#define WORD(field) offsetof(struct flow_words, field)
static const struct conf_field flow_fields[] = {
	{ "name", CONF_NAME, PLAN(name), 0, 0, NULL },
	{ "from", CONF_NAME, WORD(from), 0, 0, NULL },
	{ "to", CONF_NAME, WORD(to), 0, 0, NULL },
	{ "cc", CONF_NAME, WORD(cc), 0, 0, NULL },
	{ "kind", CONF_CHOICE, WORD(kind), 0, 0, kinds },
	{ "copies", CONF_U32, WORD(copies), 1, SCENE_FLOWS, NULL },
	{ "copy_stagger", CONF_TIME, WORD(copy_stagger), 0, 0, NULL },
	{ "bytes", CONF_U64, PLAN(bytes), 1, UINT64_C(1) << 50, NULL },
	{ "ask", CONF_U32, PLAN(ask), 1, 1 << 30, NULL },
	{ "answer", CONF_U32, PLAN(answer), 1, 1 << 30, NULL },
	{ "rounds", CONF_U32, PLAN(rounds), 1, 1 << 30, NULL },
	{ "connections", CONF_U64, PLAN(connections), 1, 100000000, NULL },
	{ "together", CONF_U32, PLAN(together), 1, 1000000, NULL },
	{ "start", CONF_TIME, PLAN(start), 0, 0, NULL },
	{ "stop", CONF_TIME, PLAN(stop), 0, 0, NULL },
	{ "pause", CONF_TIME, PLAN(pause), 0, 0, NULL },
	{ "every", CONF_TIME, PLAN(every), 0, 0, NULL },
	{ "stagger", CONF_TIME, PLAN(stagger), 0, 0, NULL },
	{ "send_buffer", CONF_U32, PLAN(send_buffer), 4096, 1 << 30, NULL },
	{ "receive_buffer", CONF_U32, PLAN(receive_buffer), 4096, 1 << 30, NULL },
	{ "chunk", CONF_U32, PLAN(chunk), 1, 65536, NULL },
	{ "read_pause", CONF_TIME, PLAN(read_pause), 0, 0, NULL },
	{ "may_fail", CONF_BOOL, PLAN(may_fail), 0, 0, NULL },
};

struct event_words {
	nsec at;
	const char *host;
	unsigned link;
	uint16_t mtu;
};
#define EVENT(field) offsetof(struct event_words, field)
static const struct conf_field event_fields[] = {
	{ "at", CONF_TIME, EVENT(at), 0, 0, NULL },
	{ "host", CONF_NAME, EVENT(host), 0, 0, NULL },
	{ "link", CONF_CHOICE, EVENT(link), 0, 0, links },
	{ "mtu", CONF_U16, EVENT(mtu), 576, 9216, NULL },
	{ "up", CONF_OTHER, 0, 0, 0, NULL }, { "down", CONF_OTHER, 0, 0, 0, NULL },
	{ "both", CONF_OTHER, 0, 0, 0, NULL },
};

struct expect_words {
	unsigned what, direction;
	const char *flow, *host;
};
#define EXPECT(field) offsetof(struct expect_words, field)
static const struct conf_field expect_fields[] = {
	{ "what", CONF_CHOICE, EXPECT(what), 0, 0, scene_result_names },
	{ "flow", CONF_NAME, EXPECT(flow), 0, 0, NULL },
	{ "host", CONF_NAME, EXPECT(host), 0, 0, NULL },
	{ "direction", CONF_CHOICE, EXPECT(direction), 0, 0, directions },
	{ "least", CONF_OTHER, 0, 0, 0, NULL }, { "most", CONF_OTHER, 0, 0, 0, NULL },
};

static config_t tree;   /* names are in it */

uint8_t scene_congestion(const char *name)
{
	uint8_t i;

	for (i = 1; i < EP_CC_END; i++)
		if (ep_congestion_name(i) && strcmp(ep_congestion_name(i), name) == 0)
			return i;
	return 0;
}

static void check_congestion(const config_setting_t *at, const char *name)
{
	char known[256] = "";
	size_t length = 0;
	unsigned i;

	if (scene_congestion(name))
		return;
	for (i = 1; i < EP_CC_END; i++)
		if (ep_congestion_name(i) && length < sizeof(known))
			length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", length ? ", " : "", ep_congestion_name(i));
	conf_refuse(at, "cc: '%s' is none of %s", name, known);
}

static unsigned host_of(const struct scene *s, config_setting_t *group, const char *name, const char *key)
{
	unsigned i;

	if (!name)
		conf_refuse(group, "%s is missing: the name of a host", key);
	for (i = 0; i < s->host_count; i++)
		if (strcmp(s->hosts[i].name, name) == 0)
			return i;
	conf_refuse(group, "%s: there is no host '%s'", key, name);
}

/* "both" first, then what one direction has of its own. */
static void read_cables(config_setting_t *group, struct wire_impairment cables[2], bool has[2])
{
	static const char *const keys[] = { "both", "up", "down" };
	unsigned k, d;

	for (k = 0; k < 3; k++) {
		config_setting_t *cable = conf_group(group, keys[k]);

		for (d = 0; cable && d < 2; d++) {
			if (k > 0 && d != k - 1)
				continue;
			conf_read(cable, cable_fields, COUNT(cable_fields), &cables[d]);
			has[d] = true;
			if (cables[d].discipline == WIRE_RED && (!cables[d].red_min || cables[d].red_max <= cables[d].red_min))
				conf_refuse(cable, "red needs red_min and a greater red_max, in packets");
			if (cables[d].discipline == WIRE_STEP && !cables[d].step_delay && !cables[d].step_packets)
				conf_refuse(cable, "step needs step_delay or step_packets");
			if (cables[d].discipline != WIRE_DROP_TAIL && !cables[d].rate)
				conf_refuse(cable, "discipline: without a rate nothing waits");
		}
	}
}

static void read_hosts(struct scene *s, config_setting_t *root)
{
	config_setting_t *list = conf_list(root, "hosts");
	int i, count = list ? config_setting_length(list) : 0, k;

	if (count < 2 || count > (int)WIRE_MAX_PORTS)
		conf_refuse(list ? list : root, "hosts: 2 to %u are wanted, not %d", WIRE_MAX_PORTS, count);
	for (i = 0; i < count; i++) {
		config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
		struct scene_host *h = &s->hosts[i];
		bool has[2];

		conf_read(group, host_fields, COUNT(host_fields), h);
		if (!h->name)
			conf_refuse(group, "name is missing");
		for (k = 0; k < i; k++)
			if (strcmp(s->hosts[k].name, h->name) == 0)
				conf_refuse(group, "name: there is a host '%s' already", h->name);
		read_cables(group, h->cables, has);
	}
	s->host_count = (unsigned)count;
}

static void add_flows(struct scene *s, config_setting_t *group, struct flow_words *w)
{
	uint32_t i;

	for (i = 0; i < w->copies; i++) {
		struct flow_plan *plan = &s->plans[s->flow_count];

		if (s->flow_count == SCENE_FLOWS)
			conf_refuse(group, "at most %u flows, copies counted", SCENE_FLOWS);
		*plan = w->plan;
		plan->start += i * w->copy_stagger;
		plan->port = (uint16_t)(FIRST_PORT + s->flow_count++);
	}
}

static void read_flow(struct scene *s, config_setting_t *group)
{
	struct flow_words w = { .copies = 1, .plan = { .name = "flow", .ask = 64, .answer = 1024, .rounds = 10 } };

	conf_read(group, flow_fields, COUNT(flow_fields), &w);
	w.plan.kind = kind_values[w.kind];
	w.plan.from = host_of(s, group, w.from, "from");
	w.plan.to = host_of(s, group, w.to, "to");
	if (w.plan.from == w.plan.to)
		conf_refuse(group, "from and to are the same host");
	if (w.cc) {
		check_congestion(config_setting_get_member(group, "cc"), w.cc);
		w.plan.congestion = scene_congestion(w.cc);
	}
	if (!w.plan.stop)
		w.plan.stop = s->duration;
	if (!w.plan.bytes && w.plan.kind != TALK_SOURCE && w.plan.kind != TALK_ASK)
		conf_refuse(group, "bytes is missing: only a bulk flow may go on until it stops");
	if (!w.plan.bytes && w.plan.kind == TALK_SOURCE && w.plan.stop <= w.plan.start)
		conf_refuse(group, "a flow without bytes needs a stop, or a duration of the world, after its start");
	add_flows(s, group, &w);
}

static void read_event(struct scene *s, config_setting_t *group)
{
	struct event_words w = { .link = 2 };
	struct scene_event *e = &s->events[s->event_count];

	if (s->event_count == SCENE_EVENTS)
		conf_refuse(group, "at most %u events", SCENE_EVENTS);
	conf_read(group, event_fields, COUNT(event_fields), &w);
	e->scene = s;
	e->at = w.at;
	e->host = host_of(s, group, w.host, "host");
	read_cables(group, e->cables, e->has);
	if ((w.link < 2) + (w.mtu > 0) + (e->has[0] || e->has[1]) != 1)
		conf_refuse(group, "an event is one of link = \"up\" or \"down\", mtu = ..., and cables (up, down, both)");
	if (w.mtu > s->mtu)
		conf_refuse(group, "mtu: at most the world's, %u", s->mtu);
	e->change = w.mtu ? CHANGE_MTU : w.link < 2 ? CHANGE_LINK : CHANGE_CABLES;
	e->up = w.link == 1;
	e->mtu = w.mtu;
	s->event_count++;
}

/* A bound as a number, or as a text with a unit: bits a second, a time in seconds, a part. */
static double bound(config_setting_t *group, const char *key, double otherwise)
{
	config_setting_t *s = config_setting_get_member(group, key);
	const char *text;
	uint64_t rate;
	double part;
	nsec time;

	if (!s)
		return otherwise;
	if (config_setting_is_number(s))
		return config_setting_type(s) == CONFIG_TYPE_FLOAT ? config_setting_get_float(s) : (double)config_setting_get_int64(s);
	text = conf_text(s);
	if (units_probability(text, &part))
		return part;
	if (units_rate(text, &rate))
		return (double)rate;
	if (units_duration(text, &time))
		return (double)time / 1e9;
	conf_refuse(s, "%s: '%s' is neither a number nor a rate, a time or a part", key, text);
}

static void read_expectation(struct scene *s, config_setting_t *group)
{
	struct scene_expectation *e = &s->expectations[s->expectation_count];
	struct expect_words w = { .what = RESULTS, .direction = WIRE_DOWN };
	unsigned i;

	if (s->expectation_count == SCENE_EXPECTATIONS)
		conf_refuse(group, "at most %u expectations", SCENE_EXPECTATIONS);
	conf_read(group, expect_fields, COUNT(expect_fields), &w);
	if (w.what == RESULTS)
		conf_refuse(group, "what is missing");
	for (i = 0; w.flow && i < s->flow_count && strcmp(s->plans[i].name, w.flow) != 0; i++)
		;
	if (w.flow && i == s->flow_count)
		conf_refuse(group, "flow: there is no flow '%s'", w.flow);
	if (w.host)
		host_of(s, group, w.host, "host");
	*e = (struct scene_expectation){ .what = w.what, .flow = w.flow, .host = w.host, .direction = w.direction,
		.least = bound(group, "least", -DBL_MAX), .most = bound(group, "most", DBL_MAX),
		.line = (int)config_setting_source_line(group) };
	if (e->least > e->most || (e->least == -DBL_MAX && e->most == DBL_MAX))
		conf_refuse(group, "an expectation has a least or a most, and least is not above most");
	s->expectation_count++;
}

static void each(struct scene *s, config_setting_t *root, const char *key, void (*read)(struct scene *, config_setting_t *))
{
	config_setting_t *list = conf_list(root, key);
	int i;

	for (i = 0; list && i < config_setting_length(list); i++)
		read(s, config_setting_get_elem(list, (unsigned)i));
}

void scene_read(struct scene *s, const char *path, char **sets, unsigned set_count)
{
	config_setting_t *root, *tcp;

	memset(s, 0, sizeof(*s));
	s->name = path;
	s->seed = 1;
	s->mtu = 1500;
	s->check = 64;
	s->sample = 10 * NSEC_PER_MSEC;
	s->limit = 3600 * NSEC_PER_SEC;
	tcp_settings_linux(&s->tcp);
	conf_open(&tree, path, sets, set_count);
	root = config_root_setting(&tree);
	conf_read(root, top_fields, COUNT(top_fields), s);
	if ((tcp = conf_group(root, "tcp")))
		conf_read(tcp, tcp_fields, COUNT(tcp_fields), &s->tcp);
	if (s->tcp.uto_lower > s->tcp.uto_upper)
		conf_refuse(tcp, "uto_lower: at most uto_upper");
	if (s->cc) {
		check_congestion(config_setting_get_member(root, "cc"), s->cc);
		s->tcp.cc = s->cc;
	}
	if (!s->sample)
		conf_refuse(config_setting_get_member(root, "sample"), "sample: more than 0");
	if (s->duration && s->measure && s->measure >= s->duration)
		conf_refuse(config_setting_get_member(root, "measure"), "measure: before the duration is over");
	read_hosts(s, root);
	each(s, root, "flows", read_flow);
	if (!s->flow_count)
		refuse(EXIT_REFUSED, "%s: there are no flows", path);
	each(s, root, "events", read_event);
	each(s, root, "expect", read_expectation);
}
