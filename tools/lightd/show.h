/* SPDX-License-Identifier: BSD-3-Clause */
/* What lightctl shows. */
#ifndef LIGHT_TOOLS_LIGHTD_SHOW_H
#define LIGHT_TOOLS_LIGHTD_SHOW_H

#include <json-c/json.h>

#include "tools/lightd/core.h"

void show_status(struct daemon *, struct json_object *to);
void show_cores(struct daemon *, struct json_object *to);
/* About one host. false: it is no command of this kind. */
bool show_host(struct daemon *, const char *command, unsigned host, struct json_object *to);

#endif
