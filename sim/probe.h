/* SPDX-License-Identifier: BSD-3-Clause */
/* What is written down of a world while it runs, as CSV: connections and queues each so often, and every segment of the
 * watched flows as it leaves its sender, with the acknowledgments that come back. Looking changes nothing. */
#ifndef LIGHT_SIM_PROBE_H
#define LIGHT_SIM_PROBE_H

#include "flow.h"

struct probe_plan {
	nsec every;                   /* between samples */
	FILE *connections, *queues, *segments;  /* NULL: not written */
	struct flow *flows;
	unsigned flow_count;
};

struct probe;

/* Writes the first lines and looks from now on until all flows have ended. */
struct probe *probe_new(struct world *, const struct probe_plan *);
void probe_free(struct probe *);

#endif
