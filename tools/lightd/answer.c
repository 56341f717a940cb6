/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON by json-c: one function a kind of value. */
#include "tools/lightd/answer.h"

#include <arpa/inet.h>
#include <stdio.h>

void put_text(struct json_object *to, const char *key, const char *value)
{
	json_object_object_add(to, key, json_object_new_string(value));
}

void put_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

void put_sum(struct json_object *to, const char *key, uint64_t value)
{
	struct json_object *old = json_object_object_get(to, key);

	put_number(to, key, value + (old != NULL ? json_object_get_uint64(old) : 0));
}

void put_seconds(struct json_object *to, const char *key, nsec value)
{
	json_object_object_add(to, key, json_object_new_double((double)value / 1e9));
}

void put_usec(struct json_object *to, const char *key, nsec value)
{
	json_object_object_add(to, key, json_object_new_double((double)value / 1000.0));
}

void put_bool(struct json_object *to, const char *key, bool value)
{
	json_object_object_add(to, key, json_object_new_boolean(value));
}

static const char *addr_text(const struct ipaddr *a, char text[INET6_ADDRSTRLEN])
{
	uint32_t ip4 = ipaddr_ip4(a);

	if (ipaddr_is_ip4(a) || ipaddr_is_any(a))
		inet_ntop(AF_INET, &ip4, text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN);
	return text;
}

void put_addr(struct json_object *to, const char *key, const struct ipaddr *a)
{
	char text[INET6_ADDRSTRLEN];

	put_text(to, key, addr_text(a, text));
}

void put_name(struct json_object *to, const char *key, const struct ep_name *name)
{
	char text[INET6_ADDRSTRLEN], whole[INET6_ADDRSTRLEN + 8];

	snprintf(whole, sizeof whole, "%s:%u", addr_text(&name->addr, text), name->port);
	put_text(to, key, whole);
}

void put_mac(struct json_object *to, const char *key, const uint8_t mac[6])
{
	char text[18];

	snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	put_text(to, key, text);
}

struct json_object *put_row(struct json_object *to, const char *key)
{
	struct json_object *rows = json_object_object_get(to, key), *row = json_object_new_object();

	if (rows == NULL) {
		rows = json_object_new_array();
		json_object_object_add(to, key, rows);
	}
	json_object_array_add(rows, row);
	return row;
}
