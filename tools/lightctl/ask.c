/* SPDX-License-Identifier: BSD-3-Clause */
/* One question to the daemon and its answer, over the daemon's own socket (ipc/hello.h). */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/hello.h"
#include "tools/lightctl/lightctl.h"
#include "tools/refuse.h"

#define PATIENCE_MSEC 10000
#define ANSWER_MAX (256u << 20)

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof a.sun_path)
		refuse(EXIT_REFUSED, "the socket's path is longer than %zu bytes", sizeof a.sun_path - 1);
	strcpy(a.sun_path, path);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof a) != 0)
		refuse(EXIT_REFUSED, "no daemon on %s: %s", path, strerror(errno));
	return fd;
}

static void send_question(int to, const char *question, int fd)
{
	struct {
		struct hello hello;
		char text[HELLO_TEXT];
	} message = { .hello = { .magic = HELLO_MAGIC, .version = HELLO_VERSION, .kind = HELLO_CONTROL } };
	size_t length = strlen(question);
	ssize_t sent;

	if (length > sizeof message.text)
		refuse(EXIT_REFUSED, "the question is longer than %d bytes", HELLO_TEXT);
	memcpy(message.text, question, length);
	sent = hello_send(to, &message, sizeof message.hello + length, &fd, fd >= 0 ? 1 : 0);
	if (sent < 0)
		refuse(EXIT_FAILURE, "cannot ask the daemon: %s", strerror((int)-sent));
}

/* One packet of the answer appended to *text; returns whether more come. *result: what the last one says. */
static int receive_piece(int from, char **text, size_t *length, int32_t *result)
{
	static struct {
		struct welcome welcome;
		char piece[HELLO_PIECE];
	} packet;
	struct pollfd p = { .fd = from, .events = POLLIN };
	unsigned fds = 0;
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MSEC) != 1)
		refuse(EXIT_FAILURE, "the daemon does not answer");
	n = hello_recv(from, &packet, sizeof packet, NULL, &fds, NULL);
	if (n < (ssize_t)sizeof packet.welcome || packet.welcome.magic != HELLO_MAGIC ||
	    packet.welcome.a != (size_t)n - sizeof packet.welcome)
		refuse(EXIT_FAILURE, "the daemon's answer makes no sense (%zd bytes)", n);
	if (*length + packet.welcome.a > ANSWER_MAX || (*text = realloc(*text, *length + packet.welcome.a + 1)) == NULL)
		refuse(EXIT_FAILURE, "the answer is too long");
	memcpy(*text + *length, packet.piece, packet.welcome.a);
	*length += packet.welcome.a;
	(*text)[*length] = '\0';
	*result = packet.welcome.result;
	return packet.welcome.result == 1;
}

/* In the daemon's own words. */
static _Noreturn void refuse_as_said(struct json_object *answer, const char *question, int32_t result)
{
	struct json_object *error = answer != NULL ? json_object_object_get(answer, "error") : NULL;

	refuse(result == -EPERM || result == -EACCES ? EXIT_REFUSED : EXIT_FAILURE, "%.*s: %s", (int)strcspn(question, " "), question,
	       error != NULL ? json_object_get_string(error) : strerror(-result));
}

struct json_object *ask(const char *socket_path, const char *question, int fd)
{
	int daemon = connect_to(socket_path);
	struct json_object *answer;
	char *text = NULL;
	size_t length = 0;
	int32_t result;

	send_question(daemon, question, fd);
	while (receive_piece(daemon, &text, &length, &result))
		;
	close(daemon);
	answer = json_tokener_parse(text);
	if (result < 0)
		refuse_as_said(answer, question, result);
	if (answer == NULL)
		refuse(EXIT_FAILURE, "the daemon's answer is not JSON");
	free(text);
	return answer;
}
