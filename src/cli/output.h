/* Output: tables for people, JSON for machines, sizes and prompts. */
#pragma once
#include <pictograph/datasets.h>
#include <stdio.h>

#include "base/json.h"

/* Indented JSON of a result on standard output, nulls left out. */
void output_result(const PictographResult *result);
/* A JSON object that a command makes up: begin, json_field_… on the writer, end prints it. */
typedef struct OutputObject {
    Buffer text;
    JsonWriter writer;
} OutputObject;
void output_begin(OutputObject *object);
void output_end(OutputObject *object);
/* A field that lists every one of them as {path, reason}; none when there is none. */
void output_failures(JsonWriter *writer, const char *key, const PictographFailure *failures, size_t count);

/* A table with a header line. Cells are copied. */
typedef struct Table Table;
/* headings are separated by '|'; one that starts with '>' is aligned to the right. */
Table *table_new(const char *headings);
/* As many texts as headings. NULL prints as "-". */
void table_row(Table *table, ...);
/* Prints to out, "No results." when there is no row, and frees. */
void table_print(Table *table, FILE *out);
void table_free(Table *table);

/* "1.5 MB". Returns out. */
enum { OUTPUT_SIZE_TEXT = 32 };
char *output_size(char out[OUTPUT_SIZE_TEXT], int64_t bytes);
/* A number as text for a table cell, in the caller's block. */
#define output_number(value) (output_number_text((char[24]){0}, (value)))
char *output_number_text(char out[24], int64_t value);
