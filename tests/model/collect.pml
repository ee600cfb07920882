/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/collect.pml - whether objects of a cache wait for a grace period
 *
 * Stands for
 *   kn_batch_put(), kn_batch_put_slow(), make_room(), flush(), kn_batch_link(),
 *   kn_batch_collect(), kn_batch_of_cache(), take(), done()
 *						alloc/deferred/batch.c
 *   kvfree_rcu_barrier_on_cache()		alloc/deferred/kfree_rcu.c
 *   kn_drain_needed()				alloc/magazine/drain.c
 *
 * Producers give their object away: into the magazine; or into it, after what
 * was there has gone on the stack of blocks; or on the stack of links.  They have
 * it again when it was freed.  The thread of the flavour takes the stacks and
 * frees; a caller of the barrier asks whether anything of the cache waits, and
 * need not wait if not.
 *
 * Checked: when the answer is no, all that was given away before is free (W2 of
 * alloc/deferred/batch.h, which kmem_cache_destroy() relies on).
 *
 * A section is one step, see drain.pml, as are the stacks.  Grace periods and
 * what a barrier does after a yes are in grace.pml.
 *
 * PLANTED 1: what goes on the stack of links is counted behind that.
 * PLANTED 2: batches on the way from a full magazine are not waited for, as
 *            KN_MOVING_UNSEEN makes it in the code.
 * PLANTED 3: a drain counts a batch behind emptying the magazine.
 */

#define PRODUCERS 2

bool magazine[PRODUCERS];	/* by object */
bool stack[PRODUCERS];		/* of links, or of blocks */
bool taken[PRODUCERS];
bool freed[PRODUCERS];
bool given[PRODUCERS];		/* the call that gave it away has returned */
bool owed[PRODUCERS];		/* ... before the caller asked */
short of_cache;
byte moving;
bool drain_lock;		/* gates are closed under it */

#define ANY_IN_MAGAZINE	(magazine[0] || magazine[1])
#define NR(a)		(a[0] + a[1])

/* What is in the batch. */
inline push()
{
	atomic {
		stack[0] = stack[0] || batch[0];
		stack[1] = stack[1] || batch[1];
		batch[0] = false;
		batch[1] = false
	}
}

proctype producer(byte me)
{
	bool batch[PRODUCERS];

	do
	:: if
	   :: /* Its section. */
		atomic { !drain_lock -> magazine[me] = true }
	   :: /* Full: make_room(). */
		moving++;
		atomic {
			if
			:: !drain_lock ->
				batch[0] = magazine[0];
				batch[1] = magazine[1];
				magazine[0] = false;
				magazine[1] = false
			:: drain_lock
			fi
		}
		of_cache = of_cache + NR(batch);
		push();
		moving--;
		atomic { !drain_lock -> magazine[me] = true }
	   :: /* Past the magazine. */
#if PLANTED == 1
		stack[me] = true;
		of_cache++
#else
		of_cache++;
		stack[me] = true
#endif
	   fi;
	   given[me] = true;
	   atomic {
		freed[me] -> freed[me] = false;
		given[me] = false
	   }
	od
}

inline collect()
{
	/* A magazine that is being drained is not empty before it is counted. */
	if
	:: ANY_IN_MAGAZINE ->
		atomic { !drain_lock -> drain_lock = true };
		batch[0] = magazine[0];
		batch[1] = magazine[1];
#if PLANTED == 3
		atomic { magazine[0] = false; magazine[1] = false };
#endif
		of_cache = of_cache + NR(batch);
		push();
		atomic { magazine[0] = false; magazine[1] = false };
		drain_lock = false
	:: else
	fi;
#if PLANTED != 2
	moving == 0;
#endif
}

proctype thread()
{
	bool batch[PRODUCERS];
	byte i;

	do
	:: collect();
	   atomic {
		taken[0] = stack[0];
		taken[1] = stack[1];
		stack[0] = false;
		stack[1] = false
	   }
	   do
	   :: i < PRODUCERS && taken[i] ->
		/* Handed over, then counted out. */
		atomic {
			taken[i] = false;
			owed[i] = false;
			freed[i] = true
		}
		of_cache--;
		i++
	   :: i < PRODUCERS && !taken[i] -> i++
	   :: else -> break
	   od;
	   i = 0
	od
}

proctype caller()
{
	bool batch[PRODUCERS];

	do
	:: atomic {
		owed[0] = given[0] && !freed[0];
		owed[1] = given[1] && !freed[1]
	   }
	   collect();
	   atomic {
		if
		:: of_cache == 0 -> assert(!owed[0] && !owed[1])
		:: else
		fi;
		owed[0] = false;
		owed[1] = false
	   }
	od
}

init
{
	atomic {
		run producer(0);
		run producer(1);
		run thread();
		run caller()
	}
}
