/* SPDX-License-Identifier: BSD-3-Clause */
/* How the tools say no: one line on stderr that begins with the program's name, and an exit status. */
#ifndef LIGHT_TOOLS_REFUSE_H
#define LIGHT_TOOLS_REFUSE_H

#include <argp.h>

/* Status of a wrong option, address or path, and of a missing right. */
#define EXIT_REFUSED 2

_Noreturn void refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* argp_parse with getopt's one line for an unknown option and no second one; exits with EXIT_REFUSED. The parser answers
 * ARGP_KEY_INIT with refuse_quietly. */
void refuse_or_parse(const struct argp *, int argc, char **argv, void *input);
void refuse_quietly(struct argp_state *);

#endif
