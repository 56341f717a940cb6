/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of requests and the text of replies: parsing that refuses what is not wholly right, JSON that grows. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool reply_room(struct reply *r, size_t more)
{
	if (r->failed)
		return false;
	if (r->size - r->len > more)
		return true;
	size_t size = r->size ? r->size : 4096;
	while (size - r->len <= more)
		size *= 2;
	char *text = realloc(r->text, size);
	if (!text) {
		r->failed = true;
		return false;
	}
	r->text = text;
	r->size = size;
	return true;
}

void reply_format(struct reply *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0 || !reply_room(r, (size_t)len + 1))
		return;
	va_start(args, format);
	vsnprintf(r->text + r->len, (size_t)len + 1, format, args);
	va_end(args);
	r->len += (size_t)len;
}

void reply_string(struct reply *r, const char *s)
{
	reply_format(r, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e)
			reply_format(r, "\\u%04x", c);
		else
			reply_format(r, "%c", c);
	}
	reply_format(r, "\"");
}

void reply_hex(struct reply *r, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	if (!reply_room(r, n * 2 + 3))
		return;
	char *at = r->text + r->len;
	*at++ = '"';
	for (size_t i = 0; i < n; i++) {
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	*at++ = '"';
	*at = 0;
	r->len += n * 2 + 2;
}

void reply_free(struct reply *r)
{
	free(r->text);
	*r = (struct reply){ 0 };
}

int64_t command_refuse(struct server *s, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(s->error, sizeof(s->error), format, args);
	va_end(args);
	return COMMAND_REFUSED;
}

bool word_u64(const char *word, uint64_t *out)
{
	char *end;
	if (word[0] < '0' || word[0] > '9')
		return false;
	errno = 0;
	unsigned long long value = strtoull(word, &end, 10);
	*out = value;
	return errno == 0 && *end == 0;
}

bool word_i64(const char *word, int64_t *out)
{
	char *end;
	if (word[0] != '-' && (word[0] < '0' || word[0] > '9'))
		return false;
	errno = 0;
	long long value = strtoll(word, &end, 10);
	*out = value;
	return errno == 0 && end != word && *end == 0;
}

bool word_addr(const char *word, struct ipaddr *out)
{
	uint32_t ip4;
	if (strcmp(word, "-") == 0) {
		*out = (struct ipaddr){ 0 };
		return true;
	}
	if (inet_pton(AF_INET, word, &ip4) == 1) {
		*out = ipaddr_from_ip4(ip4);
		return true;
	}
	return inet_pton(AF_INET6, word, out->bytes) == 1;
}

bool word_prefix(char *word, struct ipaddr *addr, unsigned *prefix)
{
	char *slash = strchr(word, '/');
	uint64_t bits;
	if (!slash || !word_u64(slash + 1, &bits))
		return false;
	*slash = 0;
	if (!word_addr(word, addr) || bits > (ipaddr_is_ip4(addr) ? 32u : 128u))
		return false;
	*prefix = (unsigned)bits;
	return true;
}

bool word_mac(const char *word, uint8_t mac[6])
{
	for (int i = 0; i < 6; i++, word += 3) {
		int high = hex_digit(word[0]);
		int low = high < 0 ? -1 : hex_digit(word[1]);
		if (low < 0 || word[2] != (i < 5 ? ':' : 0))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool word_hex(char *word, uint32_t *len)
{
	size_t digits = strlen(word);
	if (strcmp(word, "-") == 0)
		digits = 0;
	if (digits % 2 || digits / 2 > UINT32_MAX)
		return false;
	for (size_t i = 0; i < digits; i += 2) {
		int high = hex_digit(word[i]), low = hex_digit(word[i + 1]);
		if (high < 0 || low < 0)
			return false;
		word[i / 2] = (char)(high << 4 | low);
	}
	*len = (uint32_t)(digits / 2);
	return true;
}
