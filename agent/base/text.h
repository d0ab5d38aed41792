/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIDEMARK_BASE_TEXT_H
#define TIDEMARK_BASE_TEXT_H

/**
 * text_clean() - make a text fit to be shown: on a terminal, in the log, on D-Bus
 * @text: changed in place, never longer
 *
 * Control characters become '?': they could forge a line of the log or steer a
 * terminal. So does each byte that is no UTF-8, which D-Bus would refuse to carry.
 * A character that was cut off at the end goes.
 */
void text_clean(char *text);

#endif
