/* What both formats share: mapping, look-up, conversion to floats. */
#include "train/tensor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

static const size_t type_sizes[] = {
    [TENSOR_FLOAT32] = 4, [TENSOR_FLOAT64] = 8, [TENSOR_FLOAT16] = 2, [TENSOR_BFLOAT16] = 2, [TENSOR_INT64] = 8, [TENSOR_UINT8] = 1, [TENSOR_OTHER] = 0,
};

size_t tensor_type_size(TensorType type) {
    return type_sizes[type];
}

static Status map_file(void **mapping, size_t *size, const char *path, Error *err) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    Status status = STATUS_OK;
    *mapping = MAP_FAILED;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 8)
        status = error_set(err, STATUS_VALIDATION_ERROR, "%s: not a file of weights", path);
    else if ((*mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        status = error_set_errno(err, errno, "%s", path);
    else
        *size = (size_t)info.st_size;
    close(fd);
    return status;
}

Status tensor_file_open(TensorFile *out, const char *path, Error *err) {
    void *mapping;
    size_t size = 0;
    Status status = map_file(&mapping, &size, path, err);
    if (status != STATUS_OK) return status;
    bool is_zip = memcmp(mapping, "PK\3\4", 4) == 0;
    status = (is_zip ? pth_read : safetensors_read)(out, mapping, size, err);
    if (status != STATUS_OK) {
        munmap(mapping, size);
        return error_prefix(err, "%s", path);
    }
    out->mapping = mapping;
    out->mapping_size = size;
    return STATUS_OK;
}

void tensor_file_close(TensorFile *file) {
    arena_clear(&file->arena);
    if (file->mapping) munmap(file->mapping, file->mapping_size);
    *file = (TensorFile){0};
}

const TensorEntry *tensor_file_find(const TensorFile *file, const char *name) {
    for (size_t i = 0; i < file->count; i++) {
        if (strcmp(file->entries[i].name, name) == 0) return &file->entries[i];
    }
    return NULL;
}

static float half_to_float(uint16_t half) {
    int exponent = (half >> 10) & 31;
    float fraction = (float)(half & 1023) / 1024.0f, sign = half & 0x8000 ? -1.0f : 1.0f;
    if (exponent == 31) return half & 1023 ? __builtin_nanf("") : sign * __builtin_inff();
    float value = exponent == 0 ? fraction * 0x1p-14f : (1 + fraction) * __builtin_ldexpf(1, exponent - 15);
    return sign * value;
}

static float brain_to_float(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool tensor_entry_floats(float *out, const TensorEntry *entry) {
    if (!entry->data) return false;
    const uint8_t *in = entry->data;
    size_t count = (size_t)entry->elements;
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        int64_t integer;
        double number;
        switch (entry->type) {
        case TENSOR_FLOAT32: memcpy(&out[i], in + 4 * i, 4); break;
        case TENSOR_FLOAT64: memcpy(&number, in + 8 * i, 8); out[i] = (float)number; break;
        case TENSOR_FLOAT16: memcpy(&half, in + 2 * i, 2); out[i] = half_to_float(half); break;
        case TENSOR_BFLOAT16: memcpy(&half, in + 2 * i, 2); out[i] = brain_to_float(half); break;
        case TENSOR_INT64: memcpy(&integer, in + 8 * i, 8); out[i] = (float)integer; break;
        case TENSOR_UINT8: out[i] = in[i]; break;
        case TENSOR_OTHER: return false;
        }
    }
    return true;
}
