/* SPDX-License-Identifier: BSD-3-Clause */
/* libpcap's reader with nanoseconds. Link types: https://www.tcpdump.org/linktypes.html (1 Ethernet, 101 and 228 raw IP,
 * 113 and 276 Linux cooked). */
#include "pcap_source.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ETH_HEADER 14u
#define SLL_HEADER 16u
#define SLL2_HEADER 20u
/* Year 2514: beyond it nanoseconds of 64 bits would soon not do, and a file that says so is wrong. */
#define SECONDS_MAX (INT64_C(1) << 34)

static const uint8_t peer_mac[6] = { 2, 0, 0, 0, 0, 1 }, other_mac[6] = { 2, 0, 0, 0, 0, 3 };
static const uint8_t broadcast_mac[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

enum cooked { TO_US = 0, TO_ALL = 1, TO_GROUP = 2, TO_OTHER = 3, FROM_US = 4 };

struct source {
	pcap_t *pcap;
	int type;
	uint64_t record;
	nsec last;
	uint8_t mac[6];
	char error[DEVICE_WHY];
	uint8_t frame[SOURCE_FRAME_MAX];
};

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DEVICE_WHY, format, args);
	va_end(args);
	return error;
}

static uint16_t load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* RFC 1112 6.4 for groups of IPv4. */
static void group_mac(const uint8_t *ip, uint32_t len, uint8_t mac[6])
{
	static const uint8_t any_group[6] = { 1, 0, 0x5e, 0, 0, 1 };

	memcpy(mac, any_group, 6);
	if (len < 20 || ip[0] >> 4 != 4 || ip[16] >> 4 != 0xe)
		return;
	mac[3] = ip[17] & 0x7f;
	mac[4] = ip[18];
	mac[5] = ip[19];
}

static bool make_ethernet(struct source *s, struct source_frame *f, const uint8_t *payload, uint32_t len, enum cooked to,
	const uint8_t *from, uint16_t type)
{
	if (len > SOURCE_FRAME_MAX - ETH_HEADER)
		return false;
	switch (to) {
	case TO_ALL:
		memcpy(s->frame, broadcast_mac, 6);
		break;
	case TO_GROUP:
		group_mac(payload, len, s->frame);
		break;
	case TO_OTHER:
	case FROM_US:
		memcpy(s->frame, other_mac, 6);
		break;
	case TO_US:
		memcpy(s->frame, s->mac, 6);
		break;
	}
	memcpy(s->frame + 6, to == FROM_US ? s->mac : from, 6);
	s->frame[12] = (uint8_t)(type >> 8);
	s->frame[13] = (uint8_t)type;
	memcpy(s->frame + ETH_HEADER, payload, len);
	f->bytes = s->frame;
	f->len = ETH_HEADER + len;
	f->outgoing = to == FROM_US;
	return true;
}

static bool from_raw(struct source *s, struct source_frame *f, const uint8_t *bytes, uint32_t len)
{
	static const uint8_t all[4] = { 255, 255, 255, 255 };
	enum cooked to = TO_US;

	if (len < 1 || (bytes[0] >> 4 != 4 && bytes[0] >> 4 != 6))
		return false;
	if (bytes[0] >> 4 == 6)
		return make_ethernet(s, f, bytes, len, TO_US, peer_mac, 0x86dd);
	if (len >= 20 && memcmp(bytes + 16, all, 4) == 0)
		to = TO_ALL;
	else if (len >= 20 && bytes[16] >> 4 == 0xe)
		to = TO_GROUP;
	return make_ethernet(s, f, bytes, len, to, peer_mac, 0x0800);
}

static bool from_cooked(struct source *s, struct source_frame *f, const uint8_t *bytes, uint32_t len)
{
	bool second = s->type == DLT_LINUX_SLL2;
	uint32_t header = second ? SLL2_HEADER : SLL_HEADER;
	uint16_t to, address_len, type;
	const uint8_t *address;

	if (len < header)
		return false;
	to = second ? bytes[10] : load16(bytes);
	address_len = second ? bytes[11] : load16(bytes + 4);
	address = second ? bytes + 12 : bytes + 6;
	type = second ? load16(bytes) : load16(bytes + 14);
	if (to > FROM_US || type < 0x0600)
		return false;
	return make_ethernet(s, f, bytes + header, len - header, (enum cooked)to, address_len == 6 ? address : peer_mac, type);
}

static void set_time(struct source *s, struct source_frame *f, const struct pcap_pkthdr *h)
{
	bool sane = h->ts.tv_sec >= 0 && h->ts.tv_sec < SECONDS_MAX && h->ts.tv_usec >= 0 && h->ts.tv_usec < (long)NSEC_PER_SEC;
	/* tv_usec holds nanoseconds: the file was opened so. */
	nsec when = sane ? (nsec)h->ts.tv_sec * NSEC_PER_SEC + (nsec)h->ts.tv_usec : 0;

	f->back = !sane || when < s->last;
	if (!f->back)
		s->last = when;
	f->when = s->last;
}

enum source_what source_next(struct source *s, struct source_frame *f)
{
	struct pcap_pkthdr *h;
	const u_char *bytes;
	int result;
	bool made;

	*f = (struct source_frame){ .when = s->last };
	if (s->error[0])
		return SOURCE_BROKEN;
	result = pcap_next_ex(s->pcap, &h, &bytes);
	if (result == PCAP_ERROR_BREAK)
		return SOURCE_END;
	if (result != 1) {
		snprintf(s->error, sizeof(s->error), "frame %llu: %.150s", (unsigned long long)s->record + 1, pcap_geterr(s->pcap));
		return SOURCE_BROKEN;
	}
	s->record++;
	set_time(s, f, h);
	if (h->caplen < h->len)
		return SOURCE_TRUNCATED;
	if (h->caplen > SOURCE_FRAME_MAX)
		return SOURCE_TOO_LONG;
	if (s->type == DLT_EN10MB) {
		f->bytes = bytes;
		f->len = h->caplen;
		return SOURCE_FRAME;
	}
	made = s->type == DLT_LINUX_SLL || s->type == DLT_LINUX_SLL2 ? from_cooked(s, f, bytes, h->caplen)
		: from_raw(s, f, bytes, h->caplen);
	return made ? SOURCE_FRAME : SOURCE_UNUSABLE;
}

const char *source_error(struct source *s)
{
	return s->error;
}

bool source_is_ethernet(const struct source *s)
{
	return s->type == DLT_EN10MB;
}

void source_close(struct source *s)
{
	if (!s)
		return;
	if (s->pcap)
		pcap_close(s->pcap);
	free(s);
}

int source_open(const char *path, const uint8_t mac[6], struct source **out, char why[DEVICE_WHY])
{
	char error[PCAP_ERRBUF_SIZE] = "";
	const char *name;
	struct source *s;
	struct stat st;

	if (stat(path, &st) != 0)
		return refuse(why, -errno, "%.100s: %s", path, strerror(errno));
	/* It is read twice, and a pipe would wait for its writer. */
	if (!S_ISREG(st.st_mode))
		return refuse(why, -EINVAL, "%.100s: a capture has to be a file", path);
	s = calloc(1, sizeof(*s));
	if (!s)
		return refuse(why, -ENOMEM, "%.100s: memory is short", path);
	memcpy(s->mac, mac, 6);
	s->pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
	if (!s->pcap) {
		source_close(s);
		return refuse(why, -EINVAL, "%.60s: no capture: %.120s", path, error);
	}
	s->type = pcap_datalink(s->pcap);
	if (s->type != DLT_EN10MB && s->type != DLT_RAW && s->type != DLT_IPV4 && s->type != DLT_LINUX_SLL
	    && s->type != DLT_LINUX_SLL2) {
		name = pcap_datalink_val_to_name(s->type);
		refuse(why, -EINVAL, "%.60s: link type %d (%s); Ethernet, raw IP and Linux cooked are possible", path, s->type,
			name ? name : "unknown");
		source_close(s);
		return -EINVAL;
	}
	*out = s;
	return 0;
}
