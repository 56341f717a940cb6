/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages: IP_PKTINFO, IP_TTL and IP_TOS of a received datagram, IP_PKTINFO's source address of one to send. */
#include "posix/msgmap.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "posix/optmap.h"

int msgmap_read(const struct msghdr *m, struct dgram_header *header)
{
	if (m->msg_controllen == 0)
		return 0;
	if (!m->msg_control)
		return -EFAULT;
	for (const struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)m, (struct cmsghdr *)(uintptr_t)c)) {
		struct in_pktinfo info;

		if (c->cmsg_len < CMSG_LEN(0))
			return -EINVAL;
		/* Other levels are other protocols' and are ignored, as in Linux. */
		if (c->cmsg_level == SOL_SOCKET)
			return -EOPNOTSUPP;
		if (c->cmsg_level != IPPROTO_IP)
			continue;
		if (c->cmsg_type != IP_PKTINFO)
			return -EOPNOTSUPP;
		if (c->cmsg_len != CMSG_LEN(sizeof(info)))
			return -EINVAL;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		if (info.ipi_spec_dst.s_addr != INADDR_ANY)
			header->local = ipaddr_from_ip4(info.ipi_spec_dst.s_addr);
	}
	return 0;
}

/* ---- out to the program ---- */

struct control {
	uint8_t *at;
	size_t left, used;
	bool cut;
};

static void put(struct control *to, int type, const void *data, size_t n)
{
	struct cmsghdr head = { .cmsg_len = CMSG_LEN(n), .cmsg_level = IPPROTO_IP, .cmsg_type = type };

	if (to->left < CMSG_LEN(n)) {
		to->cut = true;
		return;
	}
	memcpy(to->at + to->used, &head, sizeof(head));
	memcpy(to->at + to->used + CMSG_LEN(0), data, n);
	to->left -= to->left < CMSG_SPACE(n) ? to->left : CMSG_SPACE(n);
	to->used += to->left == 0 ? CMSG_LEN(n) : CMSG_SPACE(n);
}

void msgmap_write(unsigned wants, struct msghdr *m, const struct dgram_header *header)
{
	struct control to = { m->msg_control, m->msg_control ? m->msg_controllen : 0, 0, false };

	if (wants & WANT_PKTINFO) {
		struct in_pktinfo info = { .ipi_ifindex = (int)header->interface };

		info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = ipaddr_ip4(&header->local);
		put(&to, IP_PKTINFO, &info, sizeof(info));
	}
	if (wants & WANT_TTL)
		put(&to, IP_TTL, &(int){ header->ttl }, sizeof(int));
	if (wants & WANT_TOS)
		put(&to, IP_TOS, &header->tos, sizeof(header->tos));
	m->msg_controllen = to.used;
	if (to.cut)
		m->msg_flags |= MSG_CTRUNC;
}
