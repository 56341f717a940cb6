/* SPDX-License-Identifier: BSD-3-Clause */
/* The hosts of one daemon and what they are connected to: hosts on the simulated network (--io=sim), or one host with the interfaces
 * of this machine. Every host is one stack a core; every interface's link on every core is wrapped so that lightctl can capture from it. */
#ifndef LIGHT_TOOLS_LIGHTD_NETWORK_H
#define LIGHT_TOOLS_LIGHTD_NETWORK_H

#include "io/device.h"
#include "ipc/server.h"
#include "tools/lightd/options.h"

struct network;

/* One interface of a host. */
struct network_interface {
	char name[NAME_MAX_BYTES];
	int number;                     /* of the stacks, the same on every core */
	const struct backend *backend;  /* NULL: the simulated network */
	struct device *device;          /* NULL likewise */
	unsigned dhcp;                  /* clients on it and its VLANs */
	struct spread *spread;          /* between device and cores; NULL: one core */
	struct link *link[STEER_CORES]; /* each core's, with its capture around */
};

/* Makes wire or devices, stacks and the server's hosts; servers[core], or NULL: nobody is served. NULL after saying why on stderr. */
struct network *network_new(const struct options *, struct server **servers, void (*log)(void *, const char *));
/* Stacks and devices; what did not come back to a device is said in the log. Before the servers are freed. */
void network_free(struct network *);

/* More than a core ever sleeps on. */
#define NETWORK_FDS (HOSTS_MAX > INTERFACES_MAX ? HOSTS_MAX : INTERFACES_MAX)

unsigned network_hosts(const struct network *);
unsigned network_cores(const struct network *);
const char *network_host_name(const struct network *, unsigned host);
struct stack *network_stack(const struct network *, unsigned host, unsigned core);
struct server_host *network_served(const struct network *, unsigned host, unsigned core);
/* The i-th interface of a host; NULL past the end. */
struct network_interface *network_interface(const struct network *, unsigned host, unsigned i);
/* NULL: none is simulated. */
const struct wire *network_wire(const struct network *);
/* Addresses or VLANs of a host changed: tells its devices. 0 or the first -errno. */
int network_tell_devices(const struct network *, unsigned host);
/* A DHCP client begins or ends on this interface of the stacks: its device lets answers through. */
void network_ask_dhcp(struct network *, unsigned host, int interface, bool begins);

/* A turn of every stack of that core; returns the amount of work. */
unsigned network_turn(struct network *, unsigned core, nsec now);
/* When something is due on that core even if nobody asks. */
nsec network_deadline(const struct network *, unsigned core);
/* Before a sleep: descriptors that become readable when there is something to receive, into fds. *polled: a link
 * cannot wake anybody, or there is no room for its descriptor. */
unsigned network_arm(struct network *, unsigned core, int *fds, unsigned room, bool *polled);
void network_disarm(struct network *, unsigned core);

#endif
