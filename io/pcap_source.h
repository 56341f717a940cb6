/* SPDX-License-Identifier: BSD-3-Clause */
/* A capture file as a row of Ethernet frames: pcap or pcapng as libpcap reads them; raw IP and Linux cooked captures get an
 * Ethernet header made for them. Nothing in a file is believed: a wrong record ends it with a sentence. */
#ifndef LIGHT_IO_PCAP_SOURCE_H
#define LIGHT_IO_PCAP_SOURCE_H

#include <stdbool.h>

#include "device.h"
#include "stack/base/nsec.h"

/* An IP packet of 65535 bytes, Ethernet, two VLAN tags. */
#define SOURCE_FRAME_MAX (65535u + 14u + 8u)

enum source_what {
	SOURCE_FRAME,
	SOURCE_TRUNCATED,  /* the capture holds only its beginning */
	SOURCE_TOO_LONG,
	SOURCE_UNUSABLE,   /* no Ethernet header can be made for it */
	SOURCE_END,
	SOURCE_BROKEN,     /* source_error says what; nothing comes after it */
};

struct source_frame {
	nsec when;            /* since 1970; never earlier than that of the frame before */
	const uint8_t *bytes; /* until the next call */
	uint32_t len;
	bool outgoing;        /* the capture itself says that the capturing host sent it */
	bool back;            /* its time was earlier than the frame's before it, or none at all */
};

struct source;

/* mac: whom frames without an Ethernet header go to. 0, or -errno and a sentence. */
int source_open(const char *path, const uint8_t mac[6], struct source **, char why[DEVICE_WHY]);
void source_close(struct source *);
/* Whether its frames have Ethernet addresses of their own. */
bool source_is_ethernet(const struct source *);
enum source_what source_next(struct source *, struct source_frame *);
const char *source_error(struct source *);

#endif
