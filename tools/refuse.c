/* SPDX-License-Identifier: BSD-3-Clause */
/* One line, one status. */
#include "tools/refuse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void refuse(int status, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

void refuse_quietly(struct argp_state *state)
{
	state->err_stream = NULL;
}

void refuse_or_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	argv[0] = program_invocation_short_name;  /* getopt's messages begin with it */
	if (argp_parse(argp, argc, argv, 0, NULL, input) != 0)
		exit(EXIT_REFUSED);
}
