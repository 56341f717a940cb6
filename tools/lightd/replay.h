/* SPDX-License-Identifier: BSD-3-Clause */
/* --io=pcap --read FILE: a capture played through the stack, its times as the clock. */
#ifndef LIGHT_TOOLS_LIGHTD_REPLAY_H
#define LIGHT_TOOLS_LIGHTD_REPLAY_H

#include "tools/lightd/options.h"

/* Plays it to its end and prints a summary. The exit status. */
int replay_run(const struct options *, void (*log)(void *, const char *));

#endif
