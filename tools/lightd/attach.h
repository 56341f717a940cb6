/* SPDX-License-Identifier: BSD-3-Clause */
/* An interface from its device to the links that stacks get: opened, spread over the cores, each link wrapped by a capture. */
#ifndef LIGHT_TOOLS_LIGHTD_ATTACH_H
#define LIGHT_TOOLS_LIGHTD_ATTACH_H

#include "io/spread.h"
#include "tools/lightd/network.h"

/* Opens the device. 0, or -errno after saying why. */
int attach_open(const struct options *, const struct interface_option *, unsigned cores, void (*log)(void *, const char *),
		struct network_interface *);
/* The table by which frames find their core: as the first interface's device does it, if it does. */
void attach_steer(struct steer *, unsigned cores, const struct network_interface *);
/* Makes link[] of every core. steer: NULL on one core. port: of the simulated network, where there is no device. 0 or -errno. */
int attach_links(struct network_interface *, unsigned cores, struct steer *, struct link *port);
/* After all stacks that used it are gone. Packets that did not come back are said in the log. */
void attach_close(struct network_interface *, unsigned cores, void (*log)(void *, const char *));

#endif
