#include "vision/operator_models.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

#define ENCODED_BYTES ((size_t)512 << 20)

/* Which roles answer which task: the one table of it. */
static const struct {
    const char *name;
    unsigned roles;
} TASKS[TASK_COUNT] = {
    [TASK_POINT] = {"point", 1u << MODEL_SAM | 1u << MODEL_SAM2},
    [TASK_BOX] = {"box", 1u << MODEL_SAM | 1u << MODEL_SAM2},
    [TASK_TEXT] = {"text", 1u << MODEL_SAM3},
    [TASK_SEARCH] = {"search", 1u << MODEL_SIGLIP2},
};

struct OperatorModels {
    Runtime *runtime;
    const char *why_no_runtime;
    int threads;
    char *folder;
    uint64_t state; /* of the files in the folder when they were read */
    Arena arena;    /* of what follows */
    OperatorModel *models[MODEL_FOLDERS_MAX];
    int count;
    Recent *encoded;
};

static void free_image(void *image) { encoded_free(image); }

OperatorModels *operator_models_new(Runtime *runtime, const char *why_no_runtime, int threads) {
    OperatorModels *m = xcalloc(1, sizeof *m);
    m->runtime = runtime;
    m->why_no_runtime = why_no_runtime;
    m->threads = threads;
    m->encoded = recent_new(ENCODED_BYTES, 0, free_image);
    arena_init(&m->arena, 16 << 20);
    return m;
}

static void forget(OperatorModels *m) {
    for (int i = 0; i < m->count; i++) {
        sam_close(m->models[i]->sam);
        sam3_close(m->models[i]->sam3);
        siglip_close(m->models[i]->siglip);
    }
    recent_clear(m->encoded);
    m->count = 0;
    free(m->folder);
    m->folder = NULL;
    arena_clear(&m->arena);
}

void operator_models_free(OperatorModels *models) {
    if (!models) return;
    forget(models);
    recent_free(models->encoded);
    free(models);
}

int operator_models_images(const OperatorModels *models, size_t *bytes) { return recent_count(models->encoded, bytes); }

/* ---- the folder ---- */

static void read_manifest(OperatorModels *m, OperatorModel *model, const char *path) {
    Buffer text;
    Error failure;
    buffer_init(&text, MANIFEST_BYTES_MAX);
    Status status = file_read(path, &text, &failure);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) /* its own words name the data folder */
        error_set(&failure, status, "it cannot be read, or has more than %d bytes", MANIFEST_BYTES_MAX);
    if (status == STATUS_OK) status = manifest_parse(&model->manifest, &m->arena, buffer_text(&text), text.size, &failure);
    buffer_clear(&text);
    model->present = status != STATUS_NOT_FOUND;
    model->read = status == STATUS_OK;
    if (model->read) model->engine = arena_printf(&m->arena, "%s:%s", model_role_name(model->manifest.role), model->name);
    else if (model->present) model->problem = arena_printf(&m->arena, MODEL_MANIFEST ": %s", failure.message);
    else model->problem = MODEL_MANIFEST " is missing";
}

static void read_folder(OperatorModels *m, const char *folder) {
    const char *names[MODEL_FOLDERS_MAX];
    m->folder = xstrdup(folder);
    int count = model_folder_list(&m->arena, folder, names, MODEL_FOLDERS_MAX);
    for (int i = 0; i < count; i++) {
        const char *path = arena_printf(&m->arena, "%s/%s/" MODEL_MANIFEST, folder, names[i]);
        if (!file_is_directory(arena_printf(&m->arena, "%s/%s", folder, names[i]))) continue;
        OperatorModel *model = m->models[m->count++] = arena_new(&m->arena, OperatorModel);
        model->name = arena_strdup(&m->arena, names[i]);
        read_manifest(m, model, path);
    }
}

static void refresh(OperatorModels *m, const char *folder) {
    uint64_t state = model_folder_state(folder);
    if (text_equal(folder, m->folder) && state == m->state) return;
    forget(m);
    m->state = state;
    read_folder(m, folder);
}

/* ---- one model ---- */

static bool answers(const OperatorModel *model, ModelTask task) { return model->manifest.enabled && TASKS[task].roles >> model->manifest.role & 1; }

static const char *folder_of(OperatorModels *m, const OperatorModel *model) { return arena_printf(&m->arena, "%s/%s", m->folder, model->name); }

static Status open_model(OperatorModels *m, OperatorModel *model, Error *err) {
    const char *folder = folder_of(m, model);
    switch (model->manifest.role) {
    case MODEL_SAM:
    case MODEL_SAM2: return sam_open(&model->sam, m->runtime, &model->manifest, folder, m->threads, err);
    case MODEL_SAM3: return sam3_open(&model->sam3, m->runtime, &model->manifest, folder, m->threads, err);
    case MODEL_SIGLIP2: return siglip_open(&model->siglip, m->runtime, &model->manifest, folder, m->threads, err);
    case MODEL_ROLE_COUNT: break;
    }
    return error_set(err, STATUS_INTERNAL_ERROR, "No such role");
}

static Status say_problem(const OperatorModel *model, Error *err) {
    if (!model->problem) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model '%s' cannot be used: %s", model->name, model->problem);
}

/* Loads a model, once: a failure stays until a file changes. */
static Status load(OperatorModels *m, OperatorModel *model, Error *err) {
    Error failure;
    if (model->sam || model->sam3 || model->siglip) return STATUS_OK;
    if (!m->runtime && !model->problem) model->problem = arena_strdup(&m->arena, m->why_no_runtime);
    if (!model->problem && open_model(m, model, &failure) != STATUS_OK) model->problem = arena_strdup(&m->arena, failure.message);
    return say_problem(model, err);
}

static void identify(OperatorModels *m, OperatorModel *model) {
    char contents[MODEL_IDENTITY_SIZE];
    Error failure;
    if (model->identity || model->problem) return;
    if (model_folder_identity(folder_of(m, model), contents, &failure) != STATUS_OK) model->problem = arena_strdup(&m->arena, failure.message);
    else model->identity = arena_printf(&m->arena, "%s:%s", model->engine, contents);
}

Status operator_models_choose(OperatorModels *models, const char *folder, ModelTask task, bool identity, OperatorModel **out, Error *err) {
    *out = NULL;
    if (!folder) return STATUS_OK;
    refresh(models, folder);
    for (int i = 0; i < models->count; i++) {
        OperatorModel *model = models->models[i];
        if (!model->present || (model->read && !answers(model, task))) continue; /* a wrong manifest may have been meant for this task */
        if (identity) identify(models, model);
        *out = model;
        return say_problem(model, err);
    }
    return STATUS_OK;
}

Status operator_models_for(OperatorModels *models, const char *folder, ModelTask task, OperatorModel **out, Error *err) {
    Status status = operator_models_choose(models, folder, task, task == TASK_SEARCH, out, err);
    return status == STATUS_OK && *out ? load(models, *out, err) : status;
}

/* ---- images ---- */

static Status encode(OperatorModel *model, const char *path, EncodedImage **out, Error *err) {
    Picture picture;
    const Manifest *manifest = &model->manifest;
    Status status = picture_load(path, manifest->width, manifest->height, &picture, err);
    if (status != STATUS_OK) return status;
    status = encoded_new(model->sam3 ? sam3_encoder(model->sam3) : sam_encoder(model->sam), manifest, &picture, out, err);
    picture_clear(&picture);
    return status;
}

Status operator_models_image(OperatorModels *models, OperatorModel *model, const char *key, const char *path, const EncodedImage **out, bool *cached, Error *err) {
    Arena scratch;
    EncodedImage *fresh = NULL;
    Status status = STATUS_OK;
    arena_init(&scratch, 1 << 16);
    const char *name = arena_printf(&scratch, "%s %s", model->name, key);
    *out = recent_find(models->encoded, name);
    *cached = *out != NULL;
    if (!*cached) status = encode(model, path, &fresh, err);
    if (fresh) recent_add(models->encoded, name, fresh, fresh->bytes);
    if (fresh) *out = fresh;
    arena_clear(&scratch);
    return status;
}

/* ---- what there is ---- */

static void write_model(JsonWriter *w, const OperatorModel *model) {
    json_begin_object(w);
    json_field_string(w, "name", model->name);
    json_field_string(w, "role", model->read ? model_role_name(model->manifest.role) : NULL);
    json_field_string(w, "engine", model->engine);
    json_field_string(w, "state", !model->present ? "incomplete" : model->problem ? "broken" : model->manifest.enabled ? "ready" : "off");
    json_field_string(w, "problem", model->problem);
    json_key(w, "kinds");
    json_begin_array(w);
    for (int task = 0; model->read && task < TASK_COUNT; task++)
        if (answers(model, (ModelTask)task)) json_string(w, TASKS[task].name);
    json_end_array(w);
    json_end_object(w);
}

void operator_models_examine(OperatorModels *models, const char *folder, JsonWriter *out) {
    Error ignored; /* each model keeps its own problem */
    refresh(models, folder);
    json_begin_array(out);
    for (int i = 0; i < models->count; i++) {
        OperatorModel *model = models->models[i];
        if (!model->problem && model->manifest.enabled) load(models, model, &ignored);
        write_model(out, model);
    }
    json_end_array(out);
}
