/* SPDX-License-Identifier: BSD-3-Clause */
/* DHCP messages as they lie in a UDP datagram (RFC 2131 2, RFC 2132, 3396, 3442): read into a struct with every length checked,
 * and written. No state. Addresses in network order. */
#ifndef LIGHT_DHCP_MESSAGE_H
#define LIGHT_DHCP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "drops.h"

#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_ROUTES 16u         /* of option 121; what comes after them is left out */
#define DHCP_WRITTEN_MAX 400u
#define DHCP_ENDLESS UINT32_MAX /* a lease time (RFC 2131 3.3) */

enum dhcp_type {
	DHCP_DISCOVER = 1, DHCP_OFFER, DHCP_REQUEST, DHCP_DECLINE, DHCP_ACK, DHCP_NAK, DHCP_RELEASE,
};

struct dhcp_route {
	uint32_t to, gateway;   /* gateway 0: on link */
	uint8_t prefix;
};

/* What a server says; what it does not say is 0. */
struct dhcp_message {
	uint8_t type;
	uint8_t prefix;
	uint16_t mtu;           /* at least 68 */
	uint32_t address;       /* yiaddr */
	uint32_t server;
	uint32_t router;        /* the first */
	uint32_t lease, renew, rebind;  /* seconds */
	bool classless;         /* option 121 came: the router does not count (RFC 3442) */
	unsigned route_count, dns_count;
	struct dhcp_route routes[DHCP_ROUTES];
	uint32_t dns[3];
	char domain[64];        /* letters, digits, '.', '-' and '_' only */
};

/* n: bytes of the UDP payload. DROP_REASONS: it is well, and an answer to this client's exchange. */
enum drop dhcp_read(const uint8_t *bytes, uint32_t n, const uint8_t mac[6], uint32_t xid, struct dhcp_message *);

struct dhcp_words {
	enum dhcp_type type;
	uint32_t xid;
	uint16_t seconds;       /* since the client began */
	uint32_t client;        /* ciaddr: an address in use */
	uint32_t requested, server;     /* options; 0: not sent */
	uint16_t size_max;      /* longest message taken; at least 576 */
	const uint8_t *mac;
	const char *host_name;  /* at most 63 bytes; "": not sent */
};
/* At most DHCP_WRITTEN_MAX bytes; returns how many. */
uint32_t dhcp_write(uint8_t *bytes, const struct dhcp_words *);

#endif
