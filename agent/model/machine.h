/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state machine of a VM and that of a collection: one table each, event by
 * state. Documentation/states.rst shows both, printed from here.
 *
 * An event that takes time has three states: the one while it is done, the one
 * after it, and the one when it failed or was given up. Whoever drives the
 * machine keeps the state it came from and the event (the job has both), so a
 * crash in between loses nothing. An event that is not in the table for a
 * state is refused with 32775.
 *
 * A collection's state is what model_fold() makes of its members' states. Its
 * own table says which method may be called in which state, and what the fold
 * will be during and after it; a test holds the two together.
 *
 * Pure.
 */
#ifndef TIDEMARK_MODEL_MACHINE_H
#define TIDEMARK_MODEL_MACHINE_H

#include <stddef.h>
#include <stdio.h>

#include "model/state.h"

/** enum model_event - methods of the reference first, then what happens by itself */
enum model_event {
	EVENT_CREATE, /* CreateReplicationRelationship */
	EVENT_MODIFY, /* ModifyReplicationSettings */
	EVENT_REMOVE, /* RemoveReplicationRelationship */
	EVENT_START, /* StartReplication */
	EVENT_CANCEL_INITIAL, /* CancelInitialReplication */
	EVENT_RESYNC, /* Resynchronize, IncludeSuspended=false */
	EVENT_RESYNC_ALL, /* Resynchronize, IncludeSuspended=true */
	EVENT_CANCEL_RESYNC, /* CancelResynchronize */
	EVENT_SUSPEND, /* SuspendReplication */
	EVENT_RESUME, /* ResumeReplication */
	EVENT_PLANNED_FAILOVER, /* InitiatePlannedFailover */
	EVENT_REVERT_PLANNED, /* RevertPlannedFailover */
	EVENT_FAILOVER, /* InitiateFailover */
	EVENT_REVERT_FAILOVER, /* RevertFailover */
	EVENT_COMMIT_FAILOVER, /* CommitFailover */
	EVENT_PREPARE_REVERSE, /* PrepareForReverseReplication */
	EVENT_REVERSE, /* ReverseReplicationRelationship */
	EVENT_TEST, /* TestReplicaCollection */
	EVENT_REVERT_TEST, /* RevertTestReplicaCollection */
	EVENT_VERIFY, /* Verify (ours) */
	EVENT_CYCLE, /* the replication interval is over */
	EVENT_LOST, /* what changed is not known any more: a comparison is needed */
	EVENT_BROKEN, /* a run failed, and will again until somebody mends the cause */
	EVENT_RECEIVING, /* replica: the primary began to send */
	EVENT_RECEIVED, /* replica: a point was committed, or the sender left */
	EVENTS
};

/** enum model_action - what an event asks for besides another state */
enum model_action {
	ACTION_REFUSE = 0, /* nothing changes: 32775 */
	ACTION_NONE, /* the state alone */
	ACTION_RUN, /* a run, by agent/send */
	ACTION_STOP, /* end the run that goes on, keep what the replica stored */
	ACTION_RELATE, /* make, change or forget the relationship */
	ACTION_FAILOVER, /* by struct service_failover_ops */
};

/**
 * struct model_step - a cell of a table; states are of the table's own sort
 * @action: enum model_action
 * @during: the state at once
 * @done: the state after success
 * @failed: the state after a failure or a stop
 * @swap: success also exchanges the role, primary and replica
 */
struct model_step {
	uint8_t action;
	uint8_t during;
	uint8_t done;
	uint8_t failed;
	bool swap;
};

/** model_event_name() - "Resynchronize", "CancelInitialReplication", ... Never NULL */
const char *model_event_name(enum model_event event);
const char *model_action_name(enum model_action action);

/**
 * model_vm_step() - what an event does to a VM
 *
 * Return: a cell; .action is ACTION_REFUSE where the event may not come.
 */
struct model_step model_vm_step(enum model_role role, enum model_vm_state state,
				enum model_event event);

/** model_collection_step() - what an event does to a collection whose members agree */
struct model_step model_collection_step(enum model_role role, enum model_collection_state state,
					enum model_event event);

/** model_fold() - the state of a collection with these members; none: Disabled */
enum model_collection_state model_fold(const enum model_vm_state *members, size_t count);

/* JobTypes of an initial replication that is no EVENT_START over the network. */
#define MODEL_JOB_SEEDED 117 /* Start Resync Initial Replication */
#define MODEL_JOB_EXPORT 118 /* Start Export Initial Replication */

/** model_job_type() - JobType of the reference for a method's job; 0: it has none */
uint32_t model_job_type(enum model_event event);

/** model_print() - both tables and all names, as reStructuredText */
void model_print(FILE *out);

#endif
