/* SPDX-License-Identifier: BSD-3-Clause */
/* A broken invariant ends the process at once, with the place on stderr: state that cannot be trusted must not
 * reach the wire. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
	abort();
}
