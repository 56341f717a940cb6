/* SPDX-License-Identifier: BSD-3-Clause */
/* A sender that finds its ring full (client_ring.c, do_sent in requests.c). The stack raises EP_WRITABLE only when it ever saw the ring full,
 * and may not have: bytes left it before the last ones were seen. So the sender says `blocked`, fences, looks again, sleeps; and the daemon,
 * when it carries out a REQ_SENT (an exchange: a full fence), sees the new head and then looks whether somebody is blocked.
 *
 * x86-TSO: `b_x` is what memory will hold of x once the writer's store buffer is flushed, which may happen at any time. Mutants:
 * NO_SLEEPER_FENCE, NO_WAKER_FENCE, NO_LOOK_AGAIN, NO_CHECK. */

#define ROOM 2
#define BYTES 4

byte head, tail, b_tail, known;
bit blocked, b_blocked, b_blocked_full, posted, writable;

#define FLUSH_BLOCKED if :: b_blocked_full -> blocked = b_blocked; b_blocked_full = 0 :: else fi

active proctype sender_buffer()
{
end:	do
	:: atomic { b_blocked_full -> blocked = b_blocked; b_blocked_full = 0 }
	od
}

active proctype stack_buffer()
{
end:	do
	:: atomic { tail != b_tail -> tail = b_tail }
	od
}

active proctype sender()
{
	byte sent;

	do
	:: sent == BYTES -> break
	:: sent != BYTES && head - tail < ROOM ->
		head = head + 1;
		sent = sent + 1;
		atomic { posted = 1; FLUSH_BLOCKED }
	:: sent != BYTES && head - tail >= ROOM ->
		atomic { b_blocked = 1; b_blocked_full = 1 }
#ifndef NO_SLEEPER_FENCE
		atomic { FLUSH_BLOCKED }
#endif
#ifndef NO_LOOK_AGAIN
		if
		:: head - tail < ROOM -> goto again
		:: else
		fi;
#endif
		atomic { FLUSH_BLOCKED }        /* the system call */
		atomic { writable -> writable = 0 }
again:		skip
	od
}

active proctype stack()
{
	bit was_full;

end:	do
	:: b_tail < known ->                    /* an ACK, of what the stack knows of */
		b_tail = b_tail + 1;
		if
		:: was_full && known - b_tail < ROOM -> was_full = 0; atomic { tail = b_tail; writable = 1 }
		:: else
		fi
	:: posted ->
#ifndef NO_WAKER_FENCE
		atomic { tail = b_tail; posted = 0 }
#else
		posted = 0;
#endif
		known = head;
		if
		:: known - b_tail >= ROOM -> was_full = 1
		:: else
		fi;
#ifndef NO_CHECK
		if
		:: blocked && known - b_tail < ROOM -> blocked = 0; atomic { tail = b_tail; writable = 1 }
		:: else
		fi
#else
		skip
#endif
	od
}
