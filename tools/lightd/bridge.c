/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames are copied: the wire's packets are the wire's and the device's the device's. What finds no packet on the other side is dropped,
 * and counted by the link that would have taken it, as on a cable that is too slow for its sender. */
#include "tools/lightd/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/tap.h"
#include "stack/base/check.h"

#define BURST 64u

struct bridge_port {
	struct device *device;
	struct link *outer;   /* the device's */
	struct link *inner;   /* the wire's */
	struct wire *wire;
	unsigned number;      /* of the port */
};

struct bridge {
	unsigned ports;
	struct bridge_port port[HOSTS_MAX];
};

/* ---- opening ---- */

static int enter(const char *netns)
{
	char path[128];
	int fd, error = 0;

	snprintf(path, sizeof path, netns[0] == '/' ? "%s" : "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) != 0)
		error = -errno;
	close(fd);
	return error;
}

/* A device is made in the network namespace of whoever opens it; this thread is back home then. */
static int open_there(const struct tap_option *t, const struct tap_config *config, struct device **device)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int error = home < 0 ? -errno : t->netns[0] != '\0' ? enter(t->netns) : 0;
	char why[DEVICE_WHY] = "";

	if (error < 0) {
		fprintf(stderr, "lightd: --tap %s: network namespace %s: %s\n", t->name, t->netns, strerror(-error));
	} else {
		error = tap_open(config, device, why);
		if (error < 0)
			fprintf(stderr, "lightd: --tap %s: %s\n", t->name, why);
	}
	if (home >= 0) {
		CHECK(t->netns[0] == '\0' || setns(home, CLONE_NEWNET) == 0);
		close(home);
	}
	return error;
}

static int join(struct bridge *b, const struct options *o, unsigned i, struct wire *w, void (*log)(void *, const char *))
{
	struct bridge_port *p = &b->port[i];
	const struct tap_config config = {
		.device = { .queues = 1, .mtu = o->mtu != 0 ? o->mtu : 1500, .wake = true, .log = log },
		.interface = o->tap[i].name, .no_offload = true,
	};
	int error = open_there(&o->tap[i], &config, &p->device);

	if (error < 0)
		return error;
	p->outer = p->device->ops->queue(p->device, 0);
	p->inner = wire_link(w, o->hosts + i);
	p->inner->flags = 0;   /* the device takes whole checksums only */
	p->wire = w;
	p->number = o->hosts + i;
	return 0;
}

struct bridge *bridge_new(const struct options *o, struct wire *w, void (*log)(void *, const char *))
{
	struct bridge *b = calloc(1, sizeof *b);

	if (b == NULL)
		return NULL;
	for (unsigned i = 0; i < o->taps; i++) {
		if (join(b, o, i, w, log) < 0) {
			bridge_free(b);
			return NULL;
		}
		b->ports++;
	}
	return b;
}

void bridge_free(struct bridge *b)
{
	for (unsigned i = 0; b != NULL && i < b->ports; i++)
		b->port[i].device->ops->close(b->port[i].device);
	free(b);
}

/* ---- moving frames ---- */

/* A copy that `to` lends; NULL: none, or it is too long for one. */
static struct pkt *copy_or_null(struct link *to, const struct pkt *from)
{
	struct pkt *p;

	if (to->ops->borrow(to, &p, 1) == 0)
		return NULL;
	if (pkt_tailroom(p) < from->len) {
		to->ops->release(to, &p, 1);
		return NULL;
	}
	memcpy(p->data, from->data, from->len);
	p->len = from->len;
	return p;
}

static unsigned move(struct link *from, struct link *to)
{
	struct pkt *in[BURST], *out[BURST];
	unsigned n = from->ops->receive(from, in, BURST), copies = 0, sent;

	for (unsigned i = 0; i < n; i++) {
		struct pkt *p = copy_or_null(to, in[i]);

		if (p != NULL)
			out[copies++] = p;
		else
			to->stats.tx_dropped++;
	}
	if (n > 0)
		from->ops->release(from, in, n);
	sent = copies > 0 ? to->ops->transmit(to, out, copies) : 0;
	if (sent < copies) {
		to->stats.tx_dropped += copies - sent;
		to->ops->release(to, out + sent, copies - sent);
	}
	return n;
}

unsigned bridge_in(struct bridge *b)
{
	unsigned work = 0;

	for (unsigned i = 0; i < b->ports; i++)
		work += move(b->port[i].outer, b->port[i].inner);
	return work;
}

unsigned bridge_out(struct bridge *b)
{
	unsigned work = 0;

	for (unsigned i = 0; i < b->ports; i++)
		work += move(b->port[i].inner, b->port[i].outer);
	return work;
}

bool bridge_due(const struct bridge *b)
{
	for (unsigned i = 0; i < b->ports; i++) {
		if (wire_queued(b->port[i].wire, b->port[i].number) > 0)
			return true;
	}
	return false;
}

unsigned bridge_arm(struct bridge *b, int *fds, unsigned room)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->ports && n < room; i++) {
		int fd = b->port[i].outer->ops->arm(b->port[i].outer);

		if (fd >= 0)
			fds[n++] = fd;
	}
	return n;
}
