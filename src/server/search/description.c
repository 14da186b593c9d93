#include "server/search/description.h"

#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "server/auto_annotate/auto_annotate.h"
#include "server/config.h"
#include "base/banned.h"

#define BUILT_IN "efficientnet_lite0"
enum { DESCRIBE_TIMEOUT_SECONDS = 60, DIMENSIONS_MAXIMUM = 8192, WORDS_MAXIMUM = 21 /* of a category */ };

static const char *const CATEGORIES[] = {"objects", "scenes", "attributes"};
enum { CATEGORY_COUNT = sizeof CATEGORIES / sizeof *CATEGORIES };

/* ---- reading ---- */

/* The first column of the row. */
static StoredVector copy_vector(const DbRows *rows, Arena *arena) {
    size_t size;
    const void *blob = db_blob_borrowed(rows, 0, &size);
    float *numbers = arena_new_array(arena, float, size / sizeof(float) + 1);
    if (blob) memcpy(numbers, blob, size);
    return (StoredVector){numbers, (int)(size / sizeof(float))};
}

Status description_vector(DbSession *session, Arena *arena, const char *image_id, const char *model, StoredVector *out, Error *err) {
    *out = (StoredVector){0};
    DbRows rows = db_query(session, err, "SELECT vector FROM image_vectors WHERE image_id = $1 AND model = $2", DB_TEXT(image_id), DB_TEXT(model));
    if (db_next(&rows)) *out = copy_vector(&rows, arena);
    return db_finish(&rows);
}

Status description_model(Server *server, Arena *arena, const char **name, Error *err) {
    OperatorAnswer answer;
    Status status = operator_answer(server, arena, OPERATOR_SEARCH, &answer, err);
    *name = status == STATUS_OK && answer.engine ? answer.model : BUILT_IN;
    return status;
}

Status search_classifier(Server *server, Arena *arena, const char **name, Error *err) {
    OperatorAnswer answer;
    Status status = operator_answer(server, arena, OPERATOR_SEARCH, &answer, err);
    *name = status != STATUS_OK ? NULL : answer.engine ? answer.engine : BUILT_IN;
    return status == STATUS_OK ? description_possible(server, arena, err) : status;
}

void search_write_model(JsonWriter *w, Server *server, Arena *arena) { json_field_string(w, "model_path", builtin_model_path(&server->config, BUILT_IN, arena)); }

Status description_possible(Server *server, Arena *arena, Error *err) {
    OperatorAnswer answer;
    Status status = operator_answer(server, arena, OPERATOR_SEARCH, &answer, err);
    if (status != STATUS_OK || answer.engine || builtin_model_path(&server->config, BUILT_IN, arena)) return status;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model that describes images is not installed: run 'tools/setup models' (see 'pictographd doctor')");
}

void description_model_known(Server *server, Arena *arena, const char **name, bool *known, bool *ready) {
    OperatorAnswer answer;
    Error ignored;
    Status status;
    *known = operator_answer_known(server, arena, OPERATOR_SEARCH, &answer, &status, &ignored);
    bool by_operator = *known && status == STATUS_OK && answer.engine;
    *name = by_operator ? answer.model : BUILT_IN;
    *ready = *known && status == STATUS_OK && (by_operator || builtin_model_path(&server->config, BUILT_IN, arena));
}

Status search_tags(DbSession *session, Arena *arena, const char *image_id, AutoTags *out, Error *err) {
    StringArray *lists[CATEGORY_COUNT] = {&out->objects, &out->scenes, &out->attributes};
    *out = (AutoTags){0};
    DbRows rows = db_query(session, err, "SELECT category, tag, count(*) OVER () FROM image_tags WHERE image_id = $1 ORDER BY category, position", DB_TEXT(image_id));
    while (db_next(&rows))
        for (int c = 0; c < CATEGORY_COUNT; c++) {
            if (!text_equal(db_text_borrowed(&rows, 0), CATEGORIES[c])) continue;
            if (!lists[c]->items) lists[c]->items = arena_new_array(arena, const char *, (size_t)db_int(&rows, 2));
            lists[c]->items[lists[c]->count++] = db_text(&rows, 1, arena);
        }
    return db_finish(&rows);
}

/* ---- writing ---- */

static Status insert_tag(DbSession *tx, const char *image_id, const char *category, const char *tag, int64_t position, Error *err) {
    return db_exec(tx, err, "INSERT INTO image_tags (project_id, category, tag, image_id, position) SELECT project_id, $1, $2, id, $3 FROM images WHERE id = $4 "
                   "ON CONFLICT DO NOTHING", DB_TEXT(category), DB_TEXT(tag), DB_INT(position), DB_TEXT(image_id));
}

Status search_add_tag(DbSession *tx, const char *image_id, const char *category, const char *tag, Error *err) {
    int64_t position;
    Status status = db_read_int(tx, err, &position, 0, "SELECT max(position) + 1 FROM image_tags WHERE image_id = $1 AND category = $2", DB_TEXT(image_id), DB_TEXT(category));
    return status == STATUS_OK ? insert_tag(tx, image_id, category, tag, position, err) : status;
}

typedef struct NewDescription {
    const ImageRecord *image;
    const char *model; /* that made it */
    StoredVector vector;
    AutoTags tags;
} NewDescription;

static Status clear(DbSession *tx, const char *image_id, Error *err) {
    Status status = db_exec(tx, err, "DELETE FROM image_vectors WHERE image_id = $1", DB_TEXT(image_id));
    return status == STATUS_OK ? db_exec(tx, err, "DELETE FROM image_tags WHERE image_id = $1", DB_TEXT(image_id)) : status;
}

static Status write_description(DbSession *tx, void *context, Error *err) {
    const NewDescription *d = context;
    const char *id = d->image->id;
    const StringArray *lists[CATEGORY_COUNT] = {&d->tags.objects, &d->tags.scenes, &d->tags.attributes};
    int64_t described = 0;
    Status status = db_exec(tx, err, "DELETE FROM description_queue WHERE image_id = $1", DB_TEXT(id));
    if (status == STATUS_OK)
        status = db_read_int(tx, err, &described, 0, "SELECT 1 FROM image_vectors WHERE image_id = $1 AND model = $2", DB_TEXT(id), DB_TEXT(d->model));
    if (status != STATUS_OK || described) return status; /* meanwhile, by another; it may have tags since that this does not know of */
    status = clear(tx, id, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err, "INSERT INTO image_vectors (image_id, project_id, model, vector) SELECT id, project_id, $1, $2 FROM images WHERE id = $3",
                         DB_TEXT(d->model), DB_BLOB(d->vector.numbers, (size_t)d->vector.dimensions * sizeof(float)), DB_TEXT(id));
    for (int c = 0; c < CATEGORY_COUNT; c++)
        for (size_t i = 0; i < lists[c]->count && status == STATUS_OK; i++) status = insert_tag(tx, id, CATEGORIES[c], lists[c]->items[i], (int64_t)i, err);
    return status;
}

/* ---- making ---- */

/* What an image with the same bytes was given by d->model; vector.numbers is NULL when there is none. */
static Status borrow(Server *server, Arena *arena, NewDescription *d, Error *err) {
    DbSession *session = db_session(server->store);
    const char *twin = NULL;
    DbRows rows = db_query(session, err, "SELECT v.vector, v.image_id FROM images i JOIN image_vectors v ON v.image_id = i.id WHERE i.object = $1 AND v.model = $2 LIMIT 1",
                           DB_TEXT(d->image->object), DB_TEXT(d->model));
    if (db_next(&rows)) {
        d->vector = copy_vector(&rows, arena);
        twin = db_text(&rows, 1, arena);
    }
    Status status = db_finish(&rows);
    if (status == STATUS_OK && twin) status = search_tags(session, arena, twin, &d->tags, err);
    db_session_release(server->store, session);
    return status;
}

static StringArray read_words(yyjson_val *list, Arena *arena) {
    StringArray words = {.items = arena_new_array(arena, const char *, yyjson_arr_size(list) + 1)};
    size_t i, count;
    yyjson_val *word;
    yyjson_arr_foreach(list, i, count, word) if (yyjson_is_str(word) && words.count < WORDS_MAXIMUM)
        words.items[words.count++] = arena_strdup(arena, yyjson_get_str(word));
    return words;
}

static Status read_answer(yyjson_val *result, Arena *arena, NewDescription *d, Error *err) {
    unsigned char *bytes = arena_alloc(arena, DIMENSIONS_MAXIMUM * sizeof(float));
    long size = hash_from_base64url(json_get_string(result, "embedding", ""), bytes, DIMENSIONS_MAXIMUM * sizeof(float));
    if (size <= 0 || size % (long)sizeof(float) != 0) return error_set(err, STATUS_INTERNAL_ERROR, "The vision worker described nothing");
    d->vector = (StoredVector){(const float *)(const void *)bytes, (int)(size / (long)sizeof(float))};
    d->model = arena_strdup(arena, json_get_string(result, "model", d->model)); /* the folder of the operator's may have changed since it was looked at */
    d->tags = (AutoTags){.objects = read_words(yyjson_obj_get(result, "objects"), arena), .scenes = read_words(yyjson_obj_get(result, "scenes"), arena),
                         .attributes = read_words(yyjson_obj_get(result, "attributes"), arena)};
    return STATUS_OK;
}

static Status look(Server *server, Arena *arena, NewDescription *d, bool patient, bool (*stop)(void *), void *context, Error *err) {
    yyjson_val *result = NULL;
    VisionCall call;
    Status status = description_possible(server, arena, err);
    if (status != STATUS_OK) return status;
    vision_call_begin(&call, server, arena, d->image);
    call.patient = patient;
    search_write_model(&call.writer, server, arena);
    status = vision_call_run(&call, "describe", DESCRIBE_TIMEOUT_SECONDS, stop, context, &result, err);
    if (status == STATUS_OK) status = read_answer(result, arena, d, err);
    vision_call_end(&call);
    return status;
}

Status description_make(Server *server, Arena *arena, const ImageRecord *image, bool patient, bool (*stop)(void *), void *context, Error *err) {
    NewDescription d = {.image = image};
    Status status = description_model(server, arena, &d.model, err);
    if (status == STATUS_OK) status = borrow(server, arena, &d, err);
    if (status == STATUS_OK && !d.vector.numbers) status = look(server, arena, &d, patient, stop, context, err);
    return status == STATUS_OK ? db_write(server->store, write_description, &d, err) : status;
}

Status search_describe(Server *server, Arena *arena, const ImageRecord *image, bool (*stop)(void *), void *context, Error *err) {
    const char *model;
    StoredVector vector = {0};
    Status status = description_model(server, arena, &model, err);
    if (status != STATUS_OK) return status;
    DbSession *session = db_session(server->store);
    status = description_vector(session, arena, image->id, model, &vector, err);
    db_session_release(server->store, session);
    return status == STATUS_OK && !vector.numbers ? description_make(server, arena, image, false, stop, context, err) : status;
}
