/* See weights.h. */
#include "train/weights.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

static bool same_shape(const YoloxTensor *tensor, const TensorEntry *entry) {
    bool same = entry->rank == tensor->rank;
    for (int i = 0; i < tensor->rank && same; i++) same = entry->shape[i] == tensor->shape[i];
    return same;
}

Status weights_read(const Yolox *net, float *weights, const TensorFile *file, const char *prefix, int *skipped, Error *err) {
    *skipped = 0;
    for (int i = 0; i < net->tensor_count; i++) {
        const YoloxTensor *tensor = &net->tensors[i];
        char name[sizeof tensor->name + 32];
        snprintf(name, sizeof name, "%s%s", prefix, tensor->name);
        const TensorEntry *entry = tensor_file_find(file, name);
        if (entry && !same_shape(tensor, entry) && text_starts_with(tensor->name, "head.cls_preds.")) {
            ++*skipped;
            continue;
        }
        if (!entry) return error_set(err, STATUS_VALIDATION_ERROR, "The weights have no tensor '%s': they are of another model size", name);
        if (!same_shape(tensor, entry) || !tensor_entry_floats(weights + tensor->offset, entry))
            return error_set(err, STATUS_VALIDATION_ERROR, "Tensor '%s' of the weights has another shape: they are of another model size", name);
    }
    return STATUS_OK;
}

size_t weights_entries(const Yolox *net, const float *weights, size_t limit, const char *prefix, TensorEntry *entries, Arena *arena) {
    size_t count = 0;
    for (int i = 0; i < net->tensor_count; i++) {
        const YoloxTensor *tensor = &net->tensors[i];
        if (tensor->offset >= limit) continue;
        TensorEntry *entry = &entries[count++];
        *entry = (TensorEntry){.name = arena_printf(arena, "%s%s", prefix, tensor->name), .rank = tensor->rank,
                               .elements = (int64_t)tensor->elements, .data = (const uint8_t *)(weights + tensor->offset)};
        for (int k = 0; k < tensor->rank; k++) entry->shape[k] = tensor->shape[k];
    }
    return count;
}
