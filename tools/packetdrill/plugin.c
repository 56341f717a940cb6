/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the plug-in begins and ends. Numbers of sockets are numbers of the kernel, too, so that no file can have the same one and a close that
 * comes from libc succeeds. */
#include "tools/packetdrill/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define CLOCK_START NSEC_PER_SEC

struct plugin plugin;

void say(const char *format, ...)
{
	va_list arguments;

	fputs("light-packetdrill: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static int take_number(void *context)
{
	int fd = (int)syscall(SYS_fcntl, plugin.placeholder, F_DUPFD_CLOEXEC, 0);

	(void)context;
	if (fd < 0)
		return -errno;
	if (!embed_has(plugin.embed, fd))
		return fd;
	say("descriptor %d was closed behind the plug-in's back: preload it too (LD_PRELOAD)", fd);
	syscall(SYS_close, fd);
	return -EBUSY;
}

static void give_number(void *context, int fd)
{
	(void)context;
	syscall(SYS_close, fd);
}

/* What packetdrill starts must not be given this library. */
static void forget_preload(void)
{
	const char *list = getenv("LD_PRELOAD");
	char *copy, *rest, *one, *kept;

	if (!list || !strstr(list, "light-packetdrill"))
		return;
	copy = rest = strdup(list);
	kept = calloc(1, strlen(list) + 1);
	if (copy && kept) {
		while ((one = strsep(&rest, " :")) != NULL)
			if (*one && !strstr(one, "light-packetdrill")) {
				strcat(kept, *kept ? ":" : "");
				strcat(kept, one);
			}
		if (*kept)
			setenv("LD_PRELOAD", kept, 1);
		else
			unsetenv("LD_PRELOAD");
	}
	free(copy);
	free(kept);
}

static void begin(void)
{
	struct embed_config config = {
		.address = plugin.settings.local, .prefix = plugin.settings.prefix, .mtu = plugin.settings.mtu, .start = CLOCK_START,
		.seed = plugin.settings.seed,
		.hooks = { .take_number = take_number, .give_number = give_number, .sleep = clock_sleep },
	};
	struct tcp_settings tcp;
	int error;

	tcp_settings_linux(&tcp);
	tcp.mtu_probing = 0;    /* as Linux has it: scripts expect whole segments after any number of timeouts */
	if (plugin.settings.standard)
		tcp_settings_standard(&tcp);
	config.tcp = &tcp;
	error = embed_new(&config, &plugin.embed);
	if (error != 0) {
		say("the host cannot be made: %s", strerror(-error));
		exit(2);
	}
	settings_refresh();
}

static void end(void *userdata)
{
	(void)userdata;
	if (!atomic_load(&plugin.active))
		return;
	clock_enter();
	packets_report();
	atomic_store(&plugin.active, false);
	embed_free(plugin.embed);
	plugin.embed = NULL;
	syscall(SYS_close, plugin.placeholder);
	clock_leave(0);
}

/* packetdrill does not call free where a script fails. The other thread may hold the lock then, and ends with the process: nothing is freed. */
__attribute__((destructor)) static void process_ends(void)
{
	if (atomic_load(&plugin.active))
		packets_report();
}

__attribute__((visibility("default"))) void packetdrill_interface_init(const char *flags, struct packetdrill_interface *t)
{
	struct timeval now;

	if (atomic_load(&plugin.active)) {
		say("there is one host already");
		exit(2);
	}
	settings_parse(&plugin.settings, flags);
	plugin.placeholder = eventfd(0, EFD_CLOEXEC);
	if (plugin.placeholder < 0) {
		say("eventfd: %s", strerror(errno));
		exit(2);
	}
	gettimeofday(&now, NULL);
	plugin.epoch = (long long)now.tv_sec * 1000000 + now.tv_usec;
	plugin.over = false;
	clock_begin();
	begin();
	forget_preload();
	calls_fill(t);
	t->free = end;
	t->netdev_send = packets_in;
	t->netdev_receive = packets_out;
	t->usleep = clock_usleep;
	t->gettimeofday = clock_gettimeofday;
	t->pipe = pipe_open;
	t->splice = pipe_splice;
	atomic_store(&plugin.active, true);
}
