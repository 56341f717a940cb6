/* SPDX-License-Identifier: BSD-3-Clause */
/* A capture as a link: its frames come when their time has come, and what is sent goes to another file with the time of its
 * sending. No clock is read: the same file gives the same bytes. */
#include "pcap.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "layer4.h"
#include "pcap_scan.h"
#include "pktpool.h"
#include "stack/base/check.h"

#define DEFAULT_PACKETS 1024u
#define PACKETS_MAX 1048576u
#define ETH_HEADER 14u
#define DEFAULT_MTU 1500u
#define MTU_MIN 576u
#define MTU_WANTED_MAX 9000u
#define SNAP_MAX 262144     /* libpcap's own limit */

enum file_count {
	RX_OWN, RX_TRUNCATED, RX_TOO_LONG, RX_UNUSABLE, RX_TIME_BACK, RX_OPEN, RX_BROKEN, RX_POOL_DRY, ARP_ANSWERED, TX_NOT_WRITTEN,
	FILE_COUNTS,
};

static const char *const count_names[FILE_COUNTS] = {
	"rx_own_frames", "rx_truncated", "rx_too_long", "rx_unusable", "rx_time_went_back", "rx_open_checksums", "rx_file_broken",
	"rx_pool_dry", "arp_answered", "tx_not_written",
};

struct replay {
	struct device device;  /* first: a struct device * of ours is one of these */
	struct link link;
	struct pktpool pool;
	struct source *source;
	struct scan *scan;
	struct pkt *replies;          /* answers to ARP, to be received at once; at most one a packet that is sent */
	struct source_frame pending;  /* the next one to be received, while `more` */
	bool more, closed, failed;
	nsec now;
	uint32_t ip4;
	pcap_t *out;
	pcap_dumper_t *dumper;
	FILE *file;            /* the dumper's */
	void (*log)(void *context, const char *line);
	void *log_context;
	uint64_t counts[FILE_COUNTS];
};

static struct replay *replay_of(struct link *l)
{
	return (struct replay *)(void *)((uint8_t *)l - offsetof(struct replay, link));
}

static struct replay *replay_of_device(struct device *d)
{
	return (struct replay *)(void *)d;
}

__attribute__((format(printf, 2, 3))) static void say(struct replay *r, const char *format, ...)
{
	char line[DEVICE_WHY + 80];
	va_list args;
	int n;

	if (!r->log)
		return;
	n = snprintf(line, sizeof(line), "pcap %s: ", r->device.name);
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	r->log(r->log_context, line);
}

/* What the host of the capture sent itself: it is we who send it now. */
static bool is_own(const struct replay *r, const struct source_frame *f)
{
	if (f->outgoing || (f->len >= ETH_HEADER && memcmp(f->bytes + 6, r->link.mac, 6) == 0))
		return true;
	return !source_is_ethernet(r->source) && r->ip4 && f->len >= ETH_HEADER + 20 && f->bytes[12] == 8 && f->bytes[13] == 0
	       && memcmp(f->bytes + ETH_HEADER + 12, &r->ip4, 4) == 0;
}

/* The next frame that is one for us into `pending`. */
static void advance(struct replay *r)
{
	for (;;) {
		enum source_what what = source_next(r->source, &r->pending);

		r->counts[RX_TIME_BACK] += r->pending.back;
		switch (what) {
		case SOURCE_FRAME:
			if (!is_own(r, &r->pending)) {
				r->more = true;
				return;
			}
			r->counts[RX_OWN]++;
			continue;
		case SOURCE_TRUNCATED:
			if (r->counts[RX_TRUNCATED]++ == 0)
				say(r, "holds only the beginning of some frames; they are not played (capture with -s 0)");
			break;
		case SOURCE_TOO_LONG:
			r->counts[RX_TOO_LONG]++;
			break;
		case SOURCE_UNUSABLE:
			r->counts[RX_UNUSABLE]++;
			break;
		case SOURCE_BROKEN:
			if (r->counts[RX_BROKEN]++ == 0)
				say(r, "ends early: %s", source_error(r->source));
			r->more = false;
			return;
		case SOURCE_END:
			r->more = false;
			return;
		}
		r->link.stats.rx_dropped++;
	}
}

static void answer_arp(struct replay *r, const struct pkt *question)
{
	uint8_t answer[SCAN_ARP_FRAME];
	struct pkt *p;

	if (!scan_answer(r->scan, question->data, question->len, answer) || pktpool_take(&r->pool, &r->link, &p, 1) == 0)
		return;
	r->pool.outstanding--;      /* ours until it is received */
	memcpy(p->data, answer, sizeof(answer));
	p->len = sizeof(answer);
	p->stamp = r->now;
	p->next = r->replies;
	r->replies = p;
	r->counts[ARP_ANSWERED]++;
}

static unsigned take_replies(struct replay *r, struct pkt **out, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && r->replies && !r->closed; i++) {
		out[i] = r->replies;
		r->replies = out[i]->next;
		out[i]->next = NULL;
	}
	r->pool.outstanding += i;
	return i;
}

static unsigned file_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct replay *r = replay_of(l);
	unsigned i;

	for (i = take_replies(r, out, n); i < n && !r->closed && r->more && r->pending.when <= r->now; i++) {
		struct pkt *p;

		if (pktpool_take(&r->pool, l, &p, 1) == 0) {
			r->counts[RX_POOL_DRY]++;
			break;
		}
		memcpy(p->data, r->pending.bytes, r->pending.len);
		p->len = r->pending.len;
		p->stamp = r->pending.when;
		r->counts[RX_OPEN] += layer4_mark(p, l->mtu);
		l->stats.rx_packets++;
		l->stats.rx_bytes += p->len;
		out[i] = p;
		advance(r);
	}
	return i;
}

static unsigned file_borrow(struct link *l, struct pkt **out, unsigned n)
{
	return pktpool_take(&replay_of(l)->pool, l, out, n);
}

static void file_release(struct link *l, struct pkt **packets, unsigned n)
{
	pktpool_give(&replay_of(l)->pool, packets, n);
}

static void write_failed(struct replay *r)
{
	if (!r->failed)
		say(r, "cannot write the answers: %s", strerror(errno ? errno : EIO));
	r->failed = true;
	r->counts[TX_NOT_WRITTEN]++;
	clearerr(r->file);
}

static void write_frame(struct replay *r, const struct pkt *p)
{
	struct pcap_pkthdr h = { .len = p->len, .caplen = p->len };

	h.ts.tv_sec = (time_t)(r->now / NSEC_PER_SEC);
	h.ts.tv_usec = (suseconds_t)(r->now % NSEC_PER_SEC);   /* nanoseconds, as the file's magic says */
	errno = 0;
	pcap_dump((u_char *)r->dumper, &h, p->data);
	if (ferror(r->file))
		write_failed(r);
}

static unsigned file_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct replay *r = replay_of(l);

	for (unsigned i = 0; i < n; i++) {
		if (r->closed) {
			l->stats.tx_dropped++;
			continue;
		}
		if (r->dumper)
			write_frame(r, packets[i]);
		answer_arp(r, packets[i]);
		l->stats.tx_packets++;
		l->stats.tx_bytes += packets[i]->len;
	}
	pktpool_give(&r->pool, packets, n);
	return n;
}

static bool file_counter(struct link *l, unsigned i, struct link_counter *out)
{
	if (i >= FILE_COUNTS)
		return false;
	snprintf(out->name, sizeof(out->name), "%s", count_names[i]);
	out->value = replay_of(l)->counts[i];
	return true;
}

static void file_link_close(struct link *l)
{
	replay_of(l)->closed = true;
	l->up = 0;
}

/* No descriptor tells when a time has come that only the driver knows: arm is NULL. */
static const struct link_ops file_ops = {
	.name = "pcap",
	.receive = file_receive,
	.borrow = file_borrow,
	.transmit = file_transmit,
	.release = file_release,
	.counter = file_counter,
	.close = file_link_close,
};

static struct link *file_queue(struct device *d, unsigned i)
{
	CHECK(i == 0);
	return &replay_of_device(d)->link;
}

static uint32_t file_outstanding(struct device *d)
{
	return replay_of_device(d)->pool.outstanding;
}

static void flush(struct replay *r)
{
	errno = 0;
	if (r->dumper && pcap_dump_flush(r->dumper) != 0)
		write_failed(r);
}

static void file_close(struct device *d)
{
	struct replay *r = replay_of_device(d);

	if (r->pool.outstanding > 0)
		say(r, "%u packets did not come back", r->pool.outstanding);
	flush(r);
	if (r->dumper)
		pcap_dump_close(r->dumper);
	if (r->out)
		pcap_close(r->out);
	source_close(r->source);
	scan_free(r->scan);
	pktpool_close(&r->pool);
	free(r);
}

static const struct device_ops file_device_ops = {
	.queue = file_queue,
	.outstanding = file_outstanding,
	.close = file_close,
};

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DEVICE_WHY, format, args);
	va_end(args);
	return error;
}

static int choose_mac(struct replay *r, const struct pcap_file_config *c, char *why)
{
	static const uint8_t none[6];

	memcpy(r->link.mac, c->mac, 6);
	if (r->link.mac[0] & 1)
		return refuse(why, -EINVAL, "%.100s: our MAC address is a group's; its first byte has to be even", c->input);
	if (memcmp(c->mac, none, 6) != 0)
		return 0;
	if (c->ip4 == 0)
		return refuse(why, -EINVAL, "%.100s: our MAC address or our IP address has to be given, to tell our frames from the others'",
			c->input);
	return scan_own_mac(c->input, c->ip4, r->link.mac, why);
}

static int open_output(struct replay *r, const struct pcap_file_config *c, char *why)
{
	struct stat in, out;

	if (!c->output)
		return 0;
	if (stat(c->input, &in) == 0 && stat(c->output, &out) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return refuse(why, -EINVAL, "%.100s: answers would overwrite the capture that is played", c->output);
	r->out = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAP_MAX, PCAP_TSTAMP_PRECISION_NANO);
	if (!r->out)
		return refuse(why, -ENOMEM, "%.100s: memory is short", c->output);
	r->dumper = pcap_dump_open(r->out, c->output);
	if (!r->dumper)
		return refuse(why, -EIO, "cannot write %.150s", pcap_geterr(r->out));
	r->file = pcap_dump_file(r->dumper);
	errno = 0;
	if (pcap_dump_flush(r->dumper) != 0)      /* a full disk shows now */
		return refuse(why, -(errno ? errno : EIO), "cannot write %.100s: %s", c->output, strerror(errno));
	return 0;
}

int pcap_file_open(const struct pcap_file_config *c, struct device **out, char why[DEVICE_WHY])
{
	uint32_t packets = c->packets ? c->packets : DEFAULT_PACKETS;
	const char *name;
	struct replay *r;
	int error;

	if (!c->input || c->input[0] == '\0')
		return refuse(why, -EINVAL, "pcap: no capture is named");
	if (packets > PACKETS_MAX)
		return refuse(why, -EINVAL, "pcap: %u packets; at most %u are possible", packets, PACKETS_MAX);
	if (c->device.mtu && (c->device.mtu < MTU_MIN || c->device.mtu > MTU_WANTED_MAX))
		return refuse(why, -EINVAL, "pcap: MTU %u; %u to %u are possible", c->device.mtu, MTU_MIN, MTU_WANTED_MAX);
	r = calloc(1, sizeof(*r));
	if (!r)
		return refuse(why, -ENOMEM, "pcap: memory is short");
	name = strrchr(c->input, '/');
	r->device = (struct device){ .ops = &file_device_ops, .backend = "pcap", .queues = 1 };
	snprintf(r->device.name, sizeof(r->device.name), "%s", name && name[1] ? name + 1 : c->input);
	r->log = c->device.log;
	r->log_context = c->device.log_context;
	r->ip4 = c->ip4;
	r->link.ops = &file_ops;
	r->link.mtu = c->device.mtu ? c->device.mtu : DEFAULT_MTU;
	r->link.up = 1;
	error = choose_mac(r, c, why);
	if (!error)
		error = source_open(c->input, r->link.mac, &r->source, why);
	if (!error)
		error = open_output(r, c, why);
	if (!error && !(r->scan = scan_new(c->input, r->link.mac)))
		error = refuse(why, -ENOMEM, "pcap: memory is short");
	if (!error && pktpool_open(&r->pool, packets, SOURCE_FRAME_MAX) != 0)
		error = refuse(why, -ENOMEM, "pcap: no memory for %u packets", packets);
	if (error) {
		file_close(&r->device);
		return error;
	}
	if (c->device.queues > 1)
		say(r, "has one queue");
	advance(r);
	*out = &r->device;
	return 0;
}

nsec pcap_file_next(struct device *d)
{
	struct replay *r = replay_of_device(d);

	if (!r->more && !r->replies)
		flush(r);
	if (r->replies)
		return r->now;
	return r->more ? r->pending.when : NSEC_NEVER;
}

void pcap_file_clock(struct device *d, nsec now)
{
	struct replay *r = replay_of_device(d);

	if (now > r->now)
		r->now = now;
}
