/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/destroy.pml - the end of a cache, and the next one of its id
 *
 * Stands for
 *   kmem_cache_destroy(), take_slot(), make_cache(), kn_caches_trim()
 *						alloc/slab/cache.c
 *   kn_drain_cache(), drain_locked(), empty_and_open(), kn_drain_reopen(),
 *   kn_mag_open(), kn_depot_flush()		alloc/magazine/drain.c
 *   kfree()					alloc/slab/kmalloc.c
 *   hand_over()					alloc/deferred/batch.c
 *
 * Two programs make a cache, take its two objects, free each at once or after a
 * grace period, and destroy the cache, again and again.  Beside them the thread
 * of deferred frees finds the cache by the id in the map, and the background
 * thread drains all ids and trims the caches.
 *
 * Checked: a cache hands out its own objects only; when it is destroyed nothing
 * is in use, and nothing of it is in the magazine of its id afterwards; who looks
 * up an id finds what it needs.
 *
 * A section, a push on a depot and a free into a slab are one step each: see
 * drain.pml for the first.  So is the barrier: see grace.pml and collect.pml.
 *
 * PLANTED 1: a new cache may have the id of one that is being destroyed, as
 *            KN_ID_EARLY makes it in the code.
 * PLANTED 2: deferred frees are not waited for.
 * PLANTED 3: the id is given back before its gates are as they were.
 * PLANTED 4: the depots are not emptied.
 */

#define PROGRAMS 2
#define SLOTS	2
#define OBJECTS	(2 * PROGRAMS)	/* two of each program */
#define OWNER(o) ((o) / 2)

/* Of a slot, by place in the table. */
bool taken[SLOTS];		/* it has an id */
bool live[SLOTS];
bool found[SLOTS];		/* kn_magcaches[] has it */
bool shut[SLOTS];		/* its cache is closed for good */
mtype = { NEW, OPEN, CLOSED };
mtype gate[SLOTS];		/* of its magazine */

/* Where an object is; IN_MAGAZINE and IN_DEPOT of the slot that `map` says. */
mtype = { NOWHERE, IN_SLAB, IN_MAGAZINE, IN_DEPOT, HELD, DEFERRED, TAKEN_UP };
mtype where[OBJECTS];
byte map[OBJECTS];		/* the map: the slot of the id, or SLOTS */

bool list_lock, drain_lock;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false

/* Puts @o, which is free, where it goes: the cache is looked up by the map. */
inline put(o)
{
	atomic {
		assert(map[o] < SLOTS && taken[map[o]]);
		if
		:: gate[map[o]] == OPEN -> where[o] = IN_MAGAZINE
		:: gate[map[o]] == OPEN -> where[o] = IN_DEPOT
		:: gate[map[o]] != OPEN -> where[o] = IN_SLAB
		fi
	}
}

/* Steps 1 and 2 of a round, for one id; the drain lock is held. */
inline close_gates(s)
{
	if
	:: gate[s] == OPEN -> gate[s] = CLOSED
	:: else
	fi
}

/* Steps 3 and 4. */
inline empty_and_open(s)
{
	if
	:: gate[s] == CLOSED ->
		i = 0;
		do
		:: i < OBJECTS && map[i] == s && where[i] == IN_MAGAZINE ->
			atomic {
				assert(found[s]);
				where[i] = IN_SLAB;
				i++
			}
		:: i < OBJECTS && !(map[i] == s && where[i] == IN_MAGAZINE) -> i++
		:: else -> break
		od;
		i = 0;
		/* Looked up, and looked at. */
		if
		:: found[s] ->
			atomic {
				assert(found[s]);
				if
				:: !shut[s] -> gate[s] = OPEN
				:: else
				fi
			}
		:: else
		fi
	:: else
	fi
}

inline flush_depot(s)
{
	i = 0;
	do
	:: i < OBJECTS ->
		atomic {
			if
			:: map[i] == s && where[i] == IN_DEPOT ->
				where[i] = IN_SLAB
			:: else
			fi;
			i++
		}
	:: else -> break
	od;
	i = 0
}

/* Slabs with nothing in use are given back. */
inline reap(s)
{
	atomic {
		i = 0;
		do
		:: i < OBJECTS && map[i] == s && where[i] == IN_SLAB &&
		   where[i + 1] == IN_SLAB ->
			where[i] = NOWHERE;
			where[i + 1] = NOWHERE;
			map[i] = SLOTS;
			map[i + 1] = SLOTS;
			i = i + 2
		:: i < OBJECTS && !(map[i] == s && where[i] == IN_SLAB &&
				    where[i + 1] == IN_SLAB) -> i = i + 2
		:: else -> break
		od;
		i = 0
	}
}

#if PLANTED == 1
#define FREE(s)	(!live[s])
#else
#define FREE(s)	(!taken[s])
#endif

inline create()
{
	LOCK(list_lock);
	atomic {
		if
		:: FREE(0) -> s = 0
		:: else -> s = 1
		fi;
		assert(FREE(s));
		taken[s] = true;
		found[s] = true;
		shut[s] = false;
		live[s] = true
	}
	UNLOCK(list_lock)
}

/* Of the first that has one: magazine, depot, slab, a new slab. */
#define HAS(o, place)	(map[o] == s && where[o] == place)
#define ANY(place)	(HAS(0, place) || HAS(1, place) || HAS(2, place) || \
			 HAS(3, place))

inline pick(place)
{
	if
	:: HAS(0, place) -> o = 0
	:: HAS(1, place) -> o = 1
	:: HAS(2, place) -> o = 2
	:: HAS(3, place) -> o = 3
	fi
}

inline alloc()
{
	atomic {
		if
		:: gate[s] == OPEN && ANY(IN_MAGAZINE) -> pick(IN_MAGAZINE)
		:: else ->
			if
			:: ANY(IN_DEPOT) -> pick(IN_DEPOT)
			:: else ->
				if
				:: ANY(IN_SLAB) -> pick(IN_SLAB)
				:: else ->
					o = 2 * me;
					assert(where[o] == NOWHERE);
					assert(where[o + 1] == NOWHERE);
					map[o] = s;
					map[o + 1] = s;
					where[o + 1] = IN_SLAB
				fi
			fi
		fi;
		assert(OWNER(o) == me);
		where[o] = HELD
	}
}

inline open()
{
	atomic {
		if
		:: !drain_lock && gate[s] == NEW && !shut[s] -> gate[s] = OPEN
		:: true
		fi
	}
}

inline destroy()
{
#if PLANTED != 2
	/* 1. The barrier. */
	where[2 * me] != DEFERRED && where[2 * me] != TAKEN_UP &&
		where[2 * me + 1] != DEFERRED && where[2 * me + 1] != TAKEN_UP;
#endif
	LOCK(list_lock);
	live[s] = false;
	UNLOCK(list_lock);
	/* 2. Gates closed for good, magazines and depots drained. */
	LOCK(drain_lock);
	shut[s] = true;
	UNLOCK(drain_lock);
	LOCK(drain_lock);
	close_gates(s);
	empty_and_open(s);
	UNLOCK(drain_lock);
#if PLANTED != 4
	flush_depot(s);
#endif
	/* 3. Nothing in use; the id may serve another cache. */
	atomic {
		assert(!ANY(HELD) && !ANY(DEFERRED) && !ANY(TAKEN_UP));
		assert(!ANY(IN_MAGAZINE) && !ANY(IN_DEPOT))
	}
	reap(s);
#if PLANTED == 3
	LOCK(list_lock);
	found[s] = false;
	taken[s] = false;
	UNLOCK(list_lock);
#endif
	LOCK(drain_lock);
	atomic {
		assert(!ANY(IN_MAGAZINE));
		if
		:: gate[s] == CLOSED -> gate[s] = NEW
		:: else
		fi
	}
	UNLOCK(drain_lock);
#if PLANTED != 3
	LOCK(list_lock);
	atomic { found[s] = false; taken[s] = false };
	UNLOCK(list_lock)
#endif
}

inline free(o)
{
	if
	:: put(o)
	:: where[o] = DEFERRED
	fi
}

proctype program(byte me)
{
	byte s, o, i;

	do
	:: create();
	   open();
	   do
	   :: where[2 * me] != HELD || where[2 * me + 1] != HELD -> alloc()
	   :: where[2 * me] == HELD && where[2 * me + 1] == HELD -> break
	   od;
	   open();
	   free(2 * me);
	   free(2 * me + 1);
	   o = 0;
	   destroy();
	   s = 0
	od
}

/* Objects whose grace period is over. */
proctype deferred()
{
	byte o;

	do
	:: atomic {
		if
		:: where[0] == DEFERRED -> o = 0
		:: where[1] == DEFERRED -> o = 1
		:: where[2] == DEFERRED -> o = 2
		:: where[3] == DEFERRED -> o = 3
		fi;
		where[o] = TAKEN_UP
	   }
	   put(o);
	   o = 0
	od
}

proctype background()
{
	byte i;

	do
	:: LOCK(drain_lock);
	   close_gates(0);
	   close_gates(1);
	   empty_and_open(0);
	   empty_and_open(1);
	   UNLOCK(drain_lock)
	:: LOCK(list_lock);
	   if
	   :: live[0] -> flush_depot(0); reap(0)
	   :: else
	   fi;
	   if
	   :: live[1] -> flush_depot(1); reap(1)
	   :: else
	   fi;
	   UNLOCK(list_lock)
	od
}

init
{
	atomic {
		gate[0] = NEW;
		gate[1] = NEW;
		where[0] = NOWHERE;
		where[1] = NOWHERE;
		where[2] = NOWHERE;
		where[3] = NOWHERE;
		map[0] = SLOTS;
		map[1] = SLOTS;
		map[2] = SLOTS;
		map[3] = SLOTS;
		run program(0);
		run program(1);
		run deferred();
		run background()
	}
}
