// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A scripted sender, for tests of the receiver: blocking, simple, and able to
 * send what no sender would.
 *
 *   wire-peer PORT < SCRIPT
 *
 * A script is a line for each step:
 *
 *   hello COLLECTION [MIN MAX [FEATURES]]
 *                                     prints "welcome VERSION FEATURES"
 *   open DISK VM NAME UUID SIZE GRANULE
 *                                     prints "opened PRESENT EPOCH SIZE POINT UUID", and
 *                                     before it "staged DISK MODE EPOCH OFFSET+SPAN..."
 *   begin DISK MODE EPOCH [force|resume]
 *                                     MODE full, incremental, compare, verify; prints "begun"
 *   full DISK FILE EPOCH              all granules of FILE that are not zero
 *   diff DISK OLD NEW EPOCH           what differs, ZERO where NEW is zero
 *   data DISK FILE OFFSET SPAN EPOCH  one frame
 *   zero DISK OFFSET SPAN EPOCH
 *   compare DISK FILE EPOCH           hashes, then what differs; prints "differ N"
 *   verify DISK FILE                  hashes; prints "differ N"
 *   sealed DISK EPOCH [OFFSET SPAN]   what is staged there is stale
 *   stale DISK EPOCH COUNT            so many frames of a list of such regions, and no end of
 *                                     it: every other granule, as many as fit, again and again
 *   pass
 *   end DISK EPOCH [wrong]            "wrong" spoils the digest
 *   commit [LEVEL [HISTORY [final]]]  prints "durable POINT"
 *   drop DISK TEXT                    the others go on; a disk that the receiver drops,
 *                                     after open or begin, prints "dropped DISK CODE TEXT"
 *   abort, ping (prints "pong")
 *   spoil WHAT                        the next frame: magic, version, type, flags,
 *                                     checksum, payload, short (cut off), huge (length)
 *   raw HEX                           bytes as they are
 *   noise COUNT SEED                  random bytes
 *   frames TYPE COUNT                 empty frames of a type
 *   order DISK TYPE                   an empty frame that may come at the wrong time
 *   sleep MS, wait                    wait: read to the end of the connection
 *
 * Exit: 0; 3: the receiver sent ERROR (printed as "error CODE TEXT") or closed
 * the connection ("closed"); 2: the script is wrong.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "wire/hash.h"

#define DISKS 16
#define WORDS 10

struct disk {
	uint64_t size;
	uint32_t granule;
	struct frame_end sum;
};

static int sock;
static struct disk disks[DISKS];
static char spoil[16];
static uint32_t features; /* agreed on */
static uint8_t payload_in[FRAME_PAYLOAD_MAX];

static void fail(const char *what)
{
	fprintf(stderr, "wire-peer: %s\n", what);
	exit(2);
}

static void over(void)
{
	printf("closed\n");
	exit(3);
}

static void get(void *buf, size_t size)
{
	for (size_t done = 0; done < size; ) {
		ssize_t n = recv(sock, (char *)buf + done, size - done, 0);

		if (n <= 0)
			over();
		done += n;
	}
}

static void take_error(const struct frame *f)
{
	struct frame_error e;

	if (frame_error_decode(payload_in, f->length, &e))
		fail("malformed ERROR");
	printf("error %u %s%s\n", e.code, e.space ? "(space) " : "", e.text);
	exit(3);
}

/* Was the connection broken because there is an ERROR to read? */
static void broken(void);

static void put(const void *buf, size_t size)
{
	for (size_t done = 0; done < size; ) {
		ssize_t n = send(sock, (const char *)buf + done, size - done, MSG_NOSIGNAL);

		if (n < 0)
			broken();
		done += n;
	}
}

static void spoil_header(struct frame_wire *w)
{
	if (!strcmp(spoil, "magic"))
		w->magic = le32_of(0x12345678);
	else if (!strcmp(spoil, "version"))
		w->version = 9;
	else if (!strcmp(spoil, "type"))
		w->type = 77;
	else if (!strcmp(spoil, "flags"))
		w->flags = le16_of(0x8000);
	else if (!strcmp(spoil, "huge"))
		w->length = le32_of(0xfffffff0);
	else if (!strcmp(spoil, "checksum"))
		w->checksum.raw ^= 1;
}

static void put_frame(struct frame f, const void *payload)
{
	struct frame_wire w;

	frame_encode(&f, payload, &w);
	spoil_header(&w);
	put(&w, sizeof(w));
	if (!strcmp(spoil, "short")) {
		put(payload, f.length / 2);
		shutdown(sock, SHUT_WR);
	} else if (!strcmp(spoil, "payload")) {
		const uint8_t *bytes = payload;
		uint8_t wrong = bytes[0] ^ 1;

		put(&wrong, 1);
		put(bytes + 1, f.length - 1);
	} else if (f.length) {
		put(payload, f.length);
	}
	spoil[0] = '\0';
	if (f.type == FRAME_DATA || f.type == FRAME_ZERO) {
		struct frame check;

		if (frame_check(&w, &check) == FRAME_OK) {
			disks[f.disk].sum.frames++;
			disks[f.disk].sum.bytes += f.span;
			disks[f.disk].sum.digest += frame_digest(&check);
		}
	}
}

static struct frame get_frame(void)
{
	struct frame_wire w;
	struct frame f;

	for (;;) {
		get(&w, sizeof(w));
		if (frame_check(&w, &f))
			fail("the receiver sent a bad header");
		get(payload_in, f.length);
		if (frame_verify(&w, payload_in))
			fail("the receiver sent a bad checksum");
		if (f.type == FRAME_ERROR)
			take_error(&f);
		if (f.type != FRAME_PING)
			return f;
		put_frame((struct frame){ .type = FRAME_PONG }, NULL);
	}
}

static struct frame expect(uint8_t type)
{
	struct frame f = get_frame();

	if (f.type != type)
		fail("an unexpected frame came");
	return f;
}

/* The answer to OPEN or BEGIN, or any with @type 0; false: the disk was dropped instead. */
static bool answer(uint8_t type, struct frame *ret)
{
	struct frame_error why;

	*ret = get_frame();
	if (ret->type != FRAME_DROP) {
		if (type && ret->type != type)
			fail("an unexpected frame came");
		return true;
	}
	if (frame_error_decode(payload_in, ret->length, &why))
		fail("malformed DROP");
	printf("dropped %u %u %s\n", ret->disk, why.code, why.text);
	return false;
}

static void broken(void)
{
	for (;;)
		get_frame();
}

static void put_control(uint8_t type, uint32_t disk, uint64_t epoch, const void *buf,
			uint32_t length)
{
	put_frame((struct frame){ .type = type, .disk = disk, .epoch = epoch, .length = length },
		  buf);
}

/* -- steps --------------------------------------------------------------------------- */

static uint64_t number(const char *word)
{
	return word ? strtoull(word, NULL, 0) : 0;
}

static struct disk *disk_of(const char *word)
{
	return &disks[number(word) % DISKS];
}

static void do_hello(char **w)
{
	struct frame_hello h = { .min_version = 1, .max_version = 1, .node = "test" };
	struct frame_welcome welcome;
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame f;

	snprintf(h.collection, sizeof(h.collection), "%s", w[1]);
	if (w[2]) {
		h.min_version = number(w[2]);
		h.max_version = number(w[3]);
	}
	h.features = number(w[2] ? w[4] : NULL);
	put_control(FRAME_HELLO, 0, 0, buf, frame_hello_encode(&h, buf));
	f = expect(FRAME_WELCOME);
	if (frame_welcome_decode(payload_in, f.length, &welcome))
		fail("malformed WELCOME");
	features = welcome.features;
	printf("welcome %u %u\n", welcome.version, welcome.features);
}

static void parse_uuid(const char *hex, uint8_t uuid[FRAME_UUID_SIZE])
{
	for (int i = 0; i < FRAME_UUID_SIZE; i++) {
		unsigned int v;

		if (sscanf(hex + 2 * i, "%2x", &v) != 1)
			fail("a UUID is 32 hexadecimal digits");
		uuid[i] = v;
	}
}

/* STAGED says what is kept: "staged DISK MODE EPOCH", and its ranges. */
static bool take_staged(const struct frame *f)
{
	static struct frame_range ranges[FRAME_STAGED_MAX];
	struct frame_staged staged;
	uint32_t count;

	if (f->type != FRAME_STAGED)
		return false;
	if (frame_staged_decode(payload_in, f->length, &staged, ranges, &count))
		fail("malformed STAGED");
	printf("staged %u %u %" PRIu64, f->disk, staged.mode, f->epoch);
	for (uint32_t i = 0; i < count; i++)
		printf(" %" PRIu64 "+%" PRIu64, ranges[i].offset, ranges[i].span);
	printf("\n");
	return true;
}

static void do_open(char **w)
{
	struct disk *d = disk_of(w[1]);
	struct frame_open o = { .size = number(w[5]), .granule = number(w[6]) };
	struct frame_opened opened;
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame f;

	snprintf(o.vm, sizeof(o.vm), "%s", w[2]);
	snprintf(o.name, sizeof(o.name), "%s", w[3]);
	parse_uuid(w[4], o.uuid);
	*d = (struct disk){ .size = o.size, .granule = o.granule };
	put_control(FRAME_OPEN, number(w[1]), 0, buf, frame_open_encode(&o, buf));
	do {
		if (!answer(0, &f))
			return;
	} while (take_staged(&f));
	if (f.type != FRAME_OPENED)
		fail("an unexpected frame came");
	if (frame_opened_decode(payload_in, f.length, &opened))
		fail("malformed OPENED");
	printf("opened %u %" PRIu64 " %" PRIu64 " %" PRIu64 " ", opened.present, opened.epoch,
	       opened.size, opened.point);
	for (int i = 0; i < FRAME_UUID_SIZE; i++)
		printf("%02x", opened.uuid[i]);
	printf("\n");
}

static void do_begin(char **w)
{
	static const char *const modes[] = { "", "full", "incremental", "compare", "verify" };
	struct frame_begin b = { .force = w[4] && strcmp(w[4], "resume"),
				 .resume = w[4] && !strcmp(w[4], "resume") };
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame f;

	for (uint32_t i = 1; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(w[2], modes[i]))
			b.mode = i;
	put_control(FRAME_BEGIN, number(w[1]), number(w[3]), buf, frame_begin_encode(&b, buf));
	if (answer(FRAME_BEGUN, &f))
		printf("begun\n");
}

static void do_sealed(char **w)
{
	struct frame_range range = { number(w[3]), w[3] ? number(w[4]) : 0 };
	struct frame_sealed sealed = { .complete = true };
	uint8_t buf[FRAME_CONTROL_MAX];

	put_control(FRAME_SEALED, number(w[1]), number(w[2]), buf,
		    frame_sealed_encode(&sealed, &range, w[3] != NULL, buf));
}

static void do_stale(char **w)
{
	uint64_t granule = disks[number(w[1])].granule;
	struct frame_range ranges[FRAME_SEALED_MAX];
	const struct frame_sealed sealed = { 0 };
	uint8_t buf[FRAME_CONTROL_MAX];

	for (uint64_t i = 0; i < FRAME_SEALED_MAX; i++)
		ranges[i] = (struct frame_range){ 2 * i * granule, granule };
	for (uint64_t n = number(w[3]); n; n--)
		put_control(FRAME_SEALED, number(w[1]), number(w[2]), buf,
			    frame_sealed_encode(&sealed, ranges, FRAME_SEALED_MAX, buf));
}

static void read_at(int fd, void *buf, size_t size, uint64_t offset)
{
	ssize_t n = fd < 0 ? 0 : pread(fd, buf, size, offset);

	if (n < 0)
		fail("reading a file failed");
	memset((char *)buf + n, 0, size - n);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		fail("cannot open a file");
	return fd;
}

static void put_chunk(uint32_t disk, uint64_t offset, const void *buf, uint32_t span,
		      uint64_t epoch)
{
	struct frame f = { .type = FRAME_DATA, .disk = disk, .offset = offset, .span = span,
			   .length = span, .epoch = epoch };

	if (bytes_are_zero(buf, span)) {
		f.type = FRAME_ZERO;
		f.length = 0;
	}
	put_frame(f, buf);
}

/* A piece is a granule, or what fits into a frame. */
static uint32_t piece_of(const struct disk *d)
{
	return u64_min(d->granule, FRAME_PAYLOAD_MAX);
}

static void do_full(char **w)
{
	struct disk *d = disk_of(w[1]);
	int fd = open_file(w[2]);
	uint32_t piece = piece_of(d);
	uint8_t *buf = malloc(piece);

	for (uint64_t at = 0; at < d->size; at += piece) {
		uint32_t span = u64_min(piece, d->size - at);

		read_at(fd, buf, span, at);
		if (!bytes_are_zero(buf, span))
			put_chunk(number(w[1]), at, buf, span, number(w[3]));
	}
	free(buf);
	close(fd);
}

static void do_diff(char **w)
{
	struct disk *d = disk_of(w[1]);
	int old = open_file(w[2]), new = open_file(w[3]);
	uint32_t piece = piece_of(d);
	uint8_t *a = malloc(piece), *b = malloc(piece);

	for (uint64_t at = 0; at < d->size; at += piece) {
		uint32_t span = u64_min(piece, d->size - at);

		read_at(old, a, span, at);
		read_at(new, b, span, at);
		if (memcmp(a, b, span))
			put_chunk(number(w[1]), at, b, span, number(w[4]));
	}
	free(a);
	free(b);
	close(old);
	close(new);
}

static void do_data(char **w)
{
	uint32_t span = number(w[4]);
	uint8_t *buf = malloc(span);
	int fd = open_file(w[2]);

	read_at(fd, buf, span, number(w[3]));
	put_frame((struct frame){ .type = FRAME_DATA, .disk = number(w[1]),
				  .offset = number(w[3]), .span = span, .length = span,
				  .epoch = number(w[5]) }, buf);
	free(buf);
	close(fd);
}

/* Two requests are under way at a time, so that an answer meets a sender that still sends. */
static void do_hashes(char **w, bool send)
{
	struct disk *d = disk_of(w[1]);
	int fd = open_file(w[2]);
	uint8_t *buf = malloc(d->granule), hash[FRAME_HASH_MAX];
	uint32_t size = hash_size(hash_kind(features));
	struct hash *h = NULL;
	uint64_t step = 100 * (uint64_t)d->granule, differ = 0;
	uint64_t asked = 0, answered = 0;

	if (hash_create(&h, hash_kind(features)))
		fail("no hash");
	while (answered < d->size) {
		struct frame f = { .type = FRAME_HASH, .disk = number(w[1]), .offset = asked };
		uint64_t span = u64_min(step, d->size - answered);

		if (asked < d->size && asked < answered + 2 * step) {
			f.span = u64_min(step, d->size - asked);
			asked += f.span;
			put_frame(f, NULL);
			continue;
		}
		f = expect(FRAME_HASHES);
		if (f.offset != answered || f.span != span)
			fail("hashes of another region came");
		if (f.length != u64_div_up(span, d->granule) * size)
			fail("hashes of another size came");
		for (uint64_t at = 0, i = 0; at < span; at += d->granule, i++) {
			uint32_t n = u64_min(d->granule, span - at);

			read_at(fd, buf, n, answered + at);
			if (hash_run(h, buf, n, hash))
				fail("no hash");
			if (!memcmp(hash, payload_in + i * size, size))
				continue;
			differ++;
			for (uint32_t p = 0; send && p < n; p += piece_of(d))
				put_chunk(number(w[1]), answered + at + p, buf + p,
					  u64_min(piece_of(d), n - p), number(w[3]));
		}
		answered += span;
	}
	printf("differ %" PRIu64 "\n", differ);
	hash_destroy(h);
	free(buf);
	close(fd);
}

static void do_end(char **w)
{
	struct frame_end end = disk_of(w[1])->sum;
	uint8_t buf[FRAME_CONTROL_MAX];

	if (w[3])
		end.digest++;
	put_control(FRAME_END, number(w[1]), number(w[2]), buf, frame_end_encode(&end, buf));
}

static void do_commit(char **w)
{
	struct frame_commit commit = { .consistency = number(w[1]),
				       .history = FRAME_HISTORY_UNSAID };
	struct frame_durable durable;
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame f;

	if (w[1] && w[2])
		commit.history = number(w[2]);
	commit.final = w[1] && w[2] && w[3];
	put_control(FRAME_COMMIT, 0, 0, buf, w[1] ? frame_commit_encode(&commit, buf) : 0);
	f = expect(FRAME_DURABLE);
	if (frame_durable_decode(payload_in, f.length, &durable))
		fail("malformed DURABLE");
	printf("durable %" PRIu64 "\n", durable.point);
}

static void do_raw(char **w)
{
	for (const char *at = w[1]; at[0] && at[1]; at += 2) {
		unsigned int v;
		uint8_t byte;

		if (sscanf(at, "%2x", &v) != 1)
			fail("raw wants hexadecimal digits");
		byte = v;
		put(&byte, 1);
	}
}

static void do_noise(char **w)
{
	uint64_t x = number(w[2]) * 2654435761u + 1;

	for (uint64_t i = 0; i < number(w[1]); i++) {
		uint8_t byte;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		byte = x;
		put(&byte, 1);
	}
}

static void do_frames(char **w)
{
	for (uint64_t i = 0; i < number(w[2]); i++)
		put_frame((struct frame){ .type = number(w[1]) }, NULL);
}

static void do_drop(char **w)
{
	struct frame_error why = { .code = 32768 };
	uint8_t buf[FRAME_CONTROL_MAX];

	snprintf(why.text, sizeof(why.text), "%s", w[2]);
	put_control(FRAME_DROP, number(w[1]), 0, buf, frame_error_encode(&why, buf));
}

static bool do_small(char **w)
{
	if (!strcmp(w[0], "zero"))
		put_frame((struct frame){ .type = FRAME_ZERO, .disk = number(w[1]),
					  .offset = number(w[2]), .span = number(w[3]),
					  .epoch = number(w[4]) }, NULL);
	else if (!strcmp(w[0], "pass"))
		put_control(FRAME_PASS, 0, 0, NULL, 0);
	else if (!strcmp(w[0], "abort"))
		put_control(FRAME_ABORT, 0, 0, NULL, 0);
	else if (!strcmp(w[0], "ping"))
		put_control(FRAME_PING, 0, 0, NULL, 0), expect(FRAME_PONG), printf("pong\n");
	else if (!strcmp(w[0], "order"))
		put_control(number(w[2]), number(w[1]), 0, NULL, 0);
	else if (!strcmp(w[0], "spoil"))
		snprintf(spoil, sizeof(spoil), "%s", w[1]);
	else if (!strcmp(w[0], "sleep"))
		usleep(number(w[1]) * 1000);
	else if (!strcmp(w[0], "wait"))
		broken();
	else
		return false;
	return true;
}

static void do_line(char **w)
{
	if (!strcmp(w[0], "hello"))
		do_hello(w);
	else if (!strcmp(w[0], "open"))
		do_open(w);
	else if (!strcmp(w[0], "begin"))
		do_begin(w);
	else if (!strcmp(w[0], "sealed"))
		do_sealed(w);
	else if (!strcmp(w[0], "stale"))
		do_stale(w);
	else if (!strcmp(w[0], "full"))
		do_full(w);
	else if (!strcmp(w[0], "diff"))
		do_diff(w);
	else if (!strcmp(w[0], "data"))
		do_data(w);
	else if (!strcmp(w[0], "compare"))
		do_hashes(w, true);
	else if (!strcmp(w[0], "verify"))
		do_hashes(w, false);
	else if (!strcmp(w[0], "end"))
		do_end(w);
	else if (!strcmp(w[0], "commit"))
		do_commit(w);
	else if (!strcmp(w[0], "drop"))
		do_drop(w);
	else if (!strcmp(w[0], "raw"))
		do_raw(w);
	else if (!strcmp(w[0], "noise"))
		do_noise(w);
	else if (!strcmp(w[0], "frames"))
		do_frames(w);
	else if (!do_small(w))
		fail(w[0]);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char line[4096];

	if (argc != 2)
		fail("usage: wire-peer PORT < SCRIPT");
	setvbuf(stdout, NULL, _IOLBF, 0);
	address.sin_port = htons(atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sock = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(sock, (struct sockaddr *)&address, sizeof(address))) {
		printf("unreachable\n");
		return 3;
	}
	while (fgets(line, sizeof(line), stdin)) {
		char *words[WORDS + 1] = { 0 };
		char *rest;
		int n = 0;

		for (char *word = strtok_r(line, " \n", &rest); word && n < WORDS;
		     word = strtok_r(NULL, " \n", &rest))
			words[n++] = word;
		if (n && words[0][0] != '#')
			do_line(words);
	}
	return 0;
}
