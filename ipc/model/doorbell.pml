/* SPDX-License-Identifier: BSD-3-Clause */
/* The wake protocol of ipc/, for spin. One model at a time, chosen by -DLINE, -DLANE, -DWAITSET, -DDAEMON, -DROOM or -DTOLD;
 * -DBREAK_x takes one fence, look or order away, and spin must then find the sleeper that is never woken (./run does all of it).
 *
 * The machine is x86-TSO: a plain store waits in its processor's buffer until the process `memory` carries it out, in order; a
 * load sees its own processor's buffer first; a fence and a locked instruction wait until the buffer is empty. System calls do too
 * (the kernel takes locks in all of them). What only threads of one process share under a lock is not buffered.
 *
 * The property: when nothing can move any more (`timeout`), everything that was published has reached whom it was for. Sleeps have
 * no time limit here: DOORBELL_LIFE_CHECK must not be what saves us. */

#define PROCESSORS 4
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
#define FUTEX_WAKE atomic { FENCE; d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false; asleep[3] = false } }

#define CARRY_OUT(p) atomic { store[p].n > 0; d_step { mem[store[p].word0] = store[p].value0; \
	store[p].word0 = store[p].word1; store[p].value0 = store[p].value1; \
	store[p].word1 = 0; store[p].value1 = 0; store[p].n-- } }

active proctype memory()
{
end:	do
	:: CARRY_OUT(0)
	:: CARRY_OUT(1)
	:: CARRY_OUT(2)
	:: CARRY_OUT(3)
	od
}

/* doorbell_take_sleepers: the low bits of a word say who sleeps, the others count rounds of waking. */
#define SLEEPERS 3
#define ROUND 4
#ifdef BREAK_ROUND
#define TAKE_SLEEPERS(word, how) LOCKED(word, how, 0)
#else
#define TAKE_SLEEPERS(word, how) LOCKED(word, how, how + ROUND); \
	LOCKED(word, how, how - how % ROUND); \
	how = how & SLEEPERS
#endif
#define OR(value, bits) ((value) | (bits))
#define WITHOUT(value, bits) ((value) & (255 - (bits)))


#ifdef LINE
/* ---- client_wait_line against publish_line and wake_line: two who read (each wants one of two connections, say) and one who waits
 * for reading or writing, all on one word ---- */

#define READ 0       /* receive_head */
#define ROOM_THERE 1 /* the ring of the sender has room */
#define WORD 2       /* receive_sleeps */

#define READERS 2
byte taken;          /* receive_tail, under receive_lock */
byte served;

#define LOOK_LINE LOAD(READ, head); LOAD(ROOM_THERE, room); found = (head > taken || (any && room))

proctype waiter(byte me; bool any)
{
	byte head, room, value, bits;
	bool found;

#ifdef BREAK_ANY
	bits = 1;
#else
	bits = (any -> 3 : 1);
#endif
again:	LOOK_LINE;
	if
	:: found -> goto take
	:: else
	fi;
	do
	::
#ifdef BREAK_SLEEPER_LOCKED
		LOAD(WORD, value);
		value = OR(value, bits);
		STORE(WORD, value);
#else
		LOCKED(WORD, value, OR(value, bits));
		value = OR(value, bits);
		FENCE;
#endif
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
take:	if
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
	byte read, wrote, reader;
	bool readable, writable;

	do
	:: read < READERS || wrote == 0 ->
		readable = false;
		writable = false;
		/* A turn: one or more events, then one fence for all. */
#ifdef BREAK_ORDER
		if
		:: read < READERS -> readable = true; WAKE_LINE; read++; STORE(READ, read)
		:: wrote == 0 -> writable = true; WAKE_LINE; wrote = 1; STORE(ROOM_THERE, 1)
		fi
#else
		if
		:: read < READERS -> read++; STORE(READ, read); readable = true
		:: read + 1 < READERS -> read = read + 2; STORE(READ, read); readable = true
		:: wrote == 0 -> wrote = 1; STORE(ROOM_THERE, 1); writable = true
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
	atomic { run waiter(0, false); run waiter(1, false); run waiter(2, true); run lightd(3) };
	timeout;
	assert(served == READERS + 1)
}
#endif


#ifdef LANE
/* ---- lane_call against answer and wake_lanes: one sleeper, who publishes with a plain store ---- */

#define REPLIES 0
#define WORD 1
#define CALLS 2

byte asked, answered;

proctype caller(byte me)
{
	byte replies;

	do
	:: asked < CALLS ->
		asked++;        /* posted: two locked instructions */
		do
		::
			STORE(WORD, 1);
#ifndef BREAK_SLEEPER_FENCE
			FENCE;
#endif
#ifndef BREAK_RECHECK
			LOAD(REPLIES, replies);
			if
			:: replies >= asked -> break
			:: else
			fi;
#endif
			FUTEX_WAIT(WORD, 1);
end:			!asleep[me];
#ifdef BREAK_RECHECK
			LOAD(REPLIES, replies);
			if
			:: replies >= asked -> break
			:: else
			fi
#endif
		od;
		STORE(WORD, 0);
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
	byte replies, how;

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


#ifdef WAITSET
/* ---- a waitset against waitsets_flush and waitsets_wake: threads of one process sleep on its pipe (-DPIPES), on its futex
 * (-DFUTEXES), or one on each. They take all there is; -DONE_EACH: each takes one event and goes ---- */

#define PUT 0        /* the ring's producer */
#define WORD 1       /* sleeps */
#define ON_FUTEX 1
#define ON_PIPE 2

#ifndef EVENTS
#define EVENTS 3
#endif

byte taken;          /* the ring's consumer, under the caller's lock */
bool lock;
byte armed, owed;
byte bytes, on_its_way;  /* in the pipe; and taken by the daemon as "asleep" but not written yet */
bool piped;
byte interrupts = 1;     /* signals that end a sleep, and looks that disarm without one (epoll_ctl) */

#define HAS_EVENTS LOAD(PUT, put); found = (put != taken)
#ifdef ONE_EACH
#define TAKE LOAD(PUT, put); \
	if \
	:: atomic { put > taken; taken++ }; break \
	:: put <= taken \
	fi
#else
#define TAKE LOAD(PUT, put); \
	atomic { if :: put > taken -> taken = put :: else fi }
#endif

/* The invariant of the pipe: whoever leaves last knows of every byte that is or will be in it, else the next sleeps badly for ever. */
#define DISARM atomic { !lock; lock = true; armed-- }; \
	if \
	:: armed == 0 -> \
		LOCKED(WORD, old, WITHOUT(old, ON_PIPE)); \
		if \
		:: old & ON_PIPE \
		:: else -> OWE \
		fi; \
		atomic { \
			if \
			:: owed && bytes -> READ_PIPE; bytes = 0 \
			:: else \
			fi; \
			assert(owed || bytes + on_its_way == 0); \
			old = 0; \
			lock = false \
		} \
	:: else -> lock = false \
	fi

#ifdef BREAK_OWED
#define OWE owed = 1
#define READ_PIPE owed = 0
#else
#define OWE owed++
#define READ_PIPE owed = owed - bytes
#endif

proctype on_pipe(byte me)
{
	byte put, old;
	bool found;

	do
	::
#ifndef BREAK_PIPE_LATE
		piped = true;
#endif
		atomic { !lock; lock = true };
#ifdef BREAK_SLEEPER_LOCKED
		LOAD(WORD, old);
		STORE(WORD, OR(old, ON_PIPE));
#else
		LOCKED(WORD, old, OR(old, ON_PIPE));
#endif
		atomic {
#ifndef BREAK_NESTED
			if
			:: armed && !(old & ON_PIPE) -> OWE
			:: else
			fi;
#endif
			armed++;
			old = 0;
			lock = false
		};
#ifndef BREAK_SLEEPER_LOCKED
		FENCE;
#endif
#ifdef BREAK_RECHECK
		found = false;
#else
		HAS_EVENTS;
#endif
		if
		:: !found ->
#ifdef BREAK_PIPE_LATE
			piped = true;
#endif
end:			if
			:: bytes
			:: atomic { interrupts; interrupts-- }
			fi
		:: else
		fi;
		DISARM;
		TAKE
	od
}

proctype on_futex(byte me)
{
	byte put, value;
	bool found;

	do
	::
		do
		::
			LOCKED(WORD, value, OR(value, ON_FUTEX));
			value = OR(value, ON_FUTEX);
			FENCE;
#ifndef BREAK_RECHECK
			HAS_EVENTS;
			if
			:: found -> break
			:: else
			fi;
#endif
			FUTEX_WAIT(WORD, value);
end:			!asleep[me];
			HAS_EVENTS;
			if
			:: found -> break
			:: else
			fi
		od;
		TAKE
	od
}

#define WAKE_SET LOAD(WORD, how); \
	if \
	:: how & SLEEPERS -> \
		LOCKED(WORD, how, how + ROUND); \
		atomic { FENCE; how = mem[WORD]; mem[WORD] = how - how % ROUND; \
			if :: how & ON_PIPE -> on_its_way++ :: else fi }; \
		WAKE_THEM \
	:: else \
	fi
#ifdef BREAK_ROUND
#undef WAKE_SET
#define WAKE_SET LOCKED(WORD, how, 0); WAKE_THEM
#endif
#ifdef BREAK_FUTEX_ONLY_WHEN_ALONE
#define FUTEX_MEANT (how & SLEEPERS) == ON_FUTEX
#else
#define FUTEX_MEANT how & ON_FUTEX
#endif
#define WAKE_THEM if \
	:: FUTEX_MEANT -> FUTEX_WAKE \
	:: else \
	fi; \
	if \
	:: how & ON_PIPE -> \
		atomic { FENCE; if :: piped -> bytes++ :: else fi; on_its_way-- } \
	:: else \
	fi

proctype lightd(byte me)
{
	byte put, how;

	do
	:: put < EVENTS ->
#ifdef BREAK_ORDER
		WAKE_SET;
		put++;
		STORE(PUT, put)
#else
		put++;
		STORE(PUT, put);
#ifndef BREAK_DAEMON_FENCE
		FENCE;
#endif
		WAKE_SET
#endif
	:: put + 1 < EVENTS -> put++; STORE(PUT, put)   /* two in one turn */
	:: else -> break
	od
}

init
{
	atomic {
#ifdef FUTEXES
		run on_futex(0);
#else
		run on_pipe(0);
#endif
#ifdef PIPES
		run on_pipe(1);
#else
		run on_futex(1);
#endif
		run lightd(2)
	};
	timeout;
	assert(taken == EVENTS)
}
#endif


#ifdef DAEMON
/* ---- lane_post and wake_daemon against server_sleep_begin: two processes of a family post and ring; the first may be killed at its
 * worst moment, when it alone knows that the daemon sleeps ---- */

#define POSTED 0     /* two words: the rings of two lanes */
#define BITS 2       /* session_page.doorbell */
#define SLEEPS 3     /* family_page.daemon_sleeps */

byte posted[2], served[2];
bool rung;           /* the eventfd's edge, or a socket that hangs up, in the daemon's epoll */

#define ENQUEUE n++; STORE(POSTED + me, n)
#ifdef BREAK_PROGRAM_LOCKED
#define SET_BIT LOAD(BITS, old); STORE(BITS, OR(old, 1 + me)); posted[me]++
#else
#define SET_BIT atomic { FENCE; mem[BITS] = OR(mem[BITS], 1 + me); posted[me]++ }
#endif

proctype program(byte me; byte most; bool killed)
{
	byte n, old;

	do
	:: n < most ->
#ifdef BREAK_ORDER
		SET_BIT;
		ENQUEUE;
#else
		ENQUEUE;
		SET_BIT;
#endif
		LOAD(SLEEPS, old);
		if
		:: old -> LOCKED(SLEEPS, old, 0)
		:: else
		fi;
		if
		:: old -> rung = true
		:: old && killed -> goto death
		:: !old
		fi
	:: else -> break
	od;
death:	skip;
#ifndef BREAK_DEATH
	rung = killed | rung
#endif
}

#define DRAIN if \
	:: old & 1 -> LOAD(POSTED, n); served[0] = n \
	:: else \
	fi; \
	if \
	:: old & 2 -> LOAD(POSTED + 1, n); served[1] = n \
	:: else \
	fi

proctype lightd(byte me)
{
	byte old, n;

	do
	::
		rung = false;   /* connections_turn; then session_turn: */
		do
		::
			LOAD(BITS, old);
			if
			:: old ->
#ifdef BREAK_DRAIN_FIRST
				DRAIN;
				LOCKED(BITS, old, 0)
#else
				LOCKED(BITS, old, 0);
				DRAIN
#endif
			:: else -> break
			fi
		od;
		/* server_sleep_begin */
#ifdef BREAK_LOOK_FIRST
		LOAD(BITS, old);
		STORE(SLEEPS, 1);
		FENCE;
#else
		STORE(SLEEPS, 1);
#ifndef BREAK_DAEMON_FENCE
		FENCE;
#endif
#ifdef BREAK_RECHECK
		old = 0;
#else
		LOAD(BITS, old);
#endif
#endif
		if
		:: old == 0 ->
end:			rung
		:: else
		fi;
		STORE(SLEEPS, 0)
	od
}

init
{
	atomic { run program(0, 1, true); run program(1, 2, false); run lightd(2) };
	timeout;
	assert(served[0] == posted[0] && served[1] == posted[1])
}
#endif


#ifdef ROOM
/* ---- waitset_take against waitsets_want_room: the ring has one place, the daemon has three events and sleeps in between ---- */

#define PUT 0
#define TAKEN 1
#define WANTS 2      /* wants_room */
#define CONTROL 3
#define SLEEPS 4     /* daemon_sleeps */
#define EVENTS 3

byte seen;
bool rung;

proctype program(byte me)
{
	byte taken, old;

end:	do
	:: mem[PUT] != taken ->      /* how it sleeps on that is WAITSET's matter */
		taken++;
		STORE(TAKEN, taken);
		seen++;
#ifndef BREAK_TAKE_FENCE
		FENCE;
#endif
		LOAD(WANTS, old);
		if
		:: old ->
			LOCKED(WANTS, old, 0);
			if
			:: old ->
				LOCKED(CONTROL, old, 1);
				LOAD(SLEEPS, old);
				if
				:: old ->
					LOCKED(SLEEPS, old, 0);
					if
					:: old -> rung = true
					:: else
					fi
				:: else
				fi
			:: else
			fi
		:: else
		fi
	od
}

proctype lightd(byte me)
{
	byte put, taken, old;

	do
	::
		rung = false;
		LOAD(CONTROL, old);
		if
		:: old -> LOCKED(CONTROL, old, 0)
		:: else
		fi;
		LOAD(TAKEN, taken);
		if
		:: put < EVENTS && taken == put -> put++; STORE(PUT, put)
		:: else
		fi;
		STORE(SLEEPS, 1);
		FENCE;
		if
		:: put < EVENTS ->
#ifdef BREAK_DAEMON_FENCE
			STORE(WANTS, 1);
#else
			LOCKED(WANTS, old, 1);
			FENCE;
#endif
#ifndef BREAK_RECHECK
			LOAD(TAKEN, taken);
			if
			:: taken == put -> goto awake
			:: else
			fi
#endif
		:: else
		fi;
		LOAD(CONTROL, old);
		if
		:: old == 0 ->
end:			rung
		:: else
		fi;
awake:		STORE(SLEEPS, 0)
	od
}

init
{
	atomic { run program(0); run lightd(1) };
	timeout;
	assert(seen == EVENTS)
}
#endif


#ifdef TOLD
/* ---- already_told: an event that lies unread in the ring speaks for what is published later ---- */

#define STATE 0      /* the line */
#define PUT 1
#define TAKEN 2
#define CHANGES 3

byte seen;

proctype program(byte me)
{
	byte taken;

end:	do
	:: mem[PUT] != taken ->
#ifdef BREAK_LOOK_FIRST
		LOAD(STATE, seen);
#endif
		LOAD(PUT, taken);
		STORE(TAKEN, taken);
#ifndef BREAK_TAKE_FENCE
		FENCE;
#endif
#ifndef BREAK_LOOK_FIRST
		LOAD(STATE, seen)
#endif
	od
}

proctype lightd(byte me)
{
	byte state, put, taken;

	do
	:: state < CHANGES ->
		state++;
#ifndef BREAK_ORDER
		STORE(STATE, state);
#endif
#ifndef BREAK_DAEMON_FENCE
		FENCE;
#endif
		LOAD(TAKEN, taken);
		if
		:: put > taken
		:: else -> put++; STORE(PUT, put)
		fi;
#ifdef BREAK_ORDER
		STORE(STATE, state);
#endif
		FENCE   /* of the wakes */
	:: else -> break
	od
}

init
{
	atomic { run program(0); run lightd(1) };
	timeout;
	assert(seen == CHANGES)
}
#endif
