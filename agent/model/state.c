// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/state.h"

#include <stddef.h>

#include "base/util.h"

static const char *name_of(const char *const *names, size_t count, unsigned int value)
{
	return value < count && names[value] ? names[value] : "Unknown";
}

const char *model_role_name(enum model_role role)
{
	static const char *const names[] = {
		[MODEL_PRIMARY] = "primary",
		[MODEL_REPLICA] = "replica",
	};

	return name_of(names, ARRAY_SIZE(names), role);
}

const char *model_vm_state_name(enum model_vm_state state)
{
	static const char *const names[VM_STATES] = {
		[VM_DISABLED] = "Disabled",
		[VM_READY] = "Ready",
		[VM_INITIAL] = "WaitingToCompleteInitialReplication",
		[VM_REPLICATING] = "Replicating",
		[VM_SYNCED] = "SyncedReplicationComplete",
		[VM_RECOVERED] = "Recovered",
		[VM_COMMITTED] = "Committed",
		[VM_SUSPENDED] = "Suspended",
		[VM_CRITICAL] = "Critical",
		[VM_WAITING_RESYNC] = "WaitingToStartResynchronization",
		[VM_RESYNC] = "Resynchronizing",
		[VM_RESYNC_SUSPENDED] = "ResynchronizationSuspended",
		[VM_FAILOVER] = "FailoverInProgress",
		[VM_FAILBACK] = "FailbackInProgress",
		[VM_FAILBACK_COMPLETE] = "FailbackComplete",
		[VM_DISK_UPDATE] = "DiskUpdateInProgress",
		[VM_DISK_UPDATE_CRITICAL] = "DiskUpdateCritical",
		[VM_UNKNOWN] = "Unknown",
		[VM_REPURPOSE] = "RepurposeInProgress",
		[VM_PREPARED_SYNC] = "PreparedForSync",
		[VM_PREPARED_REVERSE] = "PreparedForGroupReverse",
		[VM_TEST] = "FiredrillInProgress",
	};

	return name_of(names, ARRAY_SIZE(names), state);
}

const char *model_collection_state_name(enum model_collection_state state)
{
	static const char *const names[COLLECTION_STATES] = {
		[COLLECTION_DISABLED] = "Disabled",
		[COLLECTION_READY] = "Ready",
		[COLLECTION_INITIAL] = "WaitingToCompleteInitialReplication",
		[COLLECTION_REPLICATING] = "Replicating",
		[COLLECTION_FAILOVER] = "FailoverInitiated",
		[COLLECTION_RECOVERED] = "Recovered",
		[COLLECTION_COMMITTED] = "Committed",
		[COLLECTION_SUSPENDED] = "Suspended",
		[COLLECTION_CRITICAL] = "Critical",
		[COLLECTION_WAITING_RESYNC] = "WaitingToStartResynchronization",
		[COLLECTION_RESYNC] = "Resynchronizing",
		[COLLECTION_PLANNED] = "PlannedFailoverInitiated",
		[COLLECTION_REPURPOSE] = "RepurposeInitiated",
		[COLLECTION_TEST] = "TestFailoverInitiated",
		[COLLECTION_PARTLY_ENABLED] = "PartiallyEnabled",
		[COLLECTION_PARTLY_DISABLED] = "PartiallyDisabled",
		[COLLECTION_PARTLY_RECOVERED] = "PartiallyRecovered",
	};

	return name_of(names, ARRAY_SIZE(names), state);
}

const char *model_health_name(enum model_health health)
{
	static const char *const names[] = {
		[HEALTH_NONE] = "NotApplicable",
		[HEALTH_OK] = "Ok",
		[HEALTH_WARNING] = "Warning",
		[HEALTH_CRITICAL] = "Critical",
	};

	return name_of(names, ARRAY_SIZE(names), health);
}

const char *model_consistency_name(enum model_consistency consistency)
{
	static const char *const names[] = {
		[CONSISTENCY_APPLICATION] = "application",
		[CONSISTENCY_CRASH] = "crash",
		[CONSISTENCY_GROUP_CRASH] = "group crash",
	};

	return name_of(names, ARRAY_SIZE(names), consistency);
}

const char *job_state_name(enum job_state state)
{
	static const char *const names[] = {
		[JOB_NEW] = "New",
		[JOB_STARTING] = "Starting",
		[JOB_RUNNING] = "Running",
		[JOB_SUSPENDED] = "Suspended",
		[JOB_SHUTTING_DOWN] = "ShuttingDown",
		[JOB_COMPLETED] = "Completed",
		[JOB_TERMINATED] = "Terminated",
		[JOB_KILLED] = "Killed",
		[JOB_EXCEPTION] = "Exception",
	};

	if (state == JOB_WARNINGS)
		return "CompletedWithWarnings";
	return name_of(names, ARRAY_SIZE(names), state);
}

bool job_state_final(enum job_state state)
{
	return (state >= JOB_COMPLETED && state <= JOB_EXCEPTION) || state == JOB_WARNINGS;
}
