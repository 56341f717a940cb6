/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes pcap with libpcap's own writer. A frame whose checksum was left to the card is written with the checksum
 * filled in, as it will be on the wire; a super-frame is written whole. */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/base/check.h"
#include "stack/base/checksum.h"

#define SNAP_MAX 262144u    /* libpcap's own limit */
#define PACKET_MAX 65636u   /* a super-frame with its headers */

struct capture {
	struct link link;   /* first: a struct link * of ours is one of these */
	struct link_ops ops;
	struct link *inner;
	struct capture_config config;
	struct capture_status status;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	FILE *file;         /* the dumper's */
	uint32_t snap;
	uint8_t *scratch;   /* a frame whose checksum is being filled in */
};

static struct capture *capture_of(struct link *l)
{
	return (struct capture *)(void *)l;
}

static void fail(struct capture *c)
{
	if (!c->status.error)
		c->status.error = errno ? errno : EIO;
	clearerr(c->file);
}

/* The frame's bytes, with a checksum that nobody computed yet put in. Received frames whose checksum never was
 * computed (memory vouches for it) still say where it would be. */
static const uint8_t *bytes_of(struct capture *c, const struct pkt *p)
{
	uint32_t field = (uint32_t)p->csum_start + p->csum_offset;
	uint16_t sum;

	if (!(p->flags & (PKT_CSUM_PARTIAL | PKT_CSUM_GOOD)) || !p->csum_start || p->gso_size
	    || field + 2 > p->len || p->len > PACKET_MAX)
		return p->data;
	memcpy(c->scratch, p->data, p->len);
	sum = csum_finish(csum_add(0, c->scratch + p->csum_start, p->len - p->csum_start));
	memcpy(c->scratch + field, &sum, 2);
	return c->scratch;
}

static void write_packet(struct capture *c, const struct pkt *p, nsec when)
{
	struct pcap_pkthdr h = { .len = p->len, .caplen = p->len < c->snap ? p->len : c->snap };

	if (c->status.error) {
		c->status.missed++;
		return;
	}
	when += c->config.epoch;
	h.ts.tv_sec = (time_t)(when / NSEC_PER_SEC);
	h.ts.tv_usec = (suseconds_t)(when % NSEC_PER_SEC);   /* nanoseconds, as the file's magic says */
	errno = 0;
	pcap_dump((u_char *)c->dumper, &h, bytes_of(c, p));
	if (ferror(c->file)) {
		fail(c);
		c->status.missed++;
		return;
	}
	c->status.packets++;
	c->status.bytes += h.len;
	c->status.truncated += h.caplen < h.len;
}

static unsigned capture_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct capture *c = capture_of(l);
	unsigned got = c->inner->ops->receive(c->inner, out, n), i;
	nsec now;

	l->up = c->inner->up;
	if (got == 0)
		return 0;
	now = c->dumper ? c->config.clock(c->config.clock_context) : 0;
	for (i = 0; i < got; i++) {
		if (c->dumper)
			write_packet(c, out[i], out[i]->stamp ? out[i]->stamp : now);
		out[i]->link = l;
	}
	l->stats = c->inner->stats;
	return got;
}

static unsigned capture_borrow(struct link *l, struct pkt **out, unsigned n)
{
	struct capture *c = capture_of(l);
	unsigned got = c->inner->ops->borrow(c->inner, out, n);

	/* Whoever borrows compares the packet's link with the one it knows, which is this one. */
	for (unsigned i = 0; i < got; i++)
		out[i]->link = l;
	return got;
}

/* Written before they are sent: afterwards they are not ours to read. What the link does not take is written
 * again when it is offered again. */
static unsigned capture_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct capture *c = capture_of(l);
	unsigned i, taken;
	nsec now;

	if (c->dumper && n > 0) {
		now = c->config.clock(c->config.clock_context);
		for (i = 0; i < n; i++)
			write_packet(c, packets[i], now);
	}
	taken = c->inner->ops->transmit(c->inner, packets, n);
	l->stats = c->inner->stats;
	return taken;
}

static void capture_release(struct link *l, struct pkt **packets, unsigned n)
{
	struct capture *c = capture_of(l);

	c->inner->ops->release(c->inner, packets, n);
}

static int capture_arm(struct link *l)
{
	struct capture *c = capture_of(l);

	return c->inner->ops->arm(c->inner);
}

static void capture_disarm(struct link *l)
{
	struct capture *c = capture_of(l);

	c->inner->ops->disarm(c->inner);
}

static bool capture_counter(struct link *l, unsigned i, struct link_counter *out)
{
	struct capture *c = capture_of(l);

	return c->inner->ops->counter(c->inner, i, out);
}

static int capture_group(struct link *l, uint32_t group, bool wanted)
{
	struct capture *c = capture_of(l);

	return c->inner->ops->group(c->inner, group, wanted);
}

static void capture_close(struct link *l)
{
	struct capture *c = capture_of(l);

	capture_stop(l);
	c->inner->ops->close(c->inner);
	l->up = 0;
}

struct link *capture_new(struct link *inner, const struct capture_config *config)
{
	struct capture *c = calloc(1, sizeof(*c));

	CHECK(config->clock);
	if (!c || !(c->scratch = malloc(PACKET_MAX))) {
		free(c);
		return NULL;
	}
	c->config = *config;
	c->inner = inner;
	c->ops = (struct link_ops){ .name = inner->ops->name, .receive = capture_receive,
		.borrow = capture_borrow, .transmit = capture_transmit, .release = capture_release,
		.close = capture_close, .arm = inner->ops->arm ? capture_arm : NULL,
		.disarm = inner->ops->disarm ? capture_disarm : NULL, .counter = inner->ops->counter ? capture_counter : NULL,
		.group = inner->ops->group ? capture_group : NULL };
	c->link = *inner;
	c->link.ops = &c->ops;
	return &c->link;
}

void capture_free(struct link *l)
{
	struct capture *c = capture_of(l);

	if (!l)
		return;
	capture_stop(l);
	free(c->scratch);
	free(c);
}

int capture_start_fd(struct link *l, int fd, uint32_t snap)
{
	struct capture *c = capture_of(l);
	FILE *file = c->dumper ? NULL : fdopen(fd, "wb");
	int error = c->dumper ? EBUSY : errno;

	if (!file) {
		close(fd);
		return -error;
	}
	c->snap = snap && snap < SNAP_MAX ? snap : SNAP_MAX;
	c->pcap = pcap_open_dead_with_tstamp_precision(l->flags & LINK_LOOPBACK ? DLT_RAW : DLT_EN10MB,
		(int)c->snap, PCAP_TSTAMP_PRECISION_NANO);
	c->dumper = c->pcap ? pcap_dump_fopen(c->pcap, file) : NULL;
	if (!c->dumper) {
		error = c->pcap && errno ? errno : ENOMEM;
		if (c->pcap)
			pcap_close(c->pcap);
		fclose(file);
		return -error;
	}
	c->file = pcap_dump_file(c->dumper);
	c->status = (struct capture_status){ .running = 1 };
	error = capture_flush(l);      /* a full disk shows now */
	if (error)
		capture_stop(l);
	return error;
}

int capture_start(struct link *l, const char *path, uint32_t snap)
{
	int fd;

	if (capture_of(l)->dumper)
		return -EBUSY;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return capture_start_fd(l, fd, snap);
}

int capture_flush(struct link *l)
{
	struct capture *c = capture_of(l);

	if (!c->dumper)
		return -ENOENT;
	errno = 0;
	if (pcap_dump_flush(c->dumper) != 0)
		fail(c);
	return -c->status.error;
}

int capture_stop(struct link *l)
{
	struct capture *c = capture_of(l);
	int error = capture_flush(l);

	if (!c->dumper)
		return error;
	pcap_dump_close(c->dumper);
	pcap_close(c->pcap);
	c->dumper = NULL;
	c->pcap = NULL;
	c->status.running = 0;
	return error;
}

struct capture_status capture_status(const struct link *l)
{
	return ((const struct capture *)(const void *)l)->status;
}
