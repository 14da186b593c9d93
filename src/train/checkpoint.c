/* See checkpoint.h. */
#include "train/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "train/weights.h"
#include "base/banned.h"

Status checkpoint_write(const char *path, const Optimizer *o, const Progress *progress, const char *fingerprint, Error *err) {
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    TensorEntry *entries = arena_new_array(&arena, TensorEntry, 3 * (size_t)o->net->tensor_count);
    size_t count = weights_entries(o->net, o->weights, o->net->size, "weights/", entries, &arena);
    count += weights_entries(o->net, o->average, o->net->size, "average/", entries + count, &arena);
    count += weights_entries(o->net, o->velocity, o->net->trained, "velocity/", entries + count, &arena);
    char metadata[256];
    snprintf(metadata, sizeof metadata, "{\"run\":\"%s\",\"epoch\":\"%d\",\"updates\":\"%lld\",\"seconds\":\"%.3f\"}", fingerprint, progress->epoch,
             (long long)progress->updates, progress->seconds);
    Status status = safetensors_write(path, entries, count, metadata, err);
    arena_clear(&arena);
    return status;
}

static Status read_progress(Progress *out, const TensorFile *file, const char *fingerprint, Error *err) {
    yyjson_doc *doc = file->metadata ? json_parse(file->metadata, strlen(file->metadata), NULL) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool same = strcmp(json_get_string(root, "run", ""), fingerprint) == 0;
    int epoch = 0;
    long long updates = 0;
    double seconds = 0;
    same = same && sscanf(json_get_string(root, "epoch", ""), "%d", &epoch) == 1 && epoch >= 0;
    same = same && sscanf(json_get_string(root, "updates", ""), "%lld", &updates) == 1 && updates >= 0;
    same = same && sscanf(json_get_string(root, "seconds", ""), "%lf", &seconds) == 1 && seconds >= 0;
    yyjson_doc_free(doc);
    *out = (Progress){epoch, updates, seconds};
    return same ? STATUS_OK : error_set(err, STATUS_NOT_FOUND, "The checkpoint is of another run");
}

static Status read_velocity(Optimizer *o, const TensorFile *file, Error *err) {
    for (int i = 0; i < o->net->tensor_count; i++) {
        const YoloxTensor *t = &o->net->tensors[i];
        char name[sizeof t->name + 16];
        snprintf(name, sizeof name, "velocity/%s", t->name);
        const TensorEntry *entry = t->offset < o->net->trained ? tensor_file_find(file, name) : NULL;
        if (t->offset >= o->net->trained) continue;
        if (!entry || entry->elements != (int64_t)t->elements || !tensor_entry_floats(o->velocity + t->offset, entry))
            return error_set(err, STATUS_NOT_FOUND, "The checkpoint lacks '%s'", name);
    }
    return STATUS_OK;
}

Status checkpoint_read(const char *path, Optimizer *o, Progress *progress, const char *fingerprint, Error *err) {
    TensorFile file;
    int skipped;
    if (!file_exists(path)) return error_set(err, STATUS_NOT_FOUND, "There is no checkpoint");
    Status status = tensor_file_open(&file, path, err);
    if (status != STATUS_OK) return status;
    status = read_progress(progress, &file, fingerprint, err);
    if (status == STATUS_OK) status = weights_read(o->net, o->weights, &file, "weights/", &skipped, err);
    if (status == STATUS_OK) status = weights_read(o->net, o->average, &file, "average/", &skipped, err);
    if (status == STATUS_OK) status = read_velocity(o, &file, err);
    tensor_file_close(&file);
    return status;
}
