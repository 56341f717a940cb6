/* SPDX-License-Identifier: BSD-3-Clause */
/* --so_flags, and the files that sysctl writes: scripts set them by commands of their own, so they are read again whenever a socket
 * begins something. */
#include "tools/packetdrill/plugin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MOST 64
#define VALUE_MOST 96

static char seen[NAMES_MOST][VALUE_MOST];       /* what each file said when it was read last */

static const char usage[] = "local=ADDRESS/PREFIX[,mtu=BYTES][,profile=linux|standard][,sysctl=FOLDER|none][,seed=NUMBER]"
			    "[,unexpected=report|fatal|ignore]";

__attribute__((noreturn, format(printf, 1, 2))) static void refuse(const char *format, ...)
{
	va_list arguments;

	fputs("light-packetdrill: --so_flags: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nlight-packetdrill: flags are %s\n", usage);
	exit(2);
}

static uint64_t number(const char *key, const char *value, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (errno != 0 || *value < '0' || *value > '9' || *end || n < least || n > most)
		refuse("%s=%s: a number from %llu to %llu is needed", key, value, (unsigned long long)least, (unsigned long long)most);
	return n;
}

static void take_local(struct settings *s, char *value)
{
	char *slash = strchr(value, '/');
	struct in_addr a;

	if (!slash)
		refuse("local=%s: the prefix is missing (192.168.0.1/16)", value);
	*slash = 0;
	if (inet_pton(AF_INET, value, &a) != 1 || a.s_addr == INADDR_ANY)
		refuse("local=%s: no address of IPv4", value);
	s->local = ipaddr_from_ip4(a.s_addr);
	s->prefix = (unsigned)number("local's prefix", slash + 1, 1, 32);
}

static void take_sysctl(struct settings *s, const char *value)
{
	if (strcmp(value, "none") == 0)
		value = "";
	else if (value[0] != '/')
		refuse("sysctl=%s: \"none\" or a folder, from / on, is needed", value);
	if (strlen(value) >= sizeof(s->sysctl))
		refuse("sysctl=%s: at most %zu characters", value, sizeof(s->sysctl) - 1);
	strcpy(s->sysctl, value);
}

static void take_unexpected(struct settings *s, const char *value)
{
	static const char *const words[] = { [UNEXPECTED_REPORT] = "report", [UNEXPECTED_FATAL] = "fatal", [UNEXPECTED_IGNORE] = "ignore" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(value, words[i]) == 0) {
			s->unexpected = (enum unexpected)i;
			return;
		}
	refuse("unexpected=%s: report, fatal or ignore is needed", value);
}

static void take(struct settings *s, const char *key, char *value)
{
	if (strcmp(key, "local") == 0)
		take_local(s, value);
	else if (strcmp(key, "mtu") == 0)
		s->mtu = (uint16_t)number(key, value, 68, 65535);
	else if (strcmp(key, "seed") == 0)
		s->seed = number(key, value, 0, UINT64_MAX);
	else if (strcmp(key, "sysctl") == 0)
		take_sysctl(s, value);
	else if (strcmp(key, "unexpected") == 0)
		take_unexpected(s, value);
	else if (strcmp(key, "profile") != 0)
		refuse("there is no flag \"%s\"", key);
	else if (strcmp(value, "linux") != 0 && strcmp(value, "standard") != 0)
		refuse("profile=%s: linux or standard is needed", value);
	else
		s->standard = strcmp(value, "standard") == 0;
}

void settings_parse(struct settings *s, const char *flags)
{
	char *copy = strdup(flags ? flags : ""), *rest = copy, *one;

	if (!copy)
		refuse("no memory");
	memset(seen, 0, sizeof(seen));
	*s = (struct settings){ .mtu = 1500, .sysctl = "/proc/sys" };
	while ((one = strsep(&rest, ",")) != NULL) {
		char *value = strchr(one, '=');

		if (!*one)
			continue;
		if (!value)
			refuse("\"%s\" has no value", one);
		*value++ = 0;
		take(s, one, value);
	}
	free(copy);
	if (!s->prefix)
		refuse("local=ADDRESS/PREFIX is missing: the address that --local_ip gives the scripts");
}

/* ---- sysctl ---- */

static bool read_file(const char *name, char value[VALUE_MOST])
{
	char path[sizeof(plugin.settings.sysctl) + 80];
	size_t n = (size_t)snprintf(path, sizeof(path), "%s/", plugin.settings.sysctl);
	FILE *f;

	for (; *name && n + 1 < sizeof(path); name++)
		path[n++] = *name == '.' ? '/' : *name;
	path[n] = 0;
	f = fopen(path, "re");
	if (!f)
		return false;   /* a kernel that does not know it */
	n = fread(value, 1, VALUE_MOST - 1, f);
	fclose(f);
	while (n > 0 && value[n - 1] == '\n')
		n--;
	value[n] = 0;
	return true;
}

void settings_refresh(void)
{
	char value[VALUE_MOST];
	const char *name;

	if (!plugin.settings.sysctl[0])
		return;
	for (unsigned i = 0; i < NAMES_MOST && (name = embed_sysctl_name(i)) != NULL; i++) {
		if (!read_file(name, value) || strcmp(value, seen[i]) == 0)
			continue;
		strcpy(seen[i], value);
		if (embed_sysctl(plugin.embed, name, value) != 0)
			say("%s = \"%s\" is no value that Light takes: it stays as it was", name, value);
	}
}
