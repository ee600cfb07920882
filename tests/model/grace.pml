/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/grace.pml - rounds of deferred frees, and the barrier
 *
 * Stands for
 *   run_round(), grace_thread(), wait_for_round(),
 *   kn_grace_barrier()					alloc/rcu/grace.c
 *   push_link(), push_block(), take()			alloc/deferred/batch.c
 *
 * Each producer has one object, which it publishes, takes back, pushes, and has
 * again when it was freed.  A reader looks at what is published.  The thread of
 * the flavour goes round after round; another calls the barrier, again and again.
 *
 * Checked (docs/design/rcu.md): no reader looks at an object that was freed, G1;
 * what was pushed before a barrier is free after it, G2; with the claim, that
 * every barrier ends, although no sleep has a time limit there.
 *
 * Left out: starting the thread, fork.  The counters go round after 4, those of
 * the code after 2^32; a sleep on a word is a flag that says whether it moved.
 *
 * PLANTED 1: the barrier waits for the end of one more round, be it one that is
 *            under way, as KN_BARRIER_EARLY makes it in the code.
 * PLANTED 2: the stacks are taken when the grace period has begun.
 * PLANTED 3: a round counts as begun only when it has taken the stacks.
 * PLANTED 4: the thread reads the word it sleeps on after the round, not before.
 */

#define PRODUCERS 2		/* each with a stack of its own, and an object */
#define TURN	4
#define AT_LEAST(a, b) (((a) + TURN - (b)) % TURN < TURN / 2)

bool published[PRODUCERS], freed[PRODUCERS];
bool stack[PRODUCERS], taken[PRODUCERS];

byte begun, ended;
bool wake_moved;		/* since the thread read the word */
bool ended_moved;		/* since the caller of the barrier did */

bool inside;			/* the reader is in a section */
bool gp_waits;			/* ... that began before the grace period */

/* Pushed before the barrier began, and not freed yet. */
bool owed[PRODUCERS];
bool in_barrier;

#ifdef LIVENESS
#define TIMEOUT false
ltl barrier_ends { [] (in_barrier -> <> !in_barrier) }
#else
#define TIMEOUT true
#endif

proctype producer(byte i)
{
	do
	:: published[i] = true;
	   published[i] = false;
	   stack[i] = true;
	   atomic { freed[i] -> freed[i] = false }
	od
}

proctype reader()
{
	byte seen;

	do
	:: atomic {
		inside = true;
		if
		:: published[0] -> seen = 0
		:: published[1] -> seen = 1
		:: else -> seen = PRODUCERS
		fi
	   }
	   if
	   :: seen < PRODUCERS -> assert(!freed[seen])
	   :: else
	   fi;
	   atomic {
		inside = false;
		gp_waits = false;
		seen = 0
	   }
	od
}

inline take_stacks()
{
	i = 0;
	do
	:: i < PRODUCERS ->
		atomic {
			taken[i] = stack[i];
			stack[i] = false;
			any = any || taken[i];
			i++
		}
	:: else -> break
	od
}

inline grace_period()
{
	gp_waits = inside;
	!gp_waits
}

inline hand_over()
{
	i = 0;
	do
	:: i < PRODUCERS && taken[i] ->
		atomic {
			taken[i] = false;
			owed[i] = false;
			freed[i] = true;
			i++
		}
	:: i < PRODUCERS && !taken[i] -> i++
	:: else -> break
	od
}

proctype thread()
{
	byte i;
	bool any;

	do
	:: wake_moved = false;
	   /* run_round() */
#if PLANTED != 3
	   begun = (begun + 1) % TURN;
#endif
#if PLANTED == 2
	   gp_waits = inside;
	   take_stacks();
	   !gp_waits;
#else
	   take_stacks();
#if PLANTED == 3
	   begun = (begun + 1) % TURN;
#endif
	   if
	   :: any -> grace_period()
	   :: else
	   fi;
#endif
	   hand_over();
	   atomic {
		i = 0;
		any = false;
		ended = (ended + 1) % TURN;
		ended_moved = true
	   }
	   /* The nap. */
#if PLANTED == 4
	   wake_moved = false;
#endif
	   wake_moved || TIMEOUT
	od
}

proctype caller()
{
	byte until;

	do
	:: atomic {
		owed[0] = stack[0] || taken[0];
		owed[1] = stack[1] || taken[1];
		in_barrier = true
	   }
	   /* wait_for_round() */
#if PLANTED == 1
	   until = (ended + 1) % TURN;
#else
	   until = (begun + 1) % TURN;
#endif
	   do
	   :: ended_moved = false;
	      if
	      :: AT_LEAST(ended, until) -> break
	      :: else
	      fi;
	      wake_moved = true;
	      ended_moved || TIMEOUT
	   od;
	   atomic {
		assert(!owed[0] && !owed[1]);
		in_barrier = false;
		until = 0
	   }
	od
}

init
{
	atomic {
		run producer(0);
		run producer(1);
		run reader();
		run thread();
		run caller()
	}
}
