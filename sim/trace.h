/* SPDX-License-Identifier: BSD-3-Clause */
/* A frame in one line, for people who follow a world. */
#ifndef LIGHT_SIM_TRACE_H
#define LIGHT_SIM_TRACE_H

#include <stdio.h>

#include "stack/pkt.h"

void trace_frame(FILE *, nsec now, unsigned port, const struct pkt *);

#endif
