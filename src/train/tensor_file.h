/* Tensor files: named arrays of numbers as trainers leave them. Reads safetensors and PyTorch's .pth (a zip with a pickle), writes
 * safetensors. What is read is hostile: everything is checked against the size of the file, nothing in a pickle is run, and memory stays
 * in proportion to the file.
 *
 *     TensorFile file;
 *     if (tensor_file_open(&file, path, err) == STATUS_OK) { ...; tensor_file_close(&file); }
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef enum TensorType {
    TENSOR_FLOAT32,
    TENSOR_FLOAT64,
    TENSOR_FLOAT16,
    TENSOR_BFLOAT16,
    TENSOR_INT64,
    TENSOR_UINT8,
    TENSOR_OTHER, /* kept by name only: data is NULL */
} TensorType;

enum { TENSOR_MAX_RANK = 8 };

typedef struct TensorEntry {
    const char *name;
    TensorType type;
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t elements;    /* product of the shape */
    const uint8_t *data; /* row-major, little-endian, not aligned; borrowed from the file */
} TensorEntry;

typedef struct TensorFile {
    Arena arena;
    TensorEntry *entries;
    size_t count;
    const char *metadata; /* JSON object of strings, NULL when there is none */
    void *mapping;
    size_t mapping_size;
} TensorFile;

/* Maps a file and reads it as what it looks like. STATUS_VALIDATION_ERROR, naming the file, for anything else. */
Status tensor_file_open(TensorFile *out, const char *path, Error *err);
void tensor_file_close(TensorFile *file);
/* NULL when there is none of that name. */
const TensorEntry *tensor_file_find(const TensorFile *file, const char *name);
/* Values as floats; out has entry->elements floats. False for a type that holds no numbers. */
bool tensor_entry_floats(float *out, const TensorEntry *entry);

/* The two readers over bytes in memory, which must outlive the file; on failure nothing is to be closed. */
Status safetensors_read(TensorFile *out, const uint8_t *bytes, size_t size, Error *err);
Status pth_read(TensorFile *out, const uint8_t *bytes, size_t size, Error *err);
/* Bytes per number; 0 for TENSOR_OTHER. */
size_t tensor_type_size(TensorType type);

/* Writes floats as safetensors by way of a temporary neighbour: the file is whole or the old one is there. metadata is a JSON object of
 * strings. Only name, rank, shape and data of the entries are read. */
Status safetensors_write(const char *path, const TensorEntry *entries, size_t count, const char *metadata, Error *err);
