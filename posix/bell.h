/* SPDX-License-Identifier: BSD-3-Clause */
/* Eventfds by which threads of this program wake each other out of a sleep in the kernel. (The daemon wakes by the waitset's own
 * descriptor.) They are the library's own: high, close-on-exec, not to be closed by the program. */
#ifndef LIGHT_POSIX_BELL_H
#define LIGHT_POSIX_BELL_H

#include <stdbool.h>

int bell_new(void);             /* -errno */
void bell_free(int bell);       /* -1: nothing */
void bell_ring(int bell);       /* readable until cleared; keeps errno */
void bell_clear(int bell);
bool bell_is_own(int fd);

#endif
