/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture: libpcap reads back what passed, at its time, and a full disk harms nobody. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "io/capture.h"
#include "io/mem.h"
#include "stack/base/checksum.h"

#define START UINT64_C(1700000000123456789)

static nsec now;

static nsec the_clock(void *context)
{
	(void)context;
	return now;
}

struct bench {
	char path[40];
	struct mem_pair *pair;
	struct link *far, *near;   /* near is captured */
};

static int make(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct capture_config c = { .clock = the_clock, .epoch = START };
	int fd;

	strcpy(b->path, "/tmp/light-capture-XXXXXX");
	fd = mkstemp(b->path);
	close(fd);
	b->pair = mem_pair_new(&(struct mem_config){ .flags = LINK_TSO | LINK_TX_CSUM | LINK_RX_CSUM });
	b->far = mem_pair_link(b->pair, 0);
	b->near = capture_new(mem_pair_link(b->pair, 1), &c);
	now = 0;
	*state = b;
	return fd < 0;
}

static int drop(void **state)
{
	struct bench *b = *state;

	capture_free(b->near);
	mem_pair_free(b->pair);
	unlink(b->path);
	free(b);
	return 0;
}

/* A frame of `len` bytes of value `mark` from one end, received and released at the other. */
static void pass(struct link *from, struct link *to, uint32_t len, uint8_t mark)
{
	struct pkt *p;

	assert_int_equal(from->ops->borrow(from, &p, 1), 1);
	assert_ptr_equal(p->link, from);
	memset(p->data, mark, len);
	p->len = len;
	assert_int_equal(from->ops->transmit(from, &p, 1), 1);
	assert_int_equal(to->ops->receive(to, &p, 1), 1);
	to->ops->release(to, &p, 1);
}

static pcap_t *read_back(const struct bench *b)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline_with_tstamp_precision(b->path, PCAP_TSTAMP_PRECISION_NANO, error);

	assert_non_null(file);
	assert_int_equal(pcap_datalink(file), DLT_EN10MB);
	return file;
}

static void expect(pcap_t *file, nsec when, uint32_t len, uint32_t caplen, uint8_t mark)
{
	const u_char *bytes;
	struct pcap_pkthdr *h;

	assert_int_equal(pcap_next_ex(file, &h, &bytes), 1);
	assert_int_equal(h->ts.tv_sec, (START + when) / NSEC_PER_SEC);
	assert_int_equal(h->ts.tv_usec, (START + when) % NSEC_PER_SEC);
	assert_int_equal(h->len, len);
	assert_int_equal(h->caplen, caplen);
	assert_int_equal(bytes[caplen - 1], mark);
}

static void both_directions_are_written_with_their_times(void **state)
{
	struct bench *b = *state;
	pcap_t *file;

	pass(b->near, b->far, 60, 1);           /* not started yet */
	assert_int_equal(capture_start(b->near, b->path, 0), 0);
	assert_int_equal(capture_start(b->near, b->path, 0), -EBUSY);
	now = 1;
	pass(b->near, b->far, 61, 2);
	now = NSEC_PER_SEC + 5;
	pass(b->far, b->near, 1514, 3);
	now++;
	pass(b->far, b->near, 65000, 4);
	assert_int_equal(capture_stop(b->near), 0);
	assert_int_equal(capture_stop(b->near), -ENOENT);
	pass(b->near, b->far, 60, 5);
	assert_int_equal(capture_status(b->near).packets, 3);
	file = read_back(b);
	expect(file, 1, 61, 61, 2);
	expect(file, NSEC_PER_SEC + 5, 1514, 1514, 3);
	expect(file, NSEC_PER_SEC + 6, 65000, 65000, 4);
	assert_int_equal(pcap_next_ex(file, &(struct pcap_pkthdr *){ 0 }, &(const u_char *){ 0 }), PCAP_ERROR_BREAK);
	pcap_close(file);
}

static void long_packets_are_cut_at_the_snap_length(void **state)
{
	struct bench *b = *state;
	pcap_t *file;

	assert_int_equal(capture_start(b->near, b->path, 96), 0);
	pass(b->near, b->far, 1000, 7);
	pass(b->near, b->far, 96, 8);
	assert_int_equal(capture_stop(b->near), 0);
	assert_int_equal(capture_status(b->near).truncated, 1);
	file = read_back(b);
	expect(file, 0, 1000, 96, 7);
	expect(file, 0, 96, 96, 8);
	pcap_close(file);
}

static void a_checksum_left_to_the_card_is_filled_in(void **state)
{
	struct bench *b = *state;
	const u_char *bytes;
	struct pcap_pkthdr *h;
	struct pkt *p;
	pcap_t *file;

	assert_int_equal(capture_start(b->near, b->path, 0), 0);
	assert_int_equal(b->near->ops->borrow(b->near, &p, 1), 1);
	memset(p->data, 0x5a, 101);
	p->len = 101;
	p->flags = PKT_CSUM_PARTIAL;
	p->csum_start = 34;
	p->csum_offset = 16;
	assert_int_equal(b->near->ops->transmit(b->near, &p, 1), 1);
	assert_int_equal(p->data[50], 0x5a);    /* the packet itself stays */
	assert_int_equal(b->far->ops->receive(b->far, &p, 1), 1);
	b->far->ops->release(b->far, &p, 1);
	assert_int_equal(capture_stop(b->near), 0);
	file = read_back(b);
	assert_int_equal(pcap_next_ex(file, &h, &bytes), 1);
	assert_int_equal(csum_finish(csum_add(0, bytes + 34, 67)), 0x5a5a);   /* what stood for the pseudo-header */
	pcap_close(file);
}

static void a_full_disk_ends_the_capture_but_not_the_traffic(void **state)
{
	struct bench *b = *state;
	unsigned i;

	assert_int_equal(capture_start(b->near, "/dev/full", 0), -ENOSPC);
	assert_int_equal(capture_status(b->near).running, 0);
	assert_int_equal(capture_start(b->near, "/no/such/folder/file", 0), -ENOENT);
	assert_int_equal(capture_start_fd(b->near, open("/dev/null", O_RDONLY), 0), -EINVAL);
	/* A descriptor that fails later: the far end of a pipe is gone. */
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(capture_start_fd(b->near, ends[1], 0), 0);
	close(ends[0]);
	for (i = 0; i < 100; i++)
		pass(b->near, b->far, 1000, 1);
	assert_true(capture_status(b->near).error == EPIPE);
	assert_true(capture_status(b->near).missed > 0);
	assert_int_equal(capture_stop(b->near), -EPIPE);
	pass(b->near, b->far, 1000, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_directions_are_written_with_their_times, make, drop),
		cmocka_unit_test_setup_teardown(long_packets_are_cut_at_the_snap_length, make, drop),
		cmocka_unit_test_setup_teardown(a_checksum_left_to_the_card_is_filled_in, make, drop),
		cmocka_unit_test_setup_teardown(a_full_disk_ends_the_capture_but_not_the_traffic, make, drop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
