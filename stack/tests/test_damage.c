/* SPDX-License-Identifier: BSD-3-Clause */
/* Good frames of every kind, damaged at random, by the tens of thousands: nothing is read out of bounds (the sanitizers
 * look), no packet is lost, all invariants hold, and a good frame is still answered afterwards. */
#include "tests/fixture.h"

#define KINDS 9

static struct frame good_frame(struct rng *rng, unsigned kind)
{
	uint8_t data[600];
	struct frame quoted = udp_frame(US, 5000, PEER, 7, "quoted text", 11), f;
	struct {
		struct udp_header ports_and_sequence;
		uint8_t rest[32];
	} tcp = { { be16(9), be16((uint16_t)(80 + rng_below(rng, 2))), 0, 0 }, { 0, 0, 0, 0, 0x50, 2, 0x20 } };

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rng_u32(rng);
	switch (kind) {
	case 0:
		return arp_frame(1 + (uint16_t)rng_below(rng, 2), peer_mac, PEER, US);
	case 1:
		return icmp_frame(PEER, US, ICMP_ECHO, 0, 1, data, (uint32_t)rng_below(rng, 600));
	case 2:
		return icmp_frame(ROUTER, US, ICMP_UNREACHABLE, (uint8_t)rng_below(rng, 6), 1300, frame_ip4(&quoted),
				  (uint32_t)rng_below(rng, 40));
	case 3:
		return udp_frame(PEER, 9, US, (uint16_t)(5000 + rng_below(rng, 2)), data, (uint32_t)rng_below(rng, 600));
	case 4:
	case 5:
		f = ip4_frame(PEER, US, PROTOCOL_UDP, data, 8 * (1 + (uint32_t)rng_below(rng, 70)));
		frame_ip4(&f)->id = be16((uint16_t)rng_below(rng, 8));
		frame_ip4(&f)->fragment = be16((uint16_t)((rng_below(rng, 3) ? IP4_MF : 0) | rng_below(rng, 200)));
		break;
	case 6:
		f = ip4_frame(PEER, US, (uint8_t)rng_u32(rng), data, 60);
		frame_ip4(&f)->version_ihl = (uint8_t)(0x45 + rng_below(rng, 11));
		break;
	case 7:
		return udp_frame(PEER, 9, UINT32_MAX, 5000, data, 100);
	default:
		return ip4_frame(PEER, US, PROTOCOL_TCP, &tcp, sizeof(tcp));
	}
	frame_fix_ip4(&f);
	return f;
}

static void damage(struct rng *rng, struct frame *f)
{
	switch (rng_below(rng, 4)) {
	case 0:
		f->len = (uint32_t)rng_below(rng, f->len + 1);
		break;
	case 1:
		for (unsigned i = 0; i < 4; i++)
			f->bytes[rng_below(rng, f->len)] ^= (uint8_t)(1 << rng_below(rng, 8));
		break;
	case 2:
		f->bytes[14 + rng_below(rng, 40)] = (uint8_t)rng_u32(rng);
		break;
	default:
		break;
	}
	/* half of the time the checksum does not give it away */
	if (rng_below(rng, 2) && f->len >= 14 + 20 && f->bytes[12] == 8 && f->bytes[13] == 0 &&
	    14 + (frame_ip4(f)->version_ihl & 15u) * 4 <= f->len)
		frame_fix_ip4(f);
}

static void any_damage_is_survived(void **state)
{
	struct world *w = *state;
	struct frame ping = icmp_frame(PEER, US, ICMP_ECHO, 0, 1, "still here", 10);
	ep_id id = udp_socket(w, 0, 5000);
	struct ep_event events[8];
	struct rng rng;
	char got[700];

	w->tight = true;
	rng_seed_u64(&rng, 99);
	for (unsigned step = 0; step < 30000; step++) {
		struct frame f = good_frame(&rng, (unsigned)rng_below(&rng, KINDS));

		damage(&rng, &f);
		world_queue(w, f.bytes, f.len);
		stack_turn(w->s, w->now);
		world_clear(w);
		if (step % 64 == 0) {
			w->now += rng_below(&rng, 2 * NSEC_PER_SEC);
			world_turn(w);
			while (ep_recv_from(w->s, id, got, sizeof(got), NULL) >= 0)
				;
			while (stack_events(w->s, events, 8))
				;
			world_clear(w);
		}
	}
	world_turn(w);
	world_clear(w);
	world_give(w, &ping);
	assert_int_equal(w->sent_count, 1);
	frame_verify(&w->sent[0]);
	assert_true(dropped(w, DROP_IP_CHECKSUM) > 100);
	assert_true(w->s->counts[COUNT_ICMP_ECHOES] > 500);
	assert_true(w->s->counts[COUNT_UDP_RECEIVED] > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(any_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
