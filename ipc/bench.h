/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hop to the daemon costs: a program and a polling server in two threads of this process, over a real region. For tools/bench. */
#ifndef LIGHT_IPC_BENCH_H
#define LIGHT_IPC_BENCH_H

#include <stdint.h>

struct ipc_bench {
	double lane_ns;         /* median of a call that the daemon only answers: program -> daemon -> program */
	double lane_p99_ns;
	double post_ns;         /* average of a request that nobody waits for, at the program */
	double open_close_ns;   /* average of socket + close, both posted, in bursts */
};
/* Two threads that spin: meaningful with two free cores. 0 or -errno. */
int ipc_bench_run(unsigned rounds, struct ipc_bench *);

#endif
