/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups over an interface that the kernel uses too: both may be in one, so frames to it stay with the kernel, and Light gets a copy, as it
 * does of what the program cannot know to be only one side's (afxdp_filter.c). While Light is in any group it hears all hosts as well, for
 * routers ask there (RFC 3376 4.1.12). A packet socket that receives nothing holds the addresses in the NIC's filter: it goes with us. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afxdp_watch.h"

#define ALL_HOSTS htonl(0xe0000001)

static int hold(const struct afxdp *d, uint32_t group, bool wanted)
{
	struct packet_mreq m = { .mr_ifindex = (int)d->ifindex, .mr_type = PACKET_MR_MULTICAST, .mr_alen = 6 };

	if (d->ifindex == 0)
		return 0;  /* told again when it is back */
	grouplist_mac(group, m.mr_address);
	if (setsockopt(d->members, SOL_PACKET, wanted ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &m, sizeof(m)) == 0)
		return 0;
	return -errno;
}

static int let_in(struct afxdp *d, uint32_t group)
{
	int error = hold(d, group, true);

	if (error)
		return error;
	error = afxdp_program_group(d->program, group, true);
	if (error)
		hold(d, group, false);
	return error;
}

static void shut_out(struct afxdp *d, uint32_t group)
{
	afxdp_program_group(d->program, group, false);
	hold(d, group, false);
}

static int add(struct afxdp *d, uint32_t group)
{
	int error = grouplist_add(&d->groups, group);

	if (error <= 0)
		return error;
	error = let_in(d, group);
	if (error)
		grouplist_drop(&d->groups, group);
	return error;
}

static void drop(struct afxdp *d, uint32_t group)
{
	if (grouplist_drop(&d->groups, group))
		shut_out(d, group);
}

int afxdp_groups_open(struct afxdp *d)
{
	d->members = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return d->members < 0 ? -errno : 0;
}

void afxdp_groups_close(struct afxdp *d)
{
	if (d->members >= 0)
		close(d->members);
}

void afxdp_groups_again(struct afxdp *d)
{
	for (unsigned i = 0; i < d->groups.count; i++)
		if (hold(d, d->groups.list[i].group, true) != 0)
			afxdp_log(d, "%s: a group that was joined cannot be let in again: %s", d->interface, strerror(errno));
}

int afxdp_group(struct link *l, uint32_t group, bool wanted)
{
	struct afxdp *d = ((struct afxdp_queue *)(void *)l)->device;
	int error = 0;

	pthread_mutex_lock(&d->lock);
	if (wanted) {
		error = add(d, ALL_HOSTS);
		if (!error) {
			error = add(d, group);
			if (error)
				drop(d, ALL_HOSTS);
		}
	} else {
		drop(d, group);
		drop(d, ALL_HOSTS);
	}
	pthread_mutex_unlock(&d->lock);
	return error;
}
