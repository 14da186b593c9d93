/* Performs a described operation. */
#include "client/call.h"

#include <stdio.h>

#include "client/exchange.h"
#include "client/failure.h"

#include "base/banned.h"

enum { BODY_MAXIMUM = 256 << 20 };

PictographResult *call(PictographClient *client, const Call *description, PictographError *error) {
    PictographResult *result = NULL;
    Exchange exchange;
    exchange_init(&exchange, client, description->method);
    exchange_set_path(&exchange, description->path, description->names);
    for (size_t i = 0; i < CALL_QUERY_MAX && description->query[i].key; i++)
        exchange_add_query(&exchange, description->query[i].key, description->query[i].value);
    if (description->body) {
        exchange.body = *description->body;
        buffer_init(description->body, BODY_MAXIMUM);
        exchange.content_type = description->content_type ? description->content_type : "application/json";
    }
    if (description->idempotency_key) snprintf(exchange.idempotency_key, sizeof exchange.idempotency_key, "%s", description->idempotency_key);
    if (!exchange_perform(&exchange, error)) result = exchange_result(&exchange, description->envelope, error);
    exchange_clear(&exchange);
    return result;
}

PictographStatus call_for_status(PictographClient *client, const Call *description, PictographError *error) {
    PictographError own = {0};
    PictographResult *result = call(client, description, &own);
    PictographStatus status = own.status;
    pictograph_result_free(result);
    failure_move(error, &own);
    return status;
}

JsonWriter call_body(Buffer *body) {
    JsonWriter writer;
    buffer_init(body, BODY_MAXIMUM);
    json_writer_init(&writer, body);
    json_begin_object(&writer);
    return writer;
}

void call_optional_string(JsonWriter *writer, const char *key, const char *text) {
    if (text) json_field_string(writer, key, text);
}

void call_optional_strings(JsonWriter *writer, const char *key, const char *const *texts) {
    if (!texts) return;
    json_key(writer, key);
    json_begin_array(writer);
    for (; *texts; texts++) json_string(writer, *texts);
    json_end_array(writer);
}

const char *call_number_text(char out[24], int64_t value) {
    snprintf(out, 24, "%lld", (long long)value);
    return out;
}
