/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightd was asked to be: filled by the settings (settings.h) from the configuration file and the command line, checked as a
 * whole once, then constant. */
#ifndef LIGHT_TOOLS_LIGHTD_OPTIONS_H
#define LIGHT_TOOLS_LIGHTD_OPTIONS_H

#include <grp.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/afxdp.h"
#include "ipc/server.h"
#include "sim/wire.h"
#include "stack/addr.h"
#include "stack/base/nsec.h"
#include "stack/steer.h"

#define HOSTS_MAX WIRE_MAX_PORTS
#define INTERFACES_MAX 15u
#define ADDRESSES_MAX 8u     /* of one interface, as in a stack */
#define VLANS_MAX 14u        /* of one interface: a stack has 16 with the loopback */
#define ROUTES_MAX 64u
#define NEIGHBOURS_MAX 64u
#define LISTENERS_MAX 16u
#define EAL_ARGUMENTS_MAX 64u
#define SETTINGS_MAX 96u
#define NAME_MAX_BYTES 16u   /* of an interface, with its end */

struct backend;

/* Where something was said. file NULL: on the command line. */
struct place {
	const char *file;
	unsigned line;
};

struct host_option {
	char name[32];
	struct ipaddr addr;
};

/* An interface of the local kernel on the simulated network. */
struct tap_option {
	char name[NAME_MAX_BYTES];
	char netns[64];              /* empty: the daemon's own */
};

struct address_option {
	struct ipaddr addr;
	unsigned prefix;
	struct place place;
};

struct vlan_option {
	unsigned vid;
	bool dhcp;
	unsigned addresses;
	struct address_option address[ADDRESSES_MAX];
};

struct interface_option {
	char name[NAME_MAX_BYTES];   /* empty: not named */
	const struct backend *backend;  /* NULL: the daemon's */
	int port;                    /* of DPDK; -1: not said */
	bool dhcp;
	uint16_t mtu;                /* 0: as the daemon's */
	uint8_t mac[6];              /* all zero: as it comes */
	uint32_t packets;            /* of each queue; 0: the backend's default */
	unsigned addresses, vlans;
	struct address_option address[ADDRESSES_MAX];
	struct vlan_option *vlan;    /* VLANS_MAX of them, made with the first */
	enum afxdp_mode xdp_mode;
	bool xdp_skb, busy_poll, promiscuous, no_offload;
	struct place place;
};

struct route_option {
	struct ipaddr to, gateway;
	unsigned prefix;
	char interface[NAME_MAX_BYTES];   /* empty: where the gateway is */
	struct place place;
};

struct neighbour_option {
	struct ipaddr addr;
	uint8_t mac[6];
	char interface[NAME_MAX_BYTES];
	struct place place;
};

/* A socket of lightd's own, for replays: a TCP listener that discards or a UDP port that echoes. */
struct listener_option {
	bool udp;
	uint16_t port;
};

enum poll_option { POLL_DEFAULT, POLL_BUSY, POLL_ADAPTIVE };

struct options {
	const char *socket_path;
	unsigned socket_mode;
	gid_t socket_group;
	struct server_quota quota;
	enum poll_option poll;
	unsigned queues;                /* stacks, threads, cores */
	unsigned cpus;                  /* of --cores; 0: not pinned */
	uint8_t cpu[64];
	bool verbose;

	/* --io */
	const struct backend *backend;  /* NULL: sim */
	const char *name;               /* of the host, without sim; NULL: "light" */
	uint16_t mtu;                   /* of interfaces that say nothing; 0: as it comes */
	uint64_t seed;
	unsigned interfaces;
	struct interface_option interface[INTERFACES_MAX];
	unsigned routes, neighbours;
	struct route_option route[ROUTES_MAX];
	struct neighbour_option neighbour[NEIGHBOURS_MAX];

	/* --io=sim */
	unsigned hosts;
	struct host_option host[HOSTS_MAX];
	unsigned taps;
	struct tap_option tap[HOSTS_MAX];
	bool super_frames;
	struct wire_impairment impairment;  /* of every host's way out */

	/* --io=pcap with files */
	const char *read_file, *write_file;
	unsigned listeners;
	struct listener_option listener[LISTENERS_MAX];

	/* --io=dpdk */
	unsigned eal_arguments;
	char *eal_argument[EAL_ARGUMENTS_MAX];

	/* the stacks */
	const char *cc;         /* NULL: the stack's default */
	bool standard_profile;
	uint8_t mtu_probing;    /* as tcp_settings has it */
	uint64_t tcp_memory;    /* bytes; 0: no limit */
	uint64_t tcp_receive_buffer, tcp_send_buffer;  /* bytes; 0: the stack's default */
	uint32_t max_orphans;
	uint32_t uto, uto_lower, uto_upper;  /* seconds: of the User Timeout Option; uto 0: without it */
	uint8_t syn_cookies;    /* enum tcp_cookies */
	uint8_t fastopen;       /* TCP_FASTOPEN_* */
	uint32_t arp_timeout;   /* seconds */
	uint8_t ecn;            /* enum tcp_ecn */
	bool no_timestamps, no_sack, no_window_scaling;
	uint32_t sockets;       /* most endpoints of one host */

	/* While settings are read: the interface and VLAN that they are for, and where they are said. */
	unsigned current;
	int current_vlan;       /* -1: none */
	struct place place;
	struct place where[SETTINGS_MAX];   /* each setting by its number: where it was said last */
	bool said[SETTINGS_MAX];            /* and whether */
	/* Lists said on the command line replace those of the file. */
	bool interfaces_said, routes_said, neighbours_said, listeners_said, hosts_said, taps_said;
};

/* Reads file and command line; whatever is wrong ends the program with one line and status 2, except with --check, which
 * says all of it. */
void options_parse(int argc, char **argv, struct options *);
/* What an interface is called when it has no name of its own. */
bool options_busy(const struct options *);

#endif
