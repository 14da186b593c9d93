#include "vision/manifest.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "base/banned.h"

/* Of values 0..255: ImageNet's, as SAM and SAM 2 use them. */
#define IMAGENET_MEAN {123.675, 116.28, 103.53}
#define IMAGENET_STD {58.395, 57.12, 57.375}
/* What maps 0..255 to -1..1. */
#define HALF {127.5, 127.5, 127.5}
#define PART(part) (1u << (part))

static const struct RoleRow {
    const char *name;
    unsigned required, allowed; /* parts */
    Manifest defaults;
} ROLES[MODEL_ROLE_COUNT] = {
    [MODEL_SAM] = {"sam", PART(PART_ENCODER) | PART(PART_DECODER), 0,
                   {.width = 1024, .height = 1024, .resize = RESIZE_LONGEST_SIDE, .mean = IMAGENET_MEAN, .std = IMAGENET_STD}},
    [MODEL_SAM2] = {"sam2", PART(PART_ENCODER) | PART(PART_DECODER), 0,
                    {.width = 1024, .height = 1024, .resize = RESIZE_STRETCH, .mean = IMAGENET_MEAN, .std = IMAGENET_STD}},
    [MODEL_SAM3] = {"sam3", PART(PART_ENCODER) | PART(PART_TEXT) | PART(PART_DECODER) | PART(PART_TOKENIZER), 0,
                    {.width = 1008, .height = 1008, .resize = RESIZE_STRETCH, .mean = HALF, .std = HALF}},
    [MODEL_SIGLIP2] = {"siglip2", PART(PART_IMAGE), PART(PART_LABELS),
                       {.width = 224, .height = 224, .resize = RESIZE_STRETCH, .mean = HALF, .std = HALF, .threshold = 0.5}},
};

static const char *const PARTS[PART_COUNT] = {"encoder", "decoder", "text", "tokenizer", "image", "labels"};
static const char *const RESIZES[] = {[RESIZE_LONGEST_SIDE] = "longest_side", [RESIZE_STRETCH] = "stretch"};

const char *model_role_name(ModelRole role) { return ROLES[role].name; }
const char *model_part_name(ModelPart part) { return PARTS[part]; }

static int index_of(const char *const *names, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (text_equal(names[i], name)) return i;
    return -1;
}

/* ---- members ---- */

typedef Status (*Reader)(Manifest *out, Arena *arena, yyjson_val *value, Error *err);

static Status read_enabled(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    (void)arena;
    out->enabled = yyjson_get_bool(value);
    return yyjson_is_bool(value) ? STATUS_OK : error_set(err, STATUS_CONFIGURATION, "'enabled' must be true or false");
}

static bool is_plain_name(const char *name) {
    return *name && name[0] != '.' && strlen(name) <= 255 && !strpbrk(name, "/\\") && !text_is_blank(name);
}

static Status read_file(Manifest *out, Arena *arena, const char *key, yyjson_val *value, Error *err) {
    int part = index_of(PARTS, PART_COUNT, key);
    const struct RoleRow *role = &ROLES[out->role];
    if (part < 0 || !((role->required | role->allowed) & PART(part)))
        return error_set(err, STATUS_CONFIGURATION, "'files' has '%.40s', which the role '%s' does not know", key, role->name);
    const char *name = yyjson_get_str(value);
    if (!name || strlen(name) != yyjson_get_len(value) || !is_plain_name(name))
        return error_set(err, STATUS_CONFIGURATION, "'files.%s' must be the name of a file in the manifest's folder", PARTS[part]);
    out->files[part] = arena_strdup(arena, name);
    return STATUS_OK;
}

static Status read_files(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    yyjson_val *key, *name;
    size_t i, count;
    if (!yyjson_is_obj(value)) return error_set(err, STATUS_CONFIGURATION, "'files' must be an object");
    yyjson_obj_foreach(value, i, count, key, name) {
        Status status = read_file(out, arena, yyjson_get_str(key), name, err);
        if (status != STATUS_OK) return status;
    }
    for (int part = 0; part < PART_COUNT; part++)
        if (ROLES[out->role].required & PART(part) && !out->files[part])
            return error_set(err, STATUS_CONFIGURATION, "'files.%s' is missing, which the role '%s' needs", PARTS[part], ROLES[out->role].name);
    return STATUS_OK;
}

static bool is_side(yyjson_val *value) {
    return yyjson_is_uint(value) && yyjson_get_uint(value) >= MODEL_SIDE_MIN && yyjson_get_uint(value) <= MODEL_SIDE_MAX;
}

static Status read_input_size(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    (void)arena;
    yyjson_val *height = yyjson_is_arr(value) ? yyjson_arr_get(value, 0) : value, *width = yyjson_is_arr(value) ? yyjson_arr_get(value, 1) : value;
    if ((yyjson_is_arr(value) && yyjson_arr_size(value) != 2) || !is_side(height) || !is_side(width))
        return error_set(err, STATUS_CONFIGURATION, "'input_size' must be a number or [height, width], each from %d to %d", MODEL_SIDE_MIN, MODEL_SIDE_MAX);
    out->height = (int)yyjson_get_uint(height);
    out->width = (int)yyjson_get_uint(width);
    return STATUS_OK;
}

static Status read_resize(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    (void)arena;
    int resize = index_of(RESIZES, sizeof RESIZES / sizeof *RESIZES, yyjson_get_str(value));
    if (resize < 0) return error_set(err, STATUS_CONFIGURATION, "'resize' must be 'longest_side' or 'stretch'");
    out->resize = (ModelResize)resize;
    return STATUS_OK;
}

static bool read_colour(double out[3], yyjson_val *value, double least, double most) {
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) != 3) return false;
    for (size_t c = 0; c < 3; c++) {
        yyjson_val *number = yyjson_arr_get(value, c);
        out[c] = yyjson_get_num(number);
        if (!yyjson_is_num(number) || !(out[c] >= least && out[c] <= most)) return false;
    }
    return true;
}

static Status read_mean(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    (void)arena;
    if (read_colour(out->mean, value, 0, 255)) return STATUS_OK;
    return error_set(err, STATUS_CONFIGURATION, "'mean' must be three numbers from 0 to 255");
}

static Status read_std(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    (void)arena;
    if (read_colour(out->std, value, 1e-3, 255)) return STATUS_OK;
    return error_set(err, STATUS_CONFIGURATION, "'std' must be three numbers from 0.001 to 255");
}

static Status read_threshold(Manifest *out, Arena *arena, yyjson_val *value, Error *err) {
    (void)arena;
    const char *role = ROLES[out->role].name;
    if (ROLES[out->role].defaults.threshold <= 0) return error_set(err, STATUS_CONFIGURATION, "'threshold' is nothing that the role '%s' knows", role);
    out->threshold = yyjson_get_num(value);
    if (yyjson_is_num(value) && out->threshold >= 0.001 && out->threshold <= 1) return STATUS_OK;
    return error_set(err, STATUS_CONFIGURATION, "'threshold' must be a number from 0.001 to 1");
}

/* "role" decides how the others are read and is read before them. */
static const struct {
    const char *key;
    Reader read;
} MEMBERS[] = {{"role", NULL}, {"description", NULL}, {"enabled", read_enabled}, {"files", read_files}, {"input_size", read_input_size},
               {"resize", read_resize}, {"mean", read_mean}, {"std", read_std}, {"threshold", read_threshold}};

static Status read_role(Manifest *out, yyjson_val *root, Error *err) {
    const char *name = json_get_string(root, "role", NULL);
    for (int role = 0; name && role < MODEL_ROLE_COUNT; role++) {
        if (!text_equal(ROLES[role].name, name)) continue;
        *out = ROLES[role].defaults;
        out->role = (ModelRole)role;
        out->enabled = true;
        return STATUS_OK;
    }
    return error_set(err, STATUS_CONFIGURATION, "'role' must be 'sam', 'sam2', 'sam3' or 'siglip2'");
}

static Status read_member(Manifest *out, Arena *arena, const char *key, yyjson_val *value, Error *err) {
    for (size_t i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++)
        if (text_equal(MEMBERS[i].key, key)) return MEMBERS[i].read ? MEMBERS[i].read(out, arena, value, err) : STATUS_OK;
    return error_set(err, STATUS_CONFIGURATION, "'%.40s' is not a member of a manifest", key);
}

static Status read_members(Manifest *out, Arena *arena, yyjson_val *root, Error *err) {
    yyjson_val *key, *value;
    size_t i, count;
    Status status = read_role(out, root, err);
    if (status != STATUS_OK) return status;
    yyjson_obj_foreach(root, i, count, key, value) {
        status = read_member(out, arena, yyjson_get_str(key), value, err);
        if (status != STATUS_OK) return status;
    }
    return yyjson_obj_get(root, "files") ? STATUS_OK : error_set(err, STATUS_CONFIGURATION, "'files' is missing");
}

Status manifest_parse(Manifest *out, Arena *arena, const char *text, size_t size, Error *err) {
    Error failure;
    if (size > MANIFEST_BYTES_MAX) return error_set(err, STATUS_CONFIGURATION, "a manifest has at most %d bytes", MANIFEST_BYTES_MAX);
    yyjson_doc *doc = json_parse(text, size, &failure);
    if (!doc) return error_set(err, STATUS_CONFIGURATION, "it is no JSON: %s", failure.message);
    yyjson_val *root = yyjson_doc_get_root(doc);
    Status status = yyjson_is_obj(root) ? read_members(out, arena, root, err) : error_set(err, STATUS_CONFIGURATION, "it must be a JSON object");
    yyjson_doc_free(doc);
    return status;
}
