/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 groups (ip(7)): joining and leaving, who hears what is sent to them, and the options of senders. */
#include "dual.h"

#define GROUP "239.77.1.2"
#define OTHER "239.77.1.3"
#define LOOPBACK 1              /* the loopback interface's index, there and here */

static struct ip_mreq membership(const char *group)
{
	struct ip_mreq m = { .imr_interface = dual_address(0).sin_addr };

	inet_pton(AF_INET, group, &m.imr_multiaddr);
	return m;
}

static int change(int s, int option, const char *group)
{
	struct ip_mreq m = membership(group);

	return setsockopt(s, IPPROTO_IP, option, &m, sizeof(m));
}

static int join(int s, const char *group)
{
	return change(s, IP_ADD_MEMBERSHIP, group);
}

static int bound(uint16_t port, bool shared)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = port };
	int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	if (shared)
		EQUAL(0, setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	EQUAL(0, bind(s, (struct sockaddr *)&any, sizeof(any)));
	return s;
}

static int sender(void)
{
	struct in_addr by = dual_address(0).sin_addr;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)));
	return s;
}

static void send_to_group(int s, const char *group, uint16_t port, const char *text)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = port };

	inet_pton(AF_INET, group, &to.sin_addr);
	EQUAL(strlen(text), sendto(s, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)));
}

static void hears(int s, const char *text)
{
	char bytes[64];

	READABLE(s);
	EQUAL(strlen(text), recv(s, bytes, sizeof(bytes), 0));
	CHECK(memcmp(bytes, text, strlen(text)) == 0);
}

static void hears_nothing(int s)
{
	char byte;

	CHECK(!wait_for_events(s, POLLIN, SHORT));
	FAILS(EAGAIN, recv(s, &byte, 1, MSG_DONTWAIT));
}

TEST(members_hear_while_they_are_members)
{
	int r = bound(0, false), s = sender();
	uint16_t port = local_name(r).sin_port;

	send_to_group(s, GROUP, port, "before");
	hears_nothing(r);
	EQUAL(0, join(r, GROUP));
	send_to_group(s, GROUP, port, "joined");
	hears(r, "joined");
	send_to_group(s, OTHER, port, "another");
	EQUAL(0, change(r, IP_DROP_MEMBERSHIP, GROUP));
	send_to_group(s, GROUP, port, "after");
	hears_nothing(r);
}

TEST(what_cannot_be_joined_or_left)
{
	struct ip_mreq m = membership(GROUP);
	struct group_req request = { .gr_interface = 0, .gr_group.ss_family = AF_INET6 };
	int s = bound(0, false), stream = socket(AF_INET, SOCK_STREAM, 0), n;
	char group[16];

	FAILS(EADDRNOTAVAIL, change(s, IP_DROP_MEMBERSHIP, GROUP));
	EQUAL(0, join(s, GROUP));
	FAILS(EADDRINUSE, join(s, GROUP));
	FAILS(EINVAL, join(s, "10.0.0.1"));
	FAILS(EADDRNOTAVAIL, change(s, IP_DROP_MEMBERSHIP, OTHER));
	FAILS(EPROTO, join(stream, GROUP));
	FAILS(EINVAL, setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m) - 1));
	FAILS(EINVAL, setsockopt(s, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof(request)));
	FAILS(EINVAL, setsockopt(s, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof(request) - 1));
	m.imr_interface.s_addr = htonl(0xcb007109);
	FAILS(ENODEV, setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	FAILS(ENODEV, setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &(struct ip_mreqn){ m.imr_multiaddr, { 0 }, 99999 },
				 sizeof(struct ip_mreqn)));
	for (n = 1; n < 20; n++) {
		snprintf(group, sizeof(group), "239.77.2.%d", n);
		EQUAL(0, join(s, group));
	}
	FAILS(ENOBUFS, join(s, OTHER));
	EQUAL(0, change(s, IP_DROP_MEMBERSHIP, group));
	EQUAL(0, join(s, OTHER));
}

TEST(every_member_gets_a_copy)
{
	int a = bound(0, true), s = sender();
	uint16_t port = local_name(a).sin_port;
	int b = bound(port, true), deaf = bound(port, true), zero = 0;

	EQUAL(0, join(a, GROUP));
	EQUAL(0, join(b, GROUP));
	EQUAL(0, setsockopt(deaf, IPPROTO_IP, IP_MULTICAST_ALL, &zero, sizeof(zero)));
	send_to_group(s, GROUP, port, "copy");
	hears(a, "copy");
	hears(b, "copy");
	hears_nothing(deaf);
	close(a);
	send_to_group(s, GROUP, port, "one left");
	hears(b, "one left");
}

TEST(a_membership_ends_with_its_process)
{
	int idle = bound(0, true), s = sender(), pipes[2], status;
	uint16_t port = local_name(idle).sin_port;
	pid_t child;
	char byte;

	EQUAL(0, pipe(pipes));
	child = dual_fork();
	if (child == 0) {
		EQUAL(0, join(bound(port, true), GROUP));
		EQUAL(1, write(pipes[1], "j", 1));
		pause();
	}
	EQUAL(1, read(pipes[0], &byte, 1));
	send_to_group(s, GROUP, port, "there");
	hears(idle, "there");                   /* IP_MULTICAST_ALL */
	EQUAL(0, kill(child, SIGKILL));
	EQUAL(child, waitpid(child, &status, 0));
	/* The end of a program is noticed soon, not at once. */
	for (int i = 0; i < 50; i++) {
		send_to_group(s, GROUP, port, "still?");
		if (!wait_for_events(idle, POLLIN, SHORT))
			return;
		hears(idle, "still?");
	}
	dual_fail(__FILE__, __LINE__, "a killed process is a member still");
}

/* The port says on which core it lives, the membership was made before. */
TEST(joining_before_binding)
{
	int s = sender(), i;

	for (i = 0; i < 4; i++) {
		struct sockaddr_in name = { .sin_family = AF_INET };
		int r = socket(AF_INET, SOCK_DGRAM, 0), probe = bound(0, false);

		name.sin_port = local_name(probe).sin_port;
		close(probe);
		EQUAL(0, join(r, GROUP));
		EQUAL(0, join(r, OTHER));
		if (i % 2)
			inet_pton(AF_INET, GROUP, &name.sin_addr);
		EQUAL(0, bind(r, (struct sockaddr *)&name, sizeof(name)));
		send_to_group(s, GROUP, name.sin_port, "bound");
		hears(r, "bound");
		FAILS(EADDRINUSE, join(r, OTHER));
		close(r);
	}
}

TEST(options_of_a_sender)
{
	struct in_addr by = dual_address(0).sin_addr, got = { 1 }, nobody = { htonl(0xcb007109) };
	int s = socket(AF_INET, SOCK_DGRAM, 0), value = -1, two = 2;
	socklen_t n = sizeof(value);
	uint8_t byte = 7;

	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &value, &n));
	EQUAL(1, value);
	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &value, &n));
	EQUAL(1, value);
	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_ALL, &value, &n));
	EQUAL(1, value);
	n = sizeof(got);
	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &got, &n));
	EQUAL(0, got.s_addr);
	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)));
	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &got, &n));
	EQUAL(by.s_addr, got.s_addr);
	EQUAL(sizeof(got), n);
	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &byte, 1));
	n = sizeof(value);
	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_TTL, &value, &n));
	EQUAL(7, value);
	byte = 0;
	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &byte, 1));
	EQUAL(0, getsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &value, &n));
	EQUAL(0, value);
	FAILS(EINVAL, setsockopt(s, IPPROTO_IP, IP_MULTICAST_ALL, &two, sizeof(two)));
	FAILS(EINVAL, setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by) - 1));
	FAILS(EADDRNOTAVAIL, setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &nobody, sizeof(nobody)));
	FAILS(ENOPROTOOPT, getsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &value, &n));
}

TEST(what_is_heard_says_to_which_group_it_was_sent)
{
	union { struct cmsghdr align; char bytes[128]; } control;
	char bytes[16];
	struct sockaddr_in from;
	struct iovec io = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	int r = bound(0, false), s = sender(), one = 1;
	struct in_pktinfo info;

	EQUAL(0, setsockopt(r, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)));
	EQUAL(0, join(r, GROUP));
	send_to_group(s, GROUP, local_name(r).sin_port, "info");
	READABLE(r);
	EQUAL(4, recvmsg(r, &m, 0));
	EQUAL(dual_address(0).sin_addr.s_addr, from.sin_addr.s_addr);
	CHECK(CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == IP_PKTINFO);
	memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(info));
	EQUAL(membership(GROUP).imr_multiaddr.s_addr, info.ipi_addr.s_addr);
	/* The same by the interface's index. */
	EQUAL(0, setsockopt(r, IPPROTO_IP, IP_DROP_MEMBERSHIP, &(struct ip_mreqn){ info.ipi_addr, { 0 }, info.ipi_ifindex },
			    sizeof(struct ip_mreqn)));
	send_to_group(s, GROUP, local_name(r).sin_port, "left");
	hears_nothing(r);
}

TEST(by_the_index_of_an_interface)
{
	struct group_req request = { .gr_interface = LOOPBACK };
	struct sockaddr_in group = { .sin_family = AF_INET };
	struct ip_mreqn by = { .imr_ifindex = LOOPBACK };
	int r = bound(0, false), s = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, GROUP, &group.sin_addr);
	memcpy(&request.gr_group, &group, sizeof(group));
	EQUAL(0, setsockopt(r, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof(request)));
	FAILS(EADDRINUSE, setsockopt(r, IPPROTO_IP, MCAST_JOIN_GROUP, &request, sizeof(request)));
	EQUAL(0, setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)));
	send_to_group(s, GROUP, local_name(r).sin_port, "inside");
	hears(r, "inside");
	hears_nothing(r);
	EQUAL(0, setsockopt(r, IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof(request)));
	FAILS(EADDRNOTAVAIL, setsockopt(r, IPPROTO_IP, MCAST_LEAVE_GROUP, &request, sizeof(request)));
	send_to_group(s, GROUP, local_name(r).sin_port, "left");
	hears_nothing(r);
}

TEST(a_connected_sender_and_one_that_hears_itself)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int r = bound(0, false), s = sender();

	EQUAL(0, join(r, GROUP));
	to.sin_port = local_name(r).sin_port;
	inet_pton(AF_INET, GROUP, &to.sin_addr);
	connect_to(s, &to);
	EQUAL(dual_address(0).sin_addr.s_addr, local_name(s).sin_addr.s_addr);
	EQUAL(5, send(s, "hello", 5, 0));
	hears(r, "hello");
	EQUAL(0, setsockopt(r, IPPROTO_IP, IP_MULTICAST_IF, &(struct in_addr){ dual_address(0).sin_addr.s_addr }, sizeof(struct in_addr)));
	send_to_group(r, GROUP, to.sin_port, "self");
	hears(r, "self");
}
