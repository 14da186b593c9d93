/* The part of Python's pickle that PyTorch's checkpoints use, read as plain data: no object is built and no code is run, whatever the
 * stream asks for. Calls that make tensors are recognised by name; every other call gives a value of kind PICKLE_OPAQUE.
 * Sources: Python's pickletools documentation of the opcodes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef enum PickleKind {
    PICKLE_OPAQUE, /* None, a float, an unknown object: nothing that a checkpoint's weights need */
    PICKLE_INTEGER,
    PICKLE_TEXT,   /* also bytes, and the name of a class or function: "torch._utils _rebuild_tensor_v2" */
    PICKLE_LIST,   /* and tuple */
    PICKLE_DICT,   /* items are key, value, key, value ... */
    PICKLE_STORAGE,
    PICKLE_TENSOR, /* items are storage, offset, sizes, strides */
    PICKLE_MARK,   /* only while reading */
} PickleKind;

typedef struct PickleValue PickleValue;
struct PickleValue {
    PickleKind kind;
    int64_t integer;
    const char *text; /* NUL-terminated copy */
    PickleValue **items;
    size_t count, capacity;
};

/* Reads one pickle. Values live in the arena, which bounds them. Values may contain themselves: do not follow them to the end. */
Status pickle_read(const PickleValue **out, const uint8_t *bytes, size_t size, Arena *arena, Error *err);
/* Value of a text key of a dict; NULL when it is not there or not a dict. */
const PickleValue *pickle_get(const PickleValue *dict, const char *key);
