/* SPDX-License-Identifier: BSD-3-Clause */
/* Pieces of a JSON answer. */
#ifndef LIGHT_TOOLS_LIGHTD_ANSWER_H
#define LIGHT_TOOLS_LIGHTD_ANSWER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/addr.h"
#include "stack/base/nsec.h"
#include "stack/endpoint.h"

void put_text(struct json_object *to, const char *key, const char *value);
void put_number(struct json_object *to, const char *key, uint64_t value);
/* Adds to the number that is there. */
void put_sum(struct json_object *to, const char *key, uint64_t value);
void put_seconds(struct json_object *to, const char *key, nsec value);
void put_usec(struct json_object *to, const char *key, nsec value);
void put_bool(struct json_object *to, const char *key, bool value);
void put_addr(struct json_object *to, const char *key, const struct ipaddr *);
void put_name(struct json_object *to, const char *key, const struct ep_name *);
void put_mac(struct json_object *to, const char *key, const uint8_t mac[6]);
/* The array of that key, made with its first row; a new row in it. */
struct json_object *put_row(struct json_object *to, const char *key);

#endif
