// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark pki - certificates for those who have none
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tidemark/pki-make.h"

#define PKI_DIR "/etc/tidemark/tls"
#define CA_DAYS 3650
#define CERT_DAYS 825
#define CRL_DAYS 365
#define NAMES_MAX 16

static const char pki_help[] =
	"Usage: tidemark pki init [NAME]\n"
	"       tidemark pki server NAME...\n"
	"       tidemark pki client NAME\n"
	"       tidemark pki revoke CERTIFICATE\n"
	"\n"
	"Make a certificate authority and what it signs, in the files that QEMU and\n"
	"libvirt use. 'init' makes the authority: ca-cert.pem, ca-key.pem and an empty\n"
	"ca-crl.pem. 'server' is for a host that receives: NAMEs are those, or the\n"
	"addresses, that senders reach it by. 'client' is for a host that sends: NAME is\n"
	"what the receiver's [peer NAME] is called. 'revoke' takes a certificate back.\n"
	"Keep ca-key.pem off both hosts.\n"
	"\n"
	"  -d, --dir DIR        where the authority is (" PKI_DIR ")\n"
	"  -o, --out DIR        where the new files go (the same)\n"
	"      --days N         how long it is valid (authority 3650, others 825; the\n"
	"                       revocation list 365, whatever this says)\n"
	"  -f, --force          replace files that are there\n"
	"  -h, --help           this text\n";

struct pki {
	const char *dir;
	const char *out;
	int days;
	bool force;
	char *const *args;
	size_t count;
	X509 *ca;
	EVP_PKEY *ca_key;
};

static int pki_crypto_failed(const char *what)
{
	command_say("%s: %s", what, pki_why());
	return EXIT_FAILED;
}

#define NAME_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* @letters: of which it may be */
static bool name_good(const char *name, const char *letters)
{
	size_t length = strlen(name);

	return length > 0 && length < 64 && name[0] != '-' && name[0] != '.' &&
	       strspn(name, letters) == length;
}

/* A server's is a host's or an address, a client's the NAME of a [peer NAME]. */
static int pki_check_names(const struct pki *p, bool server)
{
	if (!p->count)
		return command_usage("pki", "a name is missing");
	if (p->count > (server ? NAMES_MAX : 1))
		return command_usage("pki", "too many names");
	for (size_t i = 0; i < p->count; i++)
		if (!name_good(p->args[i], server ? NAME_LETTERS ":" : NAME_LETTERS))
			return command_usage("pki", "'%s' is no name", p->args[i]);
	return EXIT_DONE;
}

static int pki_save(const struct pki *p, const char *dir, enum pki_file file, EVP_PKEY *key,
		    X509 *cert, X509_CRL *crl, bool replace)
{
	char path[PKI_PATH_MAX];
	int err = pki_path(path, dir, file);

	if (!err)
		err = pki_write(path, key, cert, crl, replace);
	if (err == -EEXIST) {
		command_say("%s is there already; --force replaces it", path);
		return EXIT_IN_USE;
	}
	return err ? command_fail(err, "cannot write %s", path) : EXIT_DONE;
}

static int pki_make_dir(const char *dir)
{
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return command_fail(-errno, "cannot make %s", dir);
	return EXIT_DONE;
}

/* -- the authority ------------------------------------------------------------ */

static int pki_open(struct pki *p)
{
	char cert[PKI_PATH_MAX], key[PKI_PATH_MAX];

	if (pki_path(cert, p->dir, PKI_CA_CERT) || pki_path(key, p->dir, PKI_CA_KEY))
		return command_fail(-ENAMETOOLONG, "%s", p->dir);
	p->ca = pki_read_certificate(cert);
	p->ca_key = pki_read_key(key);
	if (!p->ca || !p->ca_key) {
		command_say("there is no certificate authority in %s: 'tidemark pki init' makes one",
			    p->dir);
		return EXIT_NOT_FOUND;
	}
	return EXIT_DONE;
}

static int pki_init(struct pki *p)
{
	char *standard[] = { (char *)"Tidemark" };
	char *const *names = p->count ? p->args : standard;
	EVP_PKEY *key;
	X509_CRL *crl = NULL;
	X509 *cert;
	int code;

	/* It is shown to people, and matched with nothing. */
	if (p->count > 1 || !*names[0] || strlen(names[0]) > 63)
		return command_usage("pki", "init takes one name of up to 63 characters");
	key = pki_key();
	cert = key ? pki_certificate(PKI_CA, names, 1, p->days ? p->days : CA_DAYS, key, NULL,
				     NULL) : NULL;
	if (cert)
		crl = pki_crl(NULL, NULL, CRL_DAYS, cert, key);
	code = crl ? pki_make_dir(p->dir) : pki_crypto_failed("cannot make an authority");
	/* The key first: a certificate without one would be of no use, and in the way. */
	if (!code)
		code = pki_save(p, p->dir, PKI_CA_KEY, key, NULL, NULL, p->force);
	if (!code)
		code = pki_save(p, p->dir, PKI_CA_CERT, NULL, cert, NULL, p->force);
	if (!code)
		code = pki_save(p, p->dir, PKI_CA_CRL, NULL, NULL, crl, p->force);
	X509_CRL_free(crl);
	X509_free(cert);
	EVP_PKEY_free(key);
	return code;
}

/* -- what it signs ------------------------------------------------------------ */

static int pki_copy_ca(const struct pki *p)
{
	char path[PKI_PATH_MAX];
	X509_CRL *crl;
	int code;

	if (strcmp(p->dir, p->out) == 0)
		return EXIT_DONE;
	code = pki_save(p, p->out, PKI_CA_CERT, NULL, p->ca, NULL, true);
	if (code || pki_path(path, p->dir, PKI_CA_CRL))
		return code;
	crl = pki_read_crl(path);
	if (crl)
		code = pki_save(p, p->out, PKI_CA_CRL, NULL, NULL, crl, true);
	X509_CRL_free(crl);
	return code;
}

static int pki_sign(struct pki *p, enum pki_kind kind)
{
	bool server = kind == PKI_SERVER;
	EVP_PKEY *key;
	X509 *cert;
	int code = pki_check_names(p, server);

	if (!code)
		code = pki_open(p);
	if (code)
		return code;
	key = pki_key();
	cert = key ? pki_certificate(kind, p->args, p->count, p->days ? p->days : CERT_DAYS, key,
				     p->ca, p->ca_key) : NULL;
	code = cert ? pki_make_dir(p->out) : pki_crypto_failed("cannot sign");
	if (!code)
		code = pki_save(p, p->out, server ? PKI_SERVER_KEY : PKI_CLIENT_KEY, key, NULL,
				NULL, p->force);
	if (!code)
		code = pki_save(p, p->out, server ? PKI_SERVER_CERT : PKI_CLIENT_CERT, NULL, cert,
				NULL, p->force);
	if (!code)
		code = pki_copy_ca(p);
	X509_free(cert);
	EVP_PKEY_free(key);
	if (!code && !server)
		printf("[peer %s]\ncollections = *\n", p->args[0]);
	return code;
}

static int pki_server(struct pki *p)
{
	return pki_sign(p, PKI_SERVER);
}

static int pki_client(struct pki *p)
{
	return pki_sign(p, PKI_CLIENT);
}

static int pki_revoke(struct pki *p)
{
	char path[PKI_PATH_MAX];
	X509_CRL *old, *crl;
	X509 *cert;
	int code;

	if (p->count != 1)
		return command_usage("pki", "revoke takes one certificate");
	code = pki_open(p);
	if (code)
		return code;
	cert = pki_read_certificate(p->args[0]);
	if (!cert) {
		command_say("%s: not a certificate", p->args[0]);
		return access(p->args[0], F_OK) < 0 ? EXIT_NOT_FOUND : EXIT_USAGE;
	}
	if (X509_verify(cert, X509_get0_pubkey(p->ca)) != 1) {
		command_say("%s was not signed by the authority in %s", p->args[0], p->dir);
		X509_free(cert);
		return EXIT_USAGE;
	}
	if (pki_path(path, p->dir, PKI_CA_CRL)) {
		X509_free(cert);
		return command_fail(-ENAMETOOLONG, "%s", p->dir);
	}
	/* A list that is there and cannot be read must not be replaced by a shorter one. */
	old = pki_read_crl(path);
	if (!old && access(path, F_OK) == 0) {
		command_say("%s: not a revocation list", path);
		X509_free(cert);
		return EXIT_FAILED;
	}
	crl = pki_crl(old, cert, CRL_DAYS, p->ca, p->ca_key);
	code = crl ? pki_save(p, p->dir, PKI_CA_CRL, NULL, NULL, crl, true) :
		     pki_crypto_failed("cannot revoke");
	X509_CRL_free(crl);
	X509_CRL_free(old);
	X509_free(cert);
	return code;
}

/* -- the command -------------------------------------------------------------- */

static int pki_dispatch(struct pki *p, const char *what)
{
	static const struct {
		const char *name;
		int (*run)(struct pki *p);
	} verbs[] = {
		{ "init", pki_init },
		{ "server", pki_server },
		{ "client", pki_client },
		{ "revoke", pki_revoke },
	};
	int code;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, what) != 0)
			continue;
		code = verbs[i].run(p);
		X509_free(p->ca);
		EVP_PKEY_free(p->ca_key);
		return code;
	}
	return command_usage("pki", "there is no '%s'", what);
}

int command_pki(int argc, char **argv)
{
	enum { OPTION_DAYS = 256 };
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "out", required_argument, NULL, 'o' },
		{ "days", required_argument, NULL, OPTION_DAYS },
		{ "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct pki p = { .dir = PKI_DIR };
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "d:o:fh", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			p.dir = optarg;
			break;
		case 'o':
			p.out = optarg;
			break;
		case OPTION_DAYS:
			p.days = (int)strtol(optarg, &end, 10);
			if (*end || p.days < 1 || p.days > 36500)
				return command_usage("pki", "--days: a number from 1 to 36500");
			break;
		case 'f':
			p.force = true;
			break;
		case 'h':
			fputs(pki_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("pki", NULL);
		}
	}
	if (optind == argc)
		return command_usage("pki", "init, server, client or revoke?");
	if (!p.out)
		p.out = p.dir;
	p.args = argv + optind + 1;
	p.count = argc - optind - 1;
	return pki_dispatch(&p, argv[optind]);
}
