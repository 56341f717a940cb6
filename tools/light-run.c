/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * light-run COMMAND: starts an unmodified program with liblight.so preloaded. Everything it decides
 * travels in the environment (LD_PRELOAD and the LIGHT_ variables that posix/ reads), so children
 * of the program are on Light too.
 */
#include <argp.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

struct settings {
	const char *socket;
	const char *host;
	const char *fallback;
	const char *loopback;
	const char *fd;
	const char *spin;
	char **command;
};

__attribute__((noreturn, format(printf, 2, 3)))
static void die(int status, const char *format, ...)
{
	va_list ap;

	fputs("light-run: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static void set(const char *name, const char *value)
{
	if (value && setenv(name, value, 1) != 0)
		die(EXIT_USAGE, "cannot set %s: %s", name, strerror(errno));
}

/* ---- the library ---- */

/* Beside this binary, in the build tree, or where "meson install" puts it. */
static void find_library(char found[PATH_MAX])
{
	static const char *const places[] = { "", "../posix/", "../lib/", "../" LIGHT_LIBDIR "/" };
	char self[PATH_MAX], path[2 * PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		die(EXIT_USAGE, "cannot read /proc/self/exe: %s", strerror(errno));
	self[length] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/%sliblight.so", self, places[i]);
		if (realpath(path, found))
			return;
	}
	die(EXIT_USAGE, "liblight.so is neither in %s nor in ../posix, ../lib or ../%s from there",
		self, LIGHT_LIBDIR);
}

/* Ours comes last: a preloaded sanitizer runtime insists on being first, and a library that wraps
 * socket calls finds ours as its next. */
static void preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *all;

	if (strpbrk(library, ": "))
		die(EXIT_USAGE, "LD_PRELOAD allows no space or colon in %s", library);
	if (!before || !*before) {
		set("LD_PRELOAD", library);
		return;
	}
	if (strstr(before, library))    /* a light-run within a light-run */
		return;
	if (asprintf(&all, "%s:%s", before, library) < 0)
		die(EXIT_USAGE, "out of memory");
	set("LD_PRELOAD", all);
	free(all);
}

/* ---- the daemon ---- */

/* A datagram socket cannot connect to a listening stream socket, but it learns whether there is one:
 * EPROTOTYPE. So the daemon never sees this look. */
static void require_daemon(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path))
		die(EXIT_USAGE, "the socket path is longer than %zu bytes: %s",
			sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die(EXIT_USAGE, "socket: %s", strerror(errno));
	error = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
	close(fd);
	if (error != 0 && error != EPROTOTYPE)
		die(EXIT_USAGE, "no lightd at %s: %s (--kernel-fallback runs the command without it)",
			path, strerror(error));
}

/* ---- the program ---- */

/* What execvp will run; NULL if it will not find it either. */
static char *find_program_or_null(const char *name)
{
	const char *path = getenv("PATH");
	char *copy, *rest, *dir, *file = NULL;

	if (strchr(name, '/'))
		return strdup(name);
	copy = rest = strdup(path ? path : "/bin:/usr/bin");
	while (copy && (dir = strsep(&rest, ":"))) {
		if (asprintf(&file, "%s/%s", *dir ? dir : ".", name) < 0)
			file = NULL;
		if (file && access(file, X_OK) == 0)
			break;
		free(file);
		file = NULL;
	}
	free(copy);
	return file;
}

/* True for an ELF program that the dynamic linker does not start. Anything else, a script for
 * instance, is left to its interpreter. */
static bool is_static(int fd)
{
	Elf64_Ehdr elf;
	Elf64_Phdr segment;

	if (pread(fd, &elf, sizeof(elf), 0) != sizeof(elf) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
		elf.e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		off_t at = (off_t)(elf.e_phoff + (Elf64_Off)i * elf.e_phentsize);

		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			return false;
		if (segment.p_type == PT_INTERP)
			return false;
	}
	return true;
}

/* A program that ignores LD_PRELOAD would run on the kernel's stack and nobody would notice. */
static void require_preloadable(const char *name)
{
	char *file = find_program_or_null(name);
	struct stat st;
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0) {           /* absent, or execute-only: execvp says it */
		free(file);
		return;
	}
	if (is_static(fd))
		die(EXIT_USAGE, "%s is statically linked: nothing can be preloaded into it", file);
	if (fstat(fd, &st) == 0 && (((st.st_mode & S_ISUID) && st.st_uid != geteuid()) ||
		((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getegid())))
		die(EXIT_USAGE, "%s is set-user-ID or set-group-ID: the linker preloads nothing into it",
			file);
	close(fd);
	free(file);
}

/* ---- the command line ---- */

enum { KEY_FALLBACK = 256, KEY_REQUIRE, KEY_LOOPBACK, KEY_FD, KEY_SPIN };

static const struct argp_option options[] = {
	{ "socket", 's', "PATH", 0, "lightd's socket (LIGHT_SOCKET; default " LIGHT_SOCKET_PATH ")", 0 },
	{ "host", 'H', "NAME", 0, "which of the daemon's hosts to be on (LIGHT_HOST; default: its first)", 0 },
	{ "require-daemon", KEY_REQUIRE, NULL, 0, "fail without a running lightd (default)", 1 },
	{ "kernel-fallback", KEY_FALLBACK, NULL, 0, "without a running lightd use the kernel's stack", 1 },
	{ "loopback", KEY_LOOPBACK, "WHO", 0, "who serves 127.0.0.0/8: kernel (default) or light", 2 },
	{ "fd", KEY_FD, "WHERE", 0, "numbers of Light's descriptors: low (default, as POSIX has it) or high", 2 },
	{ "spin", KEY_SPIN, "USEC", 0, "the most a waiting thread spins before it sleeps (LIGHT_SPIN)", 2 },
	{ 0 },
};

static const char *one_of(const char *option, const char *value, const char *a, const char *b)
{
	if (strcmp(value, a) != 0 && strcmp(value, b) != 0)
		die(EXIT_USAGE, "--%s is %s or %s, not '%s'", option, a, b, value);
	return value;
}

static const char *microseconds(const char *value)
{
	if (strlen(value) > 7 || !*value || value[strspn(value, "0123456789")])
		die(EXIT_USAGE, "--spin is a number of microseconds, not '%s'", value);
	return value;
}

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case ARGP_KEY_INIT:     /* one line of getopt's says what is wrong; no second one of argp's */
		state->err_stream = NULL;
		return 0;
	case 's': s->socket = value; return 0;
	case 'H': s->host = value; return 0;
	case KEY_REQUIRE: s->fallback = "error"; return 0;
	case KEY_FALLBACK: s->fallback = "kernel"; return 0;
	case KEY_LOOPBACK: s->loopback = one_of("loopback", value, "kernel", "light"); return 0;
	case KEY_FD: s->fd = one_of("fd", value, "low", "high"); return 0;
	case KEY_SPIN: s->spin = microseconds(value); return 0;
	case ARGP_KEY_ARG:      /* the command: what follows is its own */
		s->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "COMMAND [ARGUMENT...]",
	.doc = "Runs a program on Light's network stack instead of the kernel's.\v"
		"Exit status: the command's; 2 for a wrong option or no daemon, 126 if the command "
		"cannot be run, 127 if it is not found.",
};

static void read_command_line(int argc, char **argv, struct settings *s)
{
	static char name[] = "light-run";

	argv[0] = name;         /* getopt's messages begin with it */
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, s) != 0)
		exit(EXIT_USAGE);
	if (!s->command)
		die(EXIT_USAGE, "no command given (light-run --help)");
}

int main(int argc, char **argv)
{
	struct settings s = { 0 };
	char library[PATH_MAX];
	const char *path;

	read_command_line(argc, argv, &s);
	set("LIGHT_SOCKET", s.socket);
	set("LIGHT_HOST", s.host);
	set("LIGHT_LOOPBACK", s.loopback);
	set("LIGHT_FD", s.fd);
	set("LIGHT_SPIN", s.spin);
	if (!s.fallback && !getenv("LIGHT_FALLBACK"))
		s.fallback = "error";
	set("LIGHT_FALLBACK", s.fallback);

	find_library(library);
	require_preloadable(s.command[0]);
	path = getenv("LIGHT_SOCKET");
	if (strcmp(getenv("LIGHT_FALLBACK"), "kernel") != 0)
		require_daemon(path && *path ? path : LIGHT_SOCKET_PATH);
	preload(library);

	execvp(s.command[0], s.command);
	die(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN, "%s: %s", s.command[0], strerror(errno));
}
