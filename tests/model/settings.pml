/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/model/settings.pml - settings that are changed while the heap starts
 *
 * Stands for
 *   knuma_conf_set(), knuma_conf_get(), kn_conf_freeze(), kn_conf_thaw()
 *   knuma_conf_reload()				alloc/config/conf_api.c
 *   kn_tunable_set()				alloc/config/tunables.c
 *   kn_start_slow(), start_layers()		alloc/core/start.c
 *
 * Two programs change a setting of two words, a text, and may be interrupted
 * there by a handler that allocates.  A third reads the setting by name.  The
 * start reads it twice, in two layers, without a lock; it may fail, and is tried
 * again then.
 *
 * Checked (C1 and C3 of alloc/config/tunables.h): who reads has what one change
 * made, or what was there before; what the layers of one start have read is the
 * same, and what a change that was not refused has made; all come to an end.
 *
 * A fourth program reloads two settings that may change at any time, and a fifth
 * asks for both, one after the other (C4): who has seen a part of a reload does
 * not see what was there before.
 *
 * PLANTED 1: what the start reads can be set until it has ended, as KN_SEAL_LATE
 *            makes it in the code.
 * PLANTED 2: the start does not wait for a change that is under way.
 * PLANTED 3: a start in a handler waits for the change it interrupted.
 * PLANTED 4: a reload takes the lock for each value.
 */

#define CHANGES	2		/* of each program */

byte text[2];			/* the setting: two words, written one by one */
byte free_text[2];		/* two settings of one word each */
byte last;			/* what the last change made that was not refused */
bool lock, start_lock, sealed, started;

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false

/* A copy, word by word, and whole. */
inline read(a, b)
{
	a = text[0];
	b = text[1];
	assert(a == b)
}

/* In the middle of a change, by its own thread. */
inline handler()
{
#if PLANTED == 3
	LOCK(lock)
#else
	/* kn_conf_freeze() says no. */
	skip
#endif
}

proctype changer(byte me)
{
	byte n, value;

	do
	:: n < CHANGES ->
		LOCK(lock);
		if
		:: sealed -> skip
		:: !sealed ->
			value = CHANGES * me + n + 1;
			text[0] = value;
			if
			:: !started -> handler()
			:: true
			fi;
			atomic { text[1] = value; last = value }
		fi;
		UNLOCK(lock);
		n++
	:: else -> break
	od
}

proctype getter()
{
	byte a, b;

	LOCK(lock);
	read(a, b);
	UNLOCK(lock)
}

proctype reloader()
{
	LOCK(lock);
	free_text[0] = 1;
#if PLANTED == 4
	UNLOCK(lock);
	LOCK(lock);
#endif
	free_text[1] = 1;
	UNLOCK(lock)
}

/* Two calls, in both orders. */
proctype asker()
{
	byte which, first, second;

	if
	:: which = 0
	:: which = 1
	fi;
	LOCK(lock);
	first = free_text[which];
	UNLOCK(lock);
	LOCK(lock);
	second = free_text[1 - which];
	UNLOCK(lock);
	assert(second >= first)
}

inline seal(yes)
{
#if PLANTED == 2
	sealed = yes
#else
	LOCK(lock);
	sealed = yes;
	UNLOCK(lock)
#endif
}

/* Two threads come to it at once. */
proctype starter()
{
	byte a, b, c, d;

	LOCK(start_lock);
	do
	:: started -> break
	:: else ->
#if PLANTED != 1
		seal(true);
#endif
		read(a, b);
		if
		:: true ->
			read(c, d);
			assert(a == c && a == last);
#if PLANTED == 1
			seal(true);
#endif
			started = true
		:: seal(false)
		fi
	od;
	UNLOCK(start_lock);
	assert(text[0] == text[1] && text[0] == last)
}

init
{
	atomic {
		run changer(0);
		run changer(1);
		run getter();
		run reloader();
		run asker();
		run starter();
		run starter()
	}
}
