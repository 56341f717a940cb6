/* SPDX-License-Identifier: BSD-3-Clause */
/* libpcap on a live interface, as one link. libpcap's ring is copied from and its inject copied into: this backend runs
 * anywhere, and is fast nowhere. */
#include "pcap.h"

#include <errno.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "layer4.h"
#include "netif.h"
#include "pcap_activate.h"
#include "pktpool.h"
#include "stack/base/check.h"

#define DEFAULT_PACKETS 4096u
#define PACKETS_MAX 1048576u
#define ETH_HEADER 14u
#define MTU_MIN 576u
#define MTU_WANTED_MAX 9000u
#define MTU_MAX 65535u
/* A busy poller looks for changes of the interface this often: a system call beside as many. */
#define IDLE_LOOKS 1024u

enum live_count {
	RX_OWN, RX_OPEN, RX_SUPER, RX_TRUNCATED, RX_POOL_DRY, RX_ERROR, TX_BUSY, TX_DOWN, TX_TOO_LONG, TX_ERROR, STATE_CHANGES,
	GONE, BACK, LIVE_COUNTS,
};

static const char *const count_names[LIVE_COUNTS] = {
	"rx_own_frames", "rx_open_checksums", "rx_super_frames", "rx_truncated", "rx_pool_dry", "rx_errors", "tx_busy", "tx_down",
	"tx_too_long", "tx_errors", "state_changes", "interface_gone", "interface_back",
};

struct live {
	struct device device;  /* first: a struct device * of ours is one of these */
	struct link link;
	struct pktpool pool;
	pcap_t *pcap;
	int fd, watch, sleeper;  /* libpcap's; changes of the interface; an epoll descriptor of both. -1: none */
	unsigned idle;
	bool gone, closed, follow_mtu, has_interface;
	struct pkt **out;        /* where a dispatch puts what it receives */
	unsigned got;
	void (*log)(void *context, const char *line);
	void *log_context;
	uint64_t counts[LIVE_COUNTS];
};

static struct live *live_of(struct link *l)
{
	return (struct live *)(void *)((uint8_t *)l - offsetof(struct live, link));
}

static struct live *live_of_device(struct device *d)
{
	return (struct live *)(void *)d;
}

__attribute__((format(printf, 2, 3))) static void say(struct live *v, const char *format, ...)
{
	char line[DEVICE_WHY];
	va_list args;
	int n;

	if (!v->log)
		return;
	n = snprintf(line, sizeof(line), "pcap %s: ", v->device.name);
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	v->log(v->log_context, line);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DEVICE_WHY, format, args);
	va_end(args);
	return error;
}

static int activate(struct live *v, char *why)
{
	char warning[DEVICE_WHY] = "";
	int error = pcap_activate_live(v->device.name, &v->pcap, warning, why);

	if (error)
		return error;
	if (warning[0])
		say(v, "%s", warning);
	v->fd = pcap_get_selectable_fd(v->pcap);
	return 0;
}

static int watch_for(int epoll, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0 ? -errno : 0;
}

static void interface_gone(struct live *v)
{
	if (v->gone)
		return;
	v->gone = true;
	v->link.up = 0;
	v->counts[GONE]++;
	/* It would be readable for ever, with nothing but an error to read. */
	if (v->fd >= 0)
		epoll_ctl(v->sleeper, EPOLL_CTL_DEL, v->fd, NULL);
	say(v, "the interface was deleted; nothing is received or sent until one of that name is there");
}

/* Another interface of that name may have been made, and brought up: libpcap opens no other. */
static void look_for_interface(struct live *v)
{
	pcap_t *old = v->pcap;
	char why[DEVICE_WHY];
	unsigned flags;

	if (netif_flags(v->watch, v->device.name, &flags) != 0 || !(flags & IFF_UP))
		return;
	if (activate(v, why) != 0)
		return;
	pcap_close(old);
	if (v->fd >= 0 && watch_for(v->sleeper, v->fd) != 0)
		return;
	v->gone = false;
	v->counts[BACK]++;
	say(v, "an interface of that name is there again and is used");
}

static void look_at_interface(struct live *v)
{
	unsigned flags, mtu;
	bool up;

	if (!v->has_interface || !netif_changed(v->watch))
		return;
	if (v->gone)
		look_for_interface(v);
	if (v->gone)
		return;
	if (netif_flags(v->watch, v->device.name, &flags) != 0 || netif_mtu(v->watch, v->device.name, &mtu) != 0) {
		interface_gone(v);
		return;
	}
	if (v->follow_mtu && mtu != v->link.mtu && mtu >= MTU_MIN && mtu <= MTU_MAX) {
		v->link.mtu = (uint16_t)mtu;
		say(v, "the interface's MTU is %u now; it is used from now on", mtu);
	}
	up = (flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	if (up == (v->link.up != 0))
		return;
	v->link.up = up;
	v->counts[STATE_CHANGES]++;
	say(v, up ? "the interface is up" : "the interface is down, or has no carrier");
}

/* For those who never sleep. */
static void idle_look(struct live *v)
{
	if (++v->idle < IDLE_LOOKS)
		return;
	v->idle = 0;
	look_at_interface(v);
}

static void read_failed(struct live *v)
{
	v->counts[RX_ERROR]++;
	/* ENETDOWN comes here too and passes; netlink says which it was. */
	look_at_interface(v);
	if (!v->has_interface)
		interface_gone(v);
}

/* Called by libpcap for each frame, at most as often as there are packets in the pool. */
static void take_frame(u_char *context, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct live *v = (struct live *)(void *)context;
	struct pkt *p;

	if (h->caplen < h->len || h->caplen > PCAP_FRAME_MAX) {
		v->counts[RX_TRUNCATED]++;
		v->link.stats.rx_dropped++;
		return;
	}
	if (h->caplen >= ETH_HEADER && memcmp(bytes + 6, v->link.mac, 6) == 0) {
		v->counts[RX_OWN]++;
		return;
	}
	if (pktpool_take(&v->pool, &v->link, &p, 1) == 0) {
		v->counts[RX_POOL_DRY]++;
		v->link.stats.rx_dropped++;
		return;
	}
	memcpy(p->data, bytes, h->caplen);
	p->len = h->caplen;
	if (layer4_mark(p, v->link.mtu) && v->counts[RX_OPEN]++ == 0)
		say(v, "frames come with the checksum left to a card; they are taken as good"
			" (the sender's: ethtool -K ... tx off tso off; merged on receipt: gro off)");
	v->counts[RX_SUPER] += p->gso_size != 0;
	v->link.stats.rx_packets++;
	v->link.stats.rx_bytes += p->len;
	v->out[v->got++] = p;
}

static unsigned live_receive(struct link *l, struct pkt **out, unsigned n)
{
	struct live *v = live_of(l);
	uint32_t room = v->pool.count - v->pool.outstanding;
	int result;

	if (v->gone && !v->closed)
		idle_look(v);
	if (v->gone || v->closed || n == 0)
		return 0;
	/* What finds no packet waits in the kernel's ring. */
	if (n > room)
		n = room;
	if (n == 0) {
		v->counts[RX_POOL_DRY]++;
		return 0;
	}
	v->out = out;
	v->got = 0;
	result = pcap_dispatch(v->pcap, (int)n, take_frame, (u_char *)v);
	if (result < 0)
		read_failed(v);
	else if (v->got == 0)
		idle_look(v);
	return v->got;
}

static unsigned live_borrow(struct link *l, struct pkt **out, unsigned n)
{
	return pktpool_take(&live_of(l)->pool, l, out, n);
}

static void live_release(struct link *l, struct pkt **packets, unsigned n)
{
	pktpool_give(&live_of(l)->pool, packets, n);
}

/* false: the kernel takes no more for now. */
static bool send_frame(struct live *v, const struct pkt *p)
{
	bool silent = v->gone || v->closed;

	if (!silent && pcap_inject(v->pcap, p->data, p->len) >= 0) {
		v->link.stats.tx_packets++;
		v->link.stats.tx_bytes += p->len;
		return true;
	}
	if (!silent && errno == EAGAIN)
		return false;
	v->link.stats.tx_dropped++;
	if (silent || errno == ENETDOWN || errno == ENXIO || errno == ENODEV)
		v->counts[TX_DOWN]++;
	else if (errno == EMSGSIZE)
		v->counts[TX_TOO_LONG]++;
	else if (errno == ENOBUFS)
		v->counts[TX_BUSY]++;
	else
		v->counts[TX_ERROR]++;
	return true;
}

static unsigned live_transmit(struct link *l, struct pkt **packets, unsigned n)
{
	struct live *v = live_of(l);
	unsigned i;

	for (i = 0; i < n && send_frame(v, packets[i]); i++)
		;
	v->counts[TX_BUSY] += i < n;
	pktpool_give(&v->pool, packets, i);
	return i;
}

static int live_arm(struct link *l)
{
	struct live *v = live_of(l);

	look_at_interface(v);
	return v->fd < 0 ? -1 : v->sleeper;
}

static bool live_counter(struct link *l, unsigned i, struct link_counter *out)
{
	struct live *v = live_of(l);
	struct pcap_stat s = { 0 };

	if (i > LIVE_COUNTS)
		return false;
	snprintf(out->name, sizeof(out->name), "%s", i < LIVE_COUNTS ? count_names[i] : "rx_dropped_by_kernel");
	if (i < LIVE_COUNTS)
		out->value = v->counts[i];
	else
		out->value = pcap_stats(v->pcap, &s) == 0 ? s.ps_drop : 0;
	return true;
}

/* The device ends as a whole; until then the link is silent. */
static void live_link_close(struct link *l)
{
	live_of(l)->closed = true;
	l->up = 0;
}

static const struct link_ops live_ops = {
	.name = "pcap",
	.receive = live_receive,
	.borrow = live_borrow,
	.transmit = live_transmit,
	.release = live_release,
	.arm = live_arm,
	.counter = live_counter,
	.close = live_link_close,
};

static struct link *live_queue(struct device *d, unsigned i)
{
	CHECK(i == 0);
	return &live_of_device(d)->link;
}

static uint32_t live_outstanding(struct device *d)
{
	return live_of_device(d)->pool.outstanding;
}

static void live_close(struct device *d)
{
	struct live *v = live_of_device(d);

	if (v->pool.outstanding > 0)
		say(v, "%u packets did not come back", v->pool.outstanding);
	if (v->pcap)
		pcap_close(v->pcap);
	if (v->sleeper >= 0)
		close(v->sleeper);
	if (v->watch >= 0)
		close(v->watch);
	pktpool_close(&v->pool);
	free(v);
}

static const struct device_ops live_device_ops = {
	.queue = live_queue,
	.outstanding = live_outstanding,
	.close = live_close,
};

static int set_mtu(struct live *v, unsigned wanted, char *why)
{
	unsigned mtu = 1500;
	int error = v->has_interface ? netif_mtu(v->watch, v->device.name, &mtu) : 0;

	if (!error && wanted > mtu && v->has_interface)
		error = netif_set_mtu(v->watch, v->device.name, wanted);
	if (error)
		return refuse(why, error, "pcap %s: MTU %u: %s", v->device.name, wanted, strerror(-error));
	if (wanted)
		mtu = wanted;
	if (mtu < MTU_MIN)
		return refuse(why, -EINVAL, "pcap %s: has an MTU of %u; at least %u is possible", v->device.name, mtu, MTU_MIN);
	/* The loopback interface's 65536 is more than an IP packet. */
	v->link.mtu = (uint16_t)(mtu > MTU_MAX ? MTU_MAX : mtu);
	v->follow_mtu = !wanted;
	return 0;
}

static int set_mac(struct live *v, const uint8_t wanted[6], char *why)
{
	static const uint8_t none[6];

	memcpy(v->link.mac, wanted, 6);
	if (memcmp(wanted, none, 6) == 0 && v->has_interface)
		netif_mac(v->watch, v->device.name, v->link.mac);
	if (memcmp(v->link.mac, none, 6) == 0)
		return refuse(why, -EINVAL, "pcap %s: has no MAC address of its own; give one", v->device.name);
	if (v->link.mac[0] & 1)
		return refuse(why, -EINVAL, "pcap %s: our MAC address is a group's; its first byte has to be even", v->device.name);
	return 0;
}

static int open_live(struct live *v, const struct pcap_live_config *c, char *why)
{
	unsigned flags = 0;
	int error;

	v->watch = netif_watch();
	v->sleeper = epoll_create1(EPOLL_CLOEXEC);
	if (v->watch < 0 || v->sleeper < 0)
		return refuse(why, -EMFILE, "pcap %s: no descriptors to watch it with", c->interface);
	error = activate(v, why);
	if (error)
		return error;
	/* libpcap opens more than the kernel's interfaces. */
	v->has_interface = netif_flags(v->watch, c->interface, &flags) == 0;
	v->link.up = !v->has_interface || (flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	error = set_mtu(v, c->device.mtu, why);
	if (!error)
		error = set_mac(v, c->mac, why);
	if (error)
		return error;
	if (watch_for(v->sleeper, v->watch) != 0 || (v->fd >= 0 && watch_for(v->sleeper, v->fd) != 0))
		return refuse(why, -EIO, "pcap %s: epoll: %s", c->interface, strerror(errno));
	if (pktpool_open(&v->pool, c->packets ? c->packets : DEFAULT_PACKETS, PCAP_FRAME_MAX) != 0)
		return refuse(why, -ENOMEM, "pcap %s: no memory for %u packets", c->interface, c->packets);
	return 0;
}

int pcap_live_open(const struct pcap_live_config *c, struct device **out, char why[DEVICE_WHY])
{
	struct live *v;
	int error;

	if (!c->interface || c->interface[0] == '\0' || strlen(c->interface) >= sizeof(v->device.name))
		return refuse(why, -EINVAL, "pcap: the interface's name has to have 1 to %zu characters", sizeof(v->device.name) - 1);
	if (c->packets > PACKETS_MAX)
		return refuse(why, -EINVAL, "pcap %s: %u packets; at most %u are possible", c->interface, c->packets, PACKETS_MAX);
	if (c->device.mtu && (c->device.mtu < MTU_MIN || c->device.mtu > MTU_WANTED_MAX))
		return refuse(why, -EINVAL, "pcap %s: MTU %u; %u to %u are possible", c->interface, c->device.mtu, MTU_MIN, MTU_WANTED_MAX);
	v = calloc(1, sizeof(*v));
	if (!v)
		return refuse(why, -ENOMEM, "pcap %s: memory is short", c->interface);
	v->fd = v->watch = v->sleeper = -1;
	v->log = c->device.log;
	v->log_context = c->device.log_context;
	v->link.ops = &live_ops;
	v->device = (struct device){ .ops = &live_device_ops, .backend = "pcap", .queues = 1 };
	strcpy(v->device.name, c->interface);
	error = open_live(v, c, why);
	if (error) {
		live_close(&v->device);
		return error;
	}
	if (c->device.queues > 1)
		say(v, "has one queue");
	*out = &v->device;
	return 0;
}
