/* SPDX-License-Identifier: BSD-3-Clause */
/* Control messages: IP_PKTINFO, IP_TTL and IP_TOS of a received datagram, IP_PKTINFO's source address of one to send;
 * and IP_RECVERR with an error of the queue (ip(7)). */
#include "posix/msgmap.h"

#include <errno.h>
#include <linux/errqueue.h>
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

static void put_wanted(unsigned wants, struct control *to, const struct dgram_header *header)
{
	if (wants & WANT_PKTINFO) {
		struct in_pktinfo info = { .ipi_ifindex = (int)header->interface };

		info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = ipaddr_ip4(&header->local);
		put(to, IP_PKTINFO, &info, sizeof(info));
	}
	if (wants & WANT_TTL)
		put(to, IP_TTL, &(int){ header->ttl }, sizeof(int));
	if (wants & WANT_TOS)
		put(to, IP_TOS, &header->tos, sizeof(header->tos));
}

static void finish(const struct control *to, struct msghdr *m)
{
	m->msg_controllen = to->used;
	if (to->cut)
		m->msg_flags |= MSG_CTRUNC;
}

static struct sockaddr_in internet(const struct ipaddr *addr, uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = ipaddr_ip4(addr), .sin_port = htons(port) };
}

static ssize_t put_quote(struct msghdr *m, const uint8_t *quote, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < m->msg_iovlen && done < n; i++) {
		size_t piece = m->msg_iov[i].iov_len < n - done ? m->msg_iov[i].iov_len : n - done;

		if (piece > 0)
			memcpy(m->msg_iov[i].iov_base, quote + done, piece);
		done += piece;
	}
	if (done < n)
		m->msg_flags |= MSG_TRUNC;
	return (ssize_t)done;
}

/* As ip_recv_error of Linux: an error of this host's own has no offender, and no packet came of which other messages could tell. */
ssize_t msgmap_write_error(unsigned wants, struct msghdr *m, const struct ep_queued_error *e, const uint8_t *quote)
{
	struct {
		struct sock_extended_err ee;
		struct sockaddr_in offender;
	} error = { .ee = { .ee_errno = (uint32_t)e->error, .ee_origin = e->origin, .ee_type = e->type, .ee_code = e->code, .ee_info = e->info } };
	const struct dgram_header header = { .local = e->local, .interface = e->interface, .ttl = e->ttl, .tos = e->tos };
	struct control to = { m->msg_control, m->msg_control ? m->msg_controllen : 0, 0, false };
	struct sockaddr_in name = internet(&e->destination.addr, e->destination.port);
	ssize_t n;

	m->msg_flags = MSG_ERRQUEUE;
	n = put_quote(m, quote, e->quoted);
	if (m->msg_name) {
		memcpy(m->msg_name, &name, m->msg_namelen < sizeof(name) ? m->msg_namelen : sizeof(name));
		m->msg_namelen = sizeof(name);
	}
	if (e->origin == EP_ORIGIN_ICMP) {
		error.offender = internet(&e->offender, 0);
		put_wanted(wants, &to, &header);
	}
	put(&to, IP_RECVERR, &error, sizeof(error));
	finish(&to, m);
	return n;
}

void msgmap_write(unsigned wants, struct msghdr *m, const struct dgram_header *header)
{
	struct control to = { m->msg_control, m->msg_control ? m->msg_controllen : 0, 0, false };

	put_wanted(wants, &to, header);
	finish(&to, m);
}
