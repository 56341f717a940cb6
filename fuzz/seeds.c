/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes the seed corpora: frames that simulated hosts sent to each other, turned to the harness's addresses and
 * numbers; stories for the sequence harness, some told on purpose and some drawn. usage: fuzz-seeds FOLDER */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench.h"
#include "sim/check.h"
#include "sim/host.h"
#include "stack/base/rng.h"

#define FRAMES_MOST 200u
#define STORIES 100u

static const char *folder;
static unsigned frames_written;

static void save(const char *corpus, unsigned number, const uint8_t *bytes, size_t n)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%04u", folder, corpus, number);
	f = fopen(path, "wb");
	if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
		fprintf(stderr, "fuzz-seeds: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

/* ---- frames ---- */

static void seen(void *context, unsigned port, nsec now, const struct pkt *p)
{
	static const uint8_t near[6] = { 2, 0, 0, 0, 1, 0 }, far[6] = { 2, 0, 0, 0, 1, 1 };
	uint8_t bytes[1 + 1514];
	uint8_t *frame = bytes + 1, *tcp = frame + 34;

	(void)context;
	(void)now;
	if (port != 0 || p->len > 1514 || frames_written == FRAMES_MOST)
		return;
	bytes[0] = BENCH_FIX_IP | BENCH_FIX_LAYER4 | BENCH_RELATIVE;
	memcpy(frame, p->data, p->len);
	if (!(frame[0] & 1))
		memcpy(frame, near, 6);
	memcpy(frame + 6, far, 6);
	if (frame[12] == 8 && frame[13] == 0 && frame[23] == 6) {
		memcpy(tcp, "\x0f\xa0\0\x50\0\0\0\0\0\0\0\0", 12);     /* 4000 > 80, what comes next */
	} else if (frame[13] == 0 && frame[23] == 17) {
		memcpy(frame + 36, "\0\x35", 2);
	}
	save("frame", frames_written++, bytes, p->len + 1);
}

static void run_world(enum talk_kind kind, uint32_t flags, const struct tcp_settings *tcp, uint32_t ping)
{
	const struct talk_script script = { .kind = kind, .port = 80, .bytes = 3000, .ask = 50, .answer = 200, .rounds = 2 };
	struct world *w = world_new(&(struct world_config){ .hosts = 2, .seed = kind + 1, .link_flags = flags, .tcp = tcp,
		.max_endpoints = 64, .packets = 1024 });
	struct wire_impairment cable = { .delay = NSEC_PER_MSEC, .loss = 0.05, .reorder = 0.1 };

	if (!w) {
		fprintf(stderr, "fuzz-seeds: out of memory\n");
		exit(1);
	}
	wire_impair(world_wire(w), 0, WIRE_DOWN, &cable);
	wire_observe(world_wire(w), seen, NULL);
	host_serve(world_host(w, 0), &script, 4);
	host_echo(world_host(w, 0), BENCH_UDP_PORT);
	host_connect(world_host(w, 1), &(struct client_plan){ .server = world_host(w, 0)->addr, .script = &script,
		.connections = 2 });
	host_ping(world_host(w, 1), &(struct ping_plan){ .server = world_host(w, 0)->addr, .port = BENCH_UDP_PORT,
		.bytes = ping, .count = 2, .interval = NSEC_PER_MSEC });
	world_run_until(w, 60 * NSEC_PER_SEC);
	world_free(w);
}

/* An offer with an option of each kind, some of them in file and sname; and a frame with a tag. */
static void make_told_frames(void)
{
	static const char options[] = "\x35\1\2" "\x36\4\x0a\0\0\2" "\x33\4\0\0\0\x78" "\1\4\xff\xff\xff\0" "\3\4\x0a\0\0\2"
		"\6\x08\x0a\0\0\2\x0a\0\0\3" "\x1a\2\5\x14" "\x34\1\3" "\x3a\4\0\0\0\x0a" "\x3b\4\0\0\0\x14"
		"\x79\x0e\0\x0a\0\0\2\x18\xac\x10\1\0\0\0\0" "\xff";
	uint8_t bytes[1 + 14 + 20 + 8 + 240 + sizeof(options)] = { BENCH_FIX_IP | BENCH_FIX_LAYER4 | BENCH_DHCP };
	uint8_t *frame = bytes + 1, *ip = frame + 14, *message = ip + 28;

	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\2\0\0\0\1\1\x08\0", 8);
	memcpy(ip, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\x0a\0\0\2\xff\xff\xff\xff\0\x43\0\x44", 24);
	memcpy(message + 16, "\x0a\0\0\x4d", 4);
	memcpy(message + 44, "\x0f\7example\xff", 10);
	memcpy(message + 108, "\x0f\4.org\0\0\xff", 9);
	memcpy(message + 240, options, sizeof(options));
	save("frame", frames_written++, bytes, sizeof(bytes));
	memmove(frame + 16, frame + 12, 40);
	memcpy(frame + 12, "\x81\0\0\5", 4);
	save("frame", frames_written++, bytes, 60);
}

static void make_frames(void)
{
	struct tcp_settings bare;
	unsigned kind;

	tcp_settings_standard(&bare);
	bare.timestamps = bare.sack = bare.window_scaling = false;
	for (kind = 0; kind < TALK_KINDS; kind++)
		run_world((enum talk_kind)kind, 0, kind % 2 ? &bare : NULL, kind % 2 ? 4000 : 100);
	make_told_frames();
}

/* ---- stories: see fuzz_sequence.c for what the bytes mean ---- */

static void make_told_stories(void)
{
	static const struct { const char *bytes; size_t n; } stories[] = {
#define STORY(text) { text, sizeof(text) - 1 }
		/* data, its FIN, the program reads, closes; the last ACK; time passes */
		STORY("\0\0\x18\x20\3\xe8" "\0\0\x11\0" "\xa2\2\4\0" "\xa5\2" "\0\0\x10\0" "\xf8\x18"),
		/* the program sends, nothing is acknowledged, time passes, then all of it */
		STORY("\xa0\2\x40\0" "\xf0\x12" "\xf0\x14" "\xf0\x16" "\0\0\x10\0" "\xa4\2\1"),
		/* beyond a gap, then the gap */
		STORY("\0\0\x10\x21\1\5\xa8" "\0\0\x10\x21\3\5\xa8" "\0\0\x10\x20\5\xa8" "\xa2\2\xff\xff"),
		/* a zero window, a probe, a window */
		STORY("\xa0\2\x40\0" "\0\0\x10\4\0\0" "\xf0\x13" "\xf0\x16" "\0\0\x10\4\x10\0"),
		/* urgent data, a reset in the window but not at its edge, one at the edge */
		STORY("\0\0\x38\x28\0\1\0\x10" "\xab\2" "\0\0\4\1\5" "\0\0\4\0"),
		/* a SYN with options, the handshake's end, both sides close */
		STORY("\x70\x12\x34\x0c\2\4\5\xb4\4\2\1\1\1\3\3\7" "\0\1\x10\0" "\xa4\3\1" "\0\1\x11\0" "\xf0\x1f"),
		/* the program connects; SYN-ACK; data; abort */
		STORY("\xa8\0\1\0" "\0\1\x12\4\xff\xff" "\xa0\2\1\0" "\0\1\x10\0" "\xa6\3"),
		/* "fragmentation needed", "port unreachable", then fragments of a datagram */
		STORY("\xa0\2\x10\0" "\x72\0\4\2\x58" "\x72\0\3\0\0" "\x73\0\0\x10\1" "\x73\0\x11\2\0" "\x73\0\2\4\1"),
		/* the program talks to its own host */
		STORY("\xa8\1\1\1" "\xf0\x0a" "\xa0\3\x10\0" "\xa2\4\x20\0" "\xa5\3" "\xa5\4"),
		/* data, then timestamps and SACK of its last segments, a D-SACK, what is older, an acknowledgment of all */
		STORY("\xa0\2\x40\0" "\0\0\x10\x82\xff\x7e\2\5\0\2\4\0\x82\x81" "\0\0\x10\x82\xff\x7e\1\4\1\x84\x81\x82\x81"
		      "\xf0\x14" "\0\0\x10\x80\1\4\0\x8a\x81"),
		/* the address goes and comes back, ARP claims it */
		STORY("\xaf\0\1" "\xa0\2\1\0" "\xaf\0\0" "\x75\x12" "\x75\x13" "\xf0\x1a"),
#undef STORY
	};
	unsigned i;

	for (i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
		save("sequence", i, (const uint8_t *)stories[i].bytes, stories[i].n);
}

static void make_drawn_stories(const char *corpus)
{
	uint8_t bytes[600];
	struct rng r;
	unsigned i;
	size_t n, k;

	rng_seed_u64(&r, 1);
	for (i = 0; i < STORIES; i++) {
		n = 20 + rng_below(&r, sizeof(bytes) - 20);
		for (k = 0; k < n; k++)
			bytes[k] = (uint8_t)(rng_below(&r, 3) ? rng_u32(&r) : rng_below(&r, 4));
		save(corpus, 100 + i, bytes, n);
	}
}

static void make_folder(const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (mkdir(path, 0755) != 0 && errno != EEXIST) {
		fprintf(stderr, "fuzz-seeds: %s: %s\n", path, strerror(errno));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: fuzz-seeds FOLDER\n");
		return 2;
	}
	folder = argv[1];
	make_folder("");
	make_folder("frame");
	make_folder("sequence");
	make_folder("pair");
	make_folder("hostile");
	make_frames();
	make_told_stories();
	make_drawn_stories("sequence");
	make_drawn_stories("pair");
	make_drawn_stories("hostile");
	return 0;
}
