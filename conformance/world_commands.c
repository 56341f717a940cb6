/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands about the world of the stack: links, addresses, routes, frames, time, and what can be observed. */
#include "server.h"

#include <arpa/inet.h>
#include <string.h>

#include "stack/dhcp.h"

static const char *addr_text(const struct ipaddr *a, char text[INET6_ADDRSTRLEN])
{
	if (ipaddr_is_any(a))
		return "-";
	if (ipaddr_is_ip4(a))
		return inet_ntop(AF_INET, &a->words[3], text, INET6_ADDRSTRLEN);
	return inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN);
}

static struct wire *wire_of(struct server *s, const char *word)
{
	uint64_t interface;
	if (word_u64(word, &interface))
		for (unsigned i = 0; i < s->n_wires; i++)
			if ((uint64_t)s->interfaces[i] == interface)
				return s->wires[i];
	command_refuse(s, "no such link: %.20s", word);
	return NULL;
}

static int64_t run_new(struct server *s, const struct request *r)
{
	server_reset(s);
	s->stack = settings_new_stack(s, r);
	if (!s->stack)
		return COMMAND_REFUSED;
	stack_at(s->stack, s->now);
	return 0;
}

/* link NAME MAC MTU [tso] [tx_csum] [rx_csum] */
static int64_t run_link(struct server *s, const struct request *r)
{
	static const struct { const char *name; uint32_t flag; } flags[] = {
		{ "tso", LINK_TSO }, { "tx_csum", LINK_TX_CSUM }, { "rx_csum", LINK_RX_CSUM },
	};
	uint8_t mac[6];
	uint64_t mtu;
	uint32_t set = 0;
	if (!word_mac(r->word[2], mac) || !word_u64(r->word[3], &mtu) || mtu < 68 || mtu > WIRE_MTU_MOST)
		return command_refuse(s, "link NAME MAC MTU(68-9000) FLAGS");
	for (unsigned i = 4; i < r->words; i++) {
		uint32_t before = set;
		for (unsigned j = 0; j < 3; j++)
			if (strcmp(r->word[i], flags[j].name) == 0)
				set |= flags[j].flag;
		if (set == before)
			return command_refuse(s, "no such link flag");
	}
	if (s->n_wires == SERVER_LINKS)
		return command_refuse(s, "too many links");
	struct wire *w = wire_new(&s->now, mac, (uint16_t)mtu, set);
	if (!w)
		return command_refuse(s, "no memory");
	int interface = stack_add_link(s->stack, &w->link, r->word[1]);
	if (interface < 0) {
		wire_free(w);
		return interface;
	}
	s->wires[s->n_wires] = w;
	s->interfaces[s->n_wires++] = interface;
	return interface;
}

/* vlan IF VID: the new interface's number */
static int64_t run_vlan(struct server *s, const struct request *r)
{
	uint64_t interface, vid;
	if (!word_u64(r->word[1], &interface) || interface > 64 || !word_u64(r->word[2], &vid) || vid > UINT16_MAX)
		return command_refuse(s, "vlan IF VID");
	return stack_add_vlan(s->stack, (int)interface, (unsigned)vid, "vlan");
}

/* unvlan IF */
static int64_t run_unvlan(struct server *s, const struct request *r)
{
	uint64_t interface;
	if (!word_u64(r->word[1], &interface) || interface > 64)
		return command_refuse(s, "unvlan IF");
	return stack_remove_vlan(s->stack, (int)interface);
}

/* dhcp IF: a client that runs as long as the stack */
static int64_t run_dhcp(struct server *s, const struct request *r)
{
	const struct dhcp_config config = { .host_name = "conformance" };
	uint64_t interface;
	if (!word_u64(r->word[1], &interface) || interface > 64)
		return command_refuse(s, "dhcp IF");
	if (!dhcp_start(s->stack, (int)interface, &config))
		return command_refuse(s, "no such interface, or it has a client");
	server_settle(s);
	return 0;
}

/* addresses IF */
static int64_t run_addresses(struct server *s, const struct request *r)
{
	struct ipaddr addr;
	unsigned prefix, count = 0;
	uint64_t interface;
	char text[INET6_ADDRSTRLEN];
	if (!word_u64(r->word[1], &interface) || interface > 64)
		return command_refuse(s, "addresses IF");
	reply_format(&s->reply, ",\"addresses\":[");
	for (; stack_interface_address(s->stack, (int)interface, count, &addr, &prefix); count++)
		reply_format(&s->reply, "%s\"%s/%u\"", count ? "," : "", addr_text(&addr, text), prefix);
	reply_format(&s->reply, "]");
	return count;
}

/* address IF ADDR/BITS */
static int64_t run_address(struct server *s, const struct request *r)
{
	struct ipaddr addr;
	unsigned prefix;
	uint64_t interface;
	if (!word_u64(r->word[1], &interface) || interface > 64 || !word_prefix(r->word[2], &addr, &prefix))
		return command_refuse(s, "address IF ADDR/BITS");
	return stack_add_address(s->stack, (int)interface, &addr, prefix);
}

/* unaddress IF ADDR */
static int64_t run_unaddress(struct server *s, const struct request *r)
{
	struct ipaddr addr;
	uint64_t interface;
	if (!word_u64(r->word[1], &interface) || interface > 64 || !word_addr(r->word[2], &addr))
		return command_refuse(s, "unaddress IF ADDR");
	return stack_remove_address(s->stack, (int)interface, &addr);
}

/* route ADDR/BITS GATEWAY|- IF */
static int64_t run_route(struct server *s, const struct request *r)
{
	struct ipaddr to, gateway;
	unsigned prefix;
	uint64_t interface;
	if (!word_prefix(r->word[1], &to, &prefix) || !word_addr(r->word[2], &gateway) ||
	    !word_u64(r->word[3], &interface) || interface > 64)
		return command_refuse(s, "route ADDR/BITS GATEWAY|- IF");
	return stack_add_route(s->stack, &to, prefix, &gateway, (int)interface);
}

/* unroute ADDR/BITS */
static int64_t run_unroute(struct server *s, const struct request *r)
{
	struct ipaddr to;
	unsigned prefix;
	if (!word_prefix(r->word[1], &to, &prefix))
		return command_refuse(s, "unroute ADDR/BITS");
	return stack_remove_route(s->stack, &to, prefix);
}

/* neighbour IF ADDR MAC */
static int64_t run_neighbour(struct server *s, const struct request *r)
{
	struct ipaddr addr;
	uint8_t mac[6];
	uint64_t interface;
	if (!word_u64(r->word[1], &interface) || interface > 64 || !word_addr(r->word[2], &addr) ||
	    !word_mac(r->word[3], mac))
		return command_refuse(s, "neighbour IF ADDR MAC");
	return stack_add_neighbour(s->stack, (int)interface, &addr, mac);
}

/* queue IF HEX...: the frames wait for the next turn */
static int64_t run_queue(struct server *s, const struct request *r)
{
	struct wire *w = wire_of(s, r->word[1]);
	if (!w)
		return COMMAND_REFUSED;
	for (unsigned i = 2; i < r->words; i++) {
		uint32_t len;
		if (!word_hex(r->word[i], &len))
			return command_refuse(s, "frame %u is not hex", i - 1);
		if (!wire_inject(w, (const uint8_t *)r->word[i], len))
			return command_refuse(s, "no memory");
	}
	return r->words - 2;
}

/* inject IF HEX...: all in one burst, then turns until all is done */
static int64_t run_inject(struct server *s, const struct request *r)
{
	int64_t result = run_queue(s, r);
	if (result != COMMAND_REFUSED)
		server_settle(s);
	return result;
}

/* fault IF POOL QUEUE: that many more packets may be borrowed, transmitted; -1: any number */
static int64_t run_fault(struct server *s, const struct request *r)
{
	struct wire *w = wire_of(s, r->word[1]);
	int64_t pool, queue;
	if (!w)
		return COMMAND_REFUSED;
	if (!word_i64(r->word[2], &pool) || !word_i64(r->word[3], &queue) || pool < -1 || queue < -1)
		return command_refuse(s, "fault IF POOL QUEUE");
	w->borrows_left = pool;
	w->transmits_left = queue;
	return 0;
}

/* carrier IF 0|1 */
static int64_t run_carrier(struct server *s, const struct request *r)
{
	struct wire *w = wire_of(s, r->word[1]);
	uint64_t up;
	if (!w)
		return COMMAND_REFUSED;
	if (!word_u64(r->word[2], &up) || up > 1)
		return command_refuse(s, "carrier IF 0|1");
	w->link.up = (uint32_t)up;
	return 0;
}

/* good IF 0|1: received packets come with checksums vouched for */
static int64_t run_good(struct server *s, const struct request *r)
{
	struct wire *w = wire_of(s, r->word[1]);
	uint64_t good;
	if (!w)
		return COMMAND_REFUSED;
	if (!word_u64(r->word[2], &good) || good > 1)
		return command_refuse(s, "good IF 0|1");
	w->checksums_good = good;
	return 0;
}

static int64_t run_turn(struct server *s, const struct request *r)
{
	(void)r;
	return stack_turn(s->stack, s->now);
}

/* until NSEC */
static int64_t run_until(struct server *s, const struct request *r)
{
	uint64_t target;
	if (!word_u64(r->word[1], &target))
		return command_refuse(s, "until NSEC");
	if (target < s->now || target == NSEC_NEVER)
		return command_refuse(s, "time does not go back");
	server_run_until(s, target);
	return 0;
}

static int64_t run_deadline(struct server *s, const struct request *r)
{
	(void)r;
	nsec deadline = stack_deadline(s->stack);
	reply_format(&s->reply, ",\"deadline\":");
	if (deadline == NSEC_NEVER)
		reply_format(&s->reply, "null");
	else
		reply_format(&s->reply, "%llu", (unsigned long long)deadline);
	return 0;
}

static int64_t run_counters(struct server *s, const struct request *r)
{
	struct stack_counter c;
	(void)r;
	reply_format(&s->reply, ",\"counters\":{");
	for (unsigned i = 0; stack_counter(s->stack, i, &c); i++) {
		reply_format(&s->reply, i ? "," : "");
		reply_string(&s->reply, c.name);
		reply_format(&s->reply, ":%llu", (unsigned long long)c.value);
	}
	reply_format(&s->reply, "}");
	return 0;
}

static int64_t run_memory(struct server *s, const struct request *r)
{
	struct stack_memory m;
	uint32_t held = 0;
	(void)r;
	stack_memory(s->stack, &m);
	for (unsigned i = 0; i < s->n_wires; i++)
		held += s->wires[i]->held;
	reply_format(&s->reply,
		",\"memory\":{\"pools\":%zu,\"endpoints\":%u,\"connections\":%u,\"half_open\":%u,"
		"\"time_wait\":%u,\"packets_held\":%u,\"fragments_held\":%u,\"extents_lent\":%u,"
		"\"packets_lent\":%u}",
		m.pools, m.endpoints, m.connections, m.half_open, m.time_wait, m.packets_held,
		m.fragments_held, m.extents_lent, held);
	return 0;
}

static int64_t run_neighbours(struct server *s, const struct request *r)
{
	struct stack_neighbour n;
	uint32_t cursor = 0;
	int64_t count = 0;
	char text[INET6_ADDRSTRLEN];
	(void)r;
	reply_format(&s->reply, ",\"neighbours\":[");
	for (; stack_walk_neighbours(s->stack, &cursor, &n); count++)
		reply_format(&s->reply,
			"%s{\"addr\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"interface\":%d,"
			"\"state\":\"%s\",\"age\":%llu}",
			count ? "," : "", addr_text(&n.addr, text), n.mac[0], n.mac[1], n.mac[2], n.mac[3],
			n.mac[4], n.mac[5], n.interface, n.state, (unsigned long long)n.age);
	reply_format(&s->reply, "]");
	return count;
}

static int64_t run_routes(struct server *s, const struct request *r)
{
	struct stack_route route;
	uint32_t cursor = 0;
	int64_t count = 0;
	char to[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN];
	(void)r;
	reply_format(&s->reply, ",\"routes\":[");
	for (; stack_walk_routes(s->stack, &cursor, &route); count++)
		reply_format(&s->reply, "%s{\"to\":\"%s\",\"prefix\":%u,\"gateway\":\"%s\",\"interface\":%d}",
			count ? "," : "", addr_text(&route.to, to), route.prefix,
			addr_text(&route.gateway, gateway), route.interface);
	reply_format(&s->reply, "]");
	return count;
}

const struct command world_commands[] = {
	{ "new", 0, 64, false, run_new },
	{ "link", 3, 6, true, run_link },
	{ "vlan", 2, 2, true, run_vlan },
	{ "unvlan", 1, 1, true, run_unvlan },
	{ "dhcp", 1, 1, true, run_dhcp },
	{ "address", 2, 2, true, run_address },
	{ "addresses", 1, 1, true, run_addresses },
	{ "unaddress", 2, 2, true, run_unaddress },
	{ "route", 3, 3, true, run_route },
	{ "unroute", 1, 1, true, run_unroute },
	{ "neighbour", 3, 3, true, run_neighbour },
	{ "queue", 1, 4096, true, run_queue },
	{ "inject", 1, 4096, true, run_inject },
	{ "fault", 3, 3, true, run_fault },
	{ "carrier", 2, 2, true, run_carrier },
	{ "good", 2, 2, true, run_good },
	{ "turn", 0, 0, true, run_turn },
	{ "until", 1, 1, true, run_until },
	{ "deadline", 0, 0, true, run_deadline },
	{ "counters", 0, 0, true, run_counters },
	{ "memory", 0, 0, true, run_memory },
	{ "neighbours", 0, 0, true, run_neighbours },
	{ "routes", 0, 0, true, run_routes },
	{ 0 },
};
