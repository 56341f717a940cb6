/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that sleep on a line (LINE), for a reply (LANE), for room in a send ring (BLOCKED). doorbell.pml includes this. */

#ifdef LINE
/* ---- client_wait_line against publish_line and wake_line, two on one word: both read (each wants one of two connections, say), or
 * with -DANY one reads and one waits for reading or writing ---- */

#define READ 0       /* receive_head */
#define ROOM_THERE 1 /* the ring of the sender has room */
#define WORD 2       /* receive_sleeps */

#ifdef ANY
#define READERS 1
#else
#define READERS 2
#endif
byte taken;          /* receive_tail, under receive_lock */
byte served;

#ifdef ANY
#define LOOK_LINE LOAD(READ, head); LOAD(ROOM_THERE, room); found = (head > taken || (any && room))
#else
#define LOOK_LINE LOAD(READ, head); found = (head > taken)
#endif

proctype waiter(byte me; bool any)
{
	byte head, room, value, bits;
	bool found;

#ifdef BREAK_ANY
	bits = 1;
#else
	bits = (any -> 3 : 1);
#endif
again:	do
	::
		SAY_ASLEEP(bits);
#ifndef BREAK_RECHECK
		LOOK_LINE;
		if
		:: found -> break
		:: else
		fi;
#endif
		FUTEX_WAIT(WORD, value);
end:		!asleep[me];
		LOOK_LINE;
		if
		:: found -> break
		:: else
		fi
	od;
#ifdef BREAK_CLEARS
	LOCKED(WORD, value, 0);
#endif
	if
	:: any -> served++
	:: else ->
		LOAD(READ, head);
		if
		:: atomic { head > taken; taken++; served++ }
		:: head <= taken -> goto again
		fi
	fi
}

#define WAKE_LINE LOAD(WORD, reader); \
	if \
	:: (reader & SLEEPERS) && (readable || ((reader & 2) && writable)) -> \
		TAKE_SLEEPERS(WORD, reader); \
		if \
		:: reader -> FUTEX_WAKE \
		:: else \
		fi \
	:: else \
	fi

proctype lightd(byte me)
{
	byte read, wrote, reader, next;
	bool readable, writable;

	do
	:: read < READERS || (READERS == 1 && wrote == 0) ->
		readable = false;
		writable = false;
		/* A turn: one or more events, then one fence for all. */
#ifdef BREAK_ORDER
		if
		:: read < READERS -> readable = true; WAKE_LINE; read++; STORE(READ, read)
		:: READERS == 1 && wrote == 0 -> writable = true; WAKE_LINE; wrote = 1; STORE(ROOM_THERE, 1)
		fi
#else
		if
		:: read < READERS -> read++; STORE(READ, read); readable = true
		:: read + 1 < READERS -> read = read + 2; STORE(READ, read); readable = true
		:: READERS == 1 && wrote == 0 -> wrote = 1; STORE(ROOM_THERE, 1); writable = true
		fi;
#ifndef BREAK_DAEMON_FENCE
		FENCE;
#endif
		WAKE_LINE
#endif
	:: else -> break
	od
}

init
{
	atomic { run waiter(0, false); run waiter(1, READERS == 1); run lightd(2) };
	timeout;
	assert(served == 2)
}
#endif

#ifdef LANE
/* ---- lane_call against answer and wake_lanes: one sleeper, two calls ---- */

#define REPLIES 0
#define WORD 1
#define CALLS 2

byte asked, answered;

proctype caller(byte me)
{
	byte replies, value;

	do
	:: asked < CALLS ->
		asked++;        /* posted: two locked instructions */
		do
		::
			SAY_ASLEEP(1);
#ifndef BREAK_RECHECK
			LOAD(REPLIES, replies);
			if
			:: replies >= asked -> break
			:: else
			fi;
#endif
			FUTEX_WAIT(WORD, value);
end:			!asleep[me];
#ifdef BREAK_RECHECK
			LOAD(REPLIES, replies);
			if
			:: replies >= asked -> break
			:: else
			fi
#endif
		od;
		answered++
	:: else -> break
	od
}

#define WAKE_LANE LOAD(WORD, how); \
	if \
	:: how & SLEEPERS -> \
		TAKE_SLEEPERS(WORD, how); \
		if \
		:: how -> FUTEX_WAKE \
		:: else \
		fi \
	:: else \
	fi

proctype lightd(byte me)
{
	byte replies, how, next;

end:	do
	:: asked > replies ->
		replies++;
#ifdef BREAK_ORDER
		WAKE_LANE;
		STORE(REPLIES, replies)
#else
		STORE(REPLIES, replies);
#ifndef BREAK_DAEMON_FENCE
		FENCE;
#endif
		WAKE_LANE
#endif
	od
}

init
{
	atomic { run caller(0); run lightd(1) };
	timeout;
	assert(answered == CALLS)
}
#endif

#ifdef BLOCKED
/* ---- send_writable_now against do_sent: a sender who found no room, where the stack never saw the ring full. That an event wakes him
 * is LINE's matter: `told` is the event, forgotten when he says that he sleeps ---- */

#define HEAD 0       /* send_head */
#define TAIL 1       /* send_tail */
#define BLOCKED_WORD 2
#define LIMIT 2      /* places in the ring; one free is writable */
#define MOST 4

byte sent, acked;
bool posted, request, told;

proctype program(byte me)
{
	byte tail;

	do
	:: sent < MOST ->
		LOAD(TAIL, tail);
		if
		:: sent - tail == LIMIT ->
			do
			::
				atomic { FENCE; told = false };
				STORE(BLOCKED_WORD, 1);
#ifndef BREAK_SLEEPER_FENCE
				FENCE;
#endif
#ifndef BREAK_RECHECK
				LOAD(TAIL, tail);
				if
				:: sent - tail < LIMIT -> break
				:: else
				fi;
#endif
end:				told;
				LOAD(TAIL, tail);
				if
				:: sent - tail < LIMIT -> break
				:: else
				fi
			od
		:: else
		fi;
		STORE(HEAD, sent + 1);
		sent++;
		atomic { FENCE; if :: posted :: else -> posted = true; request = true fi }
	:: else -> break
	od
}

proctype lightd(byte me)
{
	byte head, blocked;
	bool brim;

end:	do
	:: request ->
		request = false;
#ifdef BREAK_ORDER
		LOAD(HEAD, head);
		atomic { FENCE; posted = false };
#else
#ifdef BREAK_DAEMON_FENCE
		posted = false;
#else
		atomic { FENCE; posted = false };
#endif
		LOAD(HEAD, head);
#endif
		brim = (head - acked == LIMIT);
#ifndef BREAK_CHECK
		LOAD(BLOCKED_WORD, blocked);
		if
		:: blocked && !brim ->
			STORE(BLOCKED_WORD, 0);
			atomic { FENCE; told = true }
		:: else
		fi
#endif
	:: head > acked ->
		acked++;
		STORE(TAIL, acked);
		if
		:: brim -> brim = false; atomic { FENCE; told = true }
		:: else
		fi
	od
}

init
{
	atomic { run program(0); run lightd(1) };
	timeout;
	assert(sent == MOST && acked == MOST)
}
#endif
