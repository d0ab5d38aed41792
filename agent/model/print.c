// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of the state machines as text: Documentation/states.rst is written
 * by `tidemarkd --print-states`, and a test compares the two.
 */
#include "model/machine.h"

#include <string.h>

typedef struct model_step (*step_fn)(enum model_role role, unsigned int state,
				     enum model_event event);
typedef const char *(*name_fn)(unsigned int state);

static struct model_step vm_step(enum model_role role, unsigned int state, enum model_event event)
{
	return model_vm_step(role, state, event);
}

static struct model_step collection_step(enum model_role role, unsigned int state,
					 enum model_event event)
{
	return model_collection_step(role, state, event);
}

static const char *vm_name(unsigned int state)
{
	return model_vm_state_name(state);
}

static const char *collection_name(unsigned int state)
{
	return model_collection_state_name(state);
}

static void print_heading(FILE *out, const char *text, char line)
{
	fprintf(out, "%s\n", text);
	for (size_t i = strlen(text); i; i--)
		fputc(line, out);
	fprintf(out, "\n\n");
}

static void print_names(FILE *out, unsigned int count, name_fn name)
{
	for (unsigned int i = 0; i < count; i++)
		fprintf(out, "    %2u  %s\n", i, name(i));
	fputc('\n', out);
}

static void print_steps(FILE *out, enum model_role role, unsigned int states, step_fn step)
{
	fprintf(out, "::\n\n    %-32s %5s  %-8s  %6s  %4s  %6s\n", "event", "state", "action",
		"during", "done", "failed");
	for (unsigned int event = 0; event < EVENTS; event++) {
		for (unsigned int state = 0; state < states; state++) {
			struct model_step s = step(role, state, event);

			if (s.action == ACTION_REFUSE)
				continue;
			fprintf(out, "    %-32s %5u  %-8s  %6u  %4u  %6u%s\n",
				model_event_name(event), state, model_action_name(s.action),
				s.during, s.done, s.failed, s.swap ? "  roles exchanged" : "");
		}
	}
	fputc('\n', out);
}

void model_print(FILE *out)
{
	fprintf(out, ".. SPDX-License-Identifier: GPL-2.0-or-later\n\n");
	print_heading(out, "States", '=');
	fprintf(out, "Printed by ``tidemarkd --print-states`` from ``agent/model/machine.c``; "
		"``tests/unit/model``\ncompares. An event that is not listed for a state is refused "
		"with 32775, and nothing\nchanges. *during* is the state at once, *done* after "
		"success, *failed* after a failure or\na stop. A collection's state is the fold of "
		"its members' states, the first row that\nholds; its own table says which method "
		"may be called, its members' tables which of them\nit is for.\n\n");
	print_heading(out, "Of a VM", '-');
	fprintf(out, "::\n\n");
	print_names(out, VM_STATES, vm_name);
	print_heading(out, "This host is the primary", '~');
	print_steps(out, MODEL_PRIMARY, VM_STATES, vm_step);
	print_heading(out, "This host has the replica", '~');
	print_steps(out, MODEL_REPLICA, VM_STATES, vm_step);
	print_heading(out, "Of a collection", '-');
	fprintf(out, "::\n\n");
	print_names(out, COLLECTION_STATES, collection_name);
	print_heading(out, "Its primary", '~');
	print_steps(out, MODEL_PRIMARY, COLLECTION_STATES, collection_step);
	print_heading(out, "Its replica", '~');
	print_steps(out, MODEL_REPLICA, COLLECTION_STATES, collection_step);
}
