/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/grow.pml - one thread grows a zone, the others wait for it
 *
 * Stands for
 *   kn_zone_alloc(), kn_zone_alloc_bulk(), kn_zone_free()
 *						alloc/page/zone.c
 *   kn_zone_claim_growth(), kn_zone_grow(), grow_by()
 *						alloc/page/grow.c
 *   kn_wait_clear()				alloc/base/lock.c
 *
 * Threads take a page and give it back.  When none is free, one of them grows
 * the zone by a step of one page, with no lock held while it is in the system,
 * which may refuse at any time.
 *
 * Checked: no step is grown twice, and the free pages are those that were grown
 * and nobody has; a request fails only when the system refused its own try, or
 * the window is full; nobody waits for a thread that has gone.  That each request
 * ends is not: the lock promises nobody his turn.
 *
 * Left out: the second try of a request after free address space was given back,
 * and kn_zone_shrink(), which takes the mark as who grows does and lists nothing.
 *
 * PLANTED 1: whether somebody grows is asked without the lock, as
 *            KN_GROW_UNLOCKED makes it in the code.
 * PLANTED 2: a step that the system refuses leaves the mark.
 * PLANTED 3: the mark is taken off before the pages are listed, and a thread
 *            that waited for it gives up instead of trying again.
 */

#define WINDOW	2		/* steps that fit */

byte nr_free, held;
byte grown;			/* steps that the free lists may have */
byte in_system;			/* threads in the system for the step above */
bool lock, growing;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false

proctype thread()
{
	byte from;
	bool got, refused;

	do
	:: LOCK(lock);
	   atomic {
		if
		:: nr_free > 0 -> nr_free--; held++; got = true
		:: else
		fi
	   }
	   UNLOCK(lock);
	   if
	   :: got -> goto done
	   :: else
	   fi;
	   /* grow() */
#if PLANTED != 1
	   LOCK(lock);
#endif
	   if
	   :: growing ->
#if PLANTED != 1
		UNLOCK(lock);
#endif
		!growing;
#if PLANTED == 3
		goto done;
#endif
		goto again
	   :: else
	   fi;
	   growing = true;
#if PLANTED != 1
	   UNLOCK(lock);
#endif
	   /* grow_by() */
	   from = grown;
	   if
	   :: from == WINDOW -> refused = true
	   :: else ->
		in_system++;
		assert(in_system == 1);
		if
		:: true -> grown = from + 1
		:: true -> refused = true
		fi;
		in_system--
	   fi;
	   if
	   :: !refused ->
#if PLANTED == 3
		growing = false;
#endif
		LOCK(lock);
		nr_free++;
		assert(nr_free + held <= grown);
		UNLOCK(lock)
	   :: else
	   fi;
#if PLANTED == 2
	   if
	   :: !refused -> growing = false
	   :: else
	   fi;
#else
	   growing = false;
#endif
	   if
	   :: !refused -> goto again
	   :: else
	   fi;
done:
	   atomic {
		assert(got || refused);
		refused = false;
		from = 0
	   }
	   if
	   :: got ->
		LOCK(lock);
		atomic { held--; nr_free++; got = false };
		UNLOCK(lock)
	   :: else
	   fi;
again:
	   skip
	od
}

init
{
	atomic {
		run thread();
		run thread();
		run thread()
	}
}
