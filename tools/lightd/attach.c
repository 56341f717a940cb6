/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices, the spread before them, and captures around. */
#include "tools/lightd/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "io/capture.h"
#include "tools/lightd/backend.h"

/* At the end: how long a device may take to give back what it still sends. */
#define DRAIN_MS 200u

static nsec capture_clock(void *context)
{
	struct timespec t;

	(void)context;
	clock_gettime(CLOCK_REALTIME, &t);
	return (nsec)t.tv_sec * NSEC_PER_SEC + (nsec)t.tv_nsec;
}

int attach_open(const struct options *o, const struct interface_option *wanted, unsigned cores, void (*log)(void *, const char *),
		struct network_interface *i)
{
	const struct device_config config = {
		.queues = cores, .mtu = wanted->mtu != 0 ? wanted->mtu : o->mtu, .wake = !options_busy(o), .log = log
	};
	char why[DEVICE_WHY] = "";
	int error;

	memcpy(i->name, wanted->name, sizeof i->name);
	i->backend = wanted->backend != NULL ? wanted->backend : o->backend;
	error = i->backend->start(o, why);
	if (error == 0)
		error = i->backend->open(o, wanted, &config, &i->device, why);
	if (error < 0)
		fprintf(stderr, "lightd: %s: %s\n", i->name, why);
	return error;
}

/* Whether the device puts a flow where the table says, so that its queues are the cores. */
static bool device_steers(const struct device *d, const struct steer *steer)
{
	if (d->rss.key_bytes == 0 || d->queues != steer->cores || d->rss.key_bytes > sizeof steer->key ||
	    d->rss.table_size != steer->table_size)
		return false;
	return memcmp(d->rss.key, steer->key, d->rss.key_bytes) == 0 && memcmp(d->rss.table, steer->table, steer->table_size) == 0;
}

void attach_steer(struct steer *steer, unsigned cores, const struct network_interface *first)
{
	const struct device *d = first->device;
	/* The table of a device with fewer queues names few cores, or one: then all are dealt to here. */
	bool usable = d != NULL && d->queues == cores && d->rss.key_bytes >= 16 && d->rss.table_size > 0;

	steer_init(steer, cores);
	for (unsigned k = 0; usable && k < d->rss.table_size; k++)
		usable = d->rss.table[k] < cores;
	if (usable)
		steer_use_rss(steer, d->rss.key, d->rss.key_bytes, d->rss.table, d->rss.table_size);
}

/* Before the cores' links when there are several; else the one link itself. */
static struct link *link_of_core(const struct network_interface *i, unsigned core, struct link *port)
{
	if (i->spread != NULL)
		return spread_link(i->spread, core);
	return port != NULL ? port : i->device->ops->queue(i->device, core);
}

static int arm_port(struct link *port)
{
	static int never = -1;

	(void)port;
	if (never < 0)
		never = eventfd(0, EFD_CLOEXEC);
	return never;
}

/* The simulated network has no descriptor, and needs none: core 0 alone fills it, and knows when it is due. It can sleep on what
 * other cores hand over if the port does not say that it has to be polled. */
static void give_descriptor(struct link *port)
{
	static struct link_ops ops;

	ops = *port->ops;
	ops.arm = arm_port;
	port->ops = &ops;
}

int attach_links(struct network_interface *i, unsigned cores, struct steer *steer, struct link *port)
{
	const struct capture_config capture = { .clock = capture_clock };
	struct spread_config config = { .cores = cores, .queues = 1, .steer = steer, .queue = { port } };

	if (cores > 1) {
		if (port != NULL)
			give_descriptor(port);
		if (i->device != NULL) {
			config.queues = i->device->queues < cores ? i->device->queues : cores;
			config.spread_by_device = device_steers(i->device, steer);
		}
		for (unsigned q = 0; i->device != NULL && q < config.queues; q++)
			config.queue[q] = i->device->ops->queue(i->device, q);
		i->spread = spread_new(&config);
		if (i->spread == NULL)
			return -ENOMEM;
	}
	for (unsigned core = 0; core < cores; core++) {
		i->link[core] = capture_new(link_of_core(i, core, port), &capture);
		if (i->link[core] == NULL)
			return -ENOMEM;
	}
	return 0;
}

void attach_close(struct network_interface *i, unsigned cores, void (*log)(void *, const char *))
{
	char line[128];
	uint32_t out;

	for (unsigned core = 0; core < cores; core++) {
		if (i->link[core] != NULL)
			capture_free(i->link[core]);
	}
	if (i->spread != NULL)
		spread_free(i->spread);
	if (i->device == NULL)
		return;
	/* What was sent last may still be with the device. */
	for (unsigned ms = 0; (out = i->device->ops->outstanding(i->device)) != 0 && ms < DRAIN_MS; ms++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	snprintf(line, sizeof line, "%s: %u packets outstanding", i->name, out);
	log(NULL, line);
	i->device->ops->close(i->device);
}
