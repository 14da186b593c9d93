/* PyTorch's checkpoint files since 1.6: a zip without compression that holds NAME/data.pkl and the numbers as NAME/data/KEY.
 * Sources: the zip format's APPNOTE (4.3.7, 4.3.12, 4.3.16); the layout as torch.save documents it.
 */
#include <string.h>

#include "train/pickle.h"
#include "train/tensor_file.h"
#include "base/banned.h"

enum {
    END_SIZE = 22,
    COMMENT_MAXIMUM = 65535,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    PICKLE_MAXIMUM = 8 << 20,
    MEMORY_MAXIMUM = 512 << 20,
};

typedef struct Member {
    const char *name; /* not terminated */
    size_t name_size;
    const uint8_t *data;
    size_t size;
} Member;

typedef struct Zip {
    Member *members;
    size_t count;
} Zip;

static uint32_t number_at(const uint8_t *bytes, int size) {
    uint32_t number = 0;
    for (int i = 0; i < size; i++) number |= (uint32_t)bytes[i] << (8 * i);
    return number;
}

/* The end record of the directory, looked for from behind. */
static const uint8_t *find_end(const uint8_t *bytes, size_t size) {
    for (size_t back = END_SIZE; back <= size && back <= END_SIZE + COMMENT_MAXIMUM; back++) {
        if (memcmp(bytes + size - back, "PK\5\6", 4) == 0) return bytes + size - back;
    }
    return NULL;
}

/* One row of the directory; false when it points outside or is compressed. */
static bool read_member(Member *out, const uint8_t *row, const uint8_t *bytes, size_t size) {
    size_t stored = number_at(row + 24, 4), local = number_at(row + 42, 4);
    if (number_at(row + 10, 2) != 0 || number_at(row + 20, 4) != stored || local > size || size - local < LOCAL_SIZE) return false;
    size_t start = local + LOCAL_SIZE + number_at(bytes + local + 26, 2) + number_at(bytes + local + 28, 2);
    if (memcmp(bytes + local, "PK\3\4", 4) != 0 || start > size || size - start < stored) return false;
    *out = (Member){(const char *)row + CENTRAL_SIZE, number_at(row + 28, 2), bytes + start, stored};
    return true;
}

static Status read_directory(Zip *zip, const uint8_t *bytes, size_t size, Arena *arena, Error *err) {
    const uint8_t *end = find_end(bytes, size);
    if (!end) return error_set(err, STATUS_VALIDATION_ERROR, "the zip has no directory");
    size_t count = number_at(end + 10, 2), at = number_at(end + 16, 4), limit = (size_t)(end - bytes);
    zip->members = arena_new_array(arena, Member, count + 1);
    for (; zip->count < count; zip->count++) {
        if (at > limit || limit - at < CENTRAL_SIZE || memcmp(bytes + at, "PK\1\2", 4) != 0)
            return error_set(err, STATUS_VALIDATION_ERROR, "the directory of the zip is damaged, or the file is larger than 4 GB");
        const uint8_t *row = bytes + at;
        size_t row_size = CENTRAL_SIZE + number_at(row + 28, 2) + number_at(row + 30, 2) + number_at(row + 32, 2);
        if (limit - at < row_size || !read_member(&zip->members[zip->count], row, bytes, size))
            return error_set(err, STATUS_VALIDATION_ERROR, "member %zu of the zip is damaged or compressed", zip->count);
        at += row_size;
    }
    return STATUS_OK;
}

/* The member whose name ends in "/" and that ending. */
static const Member *find_member(const Zip *zip, const char *ending) {
    size_t length = strlen(ending);
    for (size_t i = 0; i < zip->count; i++) {
        const Member *m = &zip->members[i];
        if (m->name_size > length && m->name[m->name_size - length - 1] == '/' && memcmp(m->name + m->name_size - length, ending, length) == 0)
            return m;
    }
    return NULL;
}

static const struct {
    const char *name;
    TensorType type;
} storages[] = {
    {"torch FloatStorage", TENSOR_FLOAT32},      {"torch HalfStorage", TENSOR_FLOAT16}, {"torch BFloat16Storage", TENSOR_BFLOAT16},
    {"torch DoubleStorage", TENSOR_FLOAT64},     {"torch LongStorage", TENSOR_INT64},   {"torch ByteStorage", TENSOR_UINT8},
};

static TensorType storage_type(const PickleValue *name) {
    for (size_t i = 0; i < sizeof storages / sizeof *storages; i++) {
        if (name->kind == PICKLE_TEXT && strcmp(name->text, storages[i].name) == 0) return storages[i].type;
    }
    return TENSOR_OTHER;
}

/* Sizes and strides of a tensor that lies row by row without gaps. */
static bool read_shape(TensorEntry *out, const PickleValue *sizes, const PickleValue *strides) {
    if (sizes->kind != PICKLE_LIST || strides->kind != PICKLE_LIST || sizes->count != strides->count || sizes->count > TENSOR_MAX_RANK) return false;
    out->rank = (int)sizes->count;
    out->elements = 1;
    for (size_t i = sizes->count; i-- > 0;) {
        const PickleValue *side = sizes->items[i], *stride = strides->items[i];
        if (side->kind != PICKLE_INTEGER || stride->kind != PICKLE_INTEGER || side->integer < 0 || side->integer > INT32_MAX) return false;
        if (side->integer > 1 && stride->integer != out->elements) return false;
        out->shape[i] = side->integer;
        if (__builtin_mul_overflow(out->elements, side->integer, &out->elements)) return false;
    }
    return true;
}

static bool read_tensor(TensorEntry *out, const PickleValue *tensor, const Zip *zip, Arena *arena) {
    const PickleValue *storage = tensor->items[0], *offset = tensor->items[1];
    if (storage->kind != PICKLE_STORAGE || offset->kind != PICKLE_INTEGER || !read_shape(out, tensor->items[2], tensor->items[3])) return false;
    out->type = storage_type(storage->items[1]);
    const PickleValue *key = storage->items[2];
    const Member *member = key->kind == PICKLE_TEXT ? find_member(zip, arena_printf(arena, "data/%.100s", key->text)) : NULL;
    uint64_t item = tensor_type_size(out->type), start, bytes;
    if (!member || item == 0 || offset->integer < 0) return false;
    if (__builtin_mul_overflow((uint64_t)offset->integer, item, &start) || __builtin_mul_overflow((uint64_t)out->elements, item, &bytes))
        return false;
    if (start > member->size || bytes > member->size - start) return false;
    out->data = member->data + start;
    return true;
}

/* The dict of weights: official checkpoints have it under "model", others under "state_dict" or at the top. */
static const PickleValue *find_weights(const PickleValue *root) {
    const PickleValue *inner = pickle_get(root, "model");
    if (!inner || inner->kind != PICKLE_DICT) inner = pickle_get(root, "state_dict");
    return inner && inner->kind == PICKLE_DICT ? inner : root;
}

static Status read_entries(TensorFile *out, const PickleValue *weights, const Zip *zip, Error *err) {
    if (weights->kind != PICKLE_DICT) return error_set(err, STATUS_VALIDATION_ERROR, "the checkpoint holds no dictionary of weights");
    out->entries = arena_new_array(&out->arena, TensorEntry, weights->count / 2 + 1);
    for (size_t i = 0; i + 1 < weights->count; i += 2) {
        const PickleValue *key = weights->items[i], *value = weights->items[i + 1];
        if (key->kind != PICKLE_TEXT || value->kind != PICKLE_TENSOR) continue;
        TensorEntry *entry = &out->entries[out->count++];
        entry->name = key->text;
        if (!read_tensor(entry, value, zip, &out->arena))
            return error_set(err, STATUS_VALIDATION_ERROR, "tensor '%.100s' does not lie within the file as plain rows", entry->name);
        if (arena_exceeded(&out->arena)) return error_set(err, STATUS_OUT_OF_MEMORY, "the checkpoint has too many tensors");
    }
    return STATUS_OK;
}

Status pth_read(TensorFile *out, const uint8_t *bytes, size_t size, Error *err) {
    *out = (TensorFile){0};
    arena_init(&out->arena, MEMORY_MAXIMUM);
    Zip zip = {0};
    const PickleValue *root;
    Status status = read_directory(&zip, bytes, size, &out->arena, err);
    const Member *pickle = status == STATUS_OK ? find_member(&zip, "data.pkl") : NULL;
    if (status == STATUS_OK && (!pickle || pickle->size > PICKLE_MAXIMUM))
        status = error_set(err, STATUS_VALIDATION_ERROR, "not a PyTorch checkpoint: no data.pkl of a sensible size in the zip");
    if (status == STATUS_OK) status = pickle_read(&root, pickle->data, pickle->size, &out->arena, err);
    if (status == STATUS_OK) status = read_entries(out, find_weights(root), &zip, err);
    if (status != STATUS_OK) arena_clear(&out->arena);
    return status;
}
