/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/drain.pml - a drain beside sections
 *
 * Stands for
 *   KN_RSEQ_LOAD, kn_rseq_pop(), kn_rseq_push(), kn_rseq_pop_batch(),
 *   kn_rseq_push_batch()					numa/rseq/x86_64.h
 *   close_gates(), fence(), empty(), empty_and_open(),
 *   drain_locked(), kn_mag_open()			alloc/magazine/drain.c
 *
 * A section runs on one CPU and touches the magazine of that CPU alone, so one of
 * each stands for all.  Owners pop and push one object or two, in sections that
 * take a step at a time; at each they may lose the CPU, perhaps to another
 * owner, and start from nothing.  The drainer goes through round after round.
 * The fence makes a section that is under way start again.
 *
 * Checked: each object is in one place, with its owner, in the magazine or in the
 * slab, and is taken from there (M2, M3 of docs/design/magazine.md); a magazine
 * that was emptied has none; the slots are enough.
 *
 * Memory is what everybody sees at once.  What a processor of x86 holds back,
 * its stores, the fence makes seen: those of the sections before the drainer
 * reads cur, those of the drainer before any section that is not made to start
 * again.  It keeps the order of the others, which come in the order below.
 *
 * PLANTED 1: cur is read before the gates, as KN_SWAP_LOADS makes it in the code.
 * PLANTED 2: no fence.
 */

#define OWNERS	2
#define OBJECTS	3
#define CAPACITY 2
#define CLOSED	7		/* as beg: more than any cur */
#define NONE	7

/* Where an object is. */
#define IN_MAGAZINE	OWNERS
#define IN_SLAB		(OWNERS + 1)
#define HELD_BY(o)	(o)

byte cur, beg, end;
byte slot[CAPACITY];

byte where[OBJECTS];
bool running;			/* an owner is in a section */
bool restart;			/* the fence found it so */
bool drain_lock;

/* An object changes its place; it must have been where it was taken from. */
inline move(obj, from, to)
{
	assert(where[obj] == from);
	where[obj] = to;
}

/* What is of no use afterwards is set to one value: fewer states. */
#define LEAVE						\
	running = false;				\
	restart = false;				\
	g = 0;						\
	c = 0

/* One step of a section; the thread may lose its CPU instead. */
#define STEP(again, what)				\
	atomic {					\
		if					\
		:: LEAVE; goto again			\
		:: !restart -> what			\
		fi					\
	}

#if PLANTED == 1
#define LOAD(again, gate)				\
	STEP(again, c = cur);				\
	STEP(again, g = gate)
#else
#define LOAD(again, gate)				\
	STEP(again, g = gate);				\
	STEP(again, c = cur)
#endif

/* Holds @had objects, @a and @b; wants @n. */
proctype owner(byte me)
{
	byte g, c, n, a, b, had;

idle:
	atomic {
		n = 0;
		if
		:: had == 0 -> n = 1; goto pop
		:: had == 0 -> n = 2; goto pop
		:: had > 0 -> n = had; goto push
		:: goto open
		fi
	}

pop:
	atomic { !running -> running = true; a = NONE; b = NONE };
	LOAD(pop, beg);
	if
	:: c <= g -> atomic { LEAVE; goto pop_slow }
	:: else
	fi;
	STEP(pop, if :: n > c -> n = c :: else fi; a = slot[c - 1]);
	if
	:: n == 2 -> STEP(pop, b = slot[c - 2])
	:: else
	fi;
	STEP(pop,
	     cur = c - n;
	     move(a, IN_MAGAZINE, HELD_BY(me));
	     if :: n == 2 -> move(b, IN_MAGAZINE, HELD_BY(me)) :: else fi;
	     had = n;
	     LEAVE);
	goto idle;

pop_slow:
	/* Past the magazine: a bit of the slab is claimed. */
	atomic {
		if
		:: where[0] == IN_SLAB -> a = 0
		:: where[1] == IN_SLAB -> a = 1
		:: where[2] == IN_SLAB -> a = 2
		:: else -> goto idle
		fi;
		move(a, IN_SLAB, HELD_BY(me));
		had = 1
	}
	goto idle;

push:
	atomic { !running -> running = true };
	LOAD(push, end);
	if
	:: c + n > g -> atomic { LEAVE; goto push_slow }
	:: else
	fi;
	STEP(push, assert(c + n <= CAPACITY); slot[c] = a);
	if
	:: n == 2 -> STEP(push, slot[c + 1] = b)
	:: else
	fi;
	STEP(push,
	     cur = c + n;
	     move(a, HELD_BY(me), IN_MAGAZINE);
	     if :: n == 2 -> move(b, HELD_BY(me), IN_MAGAZINE) :: else fi;
	     had = 0;
	     LEAVE);
	goto idle;

push_slow:
	/* One goes past the magazine, the other is tried again. */
	atomic {
		move(a, HELD_BY(me), IN_SLAB);
		a = b;
		b = NONE;
		had--
	}
	goto idle;

open:
	/* Does not wait for the lock. */
	atomic {
		if
		:: !drain_lock && end == 0 && beg == 0 -> end = CAPACITY
		:: else
		fi
	}
	goto idle
}

/* After empty() nothing is left that only this magazine knew. */
inline check_empty()
{
	assert(where[0] != IN_MAGAZINE);
	assert(where[1] != IN_MAGAZINE);
	assert(where[2] != IN_MAGAZINE)
}

proctype drainer()
{
	byte i, n;

	do
	:: atomic { !drain_lock -> drain_lock = true };
	   /* 1. Close. */
	   if
	   :: end != 0 -> beg = CLOSED; end = 0
	   :: else
	   fi;
	   /* 2. Fence. */
#if PLANTED != 2
	   restart = running;
#endif
	   /* 3. Empty. */
	   if
	   :: beg != CLOSED -> goto done
	   :: else -> n = cur
	   fi;
	   do
	   :: i < n -> atomic { move(slot[i], IN_MAGAZINE, IN_SLAB); i++ }
	   :: else -> break
	   od;
	   atomic { cur = 0; check_empty() };
	   /* 4. Open. */
	   end = CAPACITY;
	   beg = 0;
done:
	   atomic { drain_lock = false; i = 0; n = 0 }
	od
}

init
{
	atomic {
		where[0] = IN_SLAB;
		where[1] = IN_SLAB;
		where[2] = IN_SLAB;
		run owner(0);
		run owner(1);
		run drainer()
	}
}
