/* SPDX-License-Identifier: BSD-3-Clause */
/* Time in this project: nanoseconds since an arbitrary start. It never goes back, and it is always an
 * argument: nothing in stack/ or sim/ reads a clock. */
#ifndef LIGHT_BASE_NSEC_H
#define LIGHT_BASE_NSEC_H

#include <stdint.h>

typedef uint64_t nsec;

#define NSEC_NEVER UINT64_MAX
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_MSEC UINT64_C(1000000)
#define NSEC_PER_SEC UINT64_C(1000000000)

#endif
