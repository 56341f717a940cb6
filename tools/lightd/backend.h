/* SPDX-License-Identifier: BSD-3-Clause */
/* A backend as lightd sees it: how its devices are opened from the options, and what else it wants to be told. One file each
 * (backend_NAME.c), built where io/ has the backend. */
#ifndef LIGHT_TOOLS_LIGHTD_BACKEND_H
#define LIGHT_TOOLS_LIGHTD_BACKEND_H

#include "tools/lightd/options.h"

struct backend {
	const char *name;
	bool busy;              /* polls without sleeping unless asked otherwise */
	bool named;             /* its interfaces are named by --interface; else --port */
	/* Once, before the first open: 0, or -errno and a sentence in why. */
	int (*start)(const struct options *, char why[DEVICE_WHY]);
	/* 0, or -errno and a sentence in why. */
	int (*open)(const struct options *, const struct interface_option *, const struct device_config *, struct device **,
		    char why[DEVICE_WHY]);
	/* Our addresses and VLANs, as they are now, whenever they change. 0 or -errno. */
	int (*want)(struct device *, const struct afxdp_wanted *);
	/* Every thread that uses links, at its begin and end. */
	int (*thread_begin)(void);
	void (*thread_end)(void);
	/* After the last device was closed. */
	void (*stop)(void);
	/* Devices whose time is not ours (--read): when the next frame is due, NSEC_NEVER after the last; and what the time is now. */
	nsec (*replay_next)(struct device *);
	void (*replay_clock)(struct device *, nsec);
};

/* By the name; NULL: unknown, or not built: then *known says which. "sim" is none of them. */
const struct backend *backend_find(const char *name, bool *known);
/* The i-th that was built; NULL past the end. */
const struct backend *backend_at(unsigned i);

/* What a backend does that has nothing to do. */
int backend_starts(const struct options *, char why[DEVICE_WHY]);
int backend_wants(struct device *, const struct afxdp_wanted *);
int backend_thread_begins(void);
void backend_ends(void);

#endif
