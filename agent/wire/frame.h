/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire: where sender and receiver meet, and nothing else.
 *
 * A connection carries one job: frames in both directions, each a header of 48
 * bytes and at most FRAME_PAYLOAD_MAX bytes of payload. All numbers are
 * little-endian. Documentation/wire.rst has it byte by byte.
 *
 *   sender                                receiver
 *   HELLO  versions, features  ------->
 *          <------- WELCOME    what was agreed
 *   OPEN   disk: tracker, size ------->            once for each disk
 *          <------- OPENED     what the replica holds of it
 *   BEGIN  disk: mode          ------->            once for each disk
 *          <------- BEGUN      ready to take it
 *   HASH   region              ------->            compare and verify only
 *          <------- HASHES     of its granules
 *   DATA, ZERO                 ------->            any number, any order
 *   PASS                       ------->            what follows may overwrite
 *   END    disk: epoch, digest ------->            once for each disk
 *   COMMIT                     ------->
 *          <------- DURABLE    the point is committed, all disks in one step
 *
 * With FRAME_FEATURE_DROP either side may give up one disk while the others go
 * on: the sender at any time before COMMIT, the receiver as the answer to OPEN
 * or BEGIN. With FRAME_FEATURE_NEED the receiver may send NEED frames before
 * OPENED: regions that differ besides what the sender's tracker knows. With
 * FRAME_FEATURE_RESUME it says there, in STAGED frames, what it has kept of a run
 * that was cut short; the sender takes it up in BEGIN, and says after each seal, in
 * SEALED frames, which of what is staged has changed.
 *
 * With FRAME_FEATURE_PACK a PACKED may come for any DATA, with FRAME_FEATURE_LZ4 a
 * PACKED_LZ4: the same bytes, packed (wire/pack.h).
 *
 * With FRAME_FEATURE_STREAMS the sender may dial further connections, *lanes*, which
 * begin with JOIN, answered by JOINED, and then have DATA, packed or not, alone. TAKE, on
 * the first connection, stands for so many frames of a lane: they are read right there, so
 * that frames have one order, whatever they travel on.
 *
 * Either side may send ERROR (and close), PING (answered by PONG) at any time;
 * the sender may ABORT a run. Unknown types are refused unless they carry
 * FRAME_SKIPPABLE.
 *
 * This file encodes and validates; it does no I/O and allocates nothing.
 * Nobody casts a received buffer to one of these structs before frame_check()
 * has passed its header and, for payloads, the matching *_decode().
 */
#ifndef TIDEMARK_WIRE_FRAME_H
#define TIDEMARK_WIRE_FRAME_H

#include "base/name.h"
#include "base/util.h"

#define FRAME_MAGIC 0x4b4d4454u /* "TDMK" */
#define FRAME_VERSION 1
#define FRAME_HEADER_SIZE 48
#define FRAME_PAYLOAD_MAX (1u << 20)
#define FRAME_TEXT_MAX 512
#define FRAME_DISKS_MAX 1024 /* disks in one job; handles are 0 ... N-1 */
#define FRAME_UUID_SIZE 16
#define FRAME_HASH_SIZE 16 /* of a granule: XXH3-128, see wire/hash.h */
#define FRAME_HASH_MAX 32  /* SHA-256 */

/** enum frame_type - what a frame is; 0 is never sent */
enum frame_type {
	FRAME_HELLO = 1,
	FRAME_WELCOME = 2,
	FRAME_OPEN = 3,
	FRAME_OPENED = 4,
	FRAME_BEGIN = 5,
	FRAME_BEGUN = 6,
	FRAME_DATA = 7,
	FRAME_ZERO = 8,
	FRAME_HASH = 9,
	FRAME_HASHES = 10,
	FRAME_PASS = 11,
	FRAME_END = 12,
	FRAME_COMMIT = 13,
	FRAME_DURABLE = 14,
	FRAME_ABORT = 15,
	FRAME_ERROR = 16,
	FRAME_PING = 17,
	FRAME_PONG = 18,
	FRAME_DROP = 19,
	FRAME_NEED = 20,
	FRAME_STAGED = 21,
	FRAME_SEALED = 22,
	FRAME_PACKED = 23,
	FRAME_JOIN = 24,
	FRAME_JOINED = 25,
	FRAME_TAKE = 26,
	FRAME_PACKED_LZ4 = 27,
	FRAME_TYPE_MAX = FRAME_PACKED_LZ4,
};

/**
 * enum frame_feature - what version 1 has grown
 *
 * HELLO says what the sender knows, WELCOME which of these both know. What was
 * not agreed is not sent. SHA256 is said by a sender only if it is to be: agreed on
 * it holds. STREAMS is said only by one that wants lanes.
 */
enum frame_feature {
	FRAME_FEATURE_DROP = 1 << 0,  /* DROP */
	FRAME_FEATURE_POINT = 1 << 1, /* COMMIT has a payload */
	FRAME_FEATURE_NEED = 1 << 2,  /* NEED */
	FRAME_FEATURE_RESUME = 1 << 3, /* STAGED, SEALED, the flag of BEGIN */
	FRAME_FEATURE_SPACE = 1 << 4,  /* the flag of ERROR */
	FRAME_FEATURE_PACK = 1 << 5,   /* PACKED */
	FRAME_FEATURE_SHA256 = 1 << 6, /* HASHES has SHA-256, FRAME_HASH_MAX bytes each */
	FRAME_FEATURE_STREAMS = 1 << 7, /* JOIN, JOINED, TAKE; WELCOME has a token */
	FRAME_FEATURE_LZ4 = 1 << 8, /* PACKED_LZ4 */
	FRAME_FEATURES = FRAME_FEATURE_DROP | FRAME_FEATURE_POINT | FRAME_FEATURE_NEED |
			 FRAME_FEATURE_RESUME | FRAME_FEATURE_SPACE | FRAME_FEATURE_PACK |
			 FRAME_FEATURE_SHA256 | FRAME_FEATURE_STREAMS | FRAME_FEATURE_LZ4,
};

/** frame_packing() - the feature that agrees on what is packed like that; 0: it is not packed */
static inline uint32_t frame_packing(unsigned int type)
{
	if (type == FRAME_PACKED)
		return FRAME_FEATURE_PACK;
	return type == FRAME_PACKED_LZ4 ? FRAME_FEATURE_LZ4 : 0;
}

/** frame_is_data() - has it a disk's bytes, packed or not? A lane carries these alone */
static inline bool frame_is_data(unsigned int type)
{
	return type == FRAME_DATA || frame_packing(type);
}

enum frame_flag {
	FRAME_SKIPPABLE = 1 << 0, /* may be ignored by who does not know its type */
};

/** enum frame_mode - how a disk is brought up to date, in BEGIN */
enum frame_mode {
	FRAME_MODE_FULL = 1,	    /* the replica is empty: written in place */
	FRAME_MODE_INCREMENTAL = 2, /* what the tracker marked */
	FRAME_MODE_COMPARE = 3,	    /* hashes first, then what differs */
	FRAME_MODE_VERIFY = 4,	    /* hashes only, nothing is changed */
	FRAME_MODE_REVERSE = 5,	    /* a comparison of what either side has changed */
};

/** frame_mode_hashes() - are granules compared by their hashes in it? */
static inline bool frame_mode_hashes(uint32_t mode)
{
	return mode == FRAME_MODE_COMPARE || mode == FRAME_MODE_VERIFY ||
	       mode == FRAME_MODE_REVERSE;
}

/** enum frame_fault - what is wrong with received bytes; the sentence is frame_fault_text() */
enum frame_fault {
	FRAME_OK = 0,
	FRAME_FAULT_MAGIC = 1,
	FRAME_FAULT_VERSION,
	FRAME_FAULT_TYPE,
	FRAME_FAULT_FLAGS,
	FRAME_FAULT_LENGTH,
	FRAME_FAULT_DISK,
	FRAME_FAULT_RANGE,
	FRAME_FAULT_CHECKSUM,
	FRAME_FAULT_PAYLOAD,
	FRAME_FAULT_ORDER, /* not now: used by sessions */
	FRAME_FAULT_MAX = FRAME_FAULT_ORDER,
};

/**
 * struct frame - a header in the machine's own form
 * @type: enum frame_type
 * @flags: enum frame_flag
 * @length: bytes of payload
 * @disk: handle of the disk that it is about, else 0
 * @offset: DATA, ZERO, HASH, HASHES: bytes from the start of the disk
 * @span: DATA, ZERO, HASH, HASHES: bytes of the disk; DATA: equals @length, or, packed:
 *	more than that, at most FRAME_PAYLOAD_MAX
 * @epoch: DATA, ZERO, BEGIN, END, STAGED, SEALED: the tracker's epoch, else 0
 * @checksum: of the frame, as received; frame_encode() computes its own
 */
struct frame {
	uint8_t type;
	uint16_t flags;
	uint32_t length;
	uint32_t disk;
	uint64_t offset;
	uint64_t span;
	uint64_t epoch;
	uint64_t checksum;
};

/** struct frame_wire - a header as it stands on the wire */
struct frame_wire {
	le32 magic;
	uint8_t version;
	uint8_t type;
	le16 flags;
	le32 length;
	le32 disk;
	le64 offset;
	le64 span;
	le64 epoch;
	le64 checksum; /* XXH3-64 over the 40 bytes above and the payload */
} __attribute__((packed));
_Static_assert(sizeof(struct frame_wire) == FRAME_HEADER_SIZE, "the header is 48 bytes");

/**
 * frame_encode() - a header with its checksum
 * @f: what to say; @f->length bytes of @payload follow it on the wire
 * @payload: may be NULL when the length is 0
 */
void frame_encode(const struct frame *f, const void *payload, struct frame_wire *ret);

/**
 * frame_check() - validate a header, before anything is allocated or read
 * @w: 48 bytes from the wire
 * @ret: the header in the machine's form
 *
 * Everything that can be judged without the payload and without knowing the
 * session: magic, version, type, flags, length against the type's bounds,
 * disk handle, and that offset + span does not overflow and is in whole sectors.
 *
 * Return: FRAME_OK or a positive enum frame_fault.
 */
int frame_check(const struct frame_wire *w, struct frame *ret);

/** frame_verify() - does the checksum match? FRAME_OK or FRAME_FAULT_CHECKSUM */
int frame_verify(const struct frame_wire *w, const void *payload);

/** frame_fault_text() - the sentence for people */
const char *frame_fault_text(int fault);
/** frame_type_name() - "HELLO", ...; "unknown" for others */
const char *frame_type_name(unsigned int type);

/* -- payloads --------------------------------------------------------------- */

/**
 * struct frame_hello - HELLO
 * @min_version: oldest version that the sender speaks
 * @max_version: newest one
 * @features: enum frame_feature; bits that are not known mean nothing
 * @node: name of the sending host, for logs
 * @collection: what is to be brought up to date
 */
struct frame_hello {
	uint16_t min_version;
	uint16_t max_version;
	uint32_t features;
	char node[NAME_SIZE];
	char collection[NAME_SIZE];
};

/* Lanes of a connection, and what tells whose they are. */
#define FRAME_LANES_MAX 8
#define FRAME_TOKEN_SIZE 16
/* Frames that one TAKE stands for. */
#define FRAME_TAKE_MAX 1024
/* While there are lanes a DATA frame is no longer: the others wait for the one that is read. */
#define FRAME_LANE_PAYLOAD KIB(128)

/**
 * struct frame_welcome - WELCOME: the version and features of this connection
 * @token: random, with FRAME_FEATURE_STREAMS: whoever knows it may JOIN
 */
struct frame_welcome {
	uint16_t version;
	uint32_t features;
	uint8_t token[FRAME_TOKEN_SIZE];
};

/**
 * struct frame_join - JOIN: this connection is a lane of the one with this token
 * @lane: its number, less than FRAME_LANES_MAX
 */
struct frame_join {
	uint8_t token[FRAME_TOKEN_SIZE];
	uint32_t lane;
};

/**
 * struct frame_take - TAKE: what comes now is read from a lane
 * @lane: its number
 * @frames: of it, 1 to FRAME_TAKE_MAX
 */
struct frame_take {
	uint32_t lane;
	uint32_t frames;
};

/**
 * struct frame_open - OPEN
 * @vm: name of the VM
 * @name: name of the disk
 * @uuid: of its tracker
 * @size: bytes, a multiple of 512, not 0
 * @granule: bytes, a power of two, 4 KiB to 4 MiB
 */
struct frame_open {
	char vm[NAME_SIZE];
	char name[NAME_SIZE];
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t size;
	uint32_t granule;
};

/** enum frame_opened_present - what the replica is */
enum frame_opened_present {
	FRAME_OPENED_NOTHING = 0, /* nothing yet */
	FRAME_OPENED_POINT = 1,	  /* a committed point */
	FRAME_OPENED_ORIGIN = 2,  /* the old primary's own disk; see struct frame_opened */
	FRAME_OPENED_MAX = FRAME_OPENED_ORIGIN,
};

/**
 * struct frame_opened - OPENED: what the replica holds
 * @present: enum frame_opened_present; the rest describes that
 * @uuid: the tracker that the newest point came from; ORIGIN: the tracker of that disk
 * @epoch: the epoch that it closed; ORIGIN: the newest one that the tracker has
 *	committed. NEED had everything that was written since that was sealed
 * @size: bytes
 * @point: number of the newest point; ORIGIN: the tracker's current epoch
 */
struct frame_opened {
	uint32_t present;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	uint64_t size;
	uint64_t point;
};

/**
 * struct frame_begin - BEGIN
 * @mode: enum frame_mode
 * @force: take over a foreign signature
 * @resume: go on with what STAGED has named; else it is thrown away
 */
struct frame_begin {
	uint32_t mode;
	bool force;
	bool resume;
};

/**
 * struct frame_end - END: what the sender has sent for the disk, over all passes
 * @frames: DATA and ZERO frames
 * @bytes: their spans added up
 * @digest: frame_digest() of each, added up modulo 2^64
 */
struct frame_end {
	uint64_t frames;
	uint64_t bytes;
	uint64_t digest;
};

/** enum frame_consistency - of a point; the numbers are the management model's */
enum frame_consistency {
	FRAME_CONSISTENCY_APPLICATION = 1, /* the VMs were made quiet for the seal */
	FRAME_CONSISTENCY_CRASH = 2,	   /* each disk as after a power loss */
	FRAME_CONSISTENCY_GROUP = 3,	   /* all disks as after one power loss */
};

/* RecoveryHistory: so many further points at most; and: the sender says nothing of it. */
#define FRAME_HISTORY_MAX 24
#define FRAME_HISTORY_UNSAID UINT32_MAX

/**
 * struct frame_commit - COMMIT, with FRAME_FEATURE_POINT
 * @consistency: enum frame_consistency
 * @history: further points that the sender wants kept, 0 to FRAME_HISTORY_MAX, or
 *	FRAME_HISTORY_UNSAID. The receiver has the last word.
 * @final: nobody writes to the disks any more since the seal: the point of a
 *	planned failover, with which nothing is lost
 */
struct frame_commit {
	uint32_t consistency;
	uint32_t history;
	bool final;
};

/** struct frame_range - bytes of a disk; in whole sectors, not empty */
struct frame_range {
	uint64_t offset;
	uint64_t span;
};

/* Ranges in one NEED frame: 64 KiB of payload. */
#define FRAME_NEED_MAX 4096

/* Ranges in one STAGED frame, which fits what a sender takes, and in one SEALED frame. */
#define FRAME_STAGED_MAX 4000
#define FRAME_SEALED_MAX 39
/* Bytes of the longest payload of STAGED. */
#define FRAME_STAGED_SIZE (24 + 16 * FRAME_STAGED_MAX)

/**
 * struct frame_staged - STAGED: what is kept of a run; the header has its epoch
 * @mode: enum frame_mode of that run
 * @uuid: of its tracker
 */
struct frame_staged {
	uint32_t mode;
	uint8_t uuid[FRAME_UUID_SIZE];
};

/**
 * struct frame_sealed - SEALED: the disk was sealed; the header has the epoch
 * @complete: there is no further SEALED frame for this seal
 */
struct frame_sealed {
	bool complete;
};

/**
 * struct frame_durable - DURABLE
 * @point: number of the new point, counted per collection from 1
 */
struct frame_durable {
	uint64_t point;
};

/**
 * struct frame_error - ERROR: why the connection ends; DROP: why the disk is given up
 * @code: of the management model, 32768 (Failed) to 32779
 * @space: for want of room, and so worth another try, with FRAME_FEATURE_SPACE
 * @text: the sentence for people, printable
 */
struct frame_error {
	uint32_t code;
	bool space;
	char text[FRAME_TEXT_MAX];
};

/* Room for any encoded payload but DATA's and HASHES'. */
#define FRAME_CONTROL_MAX 640

/*
 * X_encode() writes the payload to @buf (at least FRAME_CONTROL_MAX bytes) and
 * returns its length. X_decode() validates @length bytes and returns FRAME_OK
 * or FRAME_FAULT_PAYLOAD: names are valid and terminated, sizes sane, flags known.
 */
uint32_t frame_hello_encode(const struct frame_hello *v, void *buf);
int frame_hello_decode(const void *buf, uint32_t length, struct frame_hello *ret);
uint32_t frame_welcome_encode(const struct frame_welcome *v, void *buf);
int frame_welcome_decode(const void *buf, uint32_t length, struct frame_welcome *ret);
uint32_t frame_join_encode(const struct frame_join *v, void *buf);
int frame_join_decode(const void *buf, uint32_t length, struct frame_join *ret);
uint32_t frame_take_encode(const struct frame_take *v, void *buf);
int frame_take_decode(const void *buf, uint32_t length, struct frame_take *ret);
uint32_t frame_open_encode(const struct frame_open *v, void *buf);
int frame_open_decode(const void *buf, uint32_t length, struct frame_open *ret);
uint32_t frame_opened_encode(const struct frame_opened *v, void *buf);
int frame_opened_decode(const void *buf, uint32_t length, struct frame_opened *ret);
uint32_t frame_begin_encode(const struct frame_begin *v, void *buf);
int frame_begin_decode(const void *buf, uint32_t length, struct frame_begin *ret);
uint32_t frame_end_encode(const struct frame_end *v, void *buf);
int frame_end_decode(const void *buf, uint32_t length, struct frame_end *ret);
uint32_t frame_commit_encode(const struct frame_commit *v, void *buf);
int frame_commit_decode(const void *buf, uint32_t length, struct frame_commit *ret);
uint32_t frame_durable_encode(const struct frame_durable *v, void *buf);
int frame_durable_decode(const void *buf, uint32_t length, struct frame_durable *ret);
uint32_t frame_error_encode(const struct frame_error *v, void *buf);
int frame_error_decode(const void *buf, uint32_t length, struct frame_error *ret);

/**
 * frame_need_encode() - NEED's payload: @count ranges, 1 to FRAME_NEED_MAX
 * @buf: 16 bytes for each
 */
uint32_t frame_need_encode(const struct frame_range *ranges, uint32_t count, void *buf);

/**
 * frame_need_decode() - ranges that do not overflow, are in whole sectors and ascend
 * @ret: room for @length / 16 of them
 */
int frame_need_decode(const void *buf, uint32_t length, struct frame_range *ret,
		      uint32_t *ret_count);

/**
 * frame_staged_encode() - STAGED's payload: with 1 to FRAME_STAGED_MAX ranges
 * @buf: 24 bytes, and 16 for each range
 */
uint32_t frame_staged_encode(const struct frame_staged *v, const struct frame_range *ranges,
			     uint32_t count, void *buf);
/** frame_staged_decode() - ranges as those of NEED; @ranges: room for FRAME_STAGED_MAX */
int frame_staged_decode(const void *buf, uint32_t length, struct frame_staged *ret,
			struct frame_range *ranges, uint32_t *ret_count);

/** frame_sealed_encode() - SEALED's payload: with 0 to FRAME_SEALED_MAX ranges */
uint32_t frame_sealed_encode(const struct frame_sealed *v, const struct frame_range *ranges,
			     uint32_t count, void *buf);
/** frame_sealed_decode() - ranges as those of NEED; @ranges: room for FRAME_SEALED_MAX */
int frame_sealed_decode(const void *buf, uint32_t length, struct frame_sealed *ret,
			struct frame_range *ranges, uint32_t *ret_count);

/* -- the end of a disk ------------------------------------------------------ */

/**
 * frame_digest() - what one DATA or ZERO frame adds to its disk's digest
 *
 * A hash over type, offset, span, epoch and checksum: both sides add them up,
 * so a frame that is lost, repeated or moved shows at END, in whatever order
 * frames come.
 */
uint64_t frame_digest(const struct frame *f);

#endif
