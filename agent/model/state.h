/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * States of the management model: numbers and names are those of Microsoft's
 * reference (Msvm_CollectionReplicationService, Msvm_ReplicationRelationship,
 * CIM_ConcreteJob). People are shown names, programs numbers.
 *
 * Pure: nothing here knows a disk, a clock or a bus.
 */
#ifndef TIDEMARK_MODEL_STATE_H
#define TIDEMARK_MODEL_STATE_H

#include <stdbool.h>
#include <stdint.h>

/** enum model_role - which half of a relationship this host is */
enum model_role {
	MODEL_PRIMARY = 1,
	MODEL_REPLICA = 2,
};

/** enum model_vm_state - of a member of a collection */
enum model_vm_state {
	VM_DISABLED = 0,
	VM_READY = 1,
	VM_INITIAL = 2, /* WaitingToCompleteInitialReplication */
	VM_REPLICATING = 3,
	VM_SYNCED = 4, /* SyncedReplicationComplete */
	VM_RECOVERED = 5,
	VM_COMMITTED = 6,
	VM_SUSPENDED = 7,
	VM_CRITICAL = 8,
	VM_WAITING_RESYNC = 9, /* WaitingToStartResynchronization */
	VM_RESYNC = 10, /* Resynchronizing */
	VM_RESYNC_SUSPENDED = 11, /* ResynchronizationSuspended */
	VM_FAILOVER = 12, /* FailoverInProgress */
	VM_FAILBACK = 13, /* FailbackInProgress */
	VM_FAILBACK_COMPLETE = 14,
	VM_DISK_UPDATE = 15, /* DiskUpdateInProgress */
	VM_DISK_UPDATE_CRITICAL = 16,
	VM_UNKNOWN = 17,
	VM_REPURPOSE = 18, /* RepurposeInProgress */
	VM_PREPARED_SYNC = 19, /* PreparedForSync */
	VM_PREPARED_REVERSE = 20, /* PreparedForGroupReverse */
	VM_TEST = 21, /* FiredrillInProgress */
	VM_STATES
};

/** enum model_collection_state - 4 and those from 11 on are not a VM's */
enum model_collection_state {
	COLLECTION_DISABLED = 0,
	COLLECTION_READY = 1,
	COLLECTION_INITIAL = 2, /* WaitingToCompleteInitialReplication */
	COLLECTION_REPLICATING = 3,
	COLLECTION_FAILOVER = 4, /* FailoverInitiated */
	COLLECTION_RECOVERED = 5,
	COLLECTION_COMMITTED = 6,
	COLLECTION_SUSPENDED = 7,
	COLLECTION_CRITICAL = 8,
	COLLECTION_WAITING_RESYNC = 9, /* WaitingToStartResynchronization */
	COLLECTION_RESYNC = 10, /* Resynchronizing */
	COLLECTION_PLANNED = 11, /* PlannedFailoverInitiated */
	COLLECTION_REPURPOSE = 12, /* RepurposeInitiated */
	COLLECTION_TEST = 13, /* TestFailoverInitiated */
	COLLECTION_PARTLY_ENABLED = 14, /* PartiallyEnabled */
	COLLECTION_PARTLY_DISABLED = 15, /* PartiallyDisabled */
	COLLECTION_PARTLY_RECOVERED = 16, /* PartiallyRecovered */
	COLLECTION_STATES
};

/** enum model_health - of a disk, VM or collection; a worse one is a larger number */
enum model_health {
	HEALTH_NONE = 0, /* NotApplicable */
	HEALTH_OK = 1,
	HEALTH_WARNING = 2,
	HEALTH_CRITICAL = 3,
};

/** enum model_consistency - of a point; 0: not known */
enum model_consistency {
	CONSISTENCY_APPLICATION = 1,
	CONSISTENCY_CRASH = 2,
	CONSISTENCY_GROUP_CRASH = 3,
};

/** enum job_state - of CIM_ConcreteJob */
enum job_state {
	JOB_NEW = 2,
	JOB_STARTING = 3,
	JOB_RUNNING = 4,
	JOB_SUSPENDED = 5,
	JOB_SHUTTING_DOWN = 6,
	JOB_COMPLETED = 7,
	JOB_TERMINATED = 8,
	JOB_KILLED = 9,
	JOB_EXCEPTION = 10,
	JOB_WARNINGS = 32768,
};

/* Names as the reference spells them: "WaitingToStartResynchronization". Never NULL. */
const char *model_role_name(enum model_role role);
const char *model_vm_state_name(enum model_vm_state state);
const char *model_collection_state_name(enum model_collection_state state);
const char *model_health_name(enum model_health health);
const char *model_consistency_name(enum model_consistency consistency);
/** job_state_name() - "Running", "CompletedWithWarnings", ... */
const char *job_state_name(enum job_state state);
/** job_state_final() - will it never change again? */
bool job_state_final(enum job_state state);

#endif
