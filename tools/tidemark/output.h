/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings: the same rows as a table for people or as JSON for programs.
 *
 * A listing has columns with a type, and rows with a cell for each; what was
 * not set is "-" in a table and null in JSON. In JSON the columns are members
 * named as the columns are, in lower case with "_" for "-"; numbers and bytes
 * are integers. Each document has "schema": OUTPUT_SCHEMA: members may join,
 * none changes its meaning or goes away without a new schema.
 */
#ifndef TIDEMARK_OUTPUT_H
#define TIDEMARK_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_SCHEMA "tidemark/1"

/**
 * enum output_type - of a column
 * @OUTPUT_TEXT: text
 * @OUTPUT_NUMBER: a whole number
 * @OUTPUT_BYTES: a number of bytes: "1.2 GiB" for people, unless --bytes
 * @OUTPUT_WORDS: words with commas between: an array in JSON; when there are
 *	none, the column's @empty for people
 * @OUTPUT_PERCENT: a whole number, with a % sign for people
 */
enum output_type {
	OUTPUT_TEXT,
	OUTPUT_NUMBER,
	OUTPUT_BYTES,
	OUTPUT_WORDS,
	OUTPUT_PERCENT,
};

/**
 * struct output_column - a column
 * @name: its heading, in capitals
 * @help: one line for --help
 * @empty: what a table shows for no words at all
 * @type: of its cells
 * @extra: a table has it only when asked for by --output (JSON has all)
 */
struct output_column {
	const char *name;
	const char *help;
	const char *empty;
	enum output_type type;
	bool extra;
};

/**
 * struct output_options - what the user wants
 * @json: JSON
 * @bytes: sizes as bytes
 * @noheadings: a table without its headings
 * @columns: names with commas between, NULL: the usual ones
 */
struct output_options {
	bool json;
	bool bytes;
	bool noheadings;
	const char *columns;
};

/*
 * The options of every listing, for getopt_long(): OUTPUT_SHORT_OPTIONS goes
 * into the short ones, OUTPUT_LONG_OPTIONS into the array, OUTPUT_OPTIONS_HELP
 * into the help.
 */
#define OUTPUT_SHORT_OPTIONS "Jbno:"
#define OUTPUT_LONG_OPTIONS \
	{ "json",	no_argument,		NULL, 'J' }, \
	{ "bytes",	no_argument,		NULL, 'b' }, \
	{ "noheadings",	no_argument,		NULL, 'n' }, \
	{ "output",	required_argument,	NULL, 'o' }
#define OUTPUT_OPTIONS_HELP \
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n" \
	"  -b, --bytes          sizes in bytes\n" \
	"  -n, --noheadings     no headings\n" \
	"  -o, --output LIST    only these columns, with commas between\n"

/** output_option() - take an option. Return: whether it was one of these */
bool output_option(struct output_options *options, int option, const char *argument);

/** output_help_columns() - print the columns, for --help */
void output_help_columns(const struct output_column *columns, size_t count);

/** struct output - a listing */
struct output;
struct json_object;

/**
 * output_new() - a listing without rows
 * @list: name of the array in JSON
 * @columns: kept, not copied
 * @count: how many columns
 *
 * Return: NULL when memory is out, which the functions below bear.
 */
struct output *output_new(const char *list, const struct output_column *columns, size_t count);
/** output_free() - NULL is ignored. Return: NULL */
struct output *output_free(struct output *o);

/** output_row() - begin a row; the functions below fill cells of the newest one */
void output_row(struct output *o);
/** output_text() - a cell of OUTPUT_TEXT or OUTPUT_WORDS; NULL leaves it unset */
void output_text(struct output *o, size_t column, const char *text);
/** output_number() - a cell of OUTPUT_NUMBER, OUTPUT_BYTES or OUTPUT_PERCENT */
void output_number(struct output *o, size_t column, uint64_t number);
/** output_colour() - the colour of a cell on a terminal: "red", "yellow", ... */
void output_colour(struct output *o, size_t column, const char *colour);

/**
 * output_print() - print it to stdout
 *
 * Return: 0; -EINVAL: options->columns names a column that does not exist,
 * which was said on stderr; -ENOMEM, also for what failed before; -EIO.
 */
int output_print(struct output *o, const struct output_options *options);

/** output_may_colour() - stdout is a terminal and NO_COLOR is not set */
bool output_may_colour(void);

enum { OUTPUT_TIME = 32 };

/** output_time() - microseconds since 1970 as "2026-11-22T10:00:00Z". Return: @ret */
char *output_time(uint64_t us, char ret[OUTPUT_TIME]);

/** output_json() - print a document, with its schema, and put it. Return: an exit code */
int output_json(struct json_object *document);

/** output_uuid() - the text of a UUID of 16 bytes into 37; NULL-terminated */
char *output_uuid(const uint8_t uuid[16], char ret[37]);

#endif
