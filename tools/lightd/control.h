/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers to lightctl. A question is a line: COMMAND [HOST [WORD...]] ("-" is the first host); an answer is one JSON object (or, when it failed,
 * {"error": "a sentence"}). */
#ifndef LIGHT_TOOLS_LIGHTD_CONTROL_H
#define LIGHT_TOOLS_LIGHTD_CONTROL_H

#include "ipc/server.h"
#include "tools/lightd/core.h"

/* For server_config.control; the context is the struct daemon. */
int control_answer(void *context, const struct server_question *, struct server_answer *);

#endif
