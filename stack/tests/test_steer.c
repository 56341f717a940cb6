/* SPDX-License-Identifier: BSD-3-Clause */
/* Which core a frame is for: Microsoft's published vectors, the table of stack/steer.h row by row, and every length. */
#include "tests/fixture.h"

#include "steer.h"

#define CORES 4u

static struct steer steer;

static int set_up(void **state)
{
	(void)state;
	steer_init(&steer, CORES);
	return 0;
}

static uint32_t ip(unsigned a, unsigned b, unsigned c, unsigned d)
{
	return be32(a << 24 | b << 16 | c << 8 | d);
}

static unsigned core_of(const struct frame *f)
{
	return steer_frame(&steer, f->bytes, f->len);
}

/* A TCP segment as far as steering looks at it. */
static struct frame tcp_frame(uint32_t source, uint16_t from, uint32_t destination, uint16_t to)
{
	uint8_t bytes[20] = { (uint8_t)(from >> 8), (uint8_t)from, (uint8_t)(to >> 8), (uint8_t)to };

	return ip4_frame(source, destination, PROTOCOL_TCP, bytes, sizeof(bytes));
}

/* https://learn.microsoft.com/windows-hardware/drivers/network/verifying-the-rss-hash-calculation */
static void the_hash_is_that_of_microsofts_vectors(void **state)
{
	(void)state;
	assert_int_equal(steer_hash(&steer, ip(66, 9, 149, 187), ip(161, 142, 100, 80), 2794, 1766), 0x51ccc178);
	assert_int_equal(steer_hash(&steer, ip(199, 92, 111, 2), ip(65, 69, 140, 83), 14230, 4739), 0xc626b0ea);
	assert_int_equal(steer_hash(&steer, ip(24, 19, 198, 95), ip(12, 22, 207, 184), 12898, 38024), 0x5c2b394a);
	assert_int_equal(steer_hash(&steer, ip(38, 27, 205, 30), ip(209, 142, 163, 6), 48228, 2217), 0xafc7327f);
	assert_int_equal(steer_hash(&steer, ip(153, 39, 163, 191), ip(202, 188, 127, 2), 44251, 1303), 0x10e828a2);
}

static void the_table_decides_by_the_low_bits_of_the_hash(void **state)
{
	uint8_t key[16] = { 0 }, table[4] = { 3, 1, 0, 2 };
	struct frame f = tcp_frame(ip(66, 9, 149, 187), 2794, ip(161, 142, 100, 80), 1766);

	(void)state;
	assert_int_equal(core_of(&f), (0x51ccc178u & 127) % CORES);
	assert_int_equal(steer_tcp(&steer, ip(66, 9, 149, 187), ip(161, 142, 100, 80), 2794, 1766), core_of(&f));
	steer_use_rss(&steer, steer.key, 40, table, 4);
	assert_int_equal(core_of(&f), table[0x51ccc178u & 3]);
	/* a key of zeros hashes everything to 0 */
	steer_use_rss(&steer, key, sizeof(key), table, 4);
	assert_int_equal(core_of(&f), 3);
	steer_use_rss(&steer, key, sizeof(key), (const uint8_t[]){ 1 }, 1);
	assert_int_equal(core_of(&f), 1);
}

static void flows_are_spread_evenly(void **state)
{
	unsigned counts[CORES] = { 0 };

	(void)state;
	for (unsigned port = 0; port < 4000; port++)
		counts[steer_tcp(&steer, PEER, US, (uint16_t)(20000 + port), 80)]++;
	for (unsigned i = 0; i < CORES; i++)
		assert_in_range(counts[i], 850, 1150);
}

static void a_pinned_port_goes_home_and_comes_back(void **state)
{
	uint16_t port = 1000;
	struct frame f;
	unsigned hashed;

	(void)state;
	while (steer_tcp(&steer, PEER, US, 5000, port) == steer_home(&steer, port))
		port++;
	f = tcp_frame(PEER, 5000, US, port);
	hashed = core_of(&f);
	assert_int_equal(steer_frame_spread(&steer, f.bytes, f.len), STEER_HERE);
	steer_pin_tcp(&steer, port, true);
	assert_int_equal(core_of(&f), steer_home(&steer, port));
	assert_int_equal(steer_frame_spread(&steer, f.bytes, f.len), steer_home(&steer, port));
	/* its neighbours in the byte are untouched, and it comes back alone */
	assert_false(steer_tcp_pinned(&steer, port ^ 1));
	steer_pin_tcp(&steer, port ^ 1, true);
	steer_pin_tcp(&steer, port, false);
	assert_true(steer_tcp_pinned(&steer, port ^ 1));
	assert_int_equal(core_of(&f), hashed);
}

static void udp_goes_home_while_its_port_is_bound(void **state)
{
	(void)state;
	for (uint16_t port = 1000; port < 1020; port++) {
		struct frame f = udp_frame(PEER, 5000, US, port, "hello", 5);

		assert_int_equal(core_of(&f), steer_tcp(&steer, PEER, US, 5000, port));
		assert_int_equal(steer_frame_spread(&steer, f.bytes, f.len), STEER_HERE);
		steer_bind_udp(&steer, port, true);
		assert_int_equal(core_of(&f), port % CORES);
		assert_int_equal(steer_frame_spread(&steer, f.bytes, f.len), port % CORES);
		steer_bind_udp(&steer, port, false);
		assert_int_equal(steer_frame_spread(&steer, f.bytes, f.len), STEER_HERE);
	}
}

static void dhcp_answers_go_to_core_zero_unless_a_socket_wants_them(void **state)
{
	struct frame f = udp_frame(ROUTER, 67, US, 68, "lease", 5);

	(void)state;
	steer_init(&steer, 3);
	assert_int_equal(core_of(&f), 0);
	assert_int_equal(steer_frame_spread(&steer, f.bytes, f.len), 0);
	steer_bind_udp(&steer, 68, true);
	assert_int_equal(core_of(&f), 68 % 3);
}

static void arp_goes_to_all_echo_stays_and_the_rest_goes_to_core_zero(void **state)
{
	struct frame arp = arp_frame(ARP_REQUEST, peer_mac, PEER, US);
	struct frame echo = icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "ping", 4);
	struct frame reply = icmp_frame(PEER, US, ICMP_ECHO_REPLY, 0, 1, "ping", 4);
	struct frame other = ip4_frame(PEER, US, 132, "sctp", 4);
	struct frame ipv6 = eth_frame(us_mac, peer_mac, 0x86dd, "six", 3);

	(void)state;
	assert_int_equal(core_of(&arp), STEER_ALL);
	assert_int_equal(core_of(&echo), STEER_HERE);
	assert_int_equal(core_of(&reply), 0);
	assert_int_equal(core_of(&other), 0);
	assert_int_equal(core_of(&ipv6), 0);
}

static void fragments_go_to_core_zero(void **state)
{
	(void)state;
	for (uint16_t port = 1000; port < 1008; port++) {
		struct frame first = udp_frame(PEER, 5000, US, port, "12345678", 8), later = first;

		steer_bind_udp(&steer, port, true);
		frame_ip4(&first)->fragment = be16(IP4_MF);
		frame_ip4(&later)->fragment = be16(1);
		assert_int_equal(core_of(&first), 0);
		assert_int_equal(core_of(&later), 0);
		assert_int_equal(steer_frame_spread(&steer, later.bytes, later.len), 0);
	}
}

/* An error about what we sent from us:port to peer:5000 goes where the peer's own packets of that flow go. */
static void errors_go_to_the_core_of_the_flow_they_quote(void **state)
{
	static const uint8_t types[] = { ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED, ICMP_PARAMETER };

	(void)state;
	for (uint16_t port = 1000; port < 1040; port++) {
		struct frame tcp = tcp_frame(US, port, PEER, 5000), udp = udp_frame(US, port, PEER, 53, "ask", 3);
		struct frame tcp_error = icmp_frame(ROUTER, US, types[port % 3], 1, 0, frame_ip4(&tcp), 28);
		struct frame udp_error = icmp_frame(ROUTER, US, types[port % 3], 1, 0, frame_ip4(&udp), 28);

		assert_int_equal(core_of(&tcp_error), steer_tcp(&steer, PEER, US, 5000, port));
		/* the device cannot look inside */
		assert_int_equal(steer_frame_spread(&steer, tcp_error.bytes, tcp_error.len), steer_tcp(&steer, PEER, US, 5000, port));
		steer_pin_tcp(&steer, port, true);
		assert_int_equal(core_of(&tcp_error), port % CORES);
		assert_int_equal(core_of(&udp_error), 0);
		steer_bind_udp(&steer, port, true);
		assert_int_equal(core_of(&udp_error), port % CORES);
	}
}

static struct frame tagged(const struct frame *f, unsigned tags)
{
	struct frame t = { .len = f->len + tags * 4 };

	memcpy(t.bytes, f->bytes, 12);
	for (unsigned i = 0; i < tags; i++)
		memcpy(t.bytes + 12 + 4 * i, i + 1 < tags ? "\x88\xa8\x00\x05" : "\x81\x00\x00\x07", 4);
	memcpy(t.bytes + 12 + 4 * tags, f->bytes + 12, f->len - 12);
	return t;
}

static void vlan_tags_are_skipped(void **state)
{
	(void)state;
	for (uint16_t port = 1000; port < 1010; port++) {
		struct frame f = tcp_frame(PEER, 5000, US, port), arp = arp_frame(ARP_REQUEST, peer_mac, PEER, US);
		struct frame one = tagged(&f, 1), two = tagged(&f, 2), three = tagged(&f, 3), arp_one = tagged(&arp, 1);

		assert_int_equal(core_of(&one), core_of(&f));
		assert_int_equal(core_of(&two), core_of(&f));
		assert_int_equal(core_of(&three), 0);
		assert_int_equal(core_of(&arp_one), STEER_ALL);
	}
}

static void options_of_ip_move_the_ports(void **state)
{
	uint16_t port = 1000;
	struct frame f;

	(void)state;
	while (steer_tcp(&steer, PEER, US, 5000, port) == 0)
		port++;
	f = tcp_frame(PEER, 5000, US, port);
	memmove(f.bytes + 38, f.bytes + 34, f.len - 34);
	memset(f.bytes + 34, 1, 4);
	f.len += 4;
	frame_ip4(&f)->version_ihl = 0x46;
	assert_int_equal(core_of(&f), steer_tcp(&steer, PEER, US, 5000, port));
}

/* In memory that ends where the frame ends: the sanitizer sees one byte too far. */
static void every_shorter_frame_is_looked_at_without_reading_beyond_it(void **state)
{
	struct frame tcp = tcp_frame(US, 1001, PEER, 5000);
	struct frame frames[] = {
		tcp, udp_frame(PEER, 5000, US, 1001, "hello", 5), icmp_frame(ROUTER, US, ICMP_UNREACHABLE, 1, 0, frame_ip4(&tcp), 40),
		arp_frame(ARP_REQUEST, peer_mac, PEER, US), tagged(&tcp, 2),
	};

	(void)state;
	steer_pin_tcp(&steer, 5000, true);
	steer_bind_udp(&steer, 1001, true);
	for (unsigned i = 0; i < 5; i++) {
		unsigned whole = core_of(&frames[i]);

		for (uint32_t len = 0; len <= frames[i].len; len++) {
			uint8_t *copy = malloc(len ? len : 1);
			unsigned core;

			memcpy(copy, frames[i].bytes, len);
			core = steer_frame(&steer, copy, len);
			free(copy);
			assert_true(core == whole || core == 0);
		}
	}
}

static void headers_that_lie_are_for_core_zero(void **state)
{
	struct frame f = tcp_frame(PEER, 5000, US, 1001), version = f, short_header = f, long_header = f;

	(void)state;
	steer_pin_tcp(&steer, 1001, true);
	assert_int_equal(core_of(&f), 1);
	frame_ip4(&version)->version_ihl = 0x65;
	frame_ip4(&short_header)->version_ihl = 0x44;
	frame_ip4(&long_header)->version_ihl = 0x4f;
	assert_int_equal(core_of(&version), 0);
	assert_int_equal(core_of(&short_header), 0);
	assert_int_equal(core_of(&long_header), 0);
}

/* Bytes by chance behind headers that begin well: an answer that exists, and no byte beyond the end. */
static void random_frames_have_a_core(void **state)
{
	static const uint8_t protocols[] = { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP };
	struct rng rng;

	(void)state;
	rng_seed_u64(&rng, 1);
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t len = (uint32_t)rng_below(&rng, 100);
		uint8_t *f = malloc(len ? len : 1);
		unsigned core;

		for (uint32_t k = 0; k < len; k++)
			f[k] = (uint8_t)rng_u32(&rng);
		if (len > 24 && i % 4) {
			f[12] = 8;
			f[13] = 0;
			f[14] = (uint8_t)(0x40 | (5 + rng_below(&rng, 3)));
			f[20] = f[21] = 0;
			f[23] = protocols[i % 3];
		}
		core = steer_frame(&steer, f, len);
		assert_true(core < CORES || core == STEER_ALL || core == STEER_HERE);
		core = steer_frame_spread(&steer, f, len);
		assert_true(core < CORES || core == STEER_ALL || core == STEER_HERE);
		free(f);
	}
}

int main(void)
{
#define steer_test(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		steer_test(the_hash_is_that_of_microsofts_vectors),
		steer_test(the_table_decides_by_the_low_bits_of_the_hash),
		steer_test(flows_are_spread_evenly),
		steer_test(a_pinned_port_goes_home_and_comes_back),
		steer_test(udp_goes_home_while_its_port_is_bound),
		steer_test(dhcp_answers_go_to_core_zero_unless_a_socket_wants_them),
		steer_test(arp_goes_to_all_echo_stays_and_the_rest_goes_to_core_zero),
		steer_test(fragments_go_to_core_zero),
		steer_test(errors_go_to_the_core_of_the_flow_they_quote),
		steer_test(vlan_tags_are_skipped),
		steer_test(options_of_ip_move_the_ports),
		steer_test(every_shorter_frame_is_looked_at_without_reading_beyond_it),
		steer_test(headers_that_lie_are_for_core_zero),
		steer_test(random_frames_have_a_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
