/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures played through a stack: what is built here, byte by byte, and files that are broken. */
#include "frames.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/pcap.h"
#include "stack/base/rng.h"
#include "stack/stack.h"

static char in_path[64], out_path[64], again_path[64], last_line[256];
#define START UINT64_C(1700000000123456789)

static void keep_line(void *context, const char *line)
{
	(void)context;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static struct pcap_file_config config(void)
{
	struct pcap_file_config c = { .input = in_path, .output = out_path, .device = { .queues = 1, .log = keep_line } };

	memcpy(c.mac, our_mac, 6);
	return c;
}

static struct device *open_or_fail(const struct pcap_file_config *c)
{
	char why[DEVICE_WHY] = "";
	struct device *d;

	if (pcap_file_open(c, &d, why) != 0)
		fail_msg("%s", why);
	return d;
}

static uint64_t count_of(struct device *d, const char *name)
{
	struct link *l = d->ops->queue(d, 0);
	struct link_counter c;

	for (unsigned i = 0; l->ops->counter(l, i, &c); i++)
		if (strcmp(c.name, name) == 0)
			return c.value;
	fail_msg("no counter %s", name);
	return 0;
}

/* ARP, echo and SYN of the peer, an echo of ours in between. */
static void write_conversation(bool nano)
{
	struct writer w = write_open(in_path, DLT_EN10MB, nano);
	uint8_t f[2048];
	uint32_t n = arp_request(f, false);

	write_at(&w, START, nano, f, n, n);
	n = echo_request(f, true);
	write_at(&w, START + 500000, nano, f, n, n);
	n = echo_request(f, false);
	write_at(&w, START + 1000000, nano, f, n, n);
	n = syn(f, false);
	write_at(&w, START + 2000000, nano, f, n, n);
	write_close(&w);
}

static void play(const struct pcap_file_config *c)
{
	struct device *d = open_or_fail(c);
	struct link *l = d->ops->queue(d, 0);
	struct ipaddr own;
	struct stack_config sc;
	struct stack *s;
	uint32_t ip4;
	int interface;
	nsec next;

	memcpy(&ip4, our_ip, 4);
	own = ipaddr_from_ip4(ip4);
	stack_config_init(&sc);
	sc.max_endpoints = 64;
	s = stack_new(&sc);
	assert_non_null(s);
	next = pcap_file_next(d);
	pcap_file_clock(d, next);
	stack_at(s, next);
	interface = stack_add_link(s, l, "link0");
	assert_true(interface > 0);
	assert_int_equal(stack_add_address(s, interface, &own, 24), 0);
	while ((next = pcap_file_next(d)) != NSEC_NEVER) {
		pcap_file_clock(d, next);
		stack_turn(s, next);
	}
	stack_free(s);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
}

static size_t slurp(const char *path, uint8_t *to, size_t size)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	n = fread(to, 1, size, f);
	fclose(f);
	return n;
}

struct answer {
	uint64_t when;
	uint8_t bytes[128];
	uint32_t len;
};

/* All but what went to everybody: the announcements of our address. */
static unsigned read_answers(struct answer *a, unsigned most)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline_with_tstamp_precision(out_path, PCAP_TSTAMP_PRECISION_NANO, error);
	struct pcap_pkthdr *h;
	const u_char *bytes;
	unsigned n = 0;

	assert_non_null(p);
	while (n < most && pcap_next_ex(p, &h, &bytes) == 1) {
		a[n].when = (uint64_t)h->ts.tv_sec * 1000000000u + (uint64_t)h->ts.tv_usec;
		a[n].len = h->caplen;
		memcpy(a[n].bytes, bytes, h->caplen < 128 ? h->caplen : 128);
		n += !(bytes[0] & 1);
	}
	pcap_close(p);
	return n;
}

/* One answer for each frame of the peer. */
static void check_answers(uint64_t unit)
{
	struct answer a[8];
	unsigned n = read_answers(a, 8);
	uint8_t request[128];

	assert_int_equal(n, 3);
	assert_int_equal(a[0].when, START / unit * unit);
	assert_memory_equal(a[0].bytes, peer_mac, 6);
	assert_int_equal(a[0].bytes[21], 2);                      /* ARP reply */
	assert_memory_equal(a[0].bytes + 22, our_mac, 6);
	assert_int_equal(a[1].when, (START + 1000000) / unit * unit);
	assert_int_equal(a[1].len, echo_request(request, false));
	assert_int_equal(a[1].bytes[34], 0);                      /* echo reply */
	assert_memory_equal(a[1].bytes + 38, request + 38, 60);
	assert_int_equal(a[2].when, (START + 2000000) / unit * unit);
	assert_int_equal(a[2].bytes[34 + 13], 0x14);              /* RST, ACK */
	assert_memory_equal(a[2].bytes + 34 + 8, "\x01\x02\x03\x05", 4);
}

static void a_capture_is_answered_with_its_own_times_and_twice_the_same(void **state)
{
	static uint8_t first[65536], second[65536];
	struct pcap_file_config c = config();
	size_t n;

	(void)state;
	write_conversation(true);
	play(&c);
	check_answers(1);
	c.output = again_path;
	play(&c);
	n = slurp(out_path, first, sizeof(first));
	assert_true(n > 24 + 3 * 16);
	assert_memory_equal(first, "\x4d\x3c\xb2\xa1", 4);        /* nanoseconds */
	assert_int_equal(slurp(again_path, second, sizeof(second)), n);
	assert_memory_equal(first, second, n);
}

static void microseconds_are_read_too(void **state)
{
	struct pcap_file_config c = config();

	(void)state;
	write_conversation(false);
	play(&c);
	check_answers(1000);
}

static void our_mac_is_learnt_from_our_address(void **state)
{
	struct pcap_file_config c = config();
	char why[DEVICE_WHY];
	struct device *d;

	(void)state;
	write_conversation(true);
	memset(c.mac, 0, 6);
	assert_int_equal(pcap_file_open(&c, &d, why), -EINVAL);
	memcpy(&c.ip4, our_ip, 4);
	d = open_or_fail(&c);
	assert_memory_equal(d->ops->queue(d, 0)->mac, our_mac, 6);
	d->ops->close(d);
	play(&c);
	check_answers(1);
	memcpy(&c.ip4, "\x0a\0\0\x63", 4);
	assert_int_equal(pcap_file_open(&c, &d, why), -ENOENT);
}

static void frames_cut_by_the_capture_are_counted_and_not_played(void **state)
{
	struct writer w = write_open(in_path, DLT_EN10MB, true);
	struct pcap_file_config c = config();
	uint8_t f[2048];
	uint32_t n = echo_request(f, false);
	struct device *d;

	(void)state;
	write_at(&w, START, true, f, n, n - 1);
	write_at(&w, START + 1, true, f, n, n);
	write_at(&w, START - 5, true, f, n, n);
	write_close(&w);
	d = open_or_fail(&c);
	assert_int_equal(count_of(d, "rx_truncated"), 1);
	assert_non_null(strstr(last_line, "-s 0"));
	assert_int_equal(pcap_file_next(d), START + 1);
	d->ops->close(d);
}

static void time_never_goes_back_and_nothing_comes_before_it(void **state)
{
	struct writer w = write_open(in_path, DLT_EN10MB, true);
	struct pcap_file_config c = config();
	uint8_t f[2048];
	uint32_t n = echo_request(f, false);
	struct pkt *p[8];
	struct device *d;
	struct link *l;

	(void)state;
	write_at(&w, START, true, f, n, n);
	write_at(&w, START - 5, true, f, n, n);
	write_at(&w, START + 7, true, f, n, n);
	write_close(&w);
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	pcap_file_clock(d, START - 1);
	assert_int_equal(l->ops->receive(l, p, 8), 0);
	pcap_file_clock(d, START);
	assert_int_equal(l->ops->receive(l, p, 8), 2);
	assert_int_equal(p[1]->stamp, START);
	assert_int_equal(count_of(d, "rx_time_went_back"), 1);
	l->ops->release(l, p, 2);
	pcap_file_clock(d, START - 100);
	assert_int_equal(pcap_file_next(d), START + 7);
	pcap_file_clock(d, START + 7);
	assert_int_equal(l->ops->receive(l, p, 8), 1);
	assert_int_equal(d->ops->outstanding(d), 1);
	l->ops->release(l, p, 1);
	assert_int_equal(pcap_file_next(d), NSEC_NEVER);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
}

static void an_open_checksum_counts_as_good_and_a_wrong_one_does_not(void **state)
{
	struct writer w = write_open(in_path, DLT_EN10MB, true);
	struct pcap_file_config c = config();
	uint8_t f[2048];
	uint32_t n = syn(f, true);
	struct pkt *p[8];
	struct device *d;
	struct link *l;

	(void)state;
	write_at(&w, START, true, f, n, n);
	f[34 + 16] ^= 1;
	write_at(&w, START, true, f, n, n);
	write_close(&w);
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	pcap_file_clock(d, START);
	assert_int_equal(l->ops->receive(l, p, 8), 2);
	assert_int_equal(p[0]->flags, PKT_CSUM_GOOD);
	assert_int_equal(p[0]->csum_start, 34);
	assert_int_equal(p[0]->csum_offset, 16);
	assert_int_equal(p[1]->flags, 0);
	assert_int_equal(count_of(d, "rx_open_checksums"), 1);
	l->ops->release(l, p, 2);
	d->ops->close(d);
}

static void neighbours_of_a_capture_without_arp_are_answered_for(void **state)
{
	struct writer w = write_open(in_path, DLT_EN10MB, true);
	struct pcap_file_config c = config();
	struct answer a[8];
	uint8_t f[2048];
	uint32_t n = echo_request(f, false);

	(void)state;
	write_at(&w, START, true, f, n, n);
	n = syn(f, false);
	write_at(&w, START + 1000, true, f, n, n);
	write_close(&w);
	play(&c);
	assert_int_equal(read_answers(a, 8), 2);
	assert_memory_equal(a[0].bytes, peer_mac, 6);
	assert_int_equal(a[0].bytes[34], 0);
	assert_int_equal(a[0].when, START);
	assert_int_equal(a[1].bytes[34 + 13], 0x14);
	assert_int_equal(a[1].when, START + 1000);
}

static void whom_the_capture_asked_for_in_vain_nobody_answers_for(void **state)
{
	struct writer w = write_open(in_path, DLT_EN10MB, true);
	struct pcap_file_config c = config();
	struct device *d;
	struct pkt *p[4];
	struct link *l;
	uint8_t f[2048];
	uint32_t n = arp_request(f, true);

	(void)state;
	f[41] = 77;     /* nobody has 10.0.0.77 */
	write_at(&w, START, true, f, n, n);
	n = echo_request(f, false);
	write_at(&w, START + 1000, true, f, n, n);
	write_close(&w);
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	pcap_file_clock(d, START);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(l->ops->borrow(l, p, 1), 1);
		p[0]->len = arp_request(p[0]->data, true);
		p[0]->data[41] = (uint8_t[]){ 77, 1, 200, 2, 1 }[i];   /* in vain, seen, not seen, our own, a probe for one seen */
		if (i == 4)
			memset(p[0]->data + 28, 0, 4);
		assert_int_equal(l->ops->transmit(l, p, 1), 1);
		assert_int_equal(pcap_file_next(d), i == 1 || i == 2 ? START : START + 1000);
		assert_int_equal(l->ops->receive(l, p, 4), i == 1 || i == 2);
		if (i != 1 && i != 2)
			continue;
		assert_memory_equal(p[0]->data, our_mac, 6);
		assert_memory_equal(p[0]->data + 6, peer_mac, 6);
		assert_memory_equal(p[0]->data + 12, "\x08\x06\0\1\x08\0\6\4\0\2", 10);
		assert_memory_equal(p[0]->data + 22, peer_mac, 6);
		assert_int_equal(p[0]->data[31], i == 1 ? 1 : 200);
		assert_memory_equal(p[0]->data + 32, our_mac, 6);
		assert_memory_equal(p[0]->data + 38, our_ip, 4);
		l->ops->release(l, p, 1);
	}
	assert_int_equal(count_of(d, "arp_answered"), 2);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
}

/* The echo request without its Ethernet header. */
static void raw_ip_and_cooked_captures_get_an_ethernet_header(void **state)
{
	static const int types[] = { DLT_RAW, DLT_IPV4, DLT_LINUX_SLL, DLT_LINUX_SLL2 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct pcap_file_config c = config();
		uint8_t f[2048], g[2048] = { 0 };
		uint32_t n = echo_request(f, false) - 14, at = i < 2 ? 0 : i == 2 ? 16 : 20;
		struct writer w = write_open(in_path, types[i], true);
		struct pkt *p[8];
		struct device *d;
		struct link *l;

		memset(c.mac, 0, 6);
		memcpy(&c.ip4, our_ip, 4);
		if (i == 2)
			memcpy(g, "\0\0\0\1\0\6\2\0\0\0\0\x11\0\0\x08\0", 16);
		else if (i == 3)
			memcpy(g, "\x08\0\0\0\0\0\0\1\0\1\0\6\2\0\0\0\0\x11\0\0", 20);
		memcpy(g + at, f + 14, n);
		write_at(&w, START, true, g, at + n, at + n);
		/* One that we sent. */
		echo_request(f, true);
		memcpy(g + at, f + 14, n);
		if (i >= 2)
			g[i == 2 ? 1 : 10] = 4;
		write_at(&w, START, true, g, at + n, at + n);
		write_close(&w);
		d = open_or_fail(&c);
		l = d->ops->queue(d, 0);
		pcap_file_clock(d, START);
		assert_int_equal(l->ops->receive(l, p, 8), 1);
		assert_int_equal(count_of(d, "rx_own_frames"), 1);
		assert_int_equal(p[0]->len, 14 + n);
		assert_memory_equal(p[0]->data, l->mac, 6);
		assert_int_equal(p[0]->data[12], 8);
		echo_request(f, false);
		assert_memory_equal(p[0]->data + 14, f + 14, n);
		l->ops->release(l, p, 1);
		d->ops->close(d);
	}
}

static void other_link_types_and_files_are_refused_with_a_sentence(void **state)
{
	struct pcap_file_config c = config();
	struct writer w = write_open(in_path, DLT_IEEE802_11, true);
	char why[DEVICE_WHY] = "";
	struct device *d;
	FILE *f;

	(void)state;
	write_close(&w);
	assert_int_equal(pcap_file_open(&c, &d, why), -EINVAL);
	assert_non_null(strstr(why, "IEEE802_11"));
	c.input = "/nonexistent";
	assert_int_equal(pcap_file_open(&c, &d, why), -ENOENT);
	c.input = "/";
	assert_int_equal(pcap_file_open(&c, &d, why), -EINVAL);
	c.input = in_path;
	f = fopen(in_path, "wb");
	fputs("this is no capture", f);
	fclose(f);
	assert_int_equal(pcap_file_open(&c, &d, why), -EINVAL);
	write_conversation(true);
	c.output = in_path;
	assert_int_equal(pcap_file_open(&c, &d, why), -EINVAL);
	assert_non_null(strstr(why, "overwrite"));
	c.output = "/nonexistent/x";
	assert_int_equal(pcap_file_open(&c, &d, why), -EIO);
	c.output = "/dev/full";
	assert_true(pcap_file_open(&c, &d, why) < 0);
	assert_non_null(strstr(why, "space"));
}

/* A whole capture with random bytes written over it, as every link type, and cut at every length. */
static void broken_files_end_with_an_error_and_never_worse(void **state)
{
	static uint8_t good[65536], bad[65536];
	struct pcap_file_config c = config();
	size_t n, len;
	struct rng rng;
	unsigned opened = 0, broken = 0;

	(void)state;
	c.output = NULL;
	write_conversation(true);
	n = slurp(in_path, good, sizeof(good));
	rng_seed_u64(&rng, 7);
	for (unsigned round = 0; round < 3000; round++) {
		char why[DEVICE_WHY] = "";
		struct device *d;
		struct link *l;
		struct pkt *p[8];
		nsec next;
		FILE *f;

		unlink(in_path);   /* truncating would wait for the disk */
		f = fopen(in_path, "wb");
		assert_non_null(f);
		memcpy(bad, good, n);
		len = round <= n ? round : n;
		for (unsigned i = 0; round > n && i < 1 + round % 8; i++)
			bad[rng_below(&rng, n)] = (uint8_t)rng_u64(&rng);
		if (round > n && round % 2)
			memcpy(bad + 20, (uint32_t[]){ 1, 101, 228, 113, 276 } + rng_below(&rng, 5), 4);
		fwrite(bad, 1, len, f);
		fclose(f);
		if (pcap_file_open(&c, &d, why) != 0) {
			assert_true(why[0] != '\0');
			continue;
		}
		opened++;
		l = d->ops->queue(d, 0);
		for (unsigned i = 0; i < 100 && (next = pcap_file_next(d)) != NSEC_NEVER; i++) {
			unsigned got;

			pcap_file_clock(d, next);
			got = l->ops->receive(l, p, 8);
			assert_true(got > 0);
			l->ops->release(l, p, got);
		}
		assert_int_equal(pcap_file_next(d), NSEC_NEVER);
		broken += count_of(d, "rx_file_broken") != 0;
		assert_int_equal(d->ops->outstanding(d), 0);
		d->ops->close(d);
	}
	assert_true(opened > 500);
	assert_true(broken > 100);
}

static void a_full_disk_costs_answers_and_not_the_replay(void **state)
{
	struct pcap_file_config c = config();
	struct rlimit whole, short_of = { 0 };
	struct device *d;
	struct link *l;
	struct pkt *p;

	(void)state;
	write_conversation(true);
	d = open_or_fail(&c);
	l = d->ops->queue(d, 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &whole);
	short_of = (struct rlimit){ .rlim_cur = 100, .rlim_max = whole.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &short_of), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(l->ops->borrow(l, &p, 1), 1);
		memset(p->data, 0, 1000);
		p->len = 1000;
		assert_int_equal(l->ops->transmit(l, &p, 1), 1);
	}
	setrlimit(RLIMIT_FSIZE, &whole);
	assert_true(count_of(d, "tx_not_written") > 0);
	assert_non_null(strstr(last_line, "cannot write"));
	assert_int_equal(pcap_file_next(d), START);
	assert_int_equal(d->ops->outstanding(d), 0);
	d->ops->close(d);
}

static int make_paths(void **state)
{
	(void)state;
	snprintf(in_path, sizeof(in_path), "lt-pcap-in-%d.pcap", getpid());
	snprintf(out_path, sizeof(out_path), "lt-pcap-out-%d.pcap", getpid());
	snprintf(again_path, sizeof(again_path), "lt-pcap-again-%d.pcap", getpid());
	return 0;
}

static int remove_paths(void **state)
{
	(void)state;
	unlink(in_path);
	unlink(out_path);
	unlink(again_path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_capture_is_answered_with_its_own_times_and_twice_the_same),
		cmocka_unit_test(microseconds_are_read_too),
		cmocka_unit_test(our_mac_is_learnt_from_our_address),
		cmocka_unit_test(frames_cut_by_the_capture_are_counted_and_not_played),
		cmocka_unit_test(time_never_goes_back_and_nothing_comes_before_it),
		cmocka_unit_test(an_open_checksum_counts_as_good_and_a_wrong_one_does_not),
		cmocka_unit_test(neighbours_of_a_capture_without_arp_are_answered_for),
		cmocka_unit_test(whom_the_capture_asked_for_in_vain_nobody_answers_for),
		cmocka_unit_test(raw_ip_and_cooked_captures_get_an_ethernet_header),
		cmocka_unit_test(other_link_types_and_files_are_refused_with_a_sentence),
		cmocka_unit_test(broken_files_end_with_an_error_and_never_worse),
		cmocka_unit_test(a_full_disk_costs_answers_and_not_the_replay),
	};

	return cmocka_run_group_tests(tests, make_paths, remove_paths);
}
