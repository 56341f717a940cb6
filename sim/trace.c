/* SPDX-License-Identifier: BSD-3-Clause */
/* Decodes only as far as a line needs, and no byte beyond the frame. */
#include "trace.h"

#include <inttypes.h>
#include <string.h>

#define ETH 14u

static uint32_t get(const uint8_t *p, unsigned n)
{
	uint32_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static void ip4(FILE *f, const uint8_t *a)
{
	fprintf(f, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
}

static void tcp_options(FILE *f, const uint8_t *o, const uint8_t *end)
{
	while (o < end && *o) {
		unsigned kind = *o, len;

		if (kind == 1) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o[1] > end - o) {
			fprintf(f, " option!");
			return;
		}
		len = o[1];
		if (kind == 2 && len == 4)
			fprintf(f, " mss %u", get(o + 2, 2));
		else if (kind == 3 && len == 3)
			fprintf(f, " wscale %u", o[2]);
		else if (kind == 4)
			fprintf(f, " sackok");
		else if (kind == 8 && len == 10)
			fprintf(f, " ts %u/%u", get(o + 2, 4), get(o + 6, 4));
		else
			fprintf(f, " opt%u", kind);
		o += len;
	}
}

static void tcp(FILE *f, const uint8_t *t, uint32_t n)
{
	static const char letters[] = "FSRP.UEC";
	uint32_t header = n >= 20 ? (t[12] >> 4) * 4u : 0;
	unsigned i;

	if (header < 20 || header > n) {
		fprintf(f, "tcp, cut");
		return;
	}
	fprintf(f, "tcp %u > %u [", get(t, 2), get(t + 2, 2));
	for (i = 0; i < 8; i++)
		if (t[13] & 1u << i)
			fputc(letters[i], f);
	fprintf(f, "] seq %u", get(t + 4, 4));
	if (n > header)
		fprintf(f, "+%u", n - header);
	if (t[13] & 16)
		fprintf(f, " ack %u", get(t + 8, 4));
	fprintf(f, " win %u", get(t + 14, 2));
	tcp_options(f, t + 20, t + header);
}

static void ip(FILE *f, const uint8_t *p, uint32_t n)
{
	uint32_t header = n >= 20 ? (p[0] & 15u) * 4u : 0, total = n >= 20 ? get(p + 2, 2) : 0, offset;

	/* A super-frame may say 0 for a length that does not fit. */
	if (header < 20 || header > n || (total && (total < header || total > n))) {
		fprintf(f, "ip, cut");
		return;
	}
	if (total)
		n = total;
	offset = get(p + 6, 2);
	ip4(f, p + 12);
	fprintf(f, " > ");
	ip4(f, p + 16);
	fputc(' ', f);
	if (offset & 0x3fff)
		fprintf(f, "fragment %u%s id %u of protocol %u, %u bytes", (offset & 0x1fff) * 8,
			offset & 0x2000 ? "+" : "", get(p + 4, 2), p[9], n - header);
	else if (p[9] == 6)
		tcp(f, p + header, n - header);
	else if (p[9] == 17 && n - header >= 8)
		fprintf(f, "udp %u > %u, %u bytes", get(p + header, 2), get(p + header + 2, 2), n - header - 8);
	else if (p[9] == 1 && n - header >= 8)
		fprintf(f, "icmp type %u code %u", p[header], p[header + 1]);
	else
		fprintf(f, "protocol %u, %u bytes", p[9], n - header);
}

void trace_frame(FILE *f, nsec now, unsigned port, const struct pkt *p)
{
	const uint8_t *d = p->data;

	fprintf(f, "%6" PRIu64 ".%09" PRIu64 " -> host %u: ", now / NSEC_PER_SEC, now % NSEC_PER_SEC, port);
	if (p->len < ETH) {
		fprintf(f, "runt\n");
		return;
	}
	if (get(d + 12, 2) == 0x0800) {
		ip(f, d + ETH, p->len - ETH);
	} else if (get(d + 12, 2) == 0x0806 && p->len >= ETH + 28) {
		fprintf(f, "arp %s ", get(d + ETH + 6, 2) == 1 ? "request" : "reply");
		ip4(f, d + ETH + 14);
		fprintf(f, " > ");
		ip4(f, d + ETH + 24);
	} else {
		fprintf(f, "type %04x", get(d + 12, 2));
	}
	if (p->gso_size)
		fprintf(f, " (%u bytes in segments of %u)", p->len, p->gso_size);
	fputc('\n', f);
}
