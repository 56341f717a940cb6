/* SPDX-License-Identifier: BSD-3-Clause */
/* The EAL and opening ports, over DPDK's software devices in one process, without privileges: net_null, and net_pcap from a file
 * and to one. */
#include "dpdk_test.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include <pcap/pcap.h>
#include <rte_lcore.h>

static char folder[] = "/tmp/light-dpdk-XXXXXX";

static unsigned port_named(const char *name)
{
	uint16_t port = 0;

	assert_int_equal(rte_eth_dev_get_port_by_name(name, &port), 0);
	return port;
}

static void net_null_gives_and_swallows_on_two_queues(void **state)
{
	struct dpdk_config c = config_of(port_named("net_null0"));
	struct device *d;
	unsigned i;

	(void)state;
	c.device.queues = 2;
	d = open_port(&c);
	assert_int_equal(d->queues, 2);
	assert_null(d->ops->queue(d, 2));
	assert_int_equal(d->rss.key_bytes, 0);
	for (i = 0; i < 2; i++) {
		static const uint32_t lens[10] = { [0 ... 9] = 64 };
		struct link *l = d->ops->queue(d, i);
		struct pkt *got[64];
		unsigned n = l->ops->receive(l, got, 64);
		char name[32];

		assert_int_equal(n, 64);
		assert_int_equal(got[0]->len, 300);
		l->ops->release(l, got, n);
		assert_int_equal(send_frames(l, lens, 10, 1), 10);
		assert_int_equal(l->stats.tx_packets, 10);
		snprintf(name, sizeof(name), "rx_q%u_packets", i);
		assert_int_equal(counter_of(l, name), 64);      /* and not the other queue's */
	}
	assert_int_equal(counter_of(d->ops->queue(d, 0), "rx_good_packets"), 128);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
}

/* net_null keeps a key and a table as a NIC does, but does not declare the key: it is declared here. */
static void the_key_and_the_table_are_read_back(void **state)
{
	struct rte_eth_dev_info info = { .reta_size = 128, .hash_key_size = 40 };
	struct dpdk_config c = config_of(port_named("net_null2"));
	struct dpdk_port *port;
	struct device *d;
	unsigned i;

	(void)state;
	c.device.queues = 3;
	d = open_port(&c);
	port = (struct dpdk_port *)(void *)d;
	dpdk_read_rss(port, &info);
	assert_int_equal(d->rss.key_bytes, 40);
	assert_int_equal(d->rss.table_size, 128);
	assert_true(d->rss.udp);
	for (i = 0; i < 128; i++)
		assert_int_equal(d->rss.table[i], i % 3);
	/* A table that is no power of two, or a key of another length, is one we do not know. */
	memset(&d->rss, 0, sizeof(d->rss));
	info.reta_size = 96;
	dpdk_read_rss(port, &info);
	assert_int_equal(d->rss.key_bytes, 0);
	info.reta_size = 128;
	info.hash_key_size = 53;
	dpdk_read_rss(port, &info);
	assert_int_equal(d->rss.key_bytes, 0);
	d->ops->close(d);
}

static char input[64], output[64];

static void write_input(void)
{
	pcap_t *dead = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *file = pcap_dump_open(dead, input);
	uint32_t len;

	assert_non_null(file);
	for (len = 60; len < 160; len++) {
		struct pcap_pkthdr h = { .caplen = len, .len = len };
		uint8_t frame[200];

		make_frame(frame, len, 4);
		pcap_dump((u_char *)file, &h, frame);
	}
	pcap_dump_close(file);
	pcap_close(dead);
}

static void net_pcap_receives_a_file_and_writes_one(void **state)
{
	struct dpdk_config c = config_of(port_named("net_pcap0"));
	struct device *d = open_port(&c);
	struct link *l = d->ops->queue(d, 0);
	char error[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *h;
	const uint8_t *bytes;
	uint32_t len = 60;
	struct pkt *got[32];
	unsigned n, i;
	pcap_t *file;

	(void)state;
	while ((n = l->ops->receive(l, got, 32)) > 0) {
		for (i = 0; i < n; i++) {
			assert_int_equal(got[i]->len, len);
			assert_true(is_frame(got[i]->data, len++, 4));
		}
		assert_int_equal(l->ops->transmit(l, got, n), n);
	}
	assert_int_equal(len, 160);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
	file = pcap_open_offline(output, error);
	assert_non_null(file);
	for (len = 60; pcap_next_ex(file, &h, &bytes) == 1; len++) {
		assert_int_equal(h->caplen, len);
		assert_true(is_frame(bytes, len, 4));
	}
	pcap_close(file);
	assert_int_equal(len, 160);
}

static void wrong_configurations_are_refused_with_a_sentence(void **state)
{
	static const struct {
		struct dpdk_config config;
		const char *part;
	} rows[] = {
		{ { .port = 31, .device.queues = 1 }, "there is no DPDK port 31" },
		{ { .port = 1000000, .device.queues = 1 }, "there is no DPDK port 1000000" },
		{ { .device.queues = 0 }, "0 queues are not possible, 1 to 16 are" },
		{ { .device.queues = 17 }, "17 queues are not possible" },
		{ { .device = { .queues = 1, .mtu = 575 } }, "an MTU of 575 bytes is not possible" },
		{ { .device = { .queues = 1, .mtu = 9001 } }, "takes 576 to 9000" },
		{ { .device.queues = 1, .packets = 100 }, "100 packets are not possible with these rings" },
		{ { .device.queues = 1, .packets = 4000000 }, "give the EAL more (-m), or ask for fewer" },
	};
	unsigned i, port = port_named("net_null1");

	(void)state;
	for (i = 0; i < RTE_DIM(rows); i++) {
		struct dpdk_config c = rows[i].config;
		char why[DEVICE_WHY] = "";
		struct device *d;

		c.port = c.port ? c.port : port;
		assert_true(dpdk_open(&c, &d, why) < 0);
		if (!strstr(why, rows[i].part))
			fail_msg("row %u says: %s", i, why);
	}
}

static void a_port_can_be_opened_after_an_attempt_that_failed(void **state)
{
	struct dpdk_config c = config_of(port_named("net_null1"));
	struct device *d;

	(void)state;
	d = open_port(&c);
	d->ops->close(d);
}

static void the_eal_starts_once(void **state)
{
	char why[DEVICE_WHY];

	(void)state;
	assert_int_equal(dpdk_start(0, NULL, why), -EALREADY);
	assert_non_null(strstr(why, "once a process"));
}

/* In a child, since the EAL tries once: its sentence by a pipe. */
static void why_not(char **arguments, unsigned n, char why[DEVICE_WHY])
{
	int ends[2], status;
	pid_t child;

	memset(why, 0, DEVICE_WHY);
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		int error = dpdk_start(n, arguments, why);

		if (write(ends[1], why, DEVICE_WHY) != (ssize_t)DEVICE_WHY)
			_exit(9);
		_exit(error < 0 ? 0 : 1);
	}
	assert_true(read(ends[0], why, DEVICE_WHY) > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(status, 0);
}

static char a_no_pci[] = "--no-pci", a_no_huge[] = "--no-huge", a_memory[] = "--in-memory";

static void an_eal_that_does_not_start_says_why(void **state)
{
	static char unknown[] = "--unknown", nix[] = "--vdev=net_nix0", help[] = "--help", lcores[] = "--lcores=x";
	char why[DEVICE_WHY];

	(void)state;
	why_not((char *[]){ unknown }, 1, why);
	assert_non_null(strstr(why, "unrecognized option '--unknown'"));
	why_not((char *[]){ a_no_pci, a_no_huge, nix }, 3, why);
	assert_non_null(strstr(why, "net_nix0"));
	why_not((char *[]){ a_no_pci, a_no_huge, a_memory }, 3, why);
	assert_non_null(strstr(why, "not compatible with --in-memory"));
	why_not((char *[]){ help }, 1, why);
	assert_non_null(strstr(why, "dpdk-testpmd --help"));
	why_not((char *[]){ a_no_pci, a_no_huge, lcores }, 3, why);
	assert_non_null(strstr(why, "the EAL does not start"));
}

static void nothing_opens_before_the_eal_has_started(void **state)
{
	struct dpdk_config c = config_of(0);
	char why[DEVICE_WHY];
	struct device *d;

	(void)state;
	assert_int_equal(dpdk_open(&c, &d, why), -EINVAL);
	assert_string_equal(why, "the EAL has not been started");
}

static void the_eal_starts_in_silence_and_leaves_the_affinity(void **state)
{
	static char pcap[200];
	const char *devices[] = { "--vdev=net_null0,size=300", "--vdev=net_null1", "--vdev=net_null2", pcap };
	cpu_set_t before, after;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(input, sizeof(input), "%s/in.pcap", folder);
	snprintf(output, sizeof(output), "%s/out.pcap", folder);
	write_input();
	snprintf(pcap, sizeof(pcap), "--vdev=net_pcap0,rx_pcap=%s,tx_pcap=%s", input, output);
	pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
	start_eal(devices, RTE_DIM(devices));
	pthread_getaffinity_np(pthread_self(), sizeof(after), &after);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(rte_lcore_count(), 1);
}

static int end(void **state)
{
	(void)state;
	stop_eal();
	unlink(input);
	unlink(output);
	rmdir(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_eal_that_does_not_start_says_why),
		cmocka_unit_test(nothing_opens_before_the_eal_has_started),
		cmocka_unit_test(the_eal_starts_in_silence_and_leaves_the_affinity),
		cmocka_unit_test(the_eal_starts_once),
		cmocka_unit_test(net_null_gives_and_swallows_on_two_queues),
		cmocka_unit_test(the_key_and_the_table_are_read_back),
		cmocka_unit_test(net_pcap_receives_a_file_and_writes_one),
		cmocka_unit_test(wrong_configurations_are_refused_with_a_sentence),
		cmocka_unit_test(a_port_can_be_opened_after_an_attempt_that_failed),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
