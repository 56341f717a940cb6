/* SPDX-License-Identifier: BSD-3-Clause */
/* The beginning: settings are read once, in the constructor, because programs throw their environment away (nginx's workers);
 * the session with the daemon is opened at the first AF_INET socket, while the program still has its root, its
 * rights and its network namespace. */
#include "posix/start.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "posix/lock.h"

#define SPIN_USEC 50
#define SPIN_USEC_MOST 10000

struct settings settings = { .socket_path = LIGHT_SOCKET_PATH, .spin_usec = SPIN_USEC };
struct client *light_session;
char library_path[4096];

static _Atomic bool settled, ended;
static _Atomic uint32_t attach_lock;
pid_t session_process;          /* who the session belongs to */
static bool confined;
static bool refused;            /* no daemon was there at the first need: the kernel's stack for good */

void complain(const char *what, const char *detail)
{
	char line[256] = "light: ";

	strncat(line, what, 100);
	strncat(line, detail, 120);
	strcat(line, "\n");
	system_call(SYS_write, 2, (long)line, (long)strlen(line), 0, 0, 0);
}

/* ---- settings ---- */

static const char *value_or_null(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

static void read_text(const char *name, char *to, size_t size)
{
	const char *value = value_or_null(name);

	if (value && strlen(value) >= size)
		complain(name, " is too long, ignored");
	else if (value)
		strcpy(to, value);
}

static bool read_choice(const char *name, const char *yes, const char *no)
{
	const char *value = value_or_null(name);

	if (value && strcmp(value, yes) != 0 && strcmp(value, no) != 0)
		complain(name, " has a value that is not known, ignored");
	return value && strcmp(value, yes) == 0;
}

static void read_spin(void)
{
	const char *value = value_or_null("LIGHT_SPIN");
	char *end = NULL;
	unsigned long usec = value ? strtoul(value, &end, 10) : 0;

	if (!value)
		return;
	if (*end || usec > SPIN_USEC_MOST)
		complain("LIGHT_SPIN", " is not a number of microseconds up to 10000, ignored");
	else
		settings.spin_usec = (uint32_t)usec;
}

void start_early(void)
{
	if (atomic_load_explicit(&settled, memory_order_acquire) || !environ)
		return;
	read_text("LIGHT_SOCKET", settings.socket_path, sizeof(settings.socket_path));
	read_text("LIGHT_HOST", settings.host, sizeof(settings.host));
	settings.require_daemon = read_choice("LIGHT_FALLBACK", "error", "kernel");
	settings.loopback_light = read_choice("LIGHT_LOOPBACK", "light", "kernel");
	settings.fd_high = read_choice("LIGHT_FD", "high", "low");
	read_spin();
	atomic_store_explicit(&settled, true, memory_order_release);
}

/* ---- the session ---- */

struct client *light_client_if_attached(void)
{
	return __atomic_load_n(&light_session, __ATOMIC_ACQUIRE);
}

static int attach(void)
{
	struct client_options options = {
		.socket_path = settings.socket_path,
		.host = settings.host[0] ? settings.host : NULL,
		.spin_usec = settings.spin_usec,
		.lowest_fd = fdtable_lowest_own(),
	};
	struct client *client = NULL;
	int error = client_attach(&options, &client);

	if (error == 0) {
		fork_watch();
		family_begin();
		session_process = (pid_t)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
		__atomic_store_n(&light_session, client, __ATOMIC_RELEASE);
	}
	return -error;
}

void start_after_fork_child(void)
{
	atomic_store(&attach_lock, 0);
}

/* A process without a session takes the one that came with a socket; the descriptor is used up. */
bool start_join(int session_fd, const uint64_t family[2])
{
	struct client_options options = { settings.socket_path, NULL, settings.spin_usec, fdtable_lowest_own() };
	struct client *client = NULL;
	bool joined = false;

	lock_take(&attach_lock);
	if (light_session) {
		client_passed(session_fd);
	} else if (client_resume(session_fd, &options, &client) == 0) {
		joined = true;
		fork_watch();
		memcpy(family_token, family, sizeof(family_token));
		session_process = getpid();
		__atomic_store_n(&light_session, client, __ATOMIC_RELEASE);
	}
	lock_give(&attach_lock);
	return joined;
}

/* With LIGHT_FALLBACK=error a program that tries again finds a daemon that came later; otherwise it stays with the kernel's
 * stack that it began with. */
struct client *light_client(void)
{
	static bool said;
	struct client *client = atomic_load(fork_mark) ? light_client_if_attached() : (fork_unannounced(), NULL);
	uint64_t all = ~UINT64_C(0), mask;
	int error = ENETDOWN;

	if (client && client_alive(client))
		return client;
	if (client || refused) {
		errno = ENETDOWN;
		return NULL;
	}
	start_early();
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, sizeof(mask), 0, 0);
	lock_take(&attach_lock);
	if (!light_session)
		error = attach();
	client = light_session;
	refused = !client && !settings.require_daemon;
	if (!client && settings.require_daemon && !said) {
		said = true;
		complain("no daemon at ", settings.socket_path);
	}
	lock_give(&attach_lock);
	system_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
	errno = error;
	return client;
}

/* ---- the end ---- */

void light_confine(void)
{
	if (!light_session)
		return;
	confined = true;
	client_spin_limit(light_session, 0);
}

/* A program that ends by itself closes its connections; the daemon resets those of one that is killed. Threads may still be
 * inside a call: the session stays where it is, only new calls find nothing. */
void light_end(void)
{
	struct client *client = light_client_if_attached();
	pid_t process = (pid_t)system_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	if (!client || confined || process != session_process || atomic_exchange_explicit(&ended, true, memory_order_relaxed))
		return;
	fdtable_forget_all();
	client_detach(client);
}

__attribute__((destructor)) static void end(void)
{
	/* libc flushes its streams only after this, too late for those on our sockets. */
	if (light_client_if_attached())
		fflush(NULL);
	light_end();
}

/* ---- the constructor ---- */

/* The variable must not go on to this program's own children. */
static void forget_variable(const char *name)
{
	size_t length = strlen(name);

	for (char **at = environ; at && *at; at++) {
		if (strncmp(*at, name, length) != 0 || (*at)[length] != '=')
			continue;
		for (char **next = at; *next; next++)
			next[0] = next[1];
		return;
	}
}

__attribute__((constructor)) static void start(void)
{
	Dl_info self;
	const char *handover;
	int error = errno;

	libc_init();
	start_early();
	if (dladdr((void *)(uintptr_t)start_early, &self) && self.dli_fname && strlen(self.dli_fname) < sizeof(library_path))
		strcpy(library_path, self.dli_fname);
	fork_register();
	at_quick_exit(light_end);
	handover = value_or_null("LIGHT_HANDOVER");
	if (handover) {
		handover_take_up(handover);
		forget_variable("LIGHT_HANDOVER");
	}
	errno = error;
}
