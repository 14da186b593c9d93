/* Fuzz target of the readers of weights: any bytes, as a .pth, as a bare pickle and as safetensors, must end in a value or an error. */
#include <stdlib.h>

#include "train/pickle.h"
#include "train/tensor_file.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(TensorFile *file) {
    for (size_t i = 0; i < file->count; i++) {
        const TensorEntry *entry = &file->entries[i];
        if (entry->elements > 0 && entry->elements < 1 << 16) {
            float *values = xmalloc((size_t)entry->elements * sizeof *values);
            tensor_entry_floats(values, entry);
            free(values);
        }
    }
    tensor_file_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Error err = {0};
    TensorFile file;
    if (pth_read(&file, data, size, &err) == STATUS_OK) touch(&file);
    if (safetensors_read(&file, data, size, &err) == STATUS_OK) touch(&file);
    Arena arena;
    arena_init(&arena, 64 << 20);
    const PickleValue *root;
    pickle_read(&root, data, size, &arena, &err);
    arena_clear(&arena);
    return 0;
}
