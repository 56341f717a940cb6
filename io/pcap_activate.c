/* SPDX-License-Identifier: BSD-3-Clause */
/* The order of pcap_activate(3PCAP): what is set before, what is asked after. */
#include "pcap_activate.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

/* The kernel's ring has slots of the longest frame, 128 KB with libpcap's layout: 512 of them. */
#define RING_BYTES (64 << 20)

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DEVICE_WHY, format, args);
	va_end(args);
	return error;
}

static int configure(pcap_t *pcap, const char *name, char *warning, char *why)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	int result, one = 1;

	pcap_set_snaplen(pcap, PCAP_FRAME_MAX);
	pcap_set_promisc(pcap, 1);
	pcap_set_immediate_mode(pcap, 1);
	pcap_set_buffer_size(pcap, RING_BYTES);
	result = pcap_activate(pcap);
	if (result == PCAP_ERROR_NO_SUCH_DEVICE)
		return refuse(why, -ENODEV, "pcap %s: there is no such interface", name);
	if (result == PCAP_ERROR_PERM_DENIED || result == PCAP_ERROR_PROMISC_PERM_DENIED)
		return refuse(why, -EPERM, "pcap %s: not allowed: needs CAP_NET_RAW (and CAP_NET_ADMIN for promiscuous mode)", name);
	if (result == PCAP_ERROR_IFACE_NOT_UP)
		return refuse(why, -ENETDOWN, "pcap %s: the interface is down (ip link set %s up)", name, name);
	if (result < 0)
		return refuse(why, -EIO, "pcap %s: %.100s", name, pcap_geterr(pcap));
	if (result > 0)
		snprintf(warning, DEVICE_WHY, "%s", pcap_statustostr(result));
	if (pcap_datalink(pcap) != DLT_EN10MB)
		return refuse(why, -EPROTOTYPE, "pcap %s: its frames are %s; only Ethernet is possible", name,
			pcap_datalink_val_to_name(pcap_datalink(pcap)) ? : "of an unknown type");
	if (pcap_setnonblock(pcap, 1, error) != 0)
		return refuse(why, -EIO, "pcap %s: %.100s", name, error);
	/* Where neither holds, frames with our source address are still not taken. */
	pcap_setdirection(pcap, PCAP_D_IN);
	setsockopt(pcap_fileno(pcap), SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return 0;
}

int pcap_activate_live(const char *name, pcap_t **out, char warning[DEVICE_WHY], char why[DEVICE_WHY])
{
	char text[PCAP_ERRBUF_SIZE] = "";
	pcap_t *pcap = pcap_create(name, text);
	int error;

	if (!pcap)
		return refuse(why, -EIO, "pcap %s: %.100s", name, text);
	error = configure(pcap, name, warning, why);
	if (error)
		pcap_close(pcap);
	else
		*out = pcap;
	return error;
}
