/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent, over D-Bus. The only file of the command that knows sd-bus.
 *
 * The functions that can be refused by the agent return an exit code and have
 * said why on stderr.
 */
#ifndef TIDEMARK_BUS_H
#define TIDEMARK_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What names the bus when --bus does not: an address, or "system" (also when unset). */
#define BUS_ENVIRONMENT "TIDEMARK_BUS_ADDRESS"

/** The agent's job states that mean something here; numbers are the reference's */
enum bus_job_state {
	BUS_JOB_RUNNING		= 4,
	BUS_JOB_SHUTTING_DOWN	= 6,
	BUS_JOB_COMPLETED	= 7,
	BUS_JOB_TERMINATED	= 8,
	BUS_JOB_KILLED		= 9,
	BUS_JOB_EXCEPTION	= 10,
	BUS_JOB_WARNINGS	= 32768,
};

/**
 * struct bus_range - a range that differs, found by a verification
 * @vm: name of the VM
 * @disk: name of its disk
 * @offset: bytes
 * @length: bytes
 */
struct bus_range {
	char vm[64];
	char disk[64];
	uint64_t offset;
	uint64_t length;
};

/**
 * struct bus_job - a job
 * @id: its number
 * @collection: what it is about
 * @name: what it does: "Resynchronize", "Verify"
 * @status: its state in a word
 * @text: why it failed, or a warning
 * @state: enum bus_job_state
 * @error: code of the management model, 0: none
 * @permille: how much is done
 * @passes: seals
 * @torn: torn epochs
 * @bytes_disk: of all disks
 * @bytes_marked: of granules that were marked at the start
 * @bytes_owed: of granules that the seals made owed
 * @bytes_sent: sent as data
 * @bytes_zero: sent as zeroes
 * @bytes_on_wire: written to the connection
 * @bytes_remaining: owed and not handled
 * @bytes_different: found by a verification
 * @read_calls: reads of the disks
 * @rate: bytes a second
 * @eta: seconds, UINT64_MAX: not known
 * @elapsed: microseconds
 * @point: number of the newest point
 * @ranges: what differs, the first of them
 * @range_count: of them
 */
struct bus_job {
	uint64_t id;
	char collection[64];
	char name[32];
	char status[32];
	char text[512];
	uint32_t state;
	uint32_t error;
	uint32_t permille;
	uint32_t passes;
	uint32_t torn;
	uint64_t bytes_disk;
	uint64_t bytes_marked;
	uint64_t bytes_owed;
	uint64_t bytes_sent;
	uint64_t bytes_zero;
	uint64_t bytes_on_wire;
	uint64_t bytes_remaining;
	uint64_t bytes_different;
	uint64_t read_calls;
	uint64_t rate;
	uint64_t eta;
	uint64_t elapsed;
	uint64_t point;
	struct bus_range *ranges;
	size_t range_count;
};

struct bus;

/** bus_open() - connect; @address NULL: what the environment says */
int bus_open(struct bus **ret, const char *address);
/** bus_close() - NULL is ignored. Return: NULL */
struct bus *bus_close(struct bus *b);

/**
 * bus_resynchronize() - start a resynchronization
 * @ret_job: its number; 0: there was nothing to do
 */
int bus_resynchronize(struct bus *b, const char *collection, bool compare, uint64_t *ret_job);
/** bus_verify() - start a verification */
int bus_verify(struct bus *b, const char *collection, uint64_t *ret_job);
/**
 * bus_points() - a method of the Points interface
 * @method: ListPoints, VerifyPoint, DeletePoint
 * @point: its number; ListPoints takes none
 * @ret: the document that it answers with, allocated; NULL: it has none
 */
int bus_points(struct bus *b, const char *method, const char *collection, uint64_t point,
	       char **ret);
/** bus_cancel() - end a job soon */
int bus_cancel(struct bus *b, uint64_t job);
/** bus_status() - the agent's status document, allocated */
int bus_status(struct bus *b, char **ret);
/** bus_job() - a job as it is now; @ret is freed by bus_job_free() */
int bus_job(struct bus *b, uint64_t job, struct bus_job *ret);
void bus_job_free(struct bus_job *job);
/** bus_job_ended() - is this a last state? */
bool bus_job_ended(const struct bus_job *job);
/** bus_wait() - until the agent has something to say, at most @ms milliseconds */
int bus_wait(struct bus *b, unsigned int ms);

/** bus_exit_code() - the exit code for a code of the management model */
int bus_exit_code(uint32_t code);
/** bus_job_exit_code() - how the command ends when this job has ended */
int bus_job_exit_code(const struct bus_job *job);

/** bus_job_path() - the object path of a job, for people */
void bus_job_path(uint64_t job, char ret[64]);

#endif
