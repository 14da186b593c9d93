/* The safetensors format: eight bytes of length, a JSON header that names arrays by offsets, the arrays.
 * Source: the format's description at github.com/huggingface/safetensors.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "train/tensor_file.h"
#include "base/banned.h"

enum { HEADER_MAXIMUM = 32 << 20, WRITE_ALIGNMENT = 8 };

static const struct {
    const char *name;
    TensorType type;
} types[] = {
    {"F32", TENSOR_FLOAT32}, {"F64", TENSOR_FLOAT64}, {"F16", TENSOR_FLOAT16}, {"BF16", TENSOR_BFLOAT16}, {"I64", TENSOR_INT64}, {"U8", TENSOR_UINT8},
};

static TensorType type_of(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    }
    return TENSOR_OTHER;
}

static bool read_shape(TensorEntry *entry, yyjson_val *shape) {
    size_t index, count;
    yyjson_val *side;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > TENSOR_MAX_RANK) return false;
    entry->elements = 1;
    entry->rank = (int)yyjson_arr_size(shape);
    yyjson_arr_foreach(shape, index, count, side) {
        if (!yyjson_is_uint(side) || yyjson_get_uint(side) > INT32_MAX) return false;
        entry->shape[index] = (int64_t)yyjson_get_uint(side);
        if (__builtin_mul_overflow(entry->elements, entry->shape[index], &entry->elements)) return false;
    }
    return true;
}

static bool read_entry(TensorEntry *entry, yyjson_val *value, const uint8_t *data, size_t size) {
    yyjson_val *offsets = yyjson_obj_get(value, "data_offsets");
    yyjson_val *begin = yyjson_arr_get(offsets, 0), *end = yyjson_arr_get(offsets, 1);
    entry->type = type_of(json_get_string(value, "dtype", ""));
    if (!read_shape(entry, yyjson_obj_get(value, "shape")) || !yyjson_is_uint(begin) || !yyjson_is_uint(end)) return false;
    uint64_t from = yyjson_get_uint(begin), to = yyjson_get_uint(end), bytes;
    if (from > to || to > size) return false;
    if (entry->type == TENSOR_OTHER) return true;
    if (__builtin_mul_overflow((uint64_t)entry->elements, tensor_type_size(entry->type), &bytes) || bytes != to - from) return false;
    entry->data = data + from;
    return true;
}

static const char *read_metadata(yyjson_val *value, Arena *arena) {
    size_t size;
    char *json = yyjson_is_obj(value) ? yyjson_val_write(value, 0, &size) : NULL;
    const char *text = json ? arena_strndup(arena, json, size) : NULL;
    free(json);
    return text;
}

Status safetensors_read(TensorFile *out, const uint8_t *bytes, size_t size, Error *err) {
    uint64_t header_size = 0;
    *out = (TensorFile){0};
    if (size >= 8) memcpy(&header_size, bytes, 8);
    if (size < 8 || header_size > size - 8 || header_size > HEADER_MAXIMUM) return error_set(err, STATUS_VALIDATION_ERROR, "not a safetensors file");
    yyjson_doc *doc = json_parse((const char *)bytes + 8, (size_t)header_size, err);
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    if (!yyjson_is_obj(root)) {
        yyjson_doc_free(doc);
        return error_set(err, STATUS_VALIDATION_ERROR, "the header of the safetensors file is not a JSON object");
    }
    arena_init(&out->arena, SIZE_MAX);
    out->entries = arena_new_array(&out->arena, TensorEntry, yyjson_obj_size(root) + 1);
    Status status = STATUS_OK;
    size_t index, count;
    yyjson_obj_foreach(root, index, count, key, value) {
        if (strcmp(yyjson_get_str(key), "__metadata__") == 0) {
            out->metadata = read_metadata(value, &out->arena);
            continue;
        }
        TensorEntry *entry = &out->entries[out->count++];
        entry->name = arena_strdup(&out->arena, yyjson_get_str(key));
        if (!read_entry(entry, value, bytes + 8 + header_size, size - 8 - (size_t)header_size)) {
            status = error_set(err, STATUS_VALIDATION_ERROR, "tensor '%.100s' does not lie within the file", entry->name);
            break;
        }
    }
    yyjson_doc_free(doc);
    if (status != STATUS_OK) tensor_file_close(out);
    return status;
}

static void write_header(Buffer *header, const TensorEntry *entries, size_t count, const char *metadata) {
    JsonWriter w;
    json_writer_init(&w, header);
    json_begin_object(&w);
    json_key(&w, "__metadata__");
    json_raw(&w, metadata, strlen(metadata));
    int64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        json_key(&w, entries[i].name);
        json_begin_object(&w);
        json_field_string(&w, "dtype", "F32");
        json_key(&w, "shape");
        json_begin_array(&w);
        for (int k = 0; k < entries[i].rank; k++) json_int(&w, entries[i].shape[k]);
        json_end_array(&w);
        json_key(&w, "data_offsets");
        json_begin_array(&w);
        json_int(&w, offset);
        json_int(&w, offset += entries[i].elements * 4);
        json_end_array(&w);
        json_end_object(&w);
    }
    json_end_object(&w);
    while (header->size % WRITE_ALIGNMENT != 0) buffer_append_byte(header, ' ');
}

static Status write_all(int fd, const TensorEntry *entries, size_t count, const char *metadata, Error *err) {
    Buffer header;
    buffer_init(&header, HEADER_MAXIMUM);
    write_header(&header, entries, count, metadata);
    uint64_t size = header.size;
    Status status = header.failed ? error_set(err, STATUS_OUT_OF_MEMORY, "the header grew past its limit") : file_write_all(fd, &size, 8, err);
    if (status == STATUS_OK) status = file_write_all(fd, header.data, header.size, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) status = file_write_all(fd, entries[i].data, (size_t)entries[i].elements * 4, err);
    buffer_clear(&header);
    if (status == STATUS_OK && fsync(fd) != 0) status = error_set_errno(err, errno, "fsync");
    return status;
}

Status safetensors_write(const char *path, const TensorEntry *entries, size_t count, const char *metadata, Error *err) {
    char temporary[4096];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.tmp", path) >= sizeof temporary)
        return error_set(err, STATUS_IO, "%.100s…: the name is too long", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return error_set_errno(err, errno, "%s", temporary);
    Status status = write_all(fd, entries, count, metadata, err);
    if (close(fd) != 0 && status == STATUS_OK) status = error_set_errno(err, errno, "%s", temporary);
    if (status == STATUS_OK && rename(temporary, path) != 0) status = error_set_errno(err, errno, "%s", path);
    if (status == STATUS_OK) return file_sync_parent(path, err);
    unlink(temporary);
    return error_prefix(err, "%s", path);
}
