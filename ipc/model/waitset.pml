/* SPDX-License-Identifier: BSD-3-Clause */
/* Waitsets: sleeping on one (WAITSET), an unread event that speaks for later ones (TOLD). doorbell.pml includes this. */

#ifdef WAITSET
/* ---- a waitset against waitsets_flush and waitsets_wake: threads of one process sleep on its pipe (-DPIPES), on its futex
 * (-DFUTEXES), or one on each. They take all there is; -DONE_EACH: each takes one event and goes ---- */

#define PUT 0        /* the ring's producer */
#define WORD 1       /* sleeps */
#define ON_FUTEX 1
#define ON_PIPE 2

#define EVENTS 2

byte taken;          /* the ring's consumer, under the caller's lock */
bool lock;
byte armed;
byte unheard;            /* waitset_words.rings - struct waitset.rings */
byte bytes, on_its_way;  /* in the pipe; the daemon is between taking "asleep" and having written */
bool piped, owed;
bool interrupted;        /* a sleep that ends early: a signal, or another thread's epoll_ctl, which disarms */

#ifdef CORES
/* A ring for each core; both are looked at and taken from. */
#define PUT_THERE 2
#define LOOK LOAD(PUT, put); LOAD(PUT_THERE, there); put = put + there; there = 0
#else
#define LOOK LOAD(PUT, put)
#endif
#define HAS_EVENTS LOOK; found = (put != taken)
#ifdef ONE_EACH
#define TAKE LOOK; \
	if \
	:: atomic { put > taken; taken++ }; break \
	:: put <= taken \
	fi
#else
#define TAKE LOOK; \
	atomic { if :: put > taken -> taken = put :: else fi }
#endif

/* Whether a byte is in the pipe: as the count says, or (so it was once) as the set's own bit seems to say. */
#ifdef BREAK_RINGS
#define NOTE_BIT if :: old & ON_PIPE :: else -> owed = true fi
#define OWED owed
#define READ_PIPE if :: bytes -> owed = false; bytes = 0 :: else fi
#else
#define NOTE_BIT skip
#define OWED unheard
#define READ_PIPE unheard = unheard - bytes; bytes = 0
#endif

/* The assertion: whoever leaves last knows of every byte in the pipe, else the next one's sleeps end at once for ever. */
#define DISARM atomic { !lock; lock = true; armed-- }; \
	if \
	:: armed == 0 -> \
		LOCKED(WORD, old, WITHOUT(old, ON_PIPE)); \
		atomic { \
			NOTE_BIT; \
			if \
			:: OWED -> READ_PIPE \
			:: else \
			fi; \
			assert(bytes == 0 || on_its_way || OWED); \
			old = 0; \
			lock = false \
		} \
	:: else -> lock = false \
	fi

proctype on_pipe(byte me)
{
	byte put, there, old;
	bool found;

	do
	::
#ifndef BREAK_PIPE_LATE
		piped = true;
#endif
		atomic { !lock; lock = true; armed++ };
#ifdef BREAK_SLEEPER_FENCE
		LOAD(WORD, old);
		STORE(WORD, OR(old, ON_PIPE));
		lock = false;
#else
		LOCKED(WORD, old, OR(old, ON_PIPE));
		lock = false;
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
			:: atomic { interrupted; interrupted = false }
			fi
		:: else
		fi;
		DISARM;
		TAKE
	od
}

proctype on_futex(byte me)
{
	byte put, there, value;
	bool found;

	do
	::
		do
		::
			SAY_ASLEEP(ON_FUTEX);
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
		atomic { TAKE_SLEEPERS(WORD, how); if :: how & ON_PIPE -> on_its_way++ :: else fi }; \
		WAKE_THEM \
	:: else \
	fi
#ifdef BREAK_BOTH
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
		if \
		:: piped -> \
			atomic { FENCE; unheard++ }; \
			atomic { FENCE; bytes++; on_its_way-- } \
		:: else -> on_its_way-- \
		fi \
	:: else \
	fi

#ifdef CORES
#define MINE (EVENTS / 2)
#define RING (me == 3 -> PUT_THERE : PUT)
#else
#define MINE EVENTS
#define RING PUT
#endif

proctype lightd(byte me)
{
	byte put, how, next;

	do
	:: put < MINE ->
#ifdef BREAK_ORDER
		WAKE_SET;
		put++;
		STORE(RING, put)
#else
		put++;
		STORE(RING, put);
#ifndef BREAK_DAEMON_FENCE
		FENCE;
#endif
		WAKE_SET
#endif
	:: put + 1 < MINE -> put++; STORE(RING, put)   /* two in one turn */
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
#ifdef CORES
		run lightd(3);
#endif
		run lightd(2)
	};
	if
	:: interrupted = true
	:: true
	fi;
	timeout;
	assert(taken == EVENTS)
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
