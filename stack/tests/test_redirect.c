/* SPDX-License-Identifier: BSD-3-Clause */
/* Two cores of one host: what is whole only on one of them reaches the socket on the other. */
#include "tests/fixture.h"

#include <errno.h>

#include "steer.h"

#define PORT_0 8000u            /* at home on core 0, and on core 1 */
#define PORT_1 8001u

static struct steer steer;
static struct world *cores[2];
static struct frame redirected; /* the last, and how many */
static unsigned redirects;
static bool refuse;

/* As the daemon does: the other core's link receives a copy. */
static bool redirect(void *context, int interface, struct pkt *p, unsigned core)
{
	struct world *w = cores[core];

	assert_int_equal(interface, w->interface);
	assert_ptr_equal(context, &steer);
	assert_true(p->flags & PKT_REDIRECTED);
	if (refuse)
		return false;
	assert_true(p->len <= FRAME_MAX);
	memcpy(redirected.bytes, p->data, p->len);
	redirected.len = p->len;
	redirects++;
	world_queue(w, p->data, p->len);
	w->incoming[w->incoming_count - 1]->flags = p->flags;
	p->link->ops->release(p->link, &p, 1);
	return true;
}

static int set_up(void **state)
{
	struct ipaddr peer = ipaddr_from_ip4(PEER);
	struct stack_config config;

	steer_init(&steer, 2);
	redirects = 0;
	refuse = false;
	for (unsigned i = 0; i < 2; i++) {
		world_config(&config);
		config.core = i;
		config.steer = &steer;
		config.redirect = redirect;
		config.redirect_context = &steer;
		cores[i] = world_new(&config);
		assert_int_equal(stack_add_neighbour(cores[i]->s, cores[i]->interface, &peer, peer_mac), 0);
	}
	*state = cores[0];
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		void *w = cores[i];

		(void)state;
		world_teardown(&w);
	}
	return 0;
}

/* A datagram from the peer in two fragments, to core 0. */
static void give_in_two(struct world *w, struct frame whole, uint32_t cut)
{
	uint32_t length = frame_l4_len(&whole);
	struct frame first = whole, second = whole;

	first.len = 34 + cut;
	frame_ip4(&first)->total_length = be16((uint16_t)(20 + cut));
	frame_ip4(&first)->fragment = be16(IP4_MF);
	memmove(frame_l4(&second), (uint8_t *)frame_l4(&whole) + cut, length - cut);
	second.len = 34 + length - cut;
	frame_ip4(&second)->total_length = be16((uint16_t)(20 + length - cut));
	frame_ip4(&second)->fragment = be16((uint16_t)(cut / 8));
	frame_fix_ip4(&first);
	frame_fix_ip4(&second);
	world_give(w, &second);
	world_give(w, &first);
}

static void expect_datagram(struct world *w, ep_id id, const char *text, struct ep_name from)
{
	char bytes[256];
	struct ep_name peer;

	assert_int_equal(ep_recv_from(w->s, id, bytes, sizeof(bytes), &peer), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
	assert_int_equal(peer.port, from.port);
	assert_true(ipaddr_equal(&peer.addr, &from.addr));
}

static void a_reassembled_datagram_reaches_its_socket_on_the_other_core(void **state)
{
	const char *text = "sixteen letters, and some more";
	ep_id id = udp_socket(cores[1], 0, PORT_1);

	(void)state;
	give_in_two(cores[0], udp_frame(PEER, 5000, US, PORT_1, text, (uint32_t)strlen(text)), 16);
	assert_int_equal(redirects, 1);
	frame_verify(&redirected);
	assert_int_equal(frame_ip4(&redirected)->fragment, 0);
	assert_int_equal(cores[0]->s->counts[COUNT_IP_REDIRECTED], 1);
	world_turn(cores[1]);
	expect_datagram(cores[1], id, text, name_of(PEER, 5000));
}

static void a_reassembled_datagram_for_this_core_stays(void **state)
{
	const char *text = "sixteen letters, and some more";
	ep_id id = udp_socket(cores[0], 0, PORT_0);

	(void)state;
	give_in_two(cores[0], udp_frame(PEER, 5000, US, PORT_0, text, (uint32_t)strlen(text)), 16);
	assert_int_equal(redirects, 0);
	expect_datagram(cores[0], id, text, name_of(PEER, 5000));
}

static void a_cut_echo_request_is_answered_where_it_became_whole(void **state)
{
	(void)state;
	give_in_two(cores[0], icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "0123456789abcdef", 16), 16);
	assert_int_equal(redirects, 0);
	assert_int_equal(cores[0]->sent_count, 1);
}

/* RFC 3168 5.3: the mark of a later fragment is the datagram's. */
static void the_congestion_mark_goes_with_the_datagram(void **state)
{
	struct frame whole = udp_frame(PEER, 5000, US, PORT_1, "0123456789abcdef", 16), first = whole, second = whole;

	(void)state;
	udp_socket(cores[1], 0, PORT_1);
	frame_ip4(&first)->fragment = be16(IP4_MF);
	frame_ip4(&first)->total_length = be16(36);
	frame_ip4(&first)->tos = 2;
	memmove(frame_l4(&second), (uint8_t *)frame_l4(&whole) + 16, 8);
	frame_ip4(&second)->fragment = be16(2);
	frame_ip4(&second)->total_length = be16(28);
	frame_ip4(&second)->tos = 3;
	frame_fix_ip4(&first);
	frame_fix_ip4(&second);
	world_give(cores[0], &first);
	world_give(cores[0], &second);
	assert_int_equal(redirects, 1);
	assert_int_equal(frame_ip4(&redirected)->tos, 3);
}

static void what_the_other_core_cannot_take_is_dropped_and_counted(void **state)
{
	(void)state;
	udp_socket(cores[1], 0, PORT_1);
	refuse = true;
	give_in_two(cores[0], udp_frame(PEER, 5000, US, PORT_1, "0123456789abcdef", 16), 16);
	assert_int_equal(dropped(cores[0], DROP_CORE_FULL), 1);
	assert_int_equal(cores[1]->incoming_count, 0);
}

static void a_host_reaches_its_own_sockets_on_other_cores(void **state)
{
	const uint32_t addresses[] = { US, LOCALHOST };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ep_id from = udp_socket(cores[0], 0, PORT_0), to = udp_socket(cores[1], 0, PORT_1);
		struct ep_name server = name_of(addresses[i], PORT_1), client = name_of(addresses[i], PORT_0);

		assert_int_equal(ep_send_to(cores[0]->s, from, "ask", 3, &server), 3);
		world_turn(cores[0]);
		world_turn(cores[0]);
		world_turn(cores[1]);
		expect_datagram(cores[1], to, "ask", client);
		assert_int_equal(ep_send_to(cores[1]->s, to, "answer", 6, &client), 6);
		world_turn(cores[1]);
		world_turn(cores[1]);
		world_turn(cores[0]);
		expect_datagram(cores[0], from, "answer", server);
		ep_abort(cores[0]->s, from);
		ep_abort(cores[1]->s, to);
	}
	assert_int_equal(redirects, 4);
	/* from outside the same frame is a martian */
	redirected.bytes[6] = 4;
	EXPECT_DROP(cores[0], &redirected, IP_MARTIAN);
}

static void a_refusal_reaches_the_own_socket_that_asked(void **state)
{
	ep_id from = udp_socket(cores[0], 0, PORT_0), to = udp_socket(cores[1], 0, PORT_1);
	struct ep_name server = name_of(US, PORT_1);

	(void)state;
	assert_int_equal(ep_connect(cores[0]->s, from, &server), 0);
	assert_int_equal(ep_send(cores[0]->s, from, "ask", 3), 3);
	world_turn(cores[0]);
	world_turn(cores[0]);
	ep_abort(cores[1]->s, to);      /* gone before it comes */
	for (unsigned i = 0; i < 4; i++)
		world_turn(cores[1]);
	for (unsigned i = 0; i < 2; i++)
		world_turn(cores[0]);
	assert_int_equal(ep_take_error(cores[0]->s, from), ECONNREFUSED);
}

static void streams_of_a_host_to_itself_stay_on_their_core(void **state)
{
	struct ep_name server = name_of(US, PORT_0);
	ep_id listener, from, child;

	(void)state;
	assert_int_equal(ep_open(cores[0]->s, EP_STREAM, 1, NULL, &listener), 0);
	assert_int_equal(ep_bind(cores[0]->s, listener, &server), 0);
	assert_int_equal(ep_listen(cores[0]->s, listener, 5), 0);
	assert_int_equal(ep_open(cores[0]->s, EP_STREAM, 1, NULL, &from), 0);
	assert_int_equal(ep_connect(cores[0]->s, from, &server), -EINPROGRESS);
	for (unsigned i = 0; i < 4; i++)
		world_turn(cores[0]);
	assert_int_equal(ep_accept(cores[0]->s, listener, &child, NULL), 0);
	assert_int_equal(redirects, 0);
}

/* RFC 6864: what two cores send to one peer must not be put together from pieces of both. */
static void no_two_cores_give_the_same_ip_id(void **state)
{
	uint8_t seen[65536] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		ep_id id = udp_socket(cores[i], 0, i ? PORT_1 : PORT_0);
		struct ep_name peer = name_of(PEER, 53);

		assert_int_equal(ep_set(cores[i]->s, id, EP_MTU_DISCOVER, 0), 0);
		for (unsigned n = 0; n < 300; n++) {
			assert_int_equal(ep_send_to(cores[i]->s, id, "x", 1, &peer), 1);
			world_turn(cores[i]);
			seen[be16(frame_ip4(&cores[i]->sent[cores[i]->sent_count - 1])->id)]++;
		}
		world_clear(cores[i]);
	}
	for (unsigned i = 0; i < 65536; i++)
		assert_true(seen[i] <= 1);
}

/* ARP: all learn, one speaks. */
static void only_core_zero_answers_announces_and_defends(void **state)
{
	struct frame request = arp_frame(ARP_REQUEST, router_mac, ROUTER, US), claim = arp_frame(ARP_REQUEST, peer_mac, US, US);
	struct ipaddr second = ipaddr_from_ip4(be32(0x0a000005));
	struct stack_neighbour n;
	uint32_t cursor = 0;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = cores[i];
		bool learnt = false;

		world_clear(w);
		world_give(w, &request);
		assert_int_equal(w->sent_count, i == 0);
		for (cursor = 0; stack_walk_neighbours(w->s, &cursor, &n);)
			learnt |= ipaddr_ip4(&n.addr) == ROUTER && memcmp(n.mac, router_mac, 6) == 0;
		assert_true(learnt);
		world_clear(w);
		world_give(w, &claim);
		assert_int_equal(dropped(w, DROP_ARP_CONFLICT), 1);
		assert_int_equal(w->sent_count, i == 0);
		assert_int_equal(w->log_count, i == 0);
		world_clear(w);
		assert_int_equal(stack_add_address(w->s, w->interface, &second, 24), 0);
		world_run(w, w->now + 5 * NSEC_PER_SEC);
		assert_int_equal(w->sent_count, i == 0 ? 2 : 0);
	}
}

static void each_core_asks_for_its_own_neighbours_and_hears_the_answer(void **state)
{
	struct world *w = cores[1];
	ep_id id = udp_socket(w, 0, PORT_1);
	struct ep_name stranger = name_of(STRANGER, 53);
	struct frame answer = arp_frame(ARP_REPLY, peer_mac, STRANGER, US);

	(void)state;
	world_clear(w);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &stranger), 1);
	world_turn(w);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(((struct eth_header *)w->sent[0].bytes)->type, be16(ETH_TYPE_ARP));
	/* a copy of the answer makes the core that did not ask no wiser, and does no harm */
	world_give(cores[0], &answer);
	world_give(w, &answer);
	assert_int_equal(w->sent_count, 2);
}

int main(void)
{
#define cores_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cores_test(a_reassembled_datagram_reaches_its_socket_on_the_other_core),
		cores_test(a_reassembled_datagram_for_this_core_stays),
		cores_test(a_cut_echo_request_is_answered_where_it_became_whole),
		cores_test(the_congestion_mark_goes_with_the_datagram),
		cores_test(what_the_other_core_cannot_take_is_dropped_and_counted),
		cores_test(a_host_reaches_its_own_sockets_on_other_cores),
		cores_test(a_refusal_reaches_the_own_socket_that_asked),
		cores_test(streams_of_a_host_to_itself_stay_on_their_core),
		cores_test(no_two_cores_give_the_same_ip_id),
		cores_test(only_core_zero_answers_announces_and_defends),
		cores_test(each_core_asks_for_its_own_neighbours_and_hears_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
