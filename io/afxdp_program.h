/* SPDX-License-Identifier: BSD-3-Clause */
/* The XDP program that stands between an interface and the AF_XDP sockets of its queues: what belongs to Light goes to the
 * socket of the queue it came by, the kernel gets all else. One program a device; it outlives the interface it is attached to.
 * Callers serialise: none of these functions may run twice at once. */
#ifndef LIGHT_IO_AFXDP_PROGRAM_H
#define LIGHT_IO_AFXDP_PROGRAM_H

#include "afxdp.h"

struct afxdp_program;

struct afxdp_program_counts {
	uint64_t taken;      /* redirected to a socket */
	uint64_t passed;     /* left to the kernel */
	uint64_t no_socket;  /* ours, but on a queue without a socket: left to the kernel */
	uint64_t copied;     /* concern both: left to the kernel, and a copy taken */
	uint64_t copy_lost;  /* no room for the copy, or too long for one */
};

/* fragments: frames may come in several pieces (multi-buffer XDP, Linux 5.18). 0, or -errno and a sentence in why. */
int afxdp_program_new(struct afxdp_program **, bool fragments, char why[DEVICE_WHY]);
/* Detaches too. */
void afxdp_program_free(struct afxdp_program *);

/* In the driver, else (or if skb) for any interface in front of the kernel's stack: *generic says which; why then says why not
 * in the driver. 0, or -errno and a sentence in why. */
int afxdp_program_attach(struct afxdp_program *, const char *name, unsigned ifindex, bool skb, bool *generic,
	char why[DEVICE_WHY]);
void afxdp_program_detach(struct afxdp_program *);
/* Whether it still is attached where it was: somebody may have removed it, or the interface has gone. */
bool afxdp_program_attached(const struct afxdp_program *);
/* BPF_LINK's number, as bpftool and the kernel have it; 0: not attached. */
uint32_t afxdp_program_link_id(const struct afxdp_program *);

/* The socket of a queue; it leaves the program by itself when it is closed. */
int afxdp_program_socket(struct afxdp_program *, unsigned queue, int fd);
/* Frames to a group stay with the kernel, and a copy comes. 0 or -errno. */
int afxdp_program_group(struct afxdp_program *, uint32_t group, bool wanted);
int afxdp_program_want(struct afxdp_program *, const struct afxdp_wanted *);
void afxdp_program_counts(const struct afxdp_program *, struct afxdp_program_counts *);

/* Copies of frames that the kernel keeps: readable when there are some. */
int afxdp_program_copies(const struct afxdp_program *);
typedef void (*afxdp_copy_taken)(void *context, const uint8_t *frame, uint32_t bytes);
/* At most n > 0 of them, of one thread; whether there may be more. */
bool afxdp_program_take(struct afxdp_program *, afxdp_copy_taken, void *context, unsigned n);

#endif
