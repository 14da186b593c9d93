/* Call: one operation of the API as a literal, so that a noun's file reads like a table.
 *
 *     return call(client, &(Call){.method = "GET", .path = "projects/{}", .names = {name}, .envelope = "project"}, error);
 */
#pragma once
#include <pictograph/client.h>

#include "base/json.h"

enum { CALL_QUERY_MAX = 8 };

typedef struct Call {
    const char *method;
    const char *path;      /* below /api/v1/developer/; "{}" is the next name, percent-encoded */
    const char *names[2];
    struct {
        const char *key, *value; /* a NULL value is left out */
    } query[CALL_QUERY_MAX];
    Buffer *body;          /* JSON text; cleared by the call. NULL: none */
    const char *content_type;    /* of the body; NULL: application/json */
    const char *idempotency_key; /* NULL: a fresh one where the method takes one */
    const char *envelope;  /* member of the answer to hand out; NULL: the whole answer */
} Call;

/* Performs it with all retries. The caller owns the result. */
PictographResult *call(PictographClient *client, const Call *description, PictographError *error);
/* For operations that answer with nothing. */
PictographStatus call_for_status(PictographClient *client, const Call *description, PictographError *error);

/* A JSON body: begins an object in an empty buffer. */
JsonWriter call_body(Buffer *body);
/* As json_field_string, but writes nothing for NULL. */
void call_optional_string(JsonWriter *writer, const char *key, const char *text);
/* A list of texts that ends with NULL; writes nothing for NULL. */
void call_optional_strings(JsonWriter *writer, const char *key, const char *const *texts);
/* A number as text for a query; out is the caller's. */
#define call_number(value) (call_number_text((char[24]){0}, (value)))
const char *call_number_text(char out[24], int64_t value);
