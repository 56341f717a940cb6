/* SPDX-License-Identifier: BSD-3-Clause */
/* A link around a link that writes what passes into a pcap file (nanoseconds), from start to stop, while the
 * link works. Without a file it only hands packets on. A disk that is full stops the capture, never the link. */
#ifndef LIGHT_IO_CAPTURE_H
#define LIGHT_IO_CAPTURE_H

#include "stack/link.h"

struct capture_config {
	/* The time written for transmitted packets and for received ones without a stamp; nanoseconds. */
	nsec (*clock)(void *context);
	void *clock_context;
	/* Added to every time in the file, as when the clock does not count from 1970. */
	nsec epoch;
};

struct capture_status {
	uint64_t packets, bytes;  /* written since start, bytes of frames */
	uint64_t truncated;       /* packets longer than the snap length */
	uint64_t missed;          /* seen after a write failed */
	int error;                /* errno of the write that failed; 0: none */
	uint32_t running;
};

/* NULL: memory is short. The inner link is closed with this one; `inner` serves all but what is written. */
struct link *capture_new(struct link *inner, const struct capture_config *);
/* Stops, and frees the wrapper; the inner link stays the caller's. */
void capture_free(struct link *);

/* Makes the file (truncating it) and begins. snap: bytes of each packet kept, 0 all. 0; -EBUSY one runs already;
 * another -errno: the file cannot be made or written. */
int capture_start(struct link *, const char *path, uint32_t snap);
/* The same into an open descriptor, which is closed by capture_stop (or when this fails). */
int capture_start_fd(struct link *, int fd, uint32_t snap);
/* Writes out what is buffered, closes. 0, -ENOENT none runs, or the -errno of a failed write. */
int capture_stop(struct link *);
/* Writes out what is buffered, for a reader that follows. 0 or the -errno of a failed write. */
int capture_flush(struct link *);
struct capture_status capture_status(const struct link *);

#endif
