// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "model/machine.h"

/* What each cell asks for: . refuse, n none, r run, s stop, l relate, f failover. */
static const char actions[] = ".nrslf";

/*
 * Every cell, written down a second time and by hand, a column for each state: who
 * changes the machine says so here, too.
 */
static const struct {
	enum model_event event;
	const char *primary;
	const char *replica;
} vm_cells[] = {
	/*                          0123456789012345678901    0123456789012345678901 */
	{ EVENT_CREATE,		   "l.....................", "......................" },
	{ EVENT_MODIFY,		   "llll...lllll..........", "......................" },
	{ EVENT_REMOVE,		   "ll.l...lll.l.......ll.", "......................" },
	{ EVENT_START,		   ".r....................", "......................" },
	{ EVENT_CANCEL_INITIAL,	   "..s...................", "......................" },
	{ EVENT_RESYNC,		   ".r.r.....r............", "......................" },
	{ EVENT_RESYNC_ALL,	   ".r.r...r.r.r..........", "......................" },
	{ EVENT_CANCEL_RESYNC,	   "..........sn..........", "......................" },
	{ EVENT_SUSPEND,	   "...s....nns...........", "......................" },
	{ EVENT_RESUME,		   ".......nn..r..........", "......................" },
	{ EVENT_PLANNED_FAILOVER,  "...f..................", "......................" },
	{ EVENT_REVERT_PLANNED,	   "...................f..", "......................" },
	{ EVENT_FAILOVER,	   "......................", "...f....f............." },
	{ EVENT_REVERT_FAILOVER,   "......................", ".....f................" },
	{ EVENT_COMMIT_FAILOVER,   "......................", ".....f................" },
	{ EVENT_PREPARE_REVERSE,   "...f...fff.f.......f..", ".....ff..............." },
	{ EVENT_REVERSE,	   "...................ff.", ".....ff.............f." },
	{ EVENT_TEST,		   "......................", "...f....f............." },
	{ EVENT_REVERT_TEST,	   "......................", ".....................f" },
	{ EVENT_VERIFY,		   ".r.r...rrr.r..........", "......................" },
	{ EVENT_CYCLE,		   "...r..................", "......................" },
	{ EVENT_LOST,		   "...n...nn.............", "......................" },
	{ EVENT_BROKEN,		   "...n..................", "..nn.................." },
	{ EVENT_RECEIVING,	   "......................", "nnnn....n............n" },
	{ EVENT_RECEIVED,	   "......................", "nnnn....n............n" },
};

static void machine__every_cell_of_a_vm(void **state)
{
	assert_int_equal(ARRAY_SIZE(vm_cells), EVENTS);
	for (size_t i = 0; i < EVENTS; i++) {
		for (unsigned int vm = 0; vm < VM_STATES; vm++) {
			enum model_event event = vm_cells[i].event;
			char primary = actions[model_vm_step(MODEL_PRIMARY, vm, event).action];
			char replica = actions[model_vm_step(MODEL_REPLICA, vm, event).action];

			if (primary != vm_cells[i].primary[vm] || replica != vm_cells[i].replica[vm])
				fail_msg("%s in %s: %c %c", model_event_name(event),
					 model_vm_state_name(vm), primary, replica);
		}
	}
}

/* From, during, done, failed. */
static const struct {
	enum model_role role;
	enum model_event event;
	uint8_t from, during, done, failed;
} vm_ways[] = {
	{ MODEL_PRIMARY, EVENT_CREATE, 0, 1, 1, 1 },
	{ MODEL_PRIMARY, EVENT_START, 1, 2, 3, 1 },
	{ MODEL_PRIMARY, EVENT_CANCEL_INITIAL, 2, 1, 1, 1 },
	{ MODEL_PRIMARY, EVENT_RESYNC, 1, 10, 3, 1 },
	{ MODEL_PRIMARY, EVENT_RESYNC, 3, 10, 3, 9 },
	{ MODEL_PRIMARY, EVENT_RESYNC, 9, 10, 3, 9 },
	{ MODEL_PRIMARY, EVENT_RESYNC_ALL, 7, 10, 3, 7 },
	{ MODEL_PRIMARY, EVENT_RESYNC_ALL, 11, 10, 3, 11 },
	{ MODEL_PRIMARY, EVENT_CANCEL_RESYNC, 10, 9, 9, 9 },
	{ MODEL_PRIMARY, EVENT_CANCEL_RESYNC, 11, 9, 9, 9 },
	{ MODEL_PRIMARY, EVENT_SUSPEND, 3, 7, 7, 7 },
	{ MODEL_PRIMARY, EVENT_SUSPEND, 8, 7, 7, 7 },
	{ MODEL_PRIMARY, EVENT_SUSPEND, 9, 11, 11, 11 },
	{ MODEL_PRIMARY, EVENT_SUSPEND, 10, 11, 11, 11 },
	{ MODEL_PRIMARY, EVENT_RESUME, 7, 3, 3, 3 },
	{ MODEL_PRIMARY, EVENT_RESUME, 8, 3, 3, 3 },
	{ MODEL_PRIMARY, EVENT_RESUME, 11, 10, 3, 9 },
	{ MODEL_PRIMARY, EVENT_PLANNED_FAILOVER, 3, 12, 19, 3 },
	{ MODEL_PRIMARY, EVENT_REVERT_PLANNED, 19, 13, 3, 19 },
	{ MODEL_PRIMARY, EVENT_PREPARE_REVERSE, 8, 18, 20, 8 },
	{ MODEL_PRIMARY, EVENT_REVERSE, 20, 18, 3, 20 },
	{ MODEL_PRIMARY, EVENT_CYCLE, 3, 3, 3, 3 },
	{ MODEL_PRIMARY, EVENT_LOST, 3, 9, 9, 9 },
	{ MODEL_PRIMARY, EVENT_LOST, 7, 11, 11, 11 },
	{ MODEL_PRIMARY, EVENT_LOST, 8, 9, 9, 9 },
	{ MODEL_PRIMARY, EVENT_BROKEN, 3, 8, 8, 8 },
	{ MODEL_REPLICA, EVENT_FAILOVER, 3, 12, 5, 3 },
	{ MODEL_REPLICA, EVENT_REVERT_FAILOVER, 5, 13, 3, 5 },
	{ MODEL_REPLICA, EVENT_COMMIT_FAILOVER, 5, 5, 6, 5 },
	{ MODEL_REPLICA, EVENT_REVERSE, 6, 18, 3, 6 },
	{ MODEL_REPLICA, EVENT_TEST, 3, 21, 21, 3 },
	{ MODEL_REPLICA, EVENT_REVERT_TEST, 21, 21, 3, 21 },
	{ MODEL_REPLICA, EVENT_RECEIVING, 0, 2, 2, 2 },
	{ MODEL_REPLICA, EVENT_RECEIVED, 2, 3, 3, 3 },
	{ MODEL_REPLICA, EVENT_BROKEN, 3, 8, 8, 8 },
};

static void machine__ways_of_a_vm(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vm_ways); i++) {
		struct model_step s = model_vm_step(vm_ways[i].role, vm_ways[i].from,
						    vm_ways[i].event);

		if (s.during != vm_ways[i].during || s.done != vm_ways[i].done ||
		    s.failed != vm_ways[i].failed)
			fail_msg("%s in %u: %u %u %u", model_event_name(vm_ways[i].event),
				 vm_ways[i].from, s.during, s.done, s.failed);
	}
}

/* Only an exchange of roles exchanges roles, and only on success it means anything. */
static void machine__only_reverse_exchanges_roles(void **state)
{
	for (unsigned int event = 0; event < EVENTS; event++) {
		for (unsigned int vm = 0; vm < VM_STATES; vm++) {
			for (unsigned int role = MODEL_PRIMARY; role <= MODEL_REPLICA; role++) {
				struct model_step s = model_vm_step(role, vm, event);

				assert_int_equal(s.swap, event == EVENT_REVERSE &&
							 s.action != ACTION_REFUSE);
			}
		}
	}
}

/*
 * The two tables agree: when all members are in one state and may take an event, the
 * collection's own table allows it, and the fold during, after and after a failure
 * is what that table says.
 */
static void machine__the_fold_is_the_collections_table(void **state)
{
	for (unsigned int role = MODEL_PRIMARY; role <= MODEL_REPLICA; role++) {
		for (unsigned int event = 0; event < EVENTS; event++) {
			for (unsigned int vm = 0; vm < VM_STATES; vm++) {
				struct model_step m = model_vm_step(role, vm, event);
				enum model_vm_state two[2] = { vm, vm };
				enum model_collection_state from = model_fold(two, 2);
				struct model_step c = model_collection_step(role, from, event);
				enum model_vm_state during[1] = { m.during };
				enum model_vm_state done[1] = { m.done };
				enum model_vm_state failed[1] = { m.failed };

				if (m.action == ACTION_REFUSE)
					continue;
				if (c.action == ACTION_REFUSE)
					fail_msg("%s in %s: the collection refuses",
						 model_event_name(event), model_vm_state_name(vm));
				/* States that members of several sorts share stay as they are. */
				if (c.during == from && c.done == from && m.during != vm)
					continue;
				/* Suspended stands for two: its cells are those of VM_SUSPENDED. */
				if (vm == VM_RESYNC_SUSPENDED)
					continue;
				if (model_fold(during, 1) != c.during || model_fold(done, 1) != c.done ||
				    model_fold(failed, 1) != c.failed)
					fail_msg("%s in %s: %u %u %u, the fold %u %u %u",
						 model_event_name(event), model_vm_state_name(vm),
						 c.during, c.done, c.failed, model_fold(during, 1),
						 model_fold(done, 1), model_fold(failed, 1));
			}
		}
	}
}

static void fold__mixed(void **state)
{
	static const struct {
		enum model_vm_state members[3];
		enum model_collection_state folded;
	} cases[] = {
		{ { 3, 3, 3 }, COLLECTION_REPLICATING },
		{ { 3, 3, 7 }, COLLECTION_REPLICATING },
		{ { 7, 11, 7 }, COLLECTION_SUSPENDED },
		{ { 3, 3, 9 }, COLLECTION_WAITING_RESYNC },
		{ { 3, 9, 10 }, COLLECTION_RESYNC },
		{ { 3, 8, 10 }, COLLECTION_CRITICAL },
		{ { 3, 3, 1 }, COLLECTION_PARTLY_ENABLED },
		{ { 1, 1, 1 }, COLLECTION_READY },
		{ { 3, 3, 0 }, COLLECTION_PARTLY_DISABLED },
		{ { 5, 3, 3 }, COLLECTION_PARTLY_RECOVERED },
		{ { 5, 6, 5 }, COLLECTION_RECOVERED },
		{ { 6, 6, 6 }, COLLECTION_COMMITTED },
		{ { 12, 3, 8 }, COLLECTION_FAILOVER },
		{ { 21, 3, 8 }, COLLECTION_TEST },
		{ { 19, 19, 19 }, COLLECTION_PLANNED },
		{ { 18, 3, 3 }, COLLECTION_REPURPOSE },
		{ { 2, 3, 3 }, COLLECTION_INITIAL },
	};

	assert_int_equal(model_fold(NULL, 0), COLLECTION_DISABLED);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(model_fold(cases[i].members, 3), cases[i].folded);
}

static void names__are_the_references(void **state)
{
	assert_string_equal(model_vm_state_name(9), "WaitingToStartResynchronization");
	assert_string_equal(model_vm_state_name(21), "FiredrillInProgress");
	assert_string_equal(model_vm_state_name(22), "Unknown");
	assert_string_equal(model_collection_state_name(4), "FailoverInitiated");
	assert_string_equal(model_collection_state_name(16), "PartiallyRecovered");
	assert_string_equal(job_state_name(32768), "CompletedWithWarnings");
	assert_string_equal(job_state_name(7), "Completed");
	assert_string_equal(job_state_name(77), "Unknown");
	assert_string_equal(model_health_name(3), "Critical");
	assert_int_equal(model_job_type(EVENT_RESYNC), 107);
	assert_int_equal(model_job_type(EVENT_START), 94);
	assert_int_equal(model_job_type(EVENT_CYCLE), 105);
	assert_int_equal(model_job_type(EVENT_FAILOVER), 97);
	assert_int_equal(model_job_type(EVENT_REVERT_TEST), 103);
	/* The reference has none. */
	assert_int_equal(model_job_type(EVENT_PREPARE_REVERSE), 0);
	assert_int_equal(model_job_type(EVENT_CANCEL_RESYNC), 110);
	for (unsigned int i = 0; i < EVENTS; i++)
		assert_true(strcmp(model_event_name(i), "unknown") != 0);
}

static void job_states__final(void **state)
{
	for (unsigned int i = 0; i < 40000; i++)
		assert_int_equal(job_state_final(i), (i >= 7 && i <= 10) || i == 32768);
}

/* Documentation/states.rst is what tidemarkd --print-states prints. */
static void documentation__has_these_tables(void **state)
{
	FILE *f = fopen("Documentation/states.rst", "re");
	char *wanted = NULL, *found = NULL;
	size_t size, room = 0;
	FILE *out = open_memstream(&wanted, &size);

	assert_non_null(out);
	model_print(out);
	fclose(out);
	if (!f)
		fail_msg("run from the top of the tree");
	assert_true(getdelim(&found, &room, '\0', f) > 0);
	fclose(f);
	if (strcmp(found, wanted) != 0)
		fail_msg("write it again: tidemarkd --print-states > Documentation/states.rst");
	free(found);
	free(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machine__every_cell_of_a_vm),
		cmocka_unit_test(machine__ways_of_a_vm),
		cmocka_unit_test(machine__only_reverse_exchanges_roles),
		cmocka_unit_test(machine__the_fold_is_the_collections_table),
		cmocka_unit_test(fold__mixed),
		cmocka_unit_test(names__are_the_references),
		cmocka_unit_test(job_states__final),
		cmocka_unit_test(documentation__has_these_tables),
	};

	return cmocka_run_group_tests_name("model/machine", tests, NULL, NULL);
}
