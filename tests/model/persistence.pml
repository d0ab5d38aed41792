/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The epoch and persistence protocol, for spin. Documentation/persistence.rst
 * is the argument in words; this is the same argument for a machine that tries
 * every order of steps and every power cut. tests/model/run.sh runs it.
 *
 * The system is one process of guarded steps, not many processes: a power cut
 * must be able to end all of them at any moment, and leave only what is on a
 * medium. What would be a thread is a program counter:
 *
 *   writers   mark, wait until the extent's intent is durable, write, land
 *   intent    makes the intent of wanted extents durable
 *   check     the checkpoint: bitmap page, flush, clear the intent
 *   agent     handshake, (mark all), seal, drain, read, commit, or fold
 *   replica   stores a point durably; may lose power; may be rolled back
 *
 * GRANULES granules, each an extent of its own unless ONE_EXTENT: bits of a
 * byte. A granule's contents are the number of the write that made them.
 *
 * A MEDIUM has for each unit what reads see (..._cache) and what would survive
 * a cut (..._disk). A write goes to the cache. A flush copies all units of the
 * device, FUA one. At a cut each unit is decided by itself, so that unflushed
 * writes are lost or kept in any order; a unit of the metadata that was being
 * written may also be torn, which its checksum shows, and then all of it counts
 * as dirty. Of the superblock the twin is left then, which is the older one.
 *
 * INVARIANTS, asserted after each step:
 *
 *   covered    no granule whose contents differ from the replica's newest point
 *              is clear in all bitmaps, unless the next handshake will see that
 *              tracker and replica do not belong together
 *   not ahead  the tracker has not committed an epoch that the replica does not
 *              hold durably (but by a rollback of the replica, later)
 *
 * Each -D below takes one rule out, and a violation must be found.
 */
#ifndef WRITES
#define WRITES	2	/* in all */
#endif
#ifndef CUTS
#define CUTS	1	/* of the tracker's host */
#endif
#ifndef EPOCHS
#define EPOCHS	2	/* seals in all */
#endif
#ifndef ROLLBACKS
#define ROLLBACKS 1	/* of the replica */
#endif

#define GRANULES 2
#define WRITERS	2
#define ALL	3
#define BIT(g)	(1 << (g))

/* The extents that some granules lie in, and the granules of some extents. */
#ifdef ONE_EXTENT
#define EXTENTS(granules)	((granules) -> 1 : 0)
#define EXPAND(extents)		((extents) -> ALL : 0)
#else
#define EXTENTS(granules)	(granules)
#define EXPAND(extents)		(extents)
#endif

/* The data device. */
byte data_cache[GRANULES], data_disk[GRANULES];
byte writes_left = WRITES;

/* The metadata device: bitmap page, intent, superblock. */
byte page_cache, page_disk;
byte intent_cache, intent_disk;
byte next_cache = 2, next_disk = 2;	/* each epoch ever current is less */
byte committed_cache, committed_disk;

/* The tracker's memory, gone with the power. */
byte current, sealed;		/* bitmaps of granules */
byte wanted, armed, retiring;	/* extents: asked for, durable, being cleared */
byte epoch = 1, committed;
byte sealed_epoch;		/* 0: none */

/* The extents whose intent is on the medium, and stays there for long enough. */
#ifdef RETIRING_COUNTS
#define DURABLE	(armed | retiring)
#else
#define DURABLE	armed
#endif

/* Writers. */
mtype = { IDLE, MARKED, SUBMITTED };
mtype writer[WRITERS] = IDLE;
byte w_granule[WRITERS], w_number[WRITERS];
bool w_old[WRITERS];		/* belongs to the epoch that the last seal ended */
#define DRAINED	(!w_old[0] && !w_old[1])

/* Intent writer and checkpoint. */
bool intent_busy;		/* a write of the intent is under way */
byte intent_adds;
byte check;			/* 0 idle ... */
#define PAGE_STALE	(page_cache != (current | sealed))

/* Agent and replica. */
#define REST	0
#define MARK	1
#define SEAL	2
#define DRAIN	3
#define READ	4
#define STORE	5
#define ANSWER	6
#define COMMIT	7
#define SUPER	8
byte agent, todo;
byte stage[GRANULES];		/* what the replica was sent */
byte point[GRANULES], point_epoch;	/* durable */
byte older[GRANULES], older_epoch;	/* the point before */
byte cuts_left = CUTS, seals_left = EPOCHS, rollbacks_left = ROLLBACKS;
bool rolled_back;

/* What the handshake sees: agent/send/mode.c. */
#ifdef NO_EPOCH_CHECK
#define MATCH	(true)
#else
#define MATCH	(committed <= point_epoch && point_epoch < epoch)
#endif

#define COVERED(g)	(data_cache[g] == point[g] || \
			 ((current | sealed) & BIT(g)) || !MATCH)
#define NOT_AHEAD	(rolled_back || committed <= point_epoch)

/* -- writers ---------------------------------------------------------------- */

inline write_steps(w)
{
	if
	/* In the gate: mark, be counted in the current epoch. (They are alike, so
	 * the first that is free goes: spin need not try both.) */
	:: writer[w] == IDLE && writes_left > 0 && (w == 0 || writer[0] != IDLE) ->
		if
		:: w_granule[w] = 0
		:: w_granule[w] = 1
		fi;
		w_number[w] = WRITES + 1 - writes_left;
		writes_left--;
		current = current | BIT(w_granule[w]);
		w_old[w] = false;
		writer[w] = MARKED
	/* Held until the intent of its extent is durable. */
#if defined(NO_INTENT)
	:: writer[w] == MARKED -> writer[w] = SUBMITTED
#elif defined(INTENT_AFTER_DATA)
	:: writer[w] == MARKED ->
		wanted = wanted | (EXTENTS(BIT(w_granule[w])) & ~armed);
		writer[w] = SUBMITTED
#else
	:: writer[w] == MARKED && (DURABLE & EXTENTS(BIT(w_granule[w]))) ->
		writer[w] = SUBMITTED
	/* Its bit is about to be cleared, but that write has not begun: take it back. */
	:: writer[w] == MARKED && check <= 3 &&
	   (retiring & EXTENTS(BIT(w_granule[w]))) ->
		armed = armed | EXTENTS(BIT(w_granule[w]));
		writer[w] = SUBMITTED
	:: writer[w] == MARKED &&
	   !((DURABLE | wanted) & EXTENTS(BIT(w_granule[w]))) ->
		wanted = wanted | EXTENTS(BIT(w_granule[w]))
#endif
	:: writer[w] == SUBMITTED ->
		data_cache[w_granule[w]] = w_number[w];
		writer[w] = IDLE;
		w_old[w] = false;
		w_granule[w] = 0;
		w_number[w] = 0
	fi
}

inline data_flush()
{
	data_disk[0] = data_cache[0];
	data_disk[1] = data_cache[1]
}

/* -- the metadata's writers -------------------------------------------------- */

inline intent_steps()
{
	if
	:: !intent_busy && wanted ->
		intent_adds = wanted;
		intent_cache = armed | retiring | wanted;
		intent_busy = true;
#ifdef INTENT_NOT_DURABLE
		armed = armed | intent_adds;
		wanted = wanted & ~intent_adds
#endif
	:: intent_busy && intent_adds ->
		intent_disk = intent_cache;
		armed = armed | intent_adds;
		wanted = wanted & ~intent_adds;
		intent_adds = 0;
		intent_busy = false
	fi
}

inline meta_flush()
{
	page_disk = page_cache;
	intent_disk = intent_cache;
	next_disk = next_cache;
	committed_disk = committed_cache
}

inline check_steps()
{
	if
	/* From here on a write to these extents must arm them again ... */
	:: check == 0 && (armed || PAGE_STALE) ->
#ifndef DROP_AFTER_SNAPSHOT
		retiring = armed;
		armed = 0;
#endif
		check = 1
	/* ... so all that relied on them is marked by now. */
	:: check == 1 ->
		page_cache = current | sealed;
		check = 2
	:: check == 2 ->
#ifdef DROP_AFTER_SNAPSHOT
		retiring = armed;
		armed = 0;
#endif
#ifndef CLEAR_BEFORE_FLUSH
		meta_flush();
#endif
		check = 3
	:: check == 3 && !intent_busy ->
		intent_cache = armed;
		retiring = 0;
		intent_busy = true;
		check = 4
	:: check == 4 ->
		intent_disk = intent_cache;
		intent_busy = false;
#ifdef CLEAR_BEFORE_FLUSH
		check = 5
	:: check == 5 ->
		meta_flush();
#endif
		check = 0
	fi
}

/* -- agent and replica ------------------------------------------------------- */

inline fold()
{
#ifndef FOLD_FORGETS
	current = current | sealed;
#endif
	sealed = 0;
	sealed_epoch = 0
}

inline agent_idle()
{
	agent = REST;
	todo = 0;
	stage[0] = 0;
	stage[1] = 0
}

/* The point becomes the newest one, and what was newest the one before. */
inline point_store()
{
	older[0] = point[0];
	older[1] = point[1];
	older_epoch = point_epoch;
	point[0] = stage[0];
	point[1] = stage[1];
	point_epoch = sealed_epoch;
	rolled_back = false
}

inline agent_steps()
{
	if
	/* Handshake. */
	:: agent == REST && seals_left > 0 && (current || sealed || !MATCH) ->
		stage[0] = point[0];
		stage[1] = point[1];
		if
		:: MATCH -> agent = SEAL
		:: else ->
			agent = MARK;
			current = ALL;
#ifdef MARK_VOLATILE
			agent = SEAL
#endif
		fi
	/* Marks of a request are durable before anything relies on them. */
	:: agent == MARK && DURABLE == EXTENTS(ALL) -> agent = SEAL
	:: agent == MARK && (EXTENTS(ALL) & ~(DURABLE | wanted)) ->
		wanted = wanted | (EXTENTS(ALL) & ~DURABLE)
	/* The number of the epoch to come is used up on the medium first. */
#ifndef SEAL_NOT_RECORDED
	:: agent == SEAL && next_cache <= epoch + 1 -> next_cache = epoch + 2
	:: agent == SEAL && next_cache > epoch + 1 && next_disk < next_cache ->
		next_disk = next_cache
	:: agent == SEAL && DRAINED && next_disk > epoch + 1 ->
#else
	:: agent == SEAL && DRAINED ->
#endif
		/* An older sealed epoch that was not committed is folded. */
		fold();
		sealed = current;
		current = 0;
		sealed_epoch = epoch;
		epoch++;
		seals_left--;
		w_old[0] = (writer[0] != IDLE);
		w_old[1] = (writer[1] != IDLE);
		todo = sealed;
		agent = DRAIN
#ifdef READ_BEFORE_DRAIN
	:: agent == DRAIN -> agent = READ
#else
	:: agent == DRAIN && DRAINED -> agent = READ
#endif
	:: agent == READ && (todo & 1) -> stage[0] = data_cache[0]; todo = todo & ~1
	:: agent == READ && (todo & 2) -> stage[1] = data_cache[1]; todo = todo & ~2
	:: agent == READ && !todo -> agent = STORE
#ifdef ANSWER_BEFORE_DURABLE
	:: agent == STORE -> agent = ANSWER
#else
	:: agent == STORE -> point_store(); agent = ANSWER
#endif
	/* "Durable" arrives: the data must be before the marks go. */
	:: agent == ANSWER ->
#ifndef NO_DATA_FLUSH
		data_flush();
#endif
		agent = COMMIT
#ifdef CLEAR_BEFORE_SUPER
	:: agent == COMMIT -> sealed = 0; agent = SUPER
#else
	:: agent == COMMIT -> committed_cache = sealed_epoch; agent = SUPER
#endif
	:: agent == SUPER ->
		committed_cache = sealed_epoch;
		committed_disk = committed_cache;
		committed = committed_cache;
		sealed = 0;
		sealed_epoch = 0;
		agent_idle()
	/* The connection breaks, "durable" is lost, or the agent is killed. */
	:: agent >= DRAIN && agent <= ANSWER -> fold(); agent_idle()
	:: agent >= DRAIN && agent <= ANSWER -> agent_idle()
	fi
}

inline replica_rolled_back()
{
	rollbacks_left--;
	rolled_back = true;
	point[0] = older[0];
	point[1] = older[1];
	point_epoch = older_epoch
}

/* -- power ------------------------------------------------------------------- */

#ifdef NO_CHECKSUM
#define TORN	0
#else
#define TORN	ALL
#endif

inline cut_unit(cache, disk)
{
	if
	:: cache != disk -> disk = cache
	:: true
	fi
}

inline cut_torn(cache, disk)
{
	if
	:: cache != disk -> disk = cache
	:: cache != disk -> disk = TORN
	:: true
	fi
}

/* The host loses power, comes back, and loads: bitmap and intent. */
inline power_cut()
{
	cuts_left--;
	cut_unit(data_cache[0], data_disk[0]);
	cut_unit(data_cache[1], data_disk[1]);
	cut_torn(page_cache, page_disk);
	cut_torn(intent_cache, intent_disk);
	cut_unit(next_cache, next_disk);
	cut_unit(committed_cache, committed_disk);
	data_cache[0] = data_disk[0];
	data_cache[1] = data_disk[1];
	page_cache = page_disk;
	next_cache = next_disk;
	committed_cache = committed_disk;
	current = page_disk | EXPAND(intent_disk);
	sealed = 0;
	epoch = next_disk;
	committed = committed_disk;
	sealed_epoch = 0;
#ifdef INTENT_DROPPED_AT_LOAD
	intent_disk = 0;
#endif
	intent_cache = intent_disk;
	wanted = 0;
	armed = EXTENTS(intent_disk);
	retiring = 0;
	intent_busy = false;
	intent_adds = 0;
	check = 0;
	writer[0] = IDLE; w_granule[0] = 0; w_number[0] = 0; w_old[0] = false;
	writer[1] = IDLE; w_granule[1] = 0; w_number[1] = 0; w_old[1] = false;
	agent_idle()
}

active proctype tidemark()
{
end:	do
	:: atomic {
		if
		:: write_steps(0)
		:: write_steps(1)
		:: data_disk[0] != data_cache[0] || data_disk[1] != data_cache[1] ->
			data_flush()
		:: intent_steps()
		:: check_steps()
		:: agent_steps()
		:: rollbacks_left > 0 && agent == REST && older_epoch != point_epoch ->
			replica_rolled_back()
		:: cuts_left > 0 -> power_cut()
		fi;
		assert(COVERED(0));
		assert(COVERED(1));
		assert(NOT_AHEAD)
	}
	od
}
