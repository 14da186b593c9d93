/* Manifest: what an operator writes beside a model of their own, DATA/models/<name>/manifest.json. docs/models.md is its manual.
 *
 *     {"role": "sam", "files": {"encoder": "encoder.onnx", "decoder": "decoder.onnx"}}
 *
 * Everything but role and files has the default of its role. A member that is unknown, of the wrong type or out of bounds is refused by name, and
 * files are plain names in the manifest's folder: nothing is guessed and nothing leads elsewhere.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

typedef enum ModelRole { MODEL_SAM, MODEL_SAM2, MODEL_SAM3, MODEL_SIGLIP2, MODEL_ROLE_COUNT } ModelRole;

/* The files that a role may name. */
typedef enum ModelPart { PART_ENCODER, PART_DECODER, PART_TEXT, PART_TOKENIZER, PART_IMAGE, PART_LABELS, PART_COUNT } ModelPart;

typedef enum ModelResize {
    RESIZE_LONGEST_SIDE, /* to fit, at the top left of a frame of zeros */
    RESIZE_STRETCH,      /* to fill the frame, whatever the proportions */
} ModelResize;

enum { MANIFEST_BYTES_MAX = 65536, MODEL_SIDE_MIN = 16, MODEL_SIDE_MAX = 4096 };

typedef struct Manifest {
    ModelRole role;
    bool enabled;
    const char *files[PART_COUNT]; /* NULL where the role has no such part */
    int width, height;             /* of the image that the model sees */
    ModelResize resize;
    double mean[3], std[3]; /* red, green, blue, of values 0..255: the model sees (value - mean) / std */
    double threshold;       /* role siglip2: how sure the model must be of a word */
} Manifest;

const char *model_role_name(ModelRole role);
const char *model_part_name(ModelPart part);

/* Reads the text of a manifest; strings lie in the arena. STATUS_CONFIGURATION says what is wrong, without the file's name. */
Status manifest_parse(Manifest *out, Arena *arena, const char *text, size_t size, Error *err);
