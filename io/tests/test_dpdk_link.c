/* SPDX-License-Identifier: BSD-3-Clause */
/* The link over rings that cross two ports, in one process and without privileges: every length, full rings, dry pools, chains and
 * mbufs of others. */
#include "dpdk_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>

#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_lcore.h>

#define LARGE 128u              /* packets for chains, since net_ring may scatter */

static unsigned rings_made;

struct pair {
	struct device *devices[2];
	struct link *links[2];
	struct rte_ring *rings[2];
};

/* What one port transmits the other receives. */
static void open_pair(struct pair *p, unsigned slots, uint16_t mtu)
{
	unsigned i;

	memset(&log_kept, 0, sizeof(log_kept));
	for (i = 0; i < 2; i++) {
		char name[32];

		snprintf(name, sizeof(name), "test_ring_%u", rings_made++);
		p->rings[i] = rte_ring_create(name, slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		assert_non_null(p->rings[i]);
	}
	for (i = 0; i < 2; i++) {
		struct dpdk_config c;
		char name[32];
		int port;

		snprintf(name, sizeof(name), "cross_%u", rings_made++);
		port = rte_eth_from_rings(name, &p->rings[i], 1, &p->rings[!i], 1, 0);
		assert_true(port >= 0);
		c = config_of((unsigned)port);
		c.device.mtu = mtu;
		p->devices[i] = open_port(&c);
		p->links[i] = p->devices[i]->ops->queue(p->devices[i], 0);
	}
}

/* The receiver of what port 0 sent goes first: packets in it are port 0's. */
static void close_pair(struct pair *p)
{
	unsigned i;

	for (i = 2; i-- > 0;) {
		assert_int_equal(p->devices[i]->ops->outstanding(p->devices[i]), 0);
		p->devices[i]->ops->close(p->devices[i]);
	}
	for (i = 0; i < 2; i++)
		rte_ring_free(p->rings[i]);
	assert_null(strstr(log_kept.text, "not come back"));
}

static void frames_of_every_length_cross_unchanged(void **state)
{
	struct pair p;
	uint32_t len, lens[32];
	unsigned way, i, n;

	(void)state;
	open_pair(&p, 1024, 9000);
	assert_int_equal(p.links[0]->mtu, 9000);
	for (len = 14; len <= 9018; len += n) {
		for (n = 0; n < 32 && len + n <= 9018; n++)
			lens[n] = len + n;
		for (way = 0; way < 2; way++) {
			struct link *from = p.links[way], *to = p.links[!way];
			struct pkt *got[32];

			assert_int_equal(send_frames(from, lens, n, way), n);
			assert_int_equal(to->ops->receive(to, got, 32), n);
			for (i = 0; i < n; i++) {
				assert_int_equal(got[i]->len, lens[i]);
				assert_ptr_equal(got[i]->link, to);
				assert_true(is_frame(got[i]->data, got[i]->len, way));
				assert_true(pkt_headroom(got[i]) >= PKT_HEADROOM);
			}
			to->ops->release(to, got, n);
		}
	}
	assert_int_equal(p.links[0]->stats.rx_packets, 9005);
	assert_int_equal(p.links[0]->stats.tx_packets, 9005);
	close_pair(&p);
}

static void frames_too_short_or_too_long_are_refused_and_counted(void **state)
{
	static const uint32_t lens[] = { 60, 0, 13, 14, 1522, 1523, 1524, 60 };
	struct pair p;
	struct pkt *got[8];

	(void)state;
	open_pair(&p, 1024, 1500);
	assert_int_equal(send_frames(p.links[0], lens, 8, 1), 8);
	assert_int_equal(p.links[0]->stats.tx_packets, 4);
	assert_int_equal(p.links[0]->stats.tx_bytes, 60 + 14 + 1522 + 60);
	assert_int_equal(p.links[0]->stats.tx_dropped, 4);
	assert_int_equal(counter_of(p.links[0], "tx_refused"), 4);
	assert_int_equal(p.links[1]->ops->receive(p.links[1], got, 8), 4);
	assert_int_equal(got[2]->len, 1522);
	p.links[1]->ops->release(p.links[1], got, 4);
	close_pair(&p);
}

static void a_full_ring_takes_fewer_and_the_rest_stays_the_callers(void **state)
{
	struct pair p;
	struct pkt *out[128], *in[64];
	struct link *a, *b;
	unsigned i;

	(void)state;
	open_pair(&p, 64, 1500);    /* room for 63 */
	a = p.links[0];
	b = p.links[1];
	assert_int_equal(a->ops->borrow(a, out, 128), 128);
	for (i = 0; i < 128; i++) {
		make_frame(out[i]->data, 60, i);
		out[i]->len = 60;
	}
	assert_int_equal(a->ops->transmit(a, out, 128), 63);
	assert_int_equal(p.devices[0]->ops->outstanding(p.devices[0]), 65);
	assert_int_equal(counter_of(a, "tx_ring_full"), 65);
	assert_int_equal(a->stats.tx_dropped, 0);
	assert_int_equal(b->ops->receive(b, in, 64), 63);
	/* Those that were not taken are whole still. */
	assert_int_equal(a->ops->transmit(a, out + 63, 3), 3);
	assert_int_equal(b->ops->receive(b, in + 63, 1), 1);
	assert_true(is_frame(in[63]->data, 60, 63));
	b->ops->release(b, in, 64);
	a->ops->release(a, out + 66, 62);
	close_pair(&p);             /* two are left in the ring, and come back by the closing */
}

static void a_dry_pool_lends_fewer_and_recovers(void **state)
{
	static struct pkt *out[TEST_PACKETS + 100];
	struct pair p;
	struct link *a;
	unsigned n;

	(void)state;
	open_pair(&p, 1024, 1500);
	a = p.links[0];
	n = a->ops->borrow(a, out, TEST_PACKETS + 100);
	assert_int_equal(n, TEST_PACKETS);
	assert_int_equal(a->ops->borrow(a, out + n, 1), 0);
	assert_int_equal(counter_of(a, "no_packet"), 101);
	assert_int_equal(counter_of(a, "packets_free"), LARGE);
	assert_int_equal(p.devices[0]->ops->outstanding(p.devices[0]), n);
	a->ops->release(a, out, n);
	assert_int_equal(counter_of(a, "packets_free"), TEST_PACKETS + LARGE);
	assert_int_equal(a->ops->borrow(a, out, 64), 64);
	a->ops->release(a, out, 64);
	close_pair(&p);
}

static void few_are_received_when_few_are_asked_for(void **state)
{
	static const uint32_t lens[40] = { [0 ... 39] = 100 };
	struct pair p;
	struct pkt *got[40];
	struct link *b;
	unsigned i;

	(void)state;
	open_pair(&p, 1024, 1500);
	b = p.links[1];
	assert_int_equal(send_frames(p.links[0], lens, 40, 5), 40);
	for (i = 0; i < 3; i++)
		assert_int_equal(b->ops->receive(b, got + i, 1), 1);
	assert_int_equal(b->ops->receive(b, got + 3, 32), 29);
	assert_int_equal(b->ops->receive(b, got + 32, 5), 5);
	for (i = 0; i < 37; i++)
		assert_true(is_frame(got[i]->data, 100, 5));
	b->ops->release(b, got, 37);
	close_pair(&p);             /* three wait inside still */
}

static void a_received_packet_can_be_sent_back(void **state)
{
	static const uint32_t len = 200;
	struct pair p;
	struct pkt *got;
	struct link *a, *b;
	unsigned turn;

	(void)state;
	open_pair(&p, 1024, 1500);
	a = p.links[0];
	b = p.links[1];
	assert_int_equal(send_frames(a, &len, 1, 3), 1);
	for (turn = 0; turn < 10; turn++) {
		assert_int_equal(b->ops->receive(b, &got, 1), 1);
		got->data += 14;        /* as a reply moves its beginning */
		got->len -= 14;
		got->data -= 14;
		got->len += 14;
		assert_int_equal(b->ops->transmit(b, &got, 1), 1);
		assert_int_equal(a->ops->receive(a, &got, 1), 1);
		assert_true(is_frame(got->data, 200, 3));
		assert_int_equal(a->ops->transmit(a, &got, 1), 1);
	}
	close_pair(&p);
}

static struct rte_mbuf *foreign(struct rte_mempool *pool, uint32_t len, uint32_t pieces, uint32_t seed)
{
	static uint8_t frame[65536];
	struct rte_mbuf *first = NULL;
	uint32_t i, part = len / pieces;

	make_frame(frame, len, seed);
	for (i = 0; i < pieces; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint32_t n = i + 1 < pieces ? part : len - part * i;

		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), frame + part * i, n);
		if (first)
			assert_int_equal(rte_pktmbuf_chain(first, m), 0);
		else
			first = m;
	}
	return first;
}

static void a_chain_becomes_one_packet_or_is_dropped_and_counted(void **state)
{
	struct pair p;
	struct dpdk_queue *q;
	struct pkt *got[4];
	struct rte_mbuf *m;
	struct link *a;

	(void)state;
	open_pair(&p, 1024, 1500);
	a = p.links[0];
	q = (struct dpdk_queue *)(void *)a;
	m = foreign(q->pool, 1500, 5, 8);
	assert_int_equal(rte_ring_enqueue(p.rings[0], m), 0);
	m = foreign(q->pool, 65500, 40, 8); /* more than the largest holds behind its headroom */
	assert_int_equal(rte_ring_enqueue(p.rings[0], m), 0);
	assert_int_equal(a->ops->receive(a, got, 4), 1);
	assert_int_equal(got[0]->len, 1500);
	assert_true(is_frame(got[0]->data, 1500, 8));
	assert_int_equal(counter_of(a, "rx_chains"), 1);
	assert_int_equal(counter_of(a, "rx_chains_dropped"), 1);
	assert_int_equal(a->stats.rx_dropped, 1);
	a->ops->release(a, got, 1);
	assert_int_equal(counter_of(a, "packets_free"), TEST_PACKETS + LARGE);
	close_pair(&p);
}

static void a_long_chain_is_copied_into_a_large_packet_while_there_are_some(void **state)
{
	struct pair p;
	struct dpdk_queue *q;
	struct rte_mbuf *taken[LARGE - 4];
	struct pkt *got[5];
	struct link *a;
	unsigned i;

	(void)state;
	open_pair(&p, 1024, 1500);
	a = p.links[0];
	q = (struct dpdk_queue *)(void *)a;
	assert_int_equal(rte_pktmbuf_alloc_bulk(q->super, taken, LARGE - 4), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(rte_ring_enqueue(p.rings[0], foreign(q->pool, 60000, 40, i)), 0);
	assert_int_equal(a->ops->receive(a, got, 5), 4);    /* the fifth finds the large ones in use */
	assert_int_equal(counter_of(a, "rx_chains_dropped"), 1);
	for (i = 0; i < 4; i++) {
		assert_int_equal(got[i]->len, 60000);
		assert_true(is_frame(got[i]->data, 60000, i));
	}
	a->ops->release(a, got, 4);
	rte_pktmbuf_free_bulk(taken, LARGE - 4);
	assert_int_equal(counter_of(a, "packets_free"), TEST_PACKETS + LARGE);
	close_pair(&p);
}

static void an_mbuf_of_another_programs_pool_is_dropped(void **state)
{
	struct rte_mempool *theirs = rte_pktmbuf_pool_create("theirs", 8, 0, 0, 2176, SOCKET_ID_ANY);
	struct pair p;
	struct pkt *got[2];
	struct link *a;

	(void)state;
	assert_non_null(theirs);
	open_pair(&p, 1024, 1500);
	a = p.links[0];
	assert_int_equal(rte_ring_enqueue(p.rings[0], foreign(theirs, 100, 1, 1)), 0);
	assert_int_equal(a->ops->receive(a, got, 2), 0);
	assert_int_equal(counter_of(a, "rx_strangers"), 1);
	assert_int_equal(rte_mempool_avail_count(theirs), 8);
	close_pair(&p);
	rte_mempool_free(theirs);
}

static void what_has_not_come_back_is_said_at_close(void **state)
{
	struct pair p;
	struct pkt *lost;
	struct link *a;
	unsigned i;

	(void)state;
	open_pair(&p, 1024, 1500);
	a = p.links[0];
	assert_int_equal(a->ops->borrow(a, &lost, 1), 1);
	assert_int_equal(p.devices[0]->ops->outstanding(p.devices[0]), 1);
	for (i = 0; i < 2; i++)
		p.devices[i]->ops->close(p.devices[i]);
	assert_non_null(strstr(log_kept.text, "1 packets of queue 0 have not come back"));
	lost->data[0] = 1;          /* its memory is there still */
	for (i = 0; i < 2; i++)
		rte_ring_free(p.rings[i]);
}

static void what_is_missing_is_said_once_at_opening(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, 1024, 1500);
	assert_int_equal(p.links[0]->flags, 0);
	assert_non_null(strstr(log_kept.text,
		"done in software, since the PMD does not: checksums to send, checksums received, segmentation"));
	assert_int_equal(p.links[0]->up, 1);
	assert_int_equal(p.links[0]->ops->arm(p.links[0]), -1);
	p.links[0]->ops->disarm(p.links[0]);
	close_pair(&p);
}

static void *echo_thread(void *argument)
{
	struct link *l = argument;
	struct pkt *p[32];
	unsigned n = 0;
	uint64_t end;

	if (dpdk_thread() != 0 || dpdk_thread() != 0 || rte_lcore_id() == LCORE_ID_ANY)
		return NULL;
	end = rte_rdtsc() + 10 * rte_get_tsc_hz();
	while (n < 320 && rte_rdtsc() < end) {
		unsigned got = l->ops->receive(l, p, 32);

		n += l->ops->transmit(l, p, got);
	}
	dpdk_thread_end();
	dpdk_thread_end();
	return rte_lcore_id() == LCORE_ID_ANY ? l : NULL;
}

static void other_threads_use_a_link_after_they_are_registered(void **state)
{
	static const uint32_t lens[32] = { [0 ... 31] = 64 };
	struct pair p;
	pthread_t thread;
	void *result = NULL;
	unsigned sent, back = 0;
	uint64_t end;

	(void)state;
	open_pair(&p, 1024, 1500);
	assert_int_equal(pthread_create(&thread, NULL, echo_thread, p.links[1]), 0);
	for (sent = 0; sent < 320; sent += 32)
		assert_int_equal(send_frames(p.links[0], lens, 32, sent), 32);
	end = rte_rdtsc() + 10 * rte_get_tsc_hz();
	while (back < 320 && rte_rdtsc() < end) {
		struct pkt *got[32];
		unsigned n = p.links[0]->ops->receive(p.links[0], got, 32);

		back += n;
		p.links[0]->ops->release(p.links[0], got, n);
	}
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_int_equal(back, 320);
	assert_ptr_equal(result, p.links[1]);
	close_pair(&p);
}

static void multicast_groups_without_a_filter_are_all_received(void **state)
{
	static const uint8_t group[1][6] = { { 1, 0, 0x5e, 0, 0, 1 } }, no_group[1][6] = { { 2, 0, 0, 0, 0, 1 } };
	struct pair p;

	(void)state;
	open_pair(&p, 1024, 1500);
	/* Opening asked for the group of all hosts already. */
	assert_int_equal(rte_eth_allmulticast_get(((struct dpdk_port *)(void *)p.devices[0])->id), 1);
	assert_int_equal(dpdk_multicast(p.devices[0], group, 1), -ENOTSUP);
	assert_int_equal(dpdk_multicast(p.devices[0], no_group, 1), -EINVAL);
	/* What sockets join is no error then. */
	assert_int_equal(p.links[0]->ops->group(p.links[0], inet_addr("239.1.2.3"), true), 0);
	assert_int_equal(p.links[0]->ops->group(p.links[0], inet_addr("239.1.2.3"), true), 0);
	assert_int_equal(((struct dpdk_port *)(void *)p.devices[0])->groups.count, 1);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(p.links[0]->ops->group(p.links[0], inet_addr("239.1.2.3"), false), 0);
	assert_int_equal(((struct dpdk_port *)(void *)p.devices[0])->groups.count, 0);
	close_pair(&p);
}

static int start(void **state)
{
	(void)state;
	start_eal(NULL, 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	stop_eal();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_every_length_cross_unchanged),
		cmocka_unit_test(frames_too_short_or_too_long_are_refused_and_counted),
		cmocka_unit_test(a_full_ring_takes_fewer_and_the_rest_stays_the_callers),
		cmocka_unit_test(a_dry_pool_lends_fewer_and_recovers),
		cmocka_unit_test(few_are_received_when_few_are_asked_for),
		cmocka_unit_test(a_received_packet_can_be_sent_back),
		cmocka_unit_test(a_chain_becomes_one_packet_or_is_dropped_and_counted),
		cmocka_unit_test(a_long_chain_is_copied_into_a_large_packet_while_there_are_some),
		cmocka_unit_test(an_mbuf_of_another_programs_pool_is_dropped),
		cmocka_unit_test(what_has_not_come_back_is_said_at_close),
		cmocka_unit_test(what_is_missing_is_said_once_at_opening),
		cmocka_unit_test(other_threads_use_a_link_after_they_are_registered),
		cmocka_unit_test(multicast_groups_without_a_filter_are_all_received),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
