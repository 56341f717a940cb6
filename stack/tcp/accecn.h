/* SPDX-License-Identifier: BSD-3-Clause */
/* The codes and counters of accurate ECN (RFC 9768): how the three bits of a SYN-ACK, of its ACK and of all that follow are to
 * be read, and the option. */
#ifndef LIGHT_TCP_ACCECN_H
#define LIGHT_TCP_ACCECN_H

#include "ecn.h"

#define ACCECN_CEP_START 5u  /* 3.2.1 */
#define ACCECN_SYN 7u        /* AE, CWR and ECE of a SYN that asks for it */
#define ACCECN_UNCHANGED 5u  /* of a SYN-ACK that is not in use yet (3.1.3) */

/* Tables 2 and 3: what says that a SYN or SYN-ACK came with this field. */
uint8_t accecn_code(enum ecn_field);
/* ... and back. False: this code says nothing of a field. */
bool accecn_field_of(uint8_t ace, enum ecn_field *);
/* 3.2.2.3: whether a path may have made one of the other. */
bool accecn_may_become(enum ecn_field sent, enum ecn_field received);

/* 3.2.2.2 and A.2: how many CE packets more an ACE field reports than `cep`, when it acknowledges `packets`: the least number, or
 * where the field may have wrapped the largest that fits. ce_bytes: of the option, of segments of mss; negative: there was none. */
uint32_t accecn_more(uint8_t ace, uint32_t cep, uint32_t packets, int64_t ce_bytes, uint32_t mss);

/* The counters start (3.2.1). */
void accecn_start(struct ecn *);
/* 3.2.1: a packet (or `packets` in one) with this field and `len` bytes counts. True: the peer should know at once (3.2.2.5.1). */
bool accecn_count(struct ecn *, enum ecn_field, uint32_t len, uint32_t packets);
/* 3.2.3: the fields that differ from their start, at most; of a SYN-ACK all. */
void accecn_write_option(const struct ecn *, struct tcp_segment *);
/* What the option of an acknowledgment adds to s.ceb; negative: nothing can be said. Takes all its counters over. */
int64_t accecn_take_option(struct ecn *, const struct tcp_segment *);

#endif
