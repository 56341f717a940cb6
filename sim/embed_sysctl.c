/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings by the names that Linux gives them (Documentation/networking/ip-sysctl). A value is understood whole or not at all. */
#include "embed_state.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 3

enum kind {
	BOOLEAN,
	COUNT,          /* uint32_t */
	SECONDS, MILLISECONDS, MICROSECONDS,    /* nsec */
	BUFFERS,        /* min, initial, most: two uint32_t side by side */
	WINDOWS,        /* the same; Linux counts its own overhead in, so that the window is half of the memory at the start */
	CONGESTION, ECN,
};

struct name {
	const char *name;
	enum kind kind;
	size_t offset;
	uint32_t least, most;
	uint32_t zero;  /* COUNT: what 0 means */
};

#define AT(field) offsetof(struct tcp_settings, field)

static const struct name names[] = {
	{ "net.ipv4.tcp_timestamps", BOOLEAN, AT(timestamps), 0, 2 },
	{ "net.ipv4.tcp_sack", BOOLEAN, AT(sack), 0, 1 },
	{ "net.ipv4.tcp_window_scaling", BOOLEAN, AT(window_scaling), 0, 1 },
	{ "net.ipv4.tcp_rmem", WINDOWS, AT(receive_buffer_initial), 1, 1 << 30 },
	{ "net.ipv4.tcp_wmem", BUFFERS, AT(send_buffer_initial), 1, 1 << 30 },
	{ "net.ipv4.tcp_syn_retries", COUNT, AT(syn_retries), 1, 127 },
	{ "net.ipv4.tcp_synack_retries", COUNT, AT(syn_ack_retries), 0, 255 },
	{ "net.ipv4.tcp_retries1", COUNT, AT(retries_1), 0, 255 },
	{ "net.ipv4.tcp_retries2", COUNT, AT(retries_2), 0, 255 },
	{ "net.ipv4.tcp_orphan_retries", COUNT, AT(orphan_retries), 0, 255, 8 },
	{ "net.ipv4.tcp_fin_timeout", SECONDS, AT(fin_wait_2), 0, 86400 },
	{ "net.ipv4.tcp_keepalive_time", SECONDS, AT(keep_idle), 1, INT32_MAX },
	{ "net.ipv4.tcp_keepalive_intvl", SECONDS, AT(keep_interval), 1, INT32_MAX },
	{ "net.ipv4.tcp_keepalive_probes", COUNT, AT(keep_count), 1, 255 },
	{ "net.ipv4.tcp_rto_min_us", MICROSECONDS, AT(rto_min), 1, 120000000 },
	{ "net.ipv4.tcp_rto_max_ms", MILLISECONDS, AT(rto_max), 1000, 120000 },
	{ "net.ipv4.tcp_syncookies", COUNT, AT(syn_cookies), TCP_COOKIES_OFF, TCP_COOKIES_ALWAYS },
	{ "net.ipv4.tcp_fastopen", COUNT, AT(fastopen), 0, TCP_FASTOPEN_CLIENT | TCP_FASTOPEN_SERVER },
	{ "net.ipv4.tcp_mtu_probing", COUNT, AT(mtu_probing), 0, 2 },
	{ "net.ipv4.tcp_ecn", ECN, AT(ecn), 0, 5 },
	{ "net.ipv4.tcp_congestion_control", CONGESTION, AT(cc) },
};

/* Numbers between white space; how many, at most WORDS + 1. -1: something else stands there. */
static int read_numbers(const char *text, uint64_t out[WORDS + 1])
{
	int n = 0;

	while (n <= WORDS) {
		char *end;

		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			return n;
		if (!isdigit((unsigned char)*text))
			return -1;
		errno = 0;
		out[n++] = strtoull(text, &end, text[0] == '0' && text[1] == 'x' ? 16 : 10);
		if (errno != 0 || (*end && !isspace((unsigned char)*end)))
			return -1;
		text = end;
	}
	return n;
}

static int put_buffers(const struct name *what, const uint64_t numbers[WORDS], void *at)
{
	uint32_t *initial = at, *most = initial + 1;

	_Static_assert(AT(receive_buffer_max) == AT(receive_buffer_initial) + sizeof(uint32_t), "side by side");
	_Static_assert(AT(send_buffer_max) == AT(send_buffer_initial) + sizeof(uint32_t), "side by side");
	for (int i = 0; i < WORDS; i++)
		if (numbers[i] < what->least || numbers[i] > what->most)
			return -EINVAL;
	*initial = (uint32_t)(what->kind == WINDOWS ? (numbers[1] + 1) / 2 : numbers[1]);
	*most = (uint32_t)(numbers[2] > numbers[1] ? numbers[2] : numbers[1]);
	return 0;
}

/* 4, accurate when asked but classic when asking, is none of ours. */
static int put_ecn(uint64_t number, enum tcp_ecn *at)
{
	static const int meaning[] = { TCP_ECN_OFF, TCP_ECN_REQUEST, TCP_ECN_PASSIVE, TCP_ECN_ACCURATE, -1, TCP_ECN_ACCURATE_PASSIVE };

	if (meaning[number] < 0)
		return -EINVAL;
	*at = (enum tcp_ecn)meaning[number];
	return 0;
}

static int put_number(const struct name *what, uint64_t number, void *at)
{
	if (number < what->least || number > what->most)
		return -EINVAL;
	switch (what->kind) {
	case BOOLEAN:
		*(bool *)at = number != 0;
		return 0;
	case COUNT:
		*(uint32_t *)at = number ? (uint32_t)number : what->zero;
		return 0;
	case SECONDS:
		*(nsec *)at = number * NSEC_PER_SEC;
		return 0;
	case MILLISECONDS:
		*(nsec *)at = number * NSEC_PER_MSEC;
		return 0;
	case MICROSECONDS:
		*(nsec *)at = number * NSEC_PER_USEC;
		return 0;
	case ECN:
		return put_ecn(number, at);
	default:
		return -EINVAL;
	}
}

/* *cc stays a name of ours. */
static int put_congestion(const char *value, const char **cc)
{
	char wanted[32];
	size_t n;

	while (isspace((unsigned char)*value))
		value++;
	n = strcspn(value, " \t\n");
	if (n >= sizeof(wanted) || value[n + strspn(value + n, " \t\n")])
		return -EINVAL;
	memcpy(wanted, value, n);
	wanted[n] = 0;
	if (strcmp(wanted, "reno") == 0)        /* Linux's name for it */
		strcpy(wanted, "newreno");
	for (int64_t i = 1; ep_congestion_name(i); i++)
		if (strcmp(wanted, ep_congestion_name(i)) == 0) {
			*cc = ep_congestion_name(i);
			return 0;
		}
	return -EINVAL;
}

static int put(const struct name *what, const char *value, struct tcp_settings *settings)
{
	void *at = (char *)settings + what->offset;
	uint64_t numbers[WORDS + 1];
	int n;

	if (what->kind == CONGESTION)
		return put_congestion(value, &settings->cc);
	n = read_numbers(value, numbers);
	if (what->kind == BUFFERS || what->kind == WINDOWS)
		return n == WORDS ? put_buffers(what, numbers, at) : -EINVAL;
	return n == 1 ? put_number(what, numbers[0], at) : -EINVAL;
}

int embed_sysctl(struct embed *e, const char *name, const char *value)
{
	struct tcp_settings settings = *stack_tcp_settings(e->stack);
	int error;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i].name) != 0)
			continue;
		error = put(&names[i], value, &settings);
		return error != 0 ? error : stack_set_tcp_settings(e->stack, &settings);
	}
	return -ENOENT;
}

const char *embed_sysctl_name(unsigned i)
{
	return i < sizeof(names) / sizeof(names[0]) ? names[i].name : NULL;
}
