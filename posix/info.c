/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO and TCP_CONGESTION: the daemon is asked, infomap.c translates. */
#include "posix/info.h"

#include <string.h>

#include "posix/calls.h"
#include "posix/infomap.h"
#include "posix/optmap.h"

static int read_info(struct socket *s, struct ep_info *info)
{
	memset(info, 0, sizeof(*info));
	info->state = TCP_CLOSED;
	return is_light(s) ? client_info(light_session, s->line, info) : 0;
}

long info_tcp(struct socket *s, void *value, socklen_t *length)
{
	struct ep_info i;
	int error = read_info(s, &i);

	if (error == 0)
		infomap_write_tcp(&i, value, length);
	return error;
}

long info_congestion(struct socket *s, void *value, socklen_t *length)
{
	char name[INFOMAP_NAME_BYTES];
	struct ep_info i;
	int error = place_light(s);

	if (error == 0)
		error = read_info(s, &i);
	if (error != 0)
		return error;
	infomap_congestion_name(i.cc, name);
	return optmap_write_bytes(name, sizeof(name), value, length);
}
