/* SPDX-License-Identifier: BSD-3-Clause */
/* Memberships: what links are told, bounds, interfaces that go, and a host of two cores. What sockets get and what options answer is in
 * conformance/tests/test_igmp.py. */
#include "tests/fixture.h"

#include <errno.h>

#include "steer.h"

#define GROUP UINT32_C(0xef010203)
#define PORT_0 8000u            /* at home on core 0, and on core 1 */
#define PORT_1 8001u

static const uint8_t group_mac[6] = { 0x01, 0x00, 0x5e, 0x01, 0x02, 0x03 };

static int join(struct world *w, ep_id id, uint32_t group)
{
	return ep_set(w->s, id, EP_JOIN, group);
}

static struct frame to_group(const char *text, uint32_t from, uint16_t port)
{
	struct frame f = udp_frame(from, 9, be32(GROUP), port, text, (uint32_t)strlen(text));

	memcpy(f.bytes, group_mac, 6);
	return f;
}

static bool gets(struct world *w, ep_id id, const char *text)
{
	char bytes[64];
	int64_t n = ep_recv_from(w->s, id, bytes, sizeof(bytes), NULL);

	return n == (int64_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

static uint64_t reports(const struct world *w)
{
	return w->s->counts[COUNT_IGMP_SENT];
}

static void the_link_is_told_of_the_first_member_and_of_the_last(void **state)
{
	struct world *w = *state;
	ep_id a = udp_socket(w, 0, PORT_0), b = udp_socket(w, 0, PORT_1);

	assert_int_equal(join(w, a, GROUP), 0);
	assert_int_equal(w->groups, 1);
	assert_int_equal(w->group, be32(GROUP));
	assert_int_equal(join(w, b, GROUP), 0);
	assert_int_equal(join(w, b, GROUP + 1), 0);
	assert_int_equal(w->groups, 2);
	ep_close(w->s, a);
	assert_int_equal(w->groups, 2);
	ep_abort(w->s, b);
	assert_int_equal(w->groups, 0);
}

static void what_the_link_cannot_let_in_is_not_joined(void **state)
{
	struct world *w = *state;
	ep_id a = udp_socket(w, 0, PORT_0);

	w->group_error = -EOPNOTSUPP;
	assert_int_equal(join(w, a, GROUP), -EOPNOTSUPP);
	w->group_error = 0;
	assert_int_equal(reports(w), 0);
	assert_int_equal(ep_set(w->s, a, EP_LEAVE, GROUP), -EADDRNOTAVAIL);
	assert_int_equal(join(w, a, GROUP), 0);
}

static void groups_are_bounded_and_places_come_back(void **state)
{
	struct world *w = *state;
	ep_id sockets[52];
	unsigned joined = 0;

	for (unsigned i = 0; i < 52; i++) {
		sockets[i] = udp_socket(w, 0, (uint16_t)(PORT_0 + i));
		for (unsigned k = 0; k < 20; k++) {
			int error = join(w, sockets[i], GROUP + i * 20 + k);

			assert_true(error == (joined < 1024 ? 0 : -ENOBUFS));
			joined += error == 0;
		}
		world_run(w, w->now + 2 * NSEC_PER_SEC);
		world_clear(w);
	}
	assert_int_equal(joined, 1024);
	ep_close(w->s, sockets[0]);
	world_run(w, w->now + 2 * NSEC_PER_SEC);  /* until that was reported as often as it must be */
	assert_int_equal(join(w, sockets[51], GROUP + 5000), 0);
}

static void memberships_are_told_by_their_index(void **state)
{
	struct world *w = *state;
	ep_id a = udp_socket(w, 0, PORT_0);
	int64_t value = 0;

	assert_int_equal(ep_get(w->s, a, EP_JOIN, &value), -ENOENT);
	assert_int_equal(join(w, a, GROUP), 0);
	assert_int_equal(join(w, a, GROUP + 1), 0);
	assert_int_equal(ep_get(w->s, a, EP_JOIN, &value), 0);
	assert_true(value == ((int64_t)w->interface << 32 | (GROUP + 1)));
	value = 1;
	assert_int_equal(ep_get(w->s, a, EP_JOIN, &value), 0);
	assert_true(value == ((int64_t)w->interface << 32 | GROUP));
	value = 2;
	assert_int_equal(ep_get(w->s, a, EP_JOIN, &value), -ENOENT);
	value = -1;
	assert_int_equal(ep_get(w->s, a, EP_JOIN, &value), -ENOENT);
}

static void an_interface_that_goes_takes_its_groups(void **state)
{
	struct world *w = *state;
	int vlan = stack_add_vlan(w->s, w->interface, 7, "vlan");
	ep_id a = udp_socket(w, 0, PORT_0);

	assert_int_equal(ep_set(w->s, a, EP_JOIN, (int64_t)vlan << 32 | GROUP), 0);
	assert_int_equal(join(w, a, GROUP), 0);
	world_run(w, w->now + NSEC_PER_MSEC);
	assert_int_equal(stack_remove_vlan(w->s, vlan), 0);
	assert_null(stack_check(w->s));
	assert_int_equal(w->groups, 1);
	world_give(w, &(struct frame[]){ to_group("still", PEER, PORT_0) }[0]);
	assert_true(gets(w, a, "still"));
}

/* ---- a host of two cores ---- */

static struct steer steer;
static struct world *cores[2];

static bool redirect(void *context, int interface, struct pkt *p, unsigned core)
{
	struct world *w = cores[core];

	(void)context, (void)interface;
	world_queue(w, p->data, p->len);
	w->incoming[w->incoming_count - 1]->flags = p->flags;
	p->link->ops->release(p->link, &p, 1);
	return true;
}

static int set_up(void **state)
{
	struct stack_config config;

	steer_init(&steer, 2);
	for (unsigned i = 0; i < 2; i++) {
		world_config(&config);
		config.core = i;
		config.steer = &steer;
		config.redirect = redirect;
		cores[i] = world_new(&config);
	}
	*state = cores[0];
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		void *w = cores[i];

		world_teardown(&w);
	}
	for (unsigned i = 0; i < STEER_GROUPS; i++)
		assert_int_equal(steer.groups[i], 0);
	return 0;
}

static void a_group_is_reported_by_the_first_core_and_left_by_the_last(void **state)
{
	ep_id a = udp_socket(cores[0], 0, PORT_0), b = udp_socket(cores[1], 0, PORT_1);

	(void)state;
	assert_int_equal(join(cores[1], b, GROUP), 0);
	assert_int_equal(join(cores[0], a, GROUP), 0);
	assert_int_equal(reports(cores[1]), 1);
	assert_int_equal(reports(cores[0]), 0);
	ep_set(cores[1]->s, b, EP_LEAVE, GROUP);
	assert_int_equal(reports(cores[1]), 1);
	ep_set(cores[0]->s, a, EP_LEAVE, GROUP);
	assert_int_equal(reports(cores[0]), 1);
}

static void one_core_answers_queries_about_a_group_of_both(void **state)
{
	uint8_t query[12] = { 0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125 };
	uint16_t sum = csum_finish(csum_add(0, query, 12));
	ep_id a = udp_socket(cores[0], 0, PORT_0), b = udp_socket(cores[1], 0, PORT_1);
	struct frame f;

	(void)state;
	memcpy(query + 2, &sum, 2);
	f = ip4_frame(PEER, be32(0xe0000001), PROTOCOL_IGMP, query, 12);
	assert_int_equal(steer_frame(&steer, f.bytes, f.len), STEER_ALL);
	assert_int_equal(join(cores[0], a, GROUP), 0);
	assert_int_equal(join(cores[1], b, GROUP), 0);
	assert_int_equal(join(cores[1], b, GROUP + 1), 0);
	for (unsigned i = 0; i < 2; i++) {
		world_run(cores[i], cores[i]->now + 3 * NSEC_PER_SEC);
		world_clear(cores[i]);
		world_give(cores[i], &f);
		world_run(cores[i], cores[i]->now + 3 * NSEC_PER_SEC);
		assert_int_equal(cores[i]->sent_count, 1);
		assert_int_equal(((const uint8_t *)frame_l4(&cores[i]->sent[0]))[7], 1);
	}
}

static void what_one_core_sends_reaches_members_on_the_other(void **state)
{
	ep_id sender = udp_socket(cores[0], 0, PORT_0), member = udp_socket(cores[1], 0, PORT_1);
	struct ep_name to = name_of(be32(GROUP), PORT_1);

	(void)state;
	assert_int_equal(ep_send_to(cores[0]->s, sender, "early", 5, &to), 5);
	assert_int_equal(join(cores[1], member, GROUP), 0);
	assert_int_equal(ep_send_to(cores[0]->s, sender, "loop", 4, &to), 4);
	world_turn(cores[0]);
	world_turn(cores[1]);
	assert_true(gets(cores[1], member, "loop"));
	assert_false(gets(cores[1], member, "loop"));
	/* What only claims to come from here is not believed. */
	world_give(cores[1], &(struct frame[]){ to_group("forged", US, PORT_1) }[0]);
	assert_false(gets(cores[1], member, "forged"));
	assert_int_equal(dropped(cores[1], DROP_IP_MARTIAN), 1);
}

static void a_core_without_members_takes_what_is_for_those_of_others(void **state)
{
	ep_id member = udp_socket(cores[1], 0, PORT_1);
	struct frame f = to_group("sixteen letters, and some more", PEER, PORT_1), first = f;

	(void)state;
	assert_int_equal(join(cores[1], member, GROUP), 0);
	first.len = 34 + 16;
	frame_ip4(&first)->total_length = be16(20 + 16);
	frame_ip4(&first)->fragment = be16(IP4_MF);
	frame_fix_ip4(&first);
	memmove(frame_l4(&f), (uint8_t *)frame_l4(&f) + 16, f.len - 34 - 16);
	f.len -= 16;
	frame_ip4(&f)->total_length = be16((uint16_t)(f.len - 14));
	frame_ip4(&f)->fragment = be16(2);
	frame_fix_ip4(&f);
	world_give(cores[0], &first);
	world_give(cores[0], &f);
	world_turn(cores[1]);
	assert_true(gets(cores[1], member, "sixteen letters, and some more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(the_link_is_told_of_the_first_member_and_of_the_last),
		world_test(what_the_link_cannot_let_in_is_not_joined),
		world_test(groups_are_bounded_and_places_come_back),
		world_test(memberships_are_told_by_their_index),
		world_test(an_interface_that_goes_takes_its_groups),
		cmocka_unit_test_setup_teardown(a_group_is_reported_by_the_first_core_and_left_by_the_last, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_core_answers_queries_about_a_group_of_both, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_one_core_sends_reaches_members_on_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_core_without_members_takes_what_is_for_those_of_others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
