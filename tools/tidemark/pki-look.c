// SPDX-License-Identifier: GPL-2.0-or-later
#include "tidemark/pki-look.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

static int days_to(const ASN1_TIME *end)
{
	int days, seconds;

	if (!end || ASN1_TIME_diff(&days, &seconds, NULL, end) != 1)
		return INT_MAX;
	/* Both have the sign; what is less than a day past is past. */
	return seconds < 0 ? days - 1 : days;
}

/* The first to end of all that are in there. Return: INT_MAX: there is none. */
static int days_of_certificates(FILE *f)
{
	int first = INT_MAX, days;
	X509 *cert;

	while ((cert = PEM_read_X509(f, NULL, NULL, NULL)) != NULL) {
		days = days_to(X509_get0_notAfter(cert));
		first = days < first ? days : first;
		X509_free(cert);
	}
	return first;
}

static int days_of_list(FILE *f)
{
	X509_CRL *crl = PEM_read_X509_CRL(f, NULL, NULL, NULL);
	int days = crl ? days_to(X509_CRL_get0_nextUpdate(crl)) : INT_MAX;

	X509_CRL_free(crl);
	return days;
}

int pki_days(const char *path, int *ret)
{
	FILE *f = fopen(path, "re");
	int days;

	if (!f)
		return -errno;
	days = days_of_certificates(f);
	if (days == INT_MAX) {
		rewind(f);
		days = days_of_list(f);
	}
	fclose(f);
	/* The end of a file is an error to it, too. */
	ERR_clear_error();
	if (days == INT_MAX)
		return -EBADMSG;
	*ret = days;
	return 0;
}
