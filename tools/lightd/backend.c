/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of backends: those that were built are linked, the others are null. */
#include "tools/lightd/backend.h"

#include <string.h>

extern const struct backend backend_tap __attribute__((weak)), backend_afxdp __attribute__((weak)),
	backend_pcap __attribute__((weak)), backend_dpdk __attribute__((weak));

static const struct {
	const char *name;
	const struct backend *backend;
} table[] = {
	{ "tap", &backend_tap }, { "afxdp", &backend_afxdp }, { "pcap", &backend_pcap }, { "dpdk", &backend_dpdk },
};

int backend_starts(const struct options *o, char why[DEVICE_WHY])
{
	(void)o;
	why[0] = '\0';
	return 0;
}

int backend_wants(struct device *d, const struct afxdp_wanted *w)
{
	(void)d;
	(void)w;
	return 0;
}

int backend_thread_begins(void)
{
	return 0;
}

void backend_ends(void)
{
}

const struct backend *backend_find(const char *name, bool *known)
{
	*known = false;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (strcmp(table[i].name, name) == 0) {
			*known = true;
			return table[i].backend;
		}
	}
	return NULL;
}

const struct backend *backend_at(unsigned n)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		if (table[i].backend != NULL && n-- == 0)
			return table[i].backend;
	}
	return NULL;
}
