/* The table of a run's settings; see the header. */
#include "worker/train_config.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

#define EXACT 9007199254740992.0 /* 2^53 */

typedef struct NumberRow {
    const char *name;
    double least, most;
    bool integer;
} NumberRow;

static const NumberRow NUMBERS[] = {
    {"epochs", 1, 10000, true},
    {"batch_size", 1, 4096, true},
    {"image_size", 32, 8192, true},
    {"start_size", 32, 8192, true},
    {"learning_rate", 1e-9, 10, false},
    {"validation_fraction", 0, 0.9, false},
    {"mosaic", 0, 1, false},
    {"mixup", 0, 1, false},
    {"horizontal_flip", 0, 1, false},
    {"vertical_flip", 0, 1, false},
    {"seed", -EXACT, EXACT, true},
    {"max_seconds", 1, TRAIN_MAX_SECONDS, true},
};
static const char *const SIZES[YOLOX_SIZE_COUNT] = {"nano", "tiny", "s", "m", "l", "x"};

const char *yolox_size_name(YoloxSize size) { return SIZES[size]; }

bool yolox_size_from_name(const char *name, YoloxSize *out) {
    if (strncmp(name, "yolox-", 6) == 0 || strncmp(name, "yolox_", 6) == 0) name += 6;
    for (int i = 0; i < YOLOX_SIZE_COUNT; i++) {
        if (text_equal_ignoring_case(name, SIZES[i])) {
            *out = (YoloxSize)i;
            return true;
        }
    }
    return false;
}

static bool is_model_size(const char *text) {
    YoloxSize size;
    return yolox_size_from_name(text, &size);
}

static bool is_precision(const char *text) { return text_equal(text, "float32") || text_equal(text, "bfloat16"); }

/* The contract's decoder has looked at some of them before. */
static bool is_told(const FieldErrors *errors, const char *name) {
    for (size_t i = 0; i < errors->count; i++) {
        const FieldError *e = &errors->items[i];
        if (e->loc_count && text_equal(e->loc[e->loc_count - 1].name, name)) return true;
    }
    return false;
}

static void check_number(const NumberRow *row, yyjson_val *value, const FieldPath *field, FieldErrors *errors) {
    double number = yyjson_is_num(value) ? yyjson_get_num(value) : NAN;
    bool fits = number >= row->least && number <= row->most && (!row->integer || number == floor(number));
    if (!fits) field_error(errors, field, value, "value_error", "Input should be %s from %.16g to %.16g", row->integer ? "an integer" : "a number", row->least, row->most);
}

static void check_choice(yyjson_val *config, const char *name, bool (*is_one)(const char *), const char *those, const FieldPath *path, FieldErrors *errors) {
    yyjson_val *value = yyjson_obj_get(config, name);
    FieldPath field = FIELD_IN(path, name);
    const char *text = yyjson_get_str(value);
    bool whole = text && strlen(text) == yyjson_get_len(value); /* no NUL in it */
    if (!value || yyjson_is_null(value) || (whole && is_one(text))) return;
    field_error(errors, &field, value, "value_error", "Input should be one of %s", those);
}

void train_config_check(yyjson_val *config, const FieldPath *path, FieldErrors *errors) {
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        yyjson_val *value = yyjson_obj_get(config, NUMBERS[i].name);
        FieldPath field = FIELD_IN(path, NUMBERS[i].name);
        if (value && !yyjson_is_null(value) && !is_told(errors, NUMBERS[i].name)) check_number(&NUMBERS[i], value, &field, errors);
    }
    check_choice(config, "model_size", is_model_size, "nano, tiny, s, m, l, x", path, errors);
    check_choice(config, "precision", is_precision, "float32, bfloat16", path, errors);
}

bool train_config_knows(const char *name) {
    bool known = text_equal(name, "model_size") || text_equal(name, "precision") || text_equal(name, "weights");
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) known = known || text_equal(name, NUMBERS[i].name);
    return known;
}
