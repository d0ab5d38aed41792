// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * output - listings, as tables by libsmartcols or as JSON by json-c
 */
#include "tidemark/output.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <libsmartcols/libsmartcols.h>

#include "tidemark/command.h"
#include "tidemark/json.h"
#include "tidemark/size.h"

struct output_cell {
	bool set;
	uint64_t number;
	char *text;
	const char *colour;
};

struct output {
	const char *list;
	const struct output_column *columns;
	size_t columns_count;
	struct output_cell *cells;	/* row after row */
	size_t rows;
	int error;
};

bool output_option(struct output_options *options, int option, const char *argument)
{
	switch (option) {
	case 'J':
		options->json = true;
		return true;
	case 'b':
		options->bytes = true;
		return true;
	case 'n':
		options->noheadings = true;
		return true;
	case 'o':
		options->columns = argument;
		return true;
	}
	return false;
}

void output_help_columns(const struct output_column *columns, size_t count)
{
	printf("\nColumns (+ only with --output):\n");
	for (size_t i = 0; i < count; i++)
		printf("  %c %-16s %s\n", columns[i].extra ? '+' : ' ', columns[i].name,
		       columns[i].help);
}

bool output_may_colour(void)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(none && *none) && term && strcmp(term, "dumb");
}

char *output_time(uint64_t us, char ret[OUTPUT_TIME])
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	strftime(ret, OUTPUT_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return ret;
}

int output_json(struct json_object *document)
{
	struct json_object *whole = json_object_new_object();
	const char *text;
	bool failed;

	/* the schema comes first, whatever the document has */
	json_object_object_add(whole, "schema", json_object_new_string(OUTPUT_SCHEMA));
	json_each(document, i) {
		if (strcmp(json_key(&i), "schema") != 0)
			json_object_object_add(whole, json_key(&i),
					       json_object_get(json_value(&i)));
	}
	text = json_object_to_json_string_ext(whole, JSON_C_TO_STRING_PRETTY |
					      JSON_C_TO_STRING_SPACED |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	failed = !text || puts(text) < 0;
	json_object_put(whole);
	json_object_put(document);
	return failed ? command_fail(-EIO, "cannot print") : EXIT_DONE;
}

char *output_uuid(const uint8_t uuid[16], char ret[37])
{
	static const char digits[] = "0123456789abcdef";
	char *p = ret;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = digits[uuid[i] >> 4];
		*p++ = digits[uuid[i] & 15];
	}
	*p = '\0';
	return ret;
}

struct output *output_new(const char *list, const struct output_column *columns, size_t count)
{
	struct output *o = calloc(1, sizeof(*o));

	if (o) {
		o->list = list;
		o->columns = columns;
		o->columns_count = count;
	}
	return o;
}

struct output *output_free(struct output *o)
{
	if (o) {
		for (size_t i = 0; i < o->rows * o->columns_count; i++)
			free(o->cells[i].text);
		free(o->cells);
		free(o);
	}
	return NULL;
}

void output_row(struct output *o)
{
	struct output_cell *cells;
	size_t row;

	if (!o || o->error)
		return;
	row = sizeof(*cells) * o->columns_count;
	cells = reallocarray(o->cells, o->rows + 1, row);
	if (!cells) {
		o->error = -ENOMEM;
		return;
	}
	o->cells = cells;
	memset(cells + o->rows * o->columns_count, 0, row);
	o->rows++;
}

static struct output_cell *output_cell(struct output *o, size_t column)
{
	if (!o || o->error || !o->rows)
		return NULL;
	return &o->cells[(o->rows - 1) * o->columns_count + column];
}

void output_text(struct output *o, size_t column, const char *text)
{
	struct output_cell *cell = output_cell(o, column);

	if (!cell || !text)
		return;
	free(cell->text);
	cell->text = strdup(text);
	cell->set = cell->text;
	if (!cell->text)
		o->error = -ENOMEM;
}

void output_number(struct output *o, size_t column, uint64_t number)
{
	struct output_cell *cell = output_cell(o, column);

	if (!cell)
		return;
	cell->number = number;
	cell->set = true;
}

void output_colour(struct output *o, size_t column, const char *colour)
{
	struct output_cell *cell = output_cell(o, column);

	if (cell)
		cell->colour = colour;
}

/* -- which columns ---------------------------------------------------------- */

static int output_column_find(const struct output *o, const char *name, size_t length)
{
	for (size_t i = 0; i < o->columns_count; i++)
		if (strlen(o->columns[i].name) == length &&
		    !strncasecmp(o->columns[i].name, name, length))
			return (int)i;
	return -1;
}

/* Fill @ret, which has room for any choice, with the numbers of the columns. */
static int output_choose(const struct output *o, const struct output_options *options,
			 size_t *ret, size_t room, size_t *ret_count)
{
	const char *p = options->columns;
	size_t count = 0;

	if (!p) {
		for (size_t i = 0; i < o->columns_count; i++)
			if (options->json || !o->columns[i].extra)
				ret[count++] = i;
		*ret_count = count;
		return 0;
	}
	for (;;) {
		size_t length = strcspn(p, ",");
		int column = output_column_find(o, p, length);

		if (column < 0) {
			command_say("there is no column '%.*s'", (int)length, p);
			return -EINVAL;
		}
		if (count == room) {
			command_say("too many columns");
			return -EINVAL;
		}
		ret[count++] = (size_t)column;
		if (!p[length])
			break;
		p += length + 1;
	}
	*ret_count = count;
	return 0;
}

/* -- JSON ------------------------------------------------------------------- */

static struct json_object *json_words(const char *text)
{
	struct json_object *array = json_object_new_array();

	while (array && *text) {
		size_t length = strcspn(text, ",");

		json_object_array_add(array, json_object_new_string_len(text, (int)length));
		text += length;
		text += *text == ',';
	}
	return array;
}

static struct json_object *json_cell(const struct output_column *column,
				     const struct output_cell *cell)
{
	if (!cell->set)
		return NULL;
	switch (column->type) {
	case OUTPUT_NUMBER:
	case OUTPUT_BYTES:
	case OUTPUT_PERCENT:
		return json_object_new_uint64(cell->number);
	case OUTPUT_WORDS:
		return json_words(cell->text);
	case OUTPUT_TEXT:
		break;
	}
	return json_object_new_string(cell->text);
}

static void column_key(const char *name, char *ret, size_t size)
{
	size_t i;

	for (i = 0; name[i] && i + 1 < size; i++)
		ret[i] = name[i] == '-' ? '_' : (char)tolower((unsigned char)name[i]);
	ret[i] = '\0';
}

static int output_print_json(const struct output *o, const size_t *chosen, size_t count)
{
	struct json_object *document = json_object_new_object();
	struct json_object *list = json_object_new_array();
	const char *text;
	char key[64];
	int r = -ENOMEM;

	if (!document || !list) {
		json_object_put(list);
		goto out;
	}
	json_object_object_add(document, "schema", json_object_new_string(OUTPUT_SCHEMA));
	json_object_object_add(document, o->list, list);
	for (size_t row = 0; row < o->rows; row++) {
		const struct output_cell *cells = o->cells + row * o->columns_count;
		struct json_object *object = json_object_new_object();

		if (!object || json_object_array_add(list, object))
			goto out;
		for (size_t i = 0; i < count; i++) {
			column_key(o->columns[chosen[i]].name, key, sizeof(key));
			json_object_object_add(object, key,
					       json_cell(&o->columns[chosen[i]],
							 &cells[chosen[i]]));
		}
	}
	text = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
					      JSON_C_TO_STRING_SPACED |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text)
		r = puts(text) < 0 ? -EIO : 0;
out:
	json_object_put(document);
	return r;
}

/* -- table ------------------------------------------------------------------ */

static const char *cell_text(const struct output_column *column, const struct output_cell *cell,
			     bool bytes, char buffer[32])
{
	if (!cell->set)
		return "-";
	switch (column->type) {
	case OUTPUT_BYTES:
		if (!bytes)
			return size_format(cell->number, buffer);
		/* fall through */
	case OUTPUT_NUMBER:
		snprintf(buffer, 32, "%" PRIu64, cell->number);
		return buffer;
	case OUTPUT_PERCENT:
		snprintf(buffer, 32, "%" PRIu64 "%%", cell->number);
		return buffer;
	case OUTPUT_WORDS:
		return *cell->text ? cell->text : column->empty ?: "-";
	case OUTPUT_TEXT:
		break;
	}
	return *cell->text ? cell->text : "-";
}

static int table_fill(struct libscols_table *table, const struct output *o, const size_t *chosen,
		      size_t count, bool bytes)
{
	char buffer[32];

	for (size_t i = 0; i < count; i++) {
		const struct output_column *column = &o->columns[chosen[i]];
		bool right = column->type != OUTPUT_TEXT && column->type != OUTPUT_WORDS;

		if (!scols_table_new_column(table, column->name, 0,
					    right ? SCOLS_FL_RIGHT : 0))
			return -ENOMEM;
	}
	for (size_t row = 0; row < o->rows; row++) {
		const struct output_cell *cells = o->cells + row * o->columns_count;
		struct libscols_line *line = scols_table_new_line(table, NULL);

		if (!line)
			return -ENOMEM;
		for (size_t i = 0; i < count; i++) {
			const struct output_cell *cell = &cells[chosen[i]];

			if (scols_line_set_data(line, i, cell_text(&o->columns[chosen[i]], cell,
								   bytes, buffer)))
				return -ENOMEM;
			if (cell->colour)
				scols_cell_set_color(scols_line_get_cell(line, i), cell->colour);
		}
	}
	return 0;
}

static int output_print_table(const struct output *o, const struct output_options *options,
			      const size_t *chosen, size_t count)
{
	struct libscols_table *table;
	int r;

	if (!o->rows)		/* nothing is said of nothing, as by lsblk and its kin */
		return 0;
	scols_init_debug(0);
	table = scols_new_table();
	if (!table)
		return -ENOMEM;
	scols_table_enable_noheadings(table, options->noheadings);
	scols_table_enable_colors(table, output_may_colour());
	r = table_fill(table, o, chosen, count, options->bytes);
	if (!r)
		r = scols_print_table(table);
	scols_unref_table(table);
	return r;
}

int output_print(struct output *o, const struct output_options *options)
{
	size_t chosen[128], count;
	int r;

	if (!o)
		return -ENOMEM;
	if (o->error)
		return o->error;
	r = output_choose(o, options, chosen, sizeof(chosen) / sizeof(chosen[0]), &count);
	if (r)
		return r;
	if (options->json)
		return output_print_json(o, chosen, count);
	return output_print_table(o, options, chosen, count);
}
