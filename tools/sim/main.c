/* SPDX-License-Identifier: BSD-3-Clause */
/* light-sim: hosts of Light on a simulated network, in virtual time. */
#include "sim.h"

int main(int argc, char **argv)
{
	struct sim_options o;

	sim_options(argc, argv, &o);
	if (o.scene)
		return sim_scene(&o);
	return o.swarm ? sim_swarm(&o) : sim_world(&o);
}
