/* SPDX-License-Identifier: BSD-3-Clause */
/* The wake protocol of ipc/, for spin: the machine, and what doorbell.h does on it; line.pml, waitset.pml and daemon.pml have the
 * models. One at a time, chosen by -DLINE, -DLANE, -DBLOCKED, -DWAITSET (-DCORES: rung by two cores), -DTOLD, -DDAEMON or -DROOM; -DBREAK_x takes one fence,
 * look or order away, and spin must then find the sleeper that is never woken (./run does all of it).
 *
 * The machine is x86-TSO: a plain store waits in its processor's buffer until the process `memory` carries it out, in order; a
 * load sees its own processor's buffer first; a fence and a locked instruction wait until the buffer is empty. System calls do too
 * (the kernel takes locks in all of them). What only threads of one process share under a lock is not buffered.
 *
 * The property: when nothing can move any more (`timeout`), everything that was published has reached whom it was for. Sleeps have
 * no time limit here: DOORBELL_LIFE_CHECK must not be what saves us. */

#ifdef CORES
#define PROCESSORS 4            /* two sleepers and two cores of the daemon */
#else
#define PROCESSORS 3
#endif
#define WORDS 6

typedef buffer {
	byte n, word0, value0, word1, value1
}
buffer store[PROCESSORS];
byte mem[WORDS];
bool asleep[PROCESSORS];        /* in futex(2); each model has one futex */

/* (spin lets nothing jump to the beginning of a d_step, so each has an atomic around it.) */
#define LOAD(word, out) atomic { true; d_step { out = mem[word]; \
	if :: store[me].n >= 1 && store[me].word0 == word -> out = store[me].value0 :: else fi; \
	if :: store[me].n == 2 && store[me].word1 == word -> out = store[me].value1 :: else fi } }
#define STORE(word, value) atomic { store[me].n < 2; d_step { \
	if :: store[me].n == 0 -> store[me].word0 = word; store[me].value0 = value \
	:: else -> store[me].word1 = word; store[me].value1 = value fi; \
	store[me].n++ } }
#define FENCE (store[me].n == 0)
#define LOCKED(word, old, new) atomic { FENCE; d_step { old = mem[word]; mem[word] = new } }
#define FUTEX_WAIT(word, expected) atomic { FENCE; asleep[me] = (mem[word] == expected) }
#define FUTEX_WAKE atomic { FENCE; d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false } }

#define CARRY_OUT(p) atomic { store[p].n > 0; d_step { mem[store[p].word0] = store[p].value0; \
	store[p].word0 = store[p].word1; store[p].value0 = store[p].value1; \
	store[p].word1 = 0; store[p].value1 = 0; store[p].n-- } }

active proctype memory()
{
end:	do
	:: CARRY_OUT(0)
	:: CARRY_OUT(1)
	:: CARRY_OUT(2)
#ifdef CORES
	:: CARRY_OUT(3)
#endif
	od
}

/* doorbell_take_sleepers: the low bits of a word say who sleeps, the others count rounds of waking; `how` was just read from it. */
#define SLEEPERS 3
#define ROUND 4
#ifdef BREAK_ROUND
#define NEXT_ROUND(how) 0
#else
#define NEXT_ROUND(how) how - how % ROUND + ROUND
#endif
/* Compare and exchange until it holds or nobody sleeps any more: what was read at last is what is taken. */
#define TAKE_SLEEPERS(word, how) atomic { FENCE; d_step { how = mem[word]; next = NEXT_ROUND(how); \
	if :: how & SLEEPERS -> mem[word] = next :: else fi; how = how & SLEEPERS; next = 0 } }
/* doorbell_say_asleep, on the word called WORD: the locked instruction is the fence (C11 asks for one more, TSO does not). */
#ifdef BREAK_SLEEPER_FENCE
#define SAY_ASLEEP(bits) LOAD(WORD, value); value = OR(value, bits); STORE(WORD, value)
#else
#define SAY_ASLEEP(bits) atomic { FENCE; d_step { value = OR(mem[WORD], bits); mem[WORD] = value } }
#endif
#define OR(value, bits) ((value) | (bits))
#define WITHOUT(value, bits) ((value) & (255 - (bits)))

#include "line.pml"
#include "waitset.pml"
#include "daemon.pml"
