/* Reading of RUN.json, and the choice of what it leaves open. */
#include "train/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "base/banned.h"

enum { RUN_MAXIMUM = 1 << 20, LEAST_SIZE_TO_GROW = 192 /* of smaller inputs too little would be left */ };

static void read_config(Settings *s, yyjson_val *config) {
    const char *size = json_get_string(config, "model_size", NULL), *precision = json_get_string(config, "precision", NULL);
    s->has_model_size = size && yolox_size_from_name(size, &s->model_size);
    if (precision) s->precision = text_equal(precision, "float32") ? PRECISION_FLOAT32 : PRECISION_BFLOAT16;
    s->epochs = (int)json_get_number(config, "epochs", 0);
    s->batch = (int)json_get_number(config, "batch_size", 0);
    s->image_size = (int)json_get_number(config, "image_size", 0);
    s->start_size = (int)json_get_number(config, "start_size", 0);
    s->learning_rate = json_get_number(config, "learning_rate", 0);
    s->validation_fraction = json_get_number(config, "validation_fraction", 0);
    s->mosaic = json_get_number(config, "mosaic", -1);
    s->mixup = json_get_number(config, "mixup", -1);
    s->horizontal_flip = json_get_number(config, "horizontal_flip", -1);
    s->vertical_flip = json_get_number(config, "vertical_flip", -1);
}

static Status check_config(yyjson_val *config, Error *err) {
    Arena arena;
    FieldErrors errors;
    arena_init(&arena, 1 << 16);
    field_errors_init(&errors, &arena);
    train_config_check(config, &FIELD_ROOT("config"), &errors);
    Status status = field_errors_to_error(&errors, err);
    arena_clear(&arena);
    return status;
}

static Status read_run(Settings *s, yyjson_val *run, Error *err) {
    yyjson_val *config = yyjson_obj_get(run, "config");
    const char *data = json_get_string(run, "data", NULL), *output = json_get_string(run, "output", NULL);
    const char *weights = json_get_string(config, "weights", json_get_string(run, "weights", NULL));
    if (!yyjson_is_obj(run) || !data || !output)
        return error_set(err, STATUS_VALIDATION_ERROR, "RUN.json must be an object with \"data\" and \"output\"");
    if (!text_equal(json_get_string(run, "pipeline", "yolox"), "yolox"))
        return error_set(err, STATUS_VALIDATION_ERROR, "pipeline '%.40s' is not served: only yolox is", json_get_string(run, "pipeline", ""));
    if (config && !yyjson_is_obj(config)) return error_set(err, STATUS_VALIDATION_ERROR, "config must be an object");
    s->data = xstrdup(data);
    s->output = xstrdup(output);
    s->weights = weights ? xstrdup(weights) : NULL;
    s->seed = (uint64_t)json_get_int(run, "seed", 1);
    int64_t threads = json_get_int(run, "threads", 0);
    s->threads = threads > 0 && threads < 4096 ? (int)threads : 0;
    s->max_seconds = json_get_number(run, "max_seconds", 0);
    read_config(s, config);
    return check_config(config, err);
}

Status settings_read(Settings *out, const char *path, Error *err) {
    Buffer text;
    *out = (Settings){0};
    buffer_init(&text, RUN_MAXIMUM);
    Status status = file_read(path, &text, err);
    yyjson_doc *doc = status == STATUS_OK ? json_parse(buffer_text(&text), text.size, err) : NULL;
    if (doc) {
        unsigned char digest[SHA256_SIZE];
        hash_sha256(text.data, text.size, digest);
        hash_hex(digest, sizeof digest, out->fingerprint);
        status = read_run(out, yyjson_doc_get_root(doc), err);
    } else if (status == STATUS_OK) {
        status = err ? err->status : STATUS_MALFORMED_JSON;
    }
    yyjson_doc_free(doc);
    buffer_clear(&text);
    return status == STATUS_OK ? status : error_prefix(err, "%s", path);
}

void settings_clear(Settings *s) {
    free(s->data);
    free(s->output);
    free(s->weights);
    *s = (Settings){0};
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* A tenth of the boxes have smaller sides than this, as a part of their image's longer side. */
static float small_box(const TrainDataset *dataset) {
    float *sides = xmalloc((dataset->box_count + 1) * sizeof *sides);
    size_t count = 0;
    for (size_t i = 0; i < dataset->image_count; i++) {
        const TrainImage *image = &dataset->images[i];
        float longest = (float)(image->width > image->height ? image->width : image->height);
        for (size_t b = 0; b < image->box_count && count < dataset->box_count && longest > 0; b++) {
            const AugmentBox *box = &image->boxes[b];
            sides[count++] = sqrtf((box->x1 - box->x0) * (box->y1 - box->y0)) / longest;
        }
    }
    qsort(sides, count, sizeof *sides, compare_floats);
    float side = count ? sides[count / 10] : 1;
    free(sides);
    return side;
}

/* The smallest input in which small boxes are still 12 pixels wide; time grows with its square, so a CPU stops at 416. */
static int choose_image_size(const TrainDataset *dataset, bool cuda) {
    static const int sizes[] = {256, 320, 416, 512, 640};
    float side = small_box(dataset);
    int last = cuda ? 4 : 2, i = 0;
    while (i < last && side * (float)sizes[i] < 12) i++;
    return sizes[i];
}

static int round_size(int size) {
    return (size + 31) / 32 * 32;
}

/* Random weights learn the coarse first, from three quarters of the size; given ones know it. */
static int choose_start_size(const Settings *s) {
    bool grows = !s->weights && s->image_size >= LEAST_SIZE_TO_GROW;
    int size = s->start_size > 0 ? s->start_size : grows ? s->image_size * 3 / 4 : s->image_size;
    return size < s->image_size ? round_size(size) : s->image_size;
}

static int clamp(double value, int least, int most) {
    return value < least ? least : value > most ? most : (int)value;
}

static void choose_probability(double *value, double otherwise) {
    if (*value < 0) *value = otherwise;
}

/* In all epochs together. Nano learns slower, and is faster; without a processor's bfloat16 units the others take twice the time. */
static double images_to_see(const Settings *s, Machine machine) {
    return s->model_size == YOLOX_NANO ? 17600 : machine == MACHINE_CPU ? 8200 : 10700;
}

/* The recipe was found on 205 images of blood cells (docs/benchmarks.md): what counts is the number of updates, so that fewer images
 * get more epochs and many images larger batches. */
void settings_choose(Settings *s, const TrainDataset *dataset, size_t train_count, Machine machine) {
    double images = (double)train_count;
    if (!s->has_model_size) s->model_size = machine == MACHINE_GPU ? YOLOX_S : YOLOX_TINY;
    if (s->image_size == 0) s->image_size = choose_image_size(dataset, machine == MACHINE_GPU);
    s->image_size = round_size(s->image_size);
    s->start_size = choose_start_size(s);
    if (s->batch == 0) s->batch = images <= 1000 ? 4 : images <= 4000 ? 8 : 16;
    if (s->epochs == 0) s->epochs = clamp(round(images_to_see(s, machine) / images), 15, 200);
    if (s->learning_rate == 0) s->learning_rate = s->weights ? 0.01 : s->batch < 4 ? 0.03 * s->batch / 4 : 0.03;
    choose_probability(&s->mosaic, 0.5);
    choose_probability(&s->mixup, s->model_size >= YOLOX_M ? 0.5 : 0);
    choose_probability(&s->horizontal_flip, 0.5);
    choose_probability(&s->vertical_flip, 0.5);
    if (s->threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        s->threads = cores > 0 ? (int)cores : 1;
    }
}
