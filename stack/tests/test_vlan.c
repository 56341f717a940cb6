/* SPDX-License-Identifier: BSD-3-Clause */
/* VLANs (eth.c, stack.c): who gets a tagged frame, what goes out with a tag, and interfaces that come and go. */
#include "tests/fixture.h"

#include <errno.h>

#define VID 100
#define US_THERE be32(0x0a640001)    /* 10.100.0.1 */
#define PEER_THERE be32(0x0a640002)

static int add(struct world *w, unsigned vid, uint32_t ip4)
{
	struct ipaddr a = ipaddr_from_ip4(ip4);
	int vlan = stack_add_vlan(w->s, w->interface, vid, "vlan");

	assert_true(vlan > 0);
	assert_int_equal(stack_add_address(w->s, vlan, &a, 24), 0);
	world_run(w, w->now + 3 * NSEC_PER_SEC);  /* the announcements */
	world_clear(w);
	return vlan;
}

static struct frame tagged(struct frame f, uint16_t type, uint16_t control)
{
	uint16_t tag[2] = { be16(type), be16(control) };

	memmove(f.bytes + 16, f.bytes + 12, f.len - 12);
	memcpy(f.bytes + 12, tag, 4);
	f.len += 4;
	return f;
}

/* Takes the tag off; its control field. */
static uint16_t untag(struct frame *f)
{
	uint16_t tag[2];

	memcpy(tag, f->bytes + 12, 4);
	assert_int_equal(tag[0], be16(ETH_TYPE_VLAN));
	f->len -= 4;
	memmove(f->bytes + 12, f->bytes + 16, f->len - 12);
	return be16(tag[1]);
}

static void a_tagged_frame_reaches_its_vlan_and_is_answered_with_the_tag(void **state)
{
	struct world *w = *state;
	struct frame f = tagged(arp_frame(ARP_REQUEST, peer_mac, PEER_THERE, US_THERE), ETH_TYPE_VLAN, VID);

	add(w, VID, US_THERE);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(w->sent[0].len, 64);
	assert_int_equal(untag(&w->sent[0]), VID);
	assert_int_equal(((struct eth_header *)w->sent[0].bytes)->type, be16(ETH_TYPE_ARP));
	world_clear(w);
	f = tagged(icmp_frame(PEER_THERE, US_THERE, ICMP_ECHO, 0, 1, "hello", 5), ETH_TYPE_VLAN, 0xf000 | VID);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(untag(&w->sent[0]), VID);
	frame_verify(&w->sent[0]);
	assert_memory_equal(w->sent[0].bytes, peer_mac, 6);
}

static void vid_zero_is_the_untagged_interface(void **state)
{
	struct world *w = *state;
	struct frame f = tagged(icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "hello", 5), ETH_TYPE_VLAN, 0xe000);

	world_give(w, &f);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
}

static void what_no_vlan_wants_is_dropped(void **state)
{
	struct world *w = *state;
	struct frame plain = icmp_frame(PEER_THERE, US_THERE, ICMP_ECHO, 0, 1, "hello", 5), f;

	add(w, VID, US_THERE);
	f = tagged(plain, ETH_TYPE_VLAN, VID + 1);
	EXPECT_DROP(w, &f, VLAN_UNKNOWN);
	f = tagged(plain, ETH_TYPE_VLAN, 0xfff);
	EXPECT_DROP(w, &f, VLAN_UNKNOWN);
	f = tagged(tagged(plain, ETH_TYPE_VLAN, 1), ETH_TYPE_VLAN, VID);
	EXPECT_DROP(w, &f, VLAN_NESTED);
	f = tagged(tagged(plain, ETH_TYPE_SERVICE_VLAN, 1), ETH_TYPE_VLAN, VID);
	EXPECT_DROP(w, &f, VLAN_NESTED);
	f = tagged(plain, ETH_TYPE_SERVICE_VLAN, VID);
	EXPECT_DROP(w, &f, ETH_TYPE);
	w->tight = true;
	f = tagged(plain, ETH_TYPE_VLAN, VID);
	for (f.len = 14; f.len < 18; f.len++)
		EXPECT_DROP(w, &f, ETH_SHORT);
	EXPECT_DROP(w, &f, IP_SHORT);
}

static void the_untagged_net_and_a_vlan_do_not_mix(void **state)
{
	struct world *w = *state;
	struct frame f;

	add(w, VID, US_THERE);
	/* the VLAN's address is not answered for on the untagged net, nor the other way round */
	f = arp_frame(ARP_REQUEST, peer_mac, PEER_THERE, US_THERE);
	world_give(w, &f);
	f = tagged(arp_frame(ARP_REQUEST, peer_mac, PEER, US), ETH_TYPE_VLAN, VID);
	world_give(w, &f);
	assert_int_equal(w->sent_count, 0);
	/* a subnet's broadcast is one only in its own net */
	f = tagged(udp_frame(PEER_THERE, 1, be32(0x0a6400ff), 2, "x", 1), ETH_TYPE_VLAN, VID);
	EXPECT_DROP(w, &f, UDP_NO_PORT);
	f = udp_frame(PEER, 1, be32(0x0a6400ff), 2, "x", 1);
	EXPECT_DROP(w, &f, IP_DESTINATION);
}

static void sending_resolves_in_the_vlan_and_carries_the_precedence(void **state)
{
	struct world *w = *state;
	struct frame reply = tagged(arp_frame(ARP_REPLY, peer_mac, PEER_THERE, US_THERE), ETH_TYPE_VLAN, VID);
	struct ep_name to = name_of(PEER_THERE, 7);
	ep_id id = udp_socket(w, 0, 0);

	add(w, VID, US_THERE);
	assert_int_equal(ep_set(w->s, id, EP_TOS, 0xb8), 0);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), 1);
	world_turn(w);
	assert_int_equal(w->sent_count, 1);
	assert_memory_equal(w->sent[0].bytes, everyone_mac, 6);
	assert_int_equal(untag(&w->sent[0]), VID);
	world_clear(w);
	world_give(w, &reply);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(untag(&w->sent[0]), 5 << 13 | VID);
	frame_verify(&w->sent[0]);
	assert_int_equal(w->sent[0].len, 60);
	assert_int_equal(frame_ip4(&w->sent[0])->source, US_THERE);
	/* full frames: the tag comes on top of the MTU */
	world_clear(w);
	assert_int_equal(ep_send_to(w->s, id, (uint8_t[1472]){ 1 }, 1472, &to), 1472);
	world_turn(w);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(w->sent[0].len, 1518);
	world_clear(w);
	assert_int_equal(ep_set(w->s, id, EP_BROADCAST, 1), 0);
	to = name_of(be32(0x0a6400ff), 7);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &to), 1);
	world_turn(w);
	assert_memory_equal(w->sent[0].bytes, everyone_mac, 6);
	assert_int_equal(untag(&w->sent[0]), 5 << 13 | VID);
}

static void vlans_share_the_queue_of_their_link(void **state)
{
	struct world *w = *state;
	int vlan = add(w, VID, US_THERE);
	struct ipaddr peer = ipaddr_from_ip4(PEER_THERE);
	struct ep_name there = name_of(PEER_THERE, 7), here = name_of(PEER, 7);
	struct stack_memory m;
	ep_id id = udp_socket(w, 0, 0);

	assert_int_equal(stack_add_neighbour(w->s, vlan, &peer, peer_mac), 0);
	w->accepts = 0;
	for (unsigned i = 0; i < STACK_BURST; i++)
		assert_int_equal(ep_send_to(w->s, id, "x", 1, i % 2 ? &there : &here), 1);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &there), -EAGAIN);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &here), -EAGAIN);
	world_turn(w);
	stack_memory(w->s, &m);
	assert_int_equal(m.packets_held, STACK_BURST);
	assert_true(stack_deadline(w->s) < NSEC_NEVER);
	w->accepts = UINT32_MAX;
	world_run(w, w->now + NSEC_PER_MSEC);
	assert_int_equal(w->sent_count, STACK_BURST);
	for (unsigned i = 0; i < STACK_BURST; i++)
		assert_int_equal(((struct eth_header *)w->sent[i].bytes)->type, be16(i % 2 ? ETH_TYPE_VLAN : ETH_TYPE_IP4));
	stack_memory(w->s, &m);
	assert_int_equal(m.packets_held, 0);
}

/* A received packet turns round in its own memory; where the way back has a tag that the way in had not, there may be no room for it. */
static void an_echo_that_returns_through_a_vlan_is_copied_if_it_must_be(void **state)
{
	struct world *w = *state;
	int vlan = add(w, VID, US_THERE);
	struct ipaddr peer = ipaddr_from_ip4(PEER_THERE);
	struct frame f = icmp_frame(PEER_THERE, US, ICMP_ECHO, 0, 1, "", 0);
	uint8_t filler[1500] = { 0 };

	assert_int_equal(stack_add_neighbour(w->s, vlan, &peer, peer_mac), 0);
	for (unsigned room = 0; room < 6; room++) {
		f = icmp_frame(PEER_THERE, US, ICMP_ECHO, 0, 1, filler, 1400);
		world_clear(w);
		world_queue(w, f.bytes, f.len);
		memmove(w->incoming[0]->buffer + room, w->incoming[0]->data, f.len);
		w->incoming[0]->data = w->incoming[0]->buffer + room;
		world_turn(w);
		assert_int_equal(w->sent_count, 1);
		assert_int_equal(untag(&w->sent[0]), VID);
		frame_verify(&w->sent[0]);
	}
}

static void wrong_vlans_are_refused(void **state)
{
	struct world *w = *state;
	int vlan = add(w, VID, US_THERE);
	struct stack_interface i;

	assert_int_equal(stack_add_vlan(w->s, w->interface, VID, "x"), -EEXIST);
	assert_int_equal(stack_add_vlan(w->s, w->interface, 0, "x"), -EINVAL);
	assert_int_equal(stack_add_vlan(w->s, w->interface, 4095, "x"), -EINVAL);
	assert_int_equal(stack_add_vlan(w->s, vlan, 7, "x"), -EINVAL);
	assert_int_equal(stack_add_vlan(w->s, stack_loopback(w->s), 7, "x"), -EINVAL);
	assert_int_equal(stack_add_vlan(w->s, 99, 7, "x"), -ENODEV);
	assert_int_equal(stack_add_vlan(w->s, -1, 7, "x"), -ENODEV);
	assert_int_equal(stack_remove_vlan(w->s, w->interface), -EINVAL);
	assert_int_equal(stack_remove_vlan(w->s, 99), -ENODEV);
	assert_true(stack_interface(w->s, vlan, &i));
	assert_int_equal(i.vid, VID);
	assert_ptr_equal(i.link, &w->link);
	assert_string_equal(i.name, "vlan");
	assert_true(stack_interface(w->s, w->interface, &i));
	assert_int_equal(i.vid, 0);
	for (unsigned n = 0; n < STACK_INTERFACES - 3; n++)
		assert_true(stack_add_vlan(w->s, w->interface, 200 + n, "x") > 0);
	assert_int_equal(stack_add_vlan(w->s, w->interface, 300, "x"), -ENOBUFS);
}

static void a_removed_vlan_leaves_nothing_and_its_number_is_free(void **state)
{
	struct world *w = *state;
	int first = add(w, VID, US_THERE), second = add(w, VID + 1, be32(0x0a650001));
	struct ipaddr to = ipaddr_from_ip4(FAR_AWAY), via = ipaddr_from_ip4(PEER_THERE), own = ipaddr_from_ip4(US_THERE);
	struct frame f = tagged(icmp_frame(PEER_THERE, US_THERE, ICMP_ECHO, 0, 1, "", 0), ETH_TYPE_VLAN, VID);
	struct ep_name there = name_of(PEER_THERE, 7);
	struct stack_route r;
	struct stack_neighbour n;
	struct stack_interface i;
	ep_id id = udp_socket(w, 0, 0), bound = udp_socket(w, US_THERE, 99);
	uint32_t cursor = 0;

	assert_int_equal(stack_add_route(w->s, &to, 32, &via, 0), 0);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &there), 1);  /* waits for ARP */
	assert_int_equal(w->s->packets_held, 1);
	assert_int_equal(stack_remove_vlan(w->s, first), 0);
	assert_int_equal(dropped(w, DROP_NEIGHBOUR_GONE), 1);
	assert_false(stack_interface(w->s, first, &i));
	assert_true(stack_interface(w->s, second, &i));
	assert_int_equal(stack_interfaces(w->s), second);
	assert_false(stack_is_own(w->s, &own));
	while (stack_walk_routes(w->s, &cursor, &r))
		assert_int_not_equal(r.interface, first);
	for (cursor = 0; stack_walk_neighbours(w->s, &cursor, &n); )
		assert_int_not_equal(n.interface, first);
	world_run(w, w->now + NSEC_PER_SEC);
	EXPECT_DROP(w, &f, VLAN_UNKNOWN);
	assert_int_equal(ep_send_to(w->s, bound, "x", 1, &there), -EINVAL);
	assert_int_equal(ep_send_to(w->s, id, "x", 1, &there), 1);  /* by the default route now */
	assert_int_equal(add(w, 7, US_THERE), first);
	assert_int_equal(stack_remove_vlan(w->s, second), 0);
	assert_int_equal(stack_remove_vlan(w->s, first), 0);
	assert_int_equal(stack_interfaces(w->s), w->interface);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_tagged_frame_reaches_its_vlan_and_is_answered_with_the_tag),
		world_test(vid_zero_is_the_untagged_interface),
		world_test(what_no_vlan_wants_is_dropped),
		world_test(the_untagged_net_and_a_vlan_do_not_mix),
		world_test(sending_resolves_in_the_vlan_and_carries_the_precedence),
		world_test(vlans_share_the_queue_of_their_link),
		world_test(an_echo_that_returns_through_a_vlan_is_copied_if_it_must_be),
		world_test(wrong_vlans_are_refused),
		world_test(a_removed_vlan_leaves_nothing_and_its_number_is_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
