/* SPDX-License-Identifier: BSD-3-Clause */
/* The flow table, and the flow that was found last. */
#include "tests/fixture.h"

#include "layers.h"

static struct flow made(uint16_t port)
{
	return (struct flow){
		.key = { .local = ipaddr_from_ip4(US), .remote = ipaddr_from_ip4(PEER), .local_port = 80, .remote_port = port },
		.kind = FLOW_TIME_WAIT,
	};
}

static struct flow *find(struct world *w, const struct flow_key *k)
{
	const struct ip_received ip = { .source = k->remote, .destination = k->local };

	return flow_find_received(w->s, &ip, k->local_port, k->remote_port);
}

static void a_flow_is_found_by_all_of_its_four_tuple(void **state)
{
	struct world *w = *state;
	struct flow one = made(1), two = made(2);
	struct flow_key other;

	flow_insert(w->s, &one);
	flow_insert(w->s, &two);
	for (unsigned round = 0; round < 2; round++) {
		assert_ptr_equal(find(w, &one.key), &one);
		for (unsigned wrong = 0; wrong < 4; wrong++) {
			other = one.key;
			other.local_port += wrong == 0;
			other.remote_port += 2 * (wrong == 1);
			other.local.words[3] ^= wrong == 2;
			other.remote.words[3] ^= wrong == 3;
			assert_null(find(w, &other));
		}
		assert_ptr_equal(find(w, &two.key), &two);
	}
	flow_remove(w->s, &one);
	flow_remove(w->s, &two);
}

static void the_flow_found_last_is_forgotten_with_its_place(void **state)
{
	struct world *w = *state;
	struct flow one = made(1), by = made(1);

	flow_insert(w->s, &one);
	assert_ptr_equal(find(w, &one.key), &one);
	flow_replace(w->s, &one, &by);
	assert_null(flows_check(w->s));
	assert_ptr_equal(find(w, &one.key), &by);
	flow_remove(w->s, &by);
	assert_null(flows_check(w->s));
	assert_null(find(w, &one.key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_flow_is_found_by_all_of_its_four_tuple),
		world_test(the_flow_found_last_is_forgotten_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
