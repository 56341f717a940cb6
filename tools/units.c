/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers with units. strtod takes more than people mean (inf, nan, hexadecimal, leading blanks): only digits and one point
 * reach it. */
#include "tools/units.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The number at the start of text, and what follows it. */
static bool number_and_rest(const char *text, double *number, const char **rest)
{
	size_t digits = strspn(text, "0123456789."), points = 0;
	char *end;

	for (size_t i = 0; i < digits; i++)
		points += text[i] == '.';
	if (digits == points || points > 1 || digits > 32)
		return false;
	*number = strtod(text, &end);
	*rest = text + digits;
	return end == *rest;
}

bool units_duration(const char *text, nsec *out)
{
	static const struct {
		const char *name;
		double nsec;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };
	const char *rest;
	double number;

	if (!number_and_rest(text, &number, &rest))
		return false;
	if (number == 0 && *rest == '\0') {
		*out = 0;
		return true;
	}
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (strcmp(rest, units[i].name) == 0 && number * units[i].nsec <= 3600e9) {
			*out = (nsec)(number * units[i].nsec);
			return true;
		}
	}
	return false;
}

bool units_rate(const char *text, uint64_t *out)
{
	const char *rest;
	double number, factor = 1;

	if (!number_and_rest(text, &number, &rest))
		return false;
	if (*rest != '\0') {
		const char *at = strchr("kKmMgG", *rest);

		if (at == NULL || rest[1] != '\0')
			return false;
		factor = tolower(*rest) == 'k' ? 1e3 : tolower(*rest) == 'm' ? 1e6 : 1e9;
	}
	if (number * factor > 1e13)
		return false;
	*out = (uint64_t)(number * factor);
	return true;
}

bool units_probability(const char *text, double *out)
{
	const char *rest;
	double number;

	if (!number_and_rest(text, &number, &rest))
		return false;
	if (strcmp(rest, "%") == 0)
		number /= 100;
	else if (*rest != '\0')
		return false;
	*out = number;
	return number <= 1;
}

bool units_whole(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	char *end;
	unsigned long long value;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	/* Decimal or 0x..: nobody means octal by a zero before it. */
	value = strtoull(text, &end, text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10);
	if (errno != 0 || *end != '\0' || value < least || value > most)
		return false;
	*out = value;
	return true;
}

bool units_ip4(const char *text, struct ipaddr *out)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		return false;
	*out = ipaddr_from_ip4(a.s_addr);
	return true;
}

bool units_ip4_prefix(const char *text, bool whole, struct ipaddr *out, unsigned *prefix)
{
	const char *slash = strchr(text, '/');
	uint64_t bits = 32;
	char addr[16];

	if (slash == NULL)
		return whole && (*prefix = 32, units_ip4(text, out));
	if ((size_t)(slash - text) >= sizeof addr)
		return false;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	if (!units_ip4(addr, out) || !units_whole(slash + 1, 0, 32, &bits))
		return false;
	*prefix = (unsigned)bits;
	return true;
}

bool units_mac(const char *text, uint8_t out[6])
{
	for (unsigned i = 0; i < 6; i++, text += 3) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		out[i] = (uint8_t)strtoul((const char[]){ text[0], text[1], '\0' }, NULL, 16);
	}
	return true;
}

/* One "3" or "2-5" of a list; *text moves behind it. */
static bool cpu_range(const char **text, uint64_t *mask)
{
	unsigned long first, last;
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	first = last = strtoul(*text, &end, 10);
	if (*end == '-' && isdigit((unsigned char)end[1]))
		last = strtoul(end + 1, &end, 10);
	if (first > last || last > 63)
		return false;
	for (; first <= last; first++)
		*mask |= UINT64_C(1) << first;
	*text = end;
	return true;
}

unsigned units_cpu_list(const char *text, uint8_t out[64])
{
	uint64_t seen = 0, range = 0;
	unsigned n = 0;

	for (; cpu_range(&text, &range); text++) {
		if (range & seen)
			return 0;
		seen |= range;
		for (; range != 0; range &= range - 1)
			out[n++] = (uint8_t)__builtin_ctzll(range);
		if (*text == '\0')
			return n;
		if (*text != ',')
			return 0;
	}
	return 0;
}

bool units_cpus(const char *text, uint64_t *out)
{
	uint64_t mask = 0;

	while (cpu_range(&text, &mask)) {
		if (*text == '\0') {
			*out = mask;
			return true;
		}
		if (*text++ != ',')
			return false;
	}
	return false;
}
