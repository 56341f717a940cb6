/* SPDX-License-Identifier: BSD-3-Clause */
/* DHCP messages: options are looked for by code in all places where they may stand, and pieces of one are joined (RFC 3396). */
#include "dhcp_message.h"

#include <string.h>

#include "wire.h"

#define BOOT_REQUEST 1
#define BOOT_REPLY 2
#define OPTIONS_AT 240u         /* behind the magic cookie */
#define CHADDR_AT 28u
#define SNAME_AT 44u
#define SNAME_LEN 64u
#define FILE_AT 108u
#define FILE_LEN 128u
#define SHORTEST 300u           /* RFC 1542 2.1: a BOOTP message is no shorter */
#define MTU_MIN 68u             /* RFC 2132 5.1 */

enum option {
	PAD = 0, SUBNET_MASK = 1, ROUTER = 3, DNS = 6, HOST_NAME = 12, DOMAIN = 15, MTU = 26, REQUESTED = 50, LEASE_TIME = 51,
	OVERLOAD = 52, TYPE = 53, SERVER = 54, PARAMETERS = 55, SIZE_MAX_OPTION = 57, RENEWAL = 58, REBINDING = 59,
	CLASSLESS = 121, END = 255,
};

/* 121 stands before 3 (RFC 3442). */
static const uint8_t wanted[] = { SUBNET_MASK, CLASSLESS, ROUTER, DNS, DOMAIN, MTU, LEASE_TIME, RENEWAL, REBINDING };
static const uint8_t cookie[4] = { 99, 130, 83, 99 };

/* ---- reading ---- */

struct source {
	const uint8_t *bytes;
	uint32_t len;
	uint8_t overload;       /* 1: file holds options too; 2: sname does; 3: both */
};

struct value {
	uint32_t len;
	bool present;
	uint8_t bytes[1024];
};

/* Appends all pieces of an option in one place. False: an option overruns its place, or this one is impossibly long. */
static bool gather_here(const uint8_t *p, uint32_t n, uint8_t code, struct value *v)
{
	uint32_t i = 0;

	while (i < n && p[i] != END) {
		uint32_t len;

		if (p[i] == PAD) {
			i++;
			continue;
		}
		if (n - i < 2 || p[i + 1] > n - i - 2)
			return false;
		len = p[i + 1];
		if (p[i] == code) {
			if (len > sizeof(v->bytes) - v->len)
				return false;
			v->present = true;
			memcpy(v->bytes + v->len, p + i + 2, len);
			v->len += len;
		}
		i += 2 + len;
	}
	return true;
}

/* RFC 2131 4.1: the options field, then file, then sname. */
static bool gather(const struct source *m, uint8_t code, struct value *v)
{
	v->len = 0;
	v->present = false;
	return gather_here(m->bytes + OPTIONS_AT, m->len - OPTIONS_AT, code, v) &&
	       (!(m->overload & 1) || gather_here(m->bytes + FILE_AT, FILE_LEN, code, v)) &&
	       (!(m->overload & 2) || gather_here(m->bytes + SNAME_AT, SNAME_LEN, code, v));
}

/* An option of exactly `len` bytes, at most 4, in network order; absent: 0. */
static bool read_number(const struct source *m, uint8_t code, uint32_t len, uint32_t *out)
{
	struct value v;

	*out = 0;
	if (!gather(m, code, &v) || (v.present && v.len != len))
		return false;
	for (uint32_t i = 0; i < v.len; i++)
		*out = *out << 8 | v.bytes[i];
	return true;
}

/* A list of addresses, the first `n` of which are kept. */
static bool read_addresses(const struct source *m, uint8_t code, uint32_t *list, unsigned n, unsigned *count)
{
	struct value v;

	*count = 0;
	if (!gather(m, code, &v) || (v.present && v.len == 0) || v.len % 4 != 0)
		return false;
	while (*count < n && *count * 4 < v.len) {
		memcpy(&list[*count], v.bytes + *count * 4, 4);
		++*count;
	}
	return true;
}

/* Ones, then zeros, and at least one one. */
static bool read_mask(const struct source *m, uint8_t *prefix)
{
	uint32_t mask;

	if (!read_number(m, SUBNET_MASK, 4, &mask))
		return false;
	*prefix = (uint8_t)__builtin_popcount(mask);
	return mask == (*prefix ? UINT32_MAX << (32 - *prefix) : 0);
}

/* The name goes into files and logs of the host: anything but a name is left out. */
static bool read_domain(const struct source *m, char domain[64])
{
	struct value v;
	uint32_t i;

	if (!gather(m, DOMAIN, &v))
		return false;
	while (v.len > 0 && v.bytes[v.len - 1] == 0)
		v.len--;
	for (i = 0; i < v.len && i < 63; i++) {
		uint8_t c = v.bytes[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_')
			break;
		domain[i] = (char)c;
	}
	domain[i == v.len ? i : 0] = 0;
	return true;
}

/* RFC 3442: width, as many bytes of the network as it needs, router. */
static bool read_routes(const struct source *m, struct dhcp_message *out)
{
	struct value v;
	uint32_t i = 0;

	if (!gather(m, CLASSLESS, &v) || (v.present && v.len == 0))
		return false;
	out->classless = v.present;
	while (i < v.len) {
		struct dhcp_route r = { .prefix = v.bytes[i] };
		uint32_t significant = (r.prefix + 7u) / 8;

		if (r.prefix > 32 || v.len - i - 1 < significant + 4)
			return false;
		memcpy(&r.to, v.bytes + i + 1, significant);
		memcpy(&r.gateway, v.bytes + i + 1 + significant, 4);
		r.to &= r.prefix ? be32(UINT32_MAX << (32 - r.prefix)) : 0;
		i += 1 + significant + 4;
		if (out->route_count < DHCP_ROUTES)
			out->routes[out->route_count++] = r;
	}
	return true;
}

static bool read_options(struct source *m, struct dhcp_message *out)
{
	uint32_t overload, type, mtu;
	unsigned routers;

	/* Where else options stand is said in the options field alone. */
	if (!read_number(m, OVERLOAD, 1, &overload) || overload > 3)
		return false;
	m->overload = (uint8_t)overload;
	if (!read_number(m, TYPE, 1, &type) || !read_number(m, SERVER, 4, &out->server) || !read_mask(m, &out->prefix) ||
	    !read_addresses(m, ROUTER, &out->router, 1, &routers) || !read_addresses(m, DNS, out->dns, 3, &out->dns_count) ||
	    !read_domain(m, out->domain) || !read_number(m, MTU, 2, &mtu) || !read_number(m, LEASE_TIME, 4, &out->lease) ||
	    !read_number(m, RENEWAL, 4, &out->renew) || !read_number(m, REBINDING, 4, &out->rebind) || !read_routes(m, out))
		return false;
	out->type = (uint8_t)type;
	out->server = be32(out->server);
	out->mtu = mtu < MTU_MIN ? 0 : (uint16_t)mtu;
	return type != 0;
}

enum drop dhcp_read(const uint8_t *bytes, uint32_t n, const uint8_t mac[6], uint32_t xid, struct dhcp_message *out)
{
	struct source m = { .bytes = bytes, .len = n };
	uint32_t xid_there;

	memset(out, 0, sizeof(*out));
	if (n < OPTIONS_AT || memcmp(bytes + OPTIONS_AT - sizeof(cookie), cookie, sizeof(cookie)) != 0)
		return DROP_DHCP_MALFORMED;
	memcpy(&xid_there, bytes + 4, sizeof(xid_there));
	if (bytes[0] != BOOT_REPLY || bytes[1] != 1 || bytes[2] != 6 || memcmp(bytes + CHADDR_AT, mac, 6) != 0 ||
	    be32(xid_there) != xid)
		return DROP_DHCP_FOREIGN;
	if (!read_options(&m, out))
		return DROP_DHCP_MALFORMED;
	memcpy(&out->address, bytes + 16, sizeof(out->address));
	return DROP_REASONS;
}

/* ---- writing ---- */

static uint8_t *put(uint8_t *at, uint8_t code, const void *value, size_t n)
{
	*at++ = code;
	*at++ = (uint8_t)n;
	memcpy(at, value, n);
	return at + n;
}

uint32_t dhcp_write(uint8_t *bytes, const struct dhcp_words *w)
{
	uint32_t xid = be32(w->xid);
	uint16_t seconds = be16(w->seconds), size = be16(w->size_max);
	uint8_t *at = bytes + OPTIONS_AT, type = (uint8_t)w->type;

	memset(bytes, 0, DHCP_WRITTEN_MAX);
	bytes[0] = BOOT_REQUEST;
	bytes[1] = 1;  /* Ethernet */
	bytes[2] = 6;
	memcpy(bytes + 4, &xid, sizeof(xid));
	memcpy(bytes + 8, &seconds, sizeof(seconds));
	memcpy(bytes + 12, &w->client, sizeof(w->client));
	memcpy(bytes + CHADDR_AT, w->mac, 6);
	memcpy(bytes + OPTIONS_AT - sizeof(cookie), cookie, sizeof(cookie));
	at = put(at, TYPE, &type, 1);
	if (w->requested)
		at = put(at, REQUESTED, &w->requested, 4);
	if (w->server)
		at = put(at, SERVER, &w->server, 4);
	/* RFC 2131 table 5: who gives an address up asks for nothing. */
	if (w->type == DHCP_DISCOVER || w->type == DHCP_REQUEST) {
		at = put(at, SIZE_MAX_OPTION, &size, 2);
		if (w->host_name[0])
			at = put(at, HOST_NAME, w->host_name, strlen(w->host_name));
		at = put(at, PARAMETERS, wanted, sizeof(wanted));
	}
	*at++ = END;
	return at - bytes < SHORTEST ? SHORTEST : (uint32_t)(at - bytes);
}
