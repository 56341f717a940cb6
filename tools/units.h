/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers with units, as people write them on a command line: 20ms, 10G, 2%. Each takes the whole text or refuses it. */
#ifndef LIGHT_TOOLS_UNITS_H
#define LIGHT_TOOLS_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/addr.h"
#include "stack/base/nsec.h"

/* "20ms", "1.5s", "300us", "50ns"; 0 needs no unit. At most an hour. */
bool units_duration(const char *text, nsec *out);
/* Bits a second: "10M", "1G", "100k", "1000000". */
bool units_rate(const char *text, uint64_t *out);
/* "2%" or "0.02"; 0 to 1. */
bool units_probability(const char *text, double *out);
/* A whole number of at least `least` and at most `most`; decimal or 0x. */
bool units_whole(const char *text, uint64_t least, uint64_t most, uint64_t *out);
/* "10.0.0.1". */
bool units_ip4(const char *text, struct ipaddr *out);
/* "10.0.0.1/24"; the prefix has 0 to 32 bits. Without one: 32 if `whole`, else it is refused. */
bool units_ip4_prefix(const char *text, bool whole, struct ipaddr *out, unsigned *prefix);
/* "02:00:00:00:00:01". */
bool units_mac(const char *text, uint8_t out[6]);
/* CPU numbers below 64 in the order given, each once; their number, 0: wrong. */
unsigned units_cpu_list(const char *text, uint8_t out[64]);
/* A list of CPU numbers, "0,2-3", below 64, as a bitmask; not empty. */
bool units_cpus(const char *text, uint64_t *out);

#endif
