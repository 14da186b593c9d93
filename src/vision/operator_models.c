#include "vision/operator_models.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

enum { MODELS_MAX = 32 };

/* Which roles answer which kind: the one table of it. */
static const struct {
    const char *name;
    unsigned roles;
} KINDS[PROMPT_KIND_COUNT] = {
    [PROMPT_POINT] = {"point", 1u << MODEL_SAM | 1u << MODEL_SAM2},
    [PROMPT_BOX] = {"box", 1u << MODEL_SAM | 1u << MODEL_SAM2},
};

const char *prompt_kind_name(PromptKind kind) { return KINDS[kind].name; }

struct OperatorModels {
    Runtime *runtime;
    const char *why_no_runtime;
    int threads;
    char *folder;
    uint64_t state; /* of the files in the folder when they were read */
    Arena arena;    /* of what follows */
    OperatorModel *models[MODELS_MAX];
    int count;
    bool changed;
};

OperatorModels *operator_models_new(Runtime *runtime, const char *why_no_runtime, int threads) {
    OperatorModels *m = xcalloc(1, sizeof *m);
    m->runtime = runtime;
    m->why_no_runtime = why_no_runtime;
    m->threads = threads;
    arena_init(&m->arena, 16 << 20);
    return m;
}

static void forget(OperatorModels *m) {
    for (int i = 0; i < m->count; i++) sam_close(m->models[i]->sam);
    m->count = 0;
    free(m->folder);
    m->folder = NULL;
    arena_clear(&m->arena);
}

void operator_models_free(OperatorModels *models) {
    if (!models) return;
    forget(models);
    free(models);
}

/* ---- the folder ---- */

/* FNV-1a over names, sizes and times of what lies in a folder and its model folders. */
static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t mix_file(uint64_t hash, const char *path) {
    struct stat s;
    if (stat(path, &s) != 0) return hash;
    hash = mix(hash, path, strlen(path));
    const int64_t facts[] = {(int64_t)s.st_ino, (int64_t)s.st_size, (int64_t)s.st_mtim.tv_sec, (int64_t)s.st_mtim.tv_nsec};
    return mix(hash, facts, sizeof facts);
}

/* Names in a folder in alphabetical order, in the arena; at most `most`. */
static int list_folder(Arena *arena, const char *folder, const char **names, int most) {
    DIR *dir = opendir(folder);
    int count = 0;
    if (!dir) return 0;
    for (struct dirent *entry; count < most && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') names[count++] = arena_strdup(arena, entry->d_name);
    closedir(dir);
    qsort(names, (size_t)count, sizeof *names, text_compare);
    return count;
}

/* A folder's state: equal as long as nothing in it, or in the folders of its models, was added, removed or written. */
static uint64_t folder_state(Arena *arena, const char *folder) {
    const char *models[MODELS_MAX], *files[64];
    uint64_t hash = UINT64_C(14695981039346656037);
    int count = list_folder(arena, folder, models, MODELS_MAX);
    for (int i = 0; i < count; i++) {
        const char *path = arena_printf(arena, "%s/%s", folder, models[i]);
        hash = mix_file(hash, path);
        int file_count = list_folder(arena, path, files, sizeof files / sizeof *files);
        for (int k = 0; k < file_count; k++) hash = mix_file(hash, arena_printf(arena, "%s/%s", path, files[k]));
    }
    return hash;
}

static void read_manifest(OperatorModels *m, OperatorModel *model, const char *path) {
    Buffer text;
    Error failure;
    buffer_init(&text, MANIFEST_BYTES_MAX);
    Status status = file_read(path, &text, &failure);
    if (status == STATUS_OK) status = manifest_parse(&model->manifest, &m->arena, buffer_text(&text), text.size, &failure);
    buffer_clear(&text);
    model->present = status != STATUS_NOT_FOUND;
    model->read = status == STATUS_OK;
    if (model->read) model->engine = arena_printf(&m->arena, "%s:%s", model_role_name(model->manifest.role), model->name);
    else if (model->present) model->problem = arena_printf(&m->arena, "manifest.json: %s", failure.message);
    else model->problem = "manifest.json is missing";
}

static void read_folder(OperatorModels *m, const char *folder) {
    const char *names[MODELS_MAX];
    m->folder = xstrdup(folder);
    int count = list_folder(&m->arena, folder, names, MODELS_MAX);
    for (int i = 0; i < count; i++) {
        const char *path = arena_printf(&m->arena, "%s/%s/manifest.json", folder, names[i]);
        if (!file_is_directory(arena_printf(&m->arena, "%s/%s", folder, names[i]))) continue;
        OperatorModel *model = m->models[m->count++] = arena_new(&m->arena, OperatorModel);
        model->name = arena_strdup(&m->arena, names[i]);
        read_manifest(m, model, path);
    }
}

static void refresh(OperatorModels *m, const char *folder) {
    Arena scratch;
    arena_init(&scratch, 1 << 20);
    uint64_t state = folder_state(&scratch, folder);
    arena_clear(&scratch);
    if (text_equal(folder, m->folder) && state == m->state) return;
    forget(m);
    m->changed = true;
    m->state = state;
    read_folder(m, folder);
}

/* ---- one model ---- */

static bool answers(const OperatorModel *model, PromptKind kind) { return model->manifest.enabled && KINDS[kind].roles >> model->manifest.role & 1; }

/* Loads a model, once: a failure stays until a file changes. */
static Status load(OperatorModels *m, OperatorModel *model, Error *err) {
    Error failure;
    if (model->sam) return STATUS_OK;
    if (!m->runtime && !model->problem) model->problem = arena_strdup(&m->arena, m->why_no_runtime);
    const char *folder = arena_printf(&m->arena, "%s/%s", m->folder, model->name);
    if (!model->problem && sam_open(&model->sam, m->runtime, &model->manifest, folder, m->threads, &failure) != STATUS_OK)
        model->problem = arena_strdup(&m->arena, failure.message);
    if (!model->problem) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model '%s' cannot be used: %s", model->name, model->problem);
}

Status operator_models_for(OperatorModels *models, const char *folder, PromptKind kind, OperatorModel **out, bool *changed, Error *err) {
    *out = NULL;
    *changed = false;
    if (!folder) return STATUS_OK;
    refresh(models, folder);
    *changed = models->changed;
    models->changed = false;
    for (int i = 0; i < models->count; i++) {
        OperatorModel *model = models->models[i];
        if (!model->present || (model->read && !answers(model, kind))) continue; /* a wrong manifest may have been meant for this kind */
        Status status = load(models, model, err);
        if (status == STATUS_OK) *out = model;
        return status;
    }
    return STATUS_OK;
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
    for (int kind = 0; model->read && kind < PROMPT_KIND_COUNT; kind++)
        if (answers(model, (PromptKind)kind)) json_string(w, KINDS[kind].name);
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
