/* What the command line shows. */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "client/result.h"

#include "base/banned.h"

enum { JSON_MAXIMUM = 1 << 30, TABLE_COLUMNS = 12, FAILURES_SHOWN = 10 };

/* ---- JSON ---- */

void output_begin(OutputObject *object) {
    buffer_init(&object->text, JSON_MAXIMUM);
    json_writer_init(&object->writer, &object->text);
    object->writer.indent = 2;
    json_begin_object(&object->writer);
}

static void print_text(Buffer *text) {
    fwrite(buffer_text(text), 1, text->size, stdout);
    putchar('\n');
    buffer_clear(text);
}

void output_end(OutputObject *object) {
    json_end_object(&object->writer);
    print_text(&object->text);
}

void output_failures(JsonWriter *writer, const char *key, const PictographFailure *failures, size_t count) {
    if (count == 0) return;
    json_key(writer, key);
    json_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(writer);
        json_field_string(writer, "path", failures[i].path);
        if (failures[i].kind) json_field_string(writer, "kind", failures[i].kind);
        json_field_string(writer, "reason", failures[i].reason);
        json_end_object(writer);
    }
    json_end_array(writer);
}

void output_result(const PictographResult *result) {
    Buffer text;
    buffer_init(&text, JSON_MAXIMUM);
    JsonWriter writer;
    json_writer_init(&writer, &text);
    writer.indent = 2;
    yyjson_val *root = result_at(result, "");
    if (root) json_value_without_nulls(&writer, root);
    else json_null(&writer);
    print_text(&text);
}

/* ---- tables ---- */

struct Table {
    int columns;
    bool right[TABLE_COLUMNS];
    size_t widths[TABLE_COLUMNS];
    char **cells; /* rows × columns; the first row is the headings */
    size_t cell_count, capacity;
};

static void add_cell(Table *table, const char *text, size_t length) {
    if (table->cell_count == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 64;
        table->cells = xrealloc(table->cells, table->capacity * sizeof *table->cells);
    }
    char *cell = xmalloc(length + 1);
    memcpy(cell, text, length);
    cell[length] = '\0';
    for (char *at = cell; *at; at++) /* a server's text must not move the cursor */
        if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = ' ';
    size_t column = table->cell_count % (size_t)table->columns, width = text_length(cell);
    if (width > table->widths[column]) table->widths[column] = width;
    table->cells[table->cell_count++] = cell;
}

Table *table_new(const char *headings) {
    Table *table = xcalloc(1, sizeof *table);
    table->columns = 1;
    for (const char *at = headings; *at; at++) table->columns += *at == '|';
    for (int i = 0; i < table->columns; i++) {
        table->right[i] = *headings == '>';
        headings += table->right[i];
        size_t length = strcspn(headings, "|");
        add_cell(table, headings, length);
        headings += length + (headings[length] == '|');
    }
    return table;
}

void table_row(Table *table, ...) {
    va_list cells;
    va_start(cells, table);
    for (int i = 0; i < table->columns; i++) {
        const char *text = va_arg(cells, const char *);
        text = text ? text : "-";
        add_cell(table, text, strlen(text));
    }
    va_end(cells);
}

static void print_cell(const Table *table, size_t index, FILE *out) {
    const char *cell = table->cells[index];
    size_t column = index % (size_t)table->columns;
    bool last = column + 1 == (size_t)table->columns;
    int padding = (int)(table->widths[column] - text_length(cell));
    fprintf(out, "%*s%s%*s%s", table->right[column] ? padding : 0, "", cell, table->right[column] || last ? 0 : padding, "",
            last ? "\n" : "  ");
}

void table_free(Table *table) {
    for (size_t i = 0; i < table->cell_count; i++) free(table->cells[i]);
    free(table->cells);
    free(table);
}

void table_print(Table *table, FILE *out) {
    if (table->cell_count == (size_t)table->columns)
        fputs("No results.\n", out);
    else
        for (size_t i = 0; i < table->cell_count; i++) print_cell(table, i, out);
    table_free(table);
}

char *output_size(char out[OUTPUT_SIZE_TEXT], int64_t bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++) value /= 1000;
    snprintf(out, OUTPUT_SIZE_TEXT, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

char *output_number_text(char out[24], int64_t value) {
    snprintf(out, 24, "%lld", (long long)value);
    return out;
}

/* ---- errors and questions ---- */

static void print_error(const char *text) {
    bool colour = isatty(STDERR_FILENO);
    size_t length = strcspn(text, "\n"); /* one line, whatever the text holds */
    fprintf(stderr, "%serror: %.*s%s\n", colour ? "\033[1;31m" : "", (int)length, text, colour ? "\033[0m" : "");
}

int cli_error(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_error(text);
    return CLI_API_ERROR;
}

int cli_usage(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_error(text);
    return CLI_USAGE;
}

int cli_fail(Cli *cli) {
    const PictographError *error = &cli->error;
    if (error->status == PICTOGRAPH_CANCELLED) {
        fputs("interrupted\n", stderr);
        return CLI_INTERRUPTED;
    }
    char *text = pictograph_error_text(error);
    print_error(text);
    free(text);
    if (error->status == PICTOGRAPH_RATE_LIMITED && error->retry_after > 0) fprintf(stderr, "Try again in about %.0f s.\n", error->retry_after);
    return error->status == PICTOGRAPH_CONFIGURATION ? CLI_USAGE : CLI_API_ERROR;
}

int cli_fail_base(const Error *err) {
    print_error(err->message);
    return err->status == STATUS_CONFIGURATION ? CLI_USAGE : err->status == STATUS_CANCELLED ? CLI_INTERRUPTED : CLI_API_ERROR;
}

bool cli_confirm(const Cli *cli, const char *format, ...) {
    if (cli_flag(cli, "yes")) return true;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs(" [y/N] ", stderr);
    char answer[16] = "";
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) return true;
    fputs("Not confirmed.\n", stderr);
    return false;
}

/* ---- what many commands end with ---- */

int cli_print_result(Cli *cli, PictographResult *result) {
    if (!result) return cli_fail(cli);
    output_result(result);
    pictograph_result_free(result);
    return CLI_OK;
}

int cli_print_list(Cli *cli, PictographPager *pager) {
    if (!pager) return cli_fail(cli);
    if (!cli_flag(cli, "json")) return -1;
    PictographResult *all = pictograph_pager_all(pager, &cli->error);
    pictograph_pager_free(pager);
    return cli_print_result(cli, all);
}

int cli_print_table(Cli *cli, Table *table) {
    if (cli->error.status) {
        table_free(table);
        return cli_fail(cli);
    }
    table_print(table, stdout);
    return CLI_OK;
}

void cli_print_failures(const PictographFailure *failures, size_t count) {
    for (size_t i = 0; i < count && i < FAILURES_SHOWN; i++)
        fprintf(stderr, "%s%s%s: %s\n", failures[i].path, failures[i].kind ? " " : "", failures[i].kind ? failures[i].kind : "",
                failures[i].reason);
    if (count > FAILURES_SHOWN) fprintf(stderr, "… and %zu more\n", count - FAILURES_SHOWN);
}
