/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking at certificates and revocation lists, without OpenSSL's types.
 */
#ifndef TIDEMARK_PKI_LOOK_H
#define TIDEMARK_PKI_LOOK_H

/**
 * pki_days() - how long is it still valid?
 * @path: a file in PEM: certificates, of which the first to end counts, or one
 *	revocation list, whose next update is meant
 * @ret: days, rounded down; below 0: it has expired
 *
 * Return: 0; -EBADMSG: it is neither; or the errno of opening it.
 */
int pki_days(const char *path, int *ret);

#endif
