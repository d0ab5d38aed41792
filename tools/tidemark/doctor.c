// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark doctor - is everything there that replication takes?
 *
 * One line for each thing: a verdict, what was found, and what to do about it.
 * Nothing is changed.
 */
#include "tidemark/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <linux/io_uring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tidemark/bus.h"
#include "tidemark/json.h"
#include "tidemark/output.h"
#include "tidemark/pki-look.h"

enum verdict { GOOD, NOTE, WARNING, BAD, VERDICTS };

static const char *const verdict_names[] = {
	[GOOD] = "ok",
	[NOTE] = "note",
	[WARNING] = "warning",
	[BAD] = "failed",
};

enum doctor_column { DOCTOR_VERDICT, DOCTOR_WHAT, DOCTOR_FOUND, DOCTOR_DO };

static const struct output_column doctor_columns[] = {
	[DOCTOR_VERDICT] = { "VERDICT", "ok, note, warning or failed", .type = OUTPUT_TEXT },
	[DOCTOR_WHAT]	 = { "WHAT", "what was looked at", .type = OUTPUT_TEXT },
	[DOCTOR_FOUND]	 = { "FOUND", "what it is like", .type = OUTPUT_TEXT },
	[DOCTOR_DO]	 = { "DO", "what to do about it", .type = OUTPUT_TEXT },
};

/**
 * struct doctor - the examination
 * @output: the listing
 * @counts: how many lines of each verdict
 * @bus: where the agent is
 * @asked: an exit code: what became of asking the agent
 * @status: the agent's document, or NULL
 */
struct doctor {
	struct output *output;
	unsigned int counts[VERDICTS];
	const char *bus;
	int asked;
	struct json_object *status;
};

static void ask_agent(struct doctor *d)
{
	struct bus *b;

	d->asked = bus_open(&b, d->bus);
	if (d->asked)
		return;
	d->asked = bus_status(b, NULL, &d->status);
	bus_close(b);
}

/* Does this host hold replicas, and send nothing? */
static bool only_receives(const struct doctor *d)
{
	for (size_t i = 0; i < json_length(d->status, "collections"); i++) {
		const char *role = json_text(json_item(d->status, "collections", i), "role");

		if (strcmp(role ?: "", "replica") != 0)
			return false;
	}
	return json_length(d->status, "replicas") != 0;
}

/* Of what sending takes of the kernel, if it is not there */
static enum verdict missing(const struct doctor *d)
{
	return only_receives(d) ? NOTE : BAD;
}

static void say(struct doctor *d, enum verdict verdict, const char *what, const char *advice,
		const char *format, ...) __attribute__((format(printf, 5, 6)));

static void say(struct doctor *d, enum verdict verdict, const char *what, const char *advice,
		const char *format, ...)
{
	static const char *const colours[] = {
		[GOOD] = "green", [NOTE] = NULL, [WARNING] = "yellow", [BAD] = "red",
	};
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	output_row(d->output);
	output_text(d->output, DOCTOR_VERDICT, verdict_names[verdict]);
	output_colour(d->output, DOCTOR_VERDICT, colours[verdict]);
	output_text(d->output, DOCTOR_WHAT, what);
	output_text(d->output, DOCTOR_FOUND, text);
	output_text(d->output, DOCTOR_DO, advice);
	d->counts[verdict]++;
}

/* The first line of a file of the kernel's; "" if there is none. */
static const char *read_line(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (fd >= 0)
		close(fd);
	ret[n < 0 ? 0 : n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return ret;
}

/* -- the kernel ------------------------------------------------------------- */

/* Is the module installed for the running kernel? DKMS and packages differ in the folder. */
static bool module_installed(void)
{
	struct utsname name;
	char pattern[256];
	glob_t matches;
	bool found;

	uname(&name);
	snprintf(pattern, sizeof(pattern), "/lib/modules/%s/{*,*/*,*/*/*,*/*/*/*}/dm-tidemark.ko*",
		 name.release);
	found = glob(pattern, GLOB_NOSORT | GLOB_BRACE, NULL, &matches) == 0;
	globfree(&matches);
	return found;
}

static void check_module(struct doctor *d)
{
	struct tidemark_version version;
	char text[128];
	struct tidemark *t;
	int r = tidemark_open(&t, 0);

	if (!r) {
		r = tidemark_version(t, &version);
		tidemark_close(t);
		read_line("/sys/module/dm_tidemark/version", text, sizeof(text));
		if (r)
			say(d, BAD, "kernel module", "install the command and the module of one version",
			    "it does not answer: %s", strerror(-r));
		else
			say(d, GOOD, "kernel module", NULL, "loaded, version %s",
			    text[0] ? text : "not known");
		return;
	}
	switch (-r) {
	case EPROTO:
		say(d, BAD, "kernel module", "install the command and the module of one version, "
		    "then load it anew", "loaded, with another interface than this command's");
		break;
	case EACCES:
	case EPERM:
		say(d, NOTE, "kernel module", "run this as root", "may not be looked at");
		break;
	default:
		if (module_installed())
			say(d, missing(d), "kernel module", "modprobe dm-tidemark",
			    "installed, not loaded");
		else
			say(d, missing(d), "kernel module",
			    "install it (DKMS builds it for each kernel); this host can still "
			    "receive, and compare disks that are not in use",
			    "not installed for the running kernel");
	}
}

static void check_device_mapper(struct doctor *d)
{
	if (access("/dev/mapper/control", F_OK) == 0)
		say(d, GOOD, "device mapper", NULL, "there");
	else
		say(d, missing(d), "device mapper", "modprobe dm-mod",
		    "/dev/mapper/control is not there");
}

/* The variable has four bytes of attributes before its one byte. */
static int secure_boot(void)
{
	static const char path[] = "/sys/firmware/efi/efivars/"
				   "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
	unsigned char bytes[5];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

	if (fd >= 0)
		close(fd);
	return n == sizeof(bytes) ? bytes[4] : -1;
}

static void check_secure_boot(struct doctor *d)
{
	char lockdown[64], enforce[8];
	int on = secure_boot();

	read_line("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown));
	read_line("/sys/module/module/parameters/sig_enforce", enforce, sizeof(enforce));
	if (on == 1 || enforce[0] == 'Y' || strstr(lockdown, "[integrity]") ||
	    strstr(lockdown, "[confidentiality]"))
		say(d, access("/sys/module/dm_tidemark", F_OK) == 0 ? GOOD : WARNING,
		    "Secure Boot", "the module must be signed with a key that the firmware knows: "
		    "mokutil --import /var/lib/dkms/mok.pub, then reboot",
		    "on: modules must be signed");
	else if (on == 0)
		say(d, GOOD, "Secure Boot", NULL, "off");
	else
		say(d, GOOD, "Secure Boot", NULL, "not there, or not to be seen");
}

static void check_io_uring(struct doctor *d)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);
	int err = fd < 0 ? errno : 0;
	char disabled[16];

	if (fd >= 0)
		close(fd);
	read_line("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
	if (!err)
		say(d, GOOD, "io_uring", NULL, "to be had");
	else
		say(d, WARNING, "io_uring", disabled[0] && disabled[0] != '0' ?
		    "sysctl kernel.io_uring_disabled=0; without it the agent reads and writes with "
		    "pread and pwrite, which is slower" :
		    "allow it in the container's or service's system call filter; without it the "
		    "agent reads and writes with pread and pwrite, which is slower",
		    "not to be had: %s", strerror(err));
}

static void check_tls(struct doctor *d)
{
	if (access("/sys/module/tls", F_OK) == 0)
		say(d, GOOD, "kernel TLS", NULL, "module tls is loaded");
	else
		say(d, NOTE, "kernel TLS", "modprobe tls, where the connection to the replica host "
		    "is encrypted by TLS", "module tls is not loaded");
}

/* -- the agent -------------------------------------------------------------- */

static void check_agent(struct doctor *d)
{
	if (d->asked == EXIT_DENIED)
		say(d, NOTE, "agent", "run this as root", "may not be asked");
	else if (d->asked)
		say(d, BAD, "agent", "systemctl start tidemarkd; journalctl -u tidemarkd says why it "
		    "ended", "does not answer on D-Bus");
	else if (strcmp(json_text(d->status, "version") ?: "", TIDEMARK_VERSION) != 0)
		say(d, WARNING, "agent", "systemctl restart tidemarkd",
		    "runs, version %s; this command has " TIDEMARK_VERSION,
		    json_text(d->status, "version") ?: "not known");
	else
		say(d, GOOD, "agent", NULL, "runs, version " TIDEMARK_VERSION);
}

static void check_engine(struct doctor *d)
{
	const char *engine = json_text(d->status, "engine");

	if (!engine)
		return;
	if (strstr(engine, "io_uring"))
		say(d, GOOD, "agent's engine", NULL, "%s", engine);
	else
		say(d, WARNING, "agent's engine", "see io_uring", "%s", engine);
}

/* The agent's own word, once a run was encrypted; check_tls() says what the kernel has. */
static void check_kernel_tls(struct doctor *d)
{
	const char *found = json_text(d->status, "kernel_tls");

	if (found)
		say(d, NOTE, "agent's kernel TLS", NULL, "%s", found);
}

static void check_collections(struct doctor *d)
{
	size_t count = json_length(d->status, "collections"), unwell = 0, critical = 0;
	const char *first = NULL, *text = NULL;

	if (!d->status)
		return;
	for (size_t i = 0; i < count; i++) {
		struct json_object *c = json_item(d->status, "collections", i);
		uint64_t health = json_number(c, "health");

		if (health < 2)
			continue;
		unwell++;
		critical += health == 3;
		if (!first) {
			first = json_text(c, "collection");
			text = json_text(c, "health_text");
		}
	}
	if (!count)
		say(d, NOTE, "collections", "tidemark collection create, or tidemark.conf(5)",
		    "there is none");
	else if (!unwell)
		say(d, GOOD, "collections", NULL, "%zu, all well", count);
	else
		say(d, critical ? BAD : WARNING, "collections", "tidemark list",
		    "%zu of %zu not well: %s: %s", unwell, count, first ?: "", text ?: "");
}

/* -- certificates ----------------------------------------------------------- */

#define TLS_DIR "/etc/tidemark/tls"
#define RENEW_DAYS 30

/* Return: is it there? */
static bool check_certificate(struct doctor *d, const char *dir, const char *file,
			      const char *advice)
{
	char path[4096];
	int days, err;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return false;
	err = pki_days(path, &days);
	if (err == -ENOENT)
		return false;
	if (err)
		say(d, err == -EACCES ? NOTE : BAD, "certificates",
		    err == -EACCES ? "run this as root" : advice, "%s: %s", path,
		    err == -EBADMSG ? "it is no certificate" : strerror(-err));
	else if (days < 0)
		say(d, BAD, "certificates", advice, "%s has expired", path);
	else if (days < RENEW_DAYS)
		say(d, WARNING, "certificates", advice, "%s expires in %d days", path, days);
	else
		say(d, GOOD, "certificates", NULL, "%s: %d days", path, days);
	return true;
}

static void check_certificates(struct doctor *d)
{
	static const struct {
		const char *file;
		const char *advice;
	} files[] = {
		{ "ca-cert.pem", "a new authority: tidemark pki init, and all that it signs" },
		{ "ca-crl.pem", "tidemark pki revoke writes a new one, on the authority's host" },
		{ "client-cert.pem", "tidemark pki client NAME, see tidemark-pki(8)" },
		{ "server-cert.pem", "tidemark pki server NAME, see tidemark-pki(8)" },
	};
	const char *dir = json_text(d->status, "tls_dir") ?: TLS_DIR;
	bool any = false;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		any |= check_certificate(d, dir, files[i].file, files[i].advice);
	if (!any)
		say(d, NOTE, "certificates", "tidemark pki init; needed where hosts speak over a "
		    "network", "there are none in %s", dir);
}

static void check_libvirt(struct doctor *d)
{
	if (access("/run/libvirt/virtqemud-sock", F_OK) == 0 ||
	    access("/run/libvirt/libvirt-sock", F_OK) == 0)
		say(d, GOOD, "libvirt", NULL, "runs");
	else
		say(d, NOTE, "libvirt", NULL, "does not run here; it is not needed");
}

/* -- the command ------------------------------------------------------------ */

static const char doctor_help[] =
	"Usage: tidemark doctor [OPTION...]\n\n"
	"Look at everything that replication takes, and say what to do where something is\n"
	"missing. Changes nothing. The exit code is 1 when something failed, 12 when there\n"
	"are warnings.\n\n"
	OUTPUT_OPTIONS_HELP
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

static int doctor_run(const char *bus, const struct output_options *options)
{
	struct doctor d = {
		.output = output_new("checks", doctor_columns,
				     sizeof(doctor_columns) / sizeof(doctor_columns[0])),
		.bus = bus,
	};
	int err;

	ask_agent(&d);
	check_module(&d);
	check_device_mapper(&d);
	check_secure_boot(&d);
	check_io_uring(&d);
	check_tls(&d);
	check_agent(&d);
	check_certificates(&d);
	check_engine(&d);
	check_kernel_tls(&d);
	check_collections(&d);
	check_libvirt(&d);
	err = output_print(d.output, options);
	output_free(d.output);
	json_object_put(d.status);
	if (err)
		return err == -EINVAL ? EXIT_USAGE : command_fail(err, "cannot print");
	return d.counts[BAD] ? EXIT_FAILED : d.counts[WARNING] ? EXIT_WARNINGS : EXIT_DONE;
}

int command_doctor(int argc, char **argv)
{
	static const struct option names[] = {
		OUTPUT_LONG_OPTIONS,
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct output_options options = { 0 };
	const char *bus = NULL;
	int option;

	while ((option = getopt_long(argc, argv, OUTPUT_SHORT_OPTIONS "h", names, NULL)) >= 0) {
		if (output_option(&options, option, optarg))
			continue;
		switch (option) {
		case 'B': bus = optarg; break;
		case 'h':
			fputs(doctor_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("doctor", NULL);
		}
	}
	if (optind != argc)
		return command_usage("doctor", "doctor takes no arguments");
	return doctor_run(bus, &options);
}
