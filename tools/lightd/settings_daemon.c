/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings of the service: its socket, its cores, the stacks' profile, and what programs may take. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/region.h"
#include "stack/tcp/cc.h"
#include "tools/lightd/settings.h"
#include "tools/units.h"

#define UTO_MOST (32767u * 60) /* 15 bits of minutes */

static const char *set_socket(struct options *o, const char *text)
{
	if (*text == '\0' || strlen(text) >= 108)
		return "a path of 1 to 107 bytes";
	o->socket_path = text;
	return NULL;
}

static const char *set_mode(struct options *o, const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)text[0]) || *end != '\0' || mode > 0777 || mode == 0)
		return "octal rights, as 0660";
	o->socket_mode = (unsigned)mode;
	return NULL;
}

static const char *set_group(struct options *o, const char *text)
{
	const struct group *g = getgrnam(text);

	if (g == NULL)
		return "a group of this machine";
	o->socket_group = g->gr_gid;
	return NULL;
}

static const char *set_queues(struct options *o, const char *text)
{
	return set_number(&o->queues, text, 1, STEER_CORES);
}

static const char *set_cores(struct options *o, const char *text)
{
	uint8_t list[64];
	unsigned n = units_cpu_list(text, list);

	if (n == 0)
		return "a list of CPU numbers below 64, each once, as 1 or 0,2-3";
	memcpy(o->cpu, list, n);
	o->cpus = n;
	return NULL;
}

static const char *set_poll(struct options *o, const char *text)
{
	if (strcmp(text, "busy") != 0 && strcmp(text, "adaptive") != 0)
		return "busy or adaptive";
	o->poll = text[0] == 'b' ? POLL_BUSY : POLL_ADAPTIVE;
	return NULL;
}

/* Of the names that Linux knows, those that this stack knows. */
static const char *cc_allowed(void)
{
	static const char *const names[] = { "newreno", "cubic", "bbr", "dctcp" };
	static char allowed[64];
	size_t n = 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (cc_find(names[i]) != NULL && n < sizeof allowed)
			n += (size_t)snprintf(allowed + n, sizeof allowed - n, "%s%s", n > 0 ? ", " : "one of: ", names[i]);
	}
	return allowed;
}

static const char *set_cc(struct options *o, const char *text)
{
	if (cc_find(text) == NULL)
		return cc_allowed();
	o->cc = text;
	return NULL;
}

static const char *set_profile(struct options *o, const char *text)
{
	if (strcmp(text, "linux") != 0 && strcmp(text, "standard") != 0)
		return "linux or standard";
	o->standard_profile = text[0] == 's';
	return NULL;
}

/* Options of the SYN that are not offered, nor accepted (RFC 2018, RFC 7323). */
static const char *set_without(struct options *o, const char *text)
{
	char copy[64], *save = NULL;

	if (strlen(text) >= sizeof copy || *text == '\0')
		return "timestamps, sack, window-scaling, or several with commas";
	strcpy(copy, text);
	for (char *item = strtok_r(copy, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
		if (strcmp(item, "timestamps") == 0)
			o->no_timestamps = true;
		else if (strcmp(item, "sack") == 0)
			o->no_sack = true;
		else if (strcmp(item, "window-scaling") == 0)
			o->no_window_scaling = true;
		else
			return "timestamps, sack, window-scaling, or several with commas";
	}
	return NULL;
}

/* The number of a word. */
static const char *set_word(uint8_t *to, const char *text, const char *const names[], uint8_t n, const char *allowed)
{
	for (uint8_t i = 0; i < n; i++) {
		if (strcmp(text, names[i]) == 0) {
			*to = i;
			return NULL;
		}
	}
	return allowed;
}

static const char *set_syncookies(struct options *o, const char *text)
{
	static const char *const names[] = { [TCP_COOKIES_OFF] = "off", [TCP_COOKIES_WHEN_FULL] = "full", [TCP_COOKIES_ALWAYS] = "always" };

	return set_word(&o->syn_cookies, text, names, sizeof names / sizeof names[0], "off, full or always");
}

static const char *set_ecn(struct options *o, const char *text)
{
	static const char *const names[] = { [TCP_ECN_OFF] = "off", [TCP_ECN_PASSIVE] = "passive", [TCP_ECN_REQUEST] = "request",
		[TCP_ECN_ACCURATE_PASSIVE] = "accurate-passive", [TCP_ECN_ACCURATE] = "accurate" };

	return set_word(&o->ecn, text, names, sizeof names / sizeof names[0], "off, passive, request, accurate-passive or accurate");
}

static const char *set_fastopen(struct options *o, const char *text)
{
	static const char *const names[] = { "off", [TCP_FASTOPEN_CLIENT] = "client", [TCP_FASTOPEN_SERVER] = "server",
		[TCP_FASTOPEN_CLIENT | TCP_FASTOPEN_SERVER] = "both" };

	return set_word(&o->fastopen, text, names, sizeof names / sizeof names[0], "off, client, server or both");
}

static const char *set_arp_timeout(struct options *o, const char *text)
{
	return set_number(&o->arp_timeout, text, 2, 3600);
}

static const char *set_mtu_probing(struct options *o, const char *text)
{
	static const char *const names[] = { "off", "black-hole", "always" };

	return set_word(&o->mtu_probing, text, names, sizeof names / sizeof names[0], "off, black-hole or always");
}

/* Bytes, with K, M or G for powers of 1024. */
static const char *set_bytes(uint64_t *to, const char *text)
{
	char digits[24];
	size_t n = strspn(text, "0123456789");
	unsigned shift = text[n] == 'K' ? 10 : text[n] == 'M' ? 20 : text[n] == 'G' ? 30 : 0;

	if (n == 0 || n >= sizeof digits || text[n + (shift != 0)] != '\0')
		return "bytes, as 64M or 4G";
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (!units_whole(digits, 1, UINT64_MAX >> (shift + 8), to) || (*to <<= shift) < (1u << 16))
		return "at least 64K";
	return NULL;
}

static const char *set_memory(struct options *o, const char *text)
{
	return set_bytes(&o->tcp_memory, text);
}

/* More than one ring may hold (ipc/region.h) would never be lent. */
static const char *set_ring_limit(uint64_t *to, const char *text)
{
	uint64_t bytes;
	const char *wrong = set_bytes(&bytes, text);

	if (wrong || bytes > REGION_EXTENT_MOST)
		return "64K to 256M";
	*to = bytes;
	return NULL;
}

static const char *set_receive_buffer(struct options *o, const char *text)
{
	return set_ring_limit(&o->tcp_receive_buffer, text);
}

static const char *set_send_buffer(struct options *o, const char *text)
{
	return set_ring_limit(&o->tcp_send_buffer, text);
}

static const char *set_orphans(struct options *o, const char *text)
{
	return set_number(&o->max_orphans, text, 0, 4000000);
}

/* What peers are told, and within which limits theirs is heeded: one number, or all three. */
static const char *set_uto(struct options *o, const char *text)
{
	static const char allowed[] = "0, or SECONDS or SECONDS:LOWEST:HIGHEST, each of 1 to 1966020";
	uint64_t number[3] = { o->uto, o->uto_lower, o->uto_upper };
	char copy[32], *rest = copy;
	unsigned n = 0;

	if (strlen(text) >= sizeof copy)
		return allowed;
	for (strcpy(copy, text); rest != NULL; n++)
		if (n == 3 || !units_whole(strsep(&rest, ":"), n > 0, UTO_MOST, &number[n]))
			return allowed;
	if (n == 2 || number[1] > number[2])
		return allowed;
	o->uto = (uint32_t)number[0];
	o->uto_lower = (uint32_t)number[1];
	o->uto_upper = (uint32_t)number[2];
	return NULL;
}

static const char *set_sockets(struct options *o, const char *text)
{
	return set_number(&o->sockets, text, 16, 4000000);
}

static const char *set_verbose(struct options *o, const char *text)
{
	return set_switch(&o->verbose, text);
}

const struct setting settings_daemon[] = {
	{ "socket", "socket", "path", "PATH", 5, false, "Where programs find this daemon (default " LIGHT_SOCKET_PATH ")", set_socket },
	{ "socket-mode", "socket", "mode", "OCTAL", 5, false, "Rights of that socket (default 0660)", set_mode },
	{ "socket-group", "socket", "group", "NAME", 5, false, "Its group", set_group },
	{ "max-sockets", "", "max-sockets", "NUMBER", 5, false, "Sockets and connections of one host (default 262144)", set_sockets },
	{ "queues", "", "queues", "NUMBER", 6, false, "Stacks, each with a thread and a queue of every interface (default 1)", set_queues },
	{ "cores", "", "cores", "LIST", 6, false,
	  "CPUs to run on, the n-th for the n-th queue; keep programs off them (default: where the kernel puts it)", set_cores },
	{ "poll", "", "poll", "busy|adaptive", 6, false, "Spin always, or sleep when idle (default adaptive; dpdk: busy)", set_poll },
	{ "cc", "", "cc", "NAME", 6, false, "TCP's congestion control where a program does not choose (default cubic; profile standard: newreno)", set_cc },
	{ "profile", "", "profile", "linux|standard", 6, false, "TCP's timers and limits: Linux's or the RFCs' (default linux)", set_profile },
	{ "tcp-without", "", "tcp-without", "OPTION,...", 6, true,
	  "TCP options neither offered nor accepted: timestamps, sack, window-scaling (default none)", set_without },
	{ "tcp-syncookies", "", "tcp-syncookies", "off|full|always", 6, false,
	  "Answer SYNs by cookies never, where a listener's backlog is full of half-open connections (default), or always", set_syncookies },
	{ "ecn", "", "ecn", "off|passive|request|accurate-passive|accurate", 6, false,
	  "Explicit congestion notification: with nobody, with who asks (default), or asked for; accurate: RFC 9768, and classic with others", set_ecn },
	{ "tcp-fastopen", "", "tcp-fastopen", "off|client|server|both", 6, false,
	  "As what programs may use TCP Fast Open, if they ask for it (default both)", set_fastopen },
	{ "arp-timeout", "", "arp-timeout", "SECONDS", 6, false,
	  "A neighbour in use is asked again this long after it was last heard (2 to 3600, default 35)", set_arp_timeout },
	{ "tcp-mtu-probing", "", "tcp-mtu-probing", "off|black-hole|always", 6, false,
	  "Find by probes what size of packets gets through: never, when nothing long does (default), or always", set_mtu_probing },
	{ "tcp-memory", "", "tcp-memory", "BYTES", 6, false, "Socket buffers of all streams of a stack (default: no limit but quotas)", set_memory },
	{ "tcp-receive-buffer", "", "tcp-receive-buffer", "BYTES", 6, false,
	  "What a stream's receive buffer, and window, grows to (64K to 256M, default 4M)", set_receive_buffer },
	{ "tcp-send-buffer", "", "tcp-send-buffer", "BYTES", 6, false, "What a stream's send buffer grows to (64K to 256M, default 4M)",
	  set_send_buffer },
	{ "tcp-max-orphans", "", "tcp-max-orphans", "NUMBER", 6, false, "Connections that were closed and not finished (default 65536)",
	  set_orphans },
	{ "tcp-uto", "", "tcp-uto", "SECONDS[:LOWEST:HIGHEST]", 6, false,
	  "Tell peers the user timeout and heed theirs within these limits (RFC 5482; default 0, not at all; limits 100:3600)", set_uto },
	{ "verbose", "", "verbose", NULL, 6, false, "Log what programs do", set_verbose },
	{ 0 },
};

static const char *set_families(struct options *o, const char *text)
{
	return set_number(&o->quota.families, text, 1, 2000);
}

static const char *set_families_per_user(struct options *o, const char *text)
{
	return set_number(&o->quota.families_per_uid, text, 1, 2000);
}

static const char *set_processes(struct options *o, const char *text)
{
	return set_number(&o->quota.sessions, text, 1, 256);
}

static const char *set_lines(struct options *o, const char *text)
{
	return set_number(&o->quota.lines, text, 1, 1u << 20);
}

static const char *set_lines_per_user(struct options *o, const char *text)
{
	return set_number(&o->quota.lines_per_uid, text, 1, 1u << 24);
}

static const char *set_threads(struct options *o, const char *text)
{
	return set_number(&o->quota.lanes, text, 1, 256);
}

static const char *set_waitsets(struct options *o, const char *text)
{
	return set_number(&o->quota.waitsets, text, 1, 256);
}

static const char *set_buffers(struct options *o, const char *text)
{
	return set_bytes(&o->quota.data, text);
}

static const char *set_buffers_per_user(struct options *o, const char *text)
{
	return set_bytes(&o->quota.data_per_uid, text);
}

static const char *set_warm(struct options *o, const char *text)
{
	return set_bytes(&o->quota.data_warm, text);
}

const struct setting settings_quota[] = {
	{ "quota-programs", "quotas", "programs", "NUMBER", 7, false, "Programs (each with all that it forks) at once (default 1024)", set_families },
	{ "quota-programs-per-user", "quotas", "programs-per-user", "NUMBER", 7, false, "Of one user but root (default 512)",
	  set_families_per_user },
	{ "quota-processes", "quotas", "processes", "NUMBER", 7, false, "Processes of a program (default 256)", set_processes },
	{ "quota-threads", "quotas", "threads", "NUMBER", 7, false, "Threads of a process (default 256)", set_threads },
	{ "quota-epolls", "quotas", "epolls", "NUMBER", 7, false, "epoll sets and the like of a process (default 256)", set_waitsets },
	{ "quota-sockets", "quotas", "sockets", "NUMBER", 7, false, "Sockets of a program (default 262144)", set_lines },
	{ "quota-sockets-per-user", "quotas", "sockets-per-user", "NUMBER", 7, false, "Of one user but root (default 1048576)",
	  set_lines_per_user },
	{ "quota-buffers", "quotas", "buffers", "BYTES", 7, false, "Socket buffers of a program (default 4G)", set_buffers },
	{ "quota-buffers-per-user", "quotas", "buffers-per-user", "BYTES", 7, false, "Of one user but root (default 16G)",
	  set_buffers_per_user },
	{ "quota-warm", "quotas", "warm", "BYTES", 7, false, "Free buffers whose pages a program keeps (default 16M)", set_warm },
	{ 0 },
};
