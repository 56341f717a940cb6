/* SPDX-License-Identifier: BSD-3-Clause */
/* light-conformance: one stack in virtual time behind a UNIX stream socket, for conformance/run.sh. It serves one client and
 * ends when that closes. */
#include "conformance/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char usage[] =
	"usage: light-conformance --fd N        serve the connected stream socket N\n"
	"       light-conformance --listen PATH wait for one client on a new UNIX socket\n"
	"One stack in virtual time: requests are lines of text, replies lines of JSON\n"
	"(conformance/README.md). Ends when the client closes.\n";

/* The connected socket, or -1 with a line on stderr. */
static int accept_one(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr.sun_path)) {
		fprintf(stderr, "light-conformance: %s: path too long\n", path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(listener, 1) < 0) {
		perror(path);
		return -1;
	}
	int fd = accept(listener, NULL, NULL);
	if (fd < 0)
		perror(path);
	close(listener);
	unlink(path);
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t number;
	int fd = -1;
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "--fd") == 0 && word_u64(argv[2], &number) && number < 1024)
		fd = (int)number;
	else if (argc == 3 && strcmp(argv[1], "--listen") == 0)
		fd = accept_one(argv[2]);
	else
		fputs(usage, stderr);
	if (fd < 0)
		return 2;
	int result = server_serve(fd);
	if (result < 0)
		fprintf(stderr, "light-conformance: %s\n", strerror(-result));
	return result < 0;
}
