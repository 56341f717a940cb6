/* SPDX-License-Identifier: BSD-3-Clause */
/* "new": a stack from key=value words. Every field of struct tcp_settings can be set as tcp.NAME; times are in
 * nanoseconds, flags 0 or 1. */
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum kind { NSEC, U32, U8, BOOLEAN };

struct field {
	const char *name;
	enum kind kind;
	size_t offset;
};

#define FIELD(name, kind) { "tcp." #name, kind, offsetof(struct stack_config, tcp.name) }

static const struct field fields[] = {
	FIELD(ecn, U32),
	FIELD(rto_initial, NSEC), FIELD(rto_min, NSEC), FIELD(rto_max, NSEC),
	FIELD(clock_granularity, NSEC), FIELD(delayed_ack, NSEC), FIELD(msl, NSEC),
	FIELD(fin_wait_2, NSEC), FIELD(keep_idle, NSEC), FIELD(keep_interval, NSEC),
	FIELD(user_timeout, NSEC), FIELD(adv_uto, NSEC), FIELD(uto_lower, NSEC), FIELD(uto_upper, NSEC), FIELD(keep_count, U32), FIELD(syn_retries, U32),
	FIELD(syn_ack_retries, U32), FIELD(retries_1, U32), FIELD(retries_2, U32),
	FIELD(orphan_retries, U32), FIELD(initial_window, U32), FIELD(receive_buffer_initial, U32),
	FIELD(receive_buffer_max, U32), FIELD(send_buffer_initial, U32), FIELD(send_buffer_max, U32),
	FIELD(memory_low, NSEC), FIELD(memory_pressure, NSEC), FIELD(memory_high, NSEC), FIELD(max_orphans, U32),
	FIELD(mtu_probing, U32), FIELD(mtu_probe_base, U32), FIELD(mtu_probe_again, NSEC),
	FIELD(max_half_open, U32), FIELD(max_time_wait, U32), FIELD(syn_cookies, U32), FIELD(fastopen, U32), FIELD(window_scaling, BOOLEAN),
	FIELD(timestamps, BOOLEAN), FIELD(sack, BOOLEAN), FIELD(close_unread_resets, BOOLEAN),
	FIELD(soft_errors_end_attempts, BOOLEAN),
	{ "max_endpoints", U32, offsetof(struct stack_config, max_endpoints) },
	{ "max_fragments", U32, offsetof(struct stack_config, max_fragments) },
	{ "max_neighbours", U32, offsetof(struct stack_config, max_neighbours) },
	{ "neighbour_timeout", NSEC, offsetof(struct stack_config, neighbour_timeout) },
	{ "icmp_target_interval", NSEC, offsetof(struct stack_config, icmp_target_interval) },
	{ "icmp_errors_per_second", U32, offsetof(struct stack_config, icmp_errors_per_second) },
	{ "icmp_errors_burst", U32, offsetof(struct stack_config, icmp_errors_burst) },
	{ "ttl", U8, offsetof(struct stack_config, ttl) },
};

static bool set_number(struct stack_config *config, const struct field *f, uint64_t value)
{
	void *at = (char *)config + f->offset;
	switch (f->kind) {
	case NSEC:
		*(nsec *)at = value;
		return true;
	case U32:
		*(uint32_t *)at = (uint32_t)value;
		return value <= UINT32_MAX;
	case U8:
		*(uint8_t *)at = (uint8_t)value;
		return value <= UINT8_MAX;
	case BOOLEAN:
		*(bool *)at = value;
		return value <= 1;
	}
	return false;
}

static bool set(struct server *s, struct stack_config *config, const char *key, char *value)
{
	uint64_t number;
	uint32_t len;
	if (strcmp(key, "secret") == 0) {
		if (!word_hex(value, &len) || len != sizeof(config->secret))
			return false;
		memcpy(config->secret, value, len);
		return true;
	}
	if (strcmp(key, "name") == 0) {
		config->name = value;
		return true;
	}
	if (strcmp(key, "tcp.cc") == 0) {
		config->tcp.cc = value;
		return true;
	}
	if (!word_u64(value, &number))
		return false;
	if (strcmp(key, "start") == 0) {
		s->now = number;
		return true;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(key, fields[i].name) == 0)
			return set_number(config, &fields[i], number);
	return false;
}

/* The profile comes first whatever its place: the other words change it. */
static bool choose_profile(struct stack_config *config, const struct request *r)
{
	for (unsigned i = 1; i < r->words; i++) {
		if (strncmp(r->word[i], "profile=", 8) != 0)
			continue;
		if (strcmp(r->word[i] + 8, "standard") == 0)
			tcp_settings_standard(&config->tcp);
		else if (strcmp(r->word[i] + 8, "linux") == 0)
			tcp_settings_linux(&config->tcp);
		else
			return false;
	}
	return true;
}

struct stack *settings_new_stack(struct server *s, const struct request *r)
{
	struct stack_config config;
	stack_config_init(&config);
	memset(config.secret, 7, sizeof(config.secret));
	config.max_endpoints = 1024;
	rings_host(&s->rings, &config.host);
	if (!choose_profile(&config, r)) {
		command_refuse(s, "no such profile");
		return NULL;
	}
	for (unsigned i = 1; i < r->words; i++) {
		char *equals = strchr(r->word[i], '=');
		if (strncmp(r->word[i], "profile=", 8) == 0)
			continue;
		if (equals)
			*equals = 0;
		if (!equals || !set(s, &config, r->word[i], equals + 1)) {
			command_refuse(s, "no such setting or value: %.60s", r->word[i]);
			return NULL;
		}
	}
	struct stack *stack = stack_new(&config);
	if (!stack)
		command_refuse(s, "no memory for the stack");
	return stack;
}
