/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's own sleep: against posted requests (DAEMON), and with a waitset's ring full (ROOM). doorbell.pml includes this. */

#ifdef DAEMON
/* ---- lane_post and wake_daemon against server_sleep_begin: two processes of a family post and ring; the first may be killed at its
 * worst moment, when it alone knows that the daemon sleeps ---- */

#define POSTED 0     /* two words: the rings of two lanes */
#define BITS 2       /* session_page.doorbell */
#define SLEEPS 3     /* family_page.daemon_sleeps */

byte posted[2], served[2];
bool rung;           /* the eventfd's edge, or a socket that hangs up, in the daemon's epoll */

#define ENQUEUE n++; STORE(POSTED + me, n)
#ifdef BREAK_PROGRAM_FENCE
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
