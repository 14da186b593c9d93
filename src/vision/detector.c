#include "vision/detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "worker/onnx_metadata.h"
#include "base/banned.h"

enum { CANDIDATES_MAX = 20000, LETTERBOX_GREY = 114 };

/* ---- metadata ---- */

/* What a file may say about itself in one way only; a missing value is taken as that way. */
static const struct {
    const char *key, *value;
} FIXED[] = {
    {ONNX_META_CHANNEL_ORDER, "BGR"},
    {ONNX_META_LETTERBOX_VALUE, "114"},
    {ONNX_META_LETTERBOX_ANCHOR, "top-left"},
};

static Status check_fixed(const Detector *d, Arena *arena, Error *err) {
    for (size_t i = 0; i < sizeof FIXED / sizeof *FIXED; i++) {
        const char *value = model_metadata(d->model, arena, FIXED[i].key);
        if (value && !text_equal(value, FIXED[i].value))
            return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's %s is '%s'; only '%s' is known", FIXED[i].key, value, FIXED[i].value);
    }
    return STATUS_OK;
}

/* A metadata value that is a JSON array; free the document. */
static Status read_array(const Detector *d, Arena *arena, const char *key, yyjson_doc **out, Error *err) {
    const char *text = model_metadata(d->model, arena, key);
    if (!text) return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model does not say its %s", key);
    yyjson_doc *doc = json_parse(text, strlen(text), NULL);
    if (!yyjson_is_arr(yyjson_doc_get_root(doc))) {
        yyjson_doc_free(doc);
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's %s is no JSON array", key);
    }
    *out = doc;
    return STATUS_OK;
}

static Status read_class_names(Detector *d, Error *err) {
    yyjson_doc *doc = NULL;
    yyjson_val *name;
    size_t i, count;
    Status status = read_array(d, &d->arena, ONNX_META_CLASS_NAMES, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *names = yyjson_doc_get_root(doc);
    if (yyjson_arr_size(names) < 1 || yyjson_arr_size(names) > DETECTOR_CLASSES_MAX)
        status = error_set(err, STATUS_MODEL_UNAVAILABLE, "The model has %zu classes", yyjson_arr_size(names));
    if (status == STATUS_OK) d->class_names = arena_new_array(&d->arena, char *, yyjson_arr_size(names));
    yyjson_arr_foreach(names, i, count, name) {
        if (status != STATUS_OK) break;
        if (yyjson_is_str(name)) d->class_names[d->class_count++] = arena_strdup(&d->arena, yyjson_get_str(name));
        else status = error_set(err, STATUS_MODEL_UNAVAILABLE, "A class name of the model is no text");
    }
    yyjson_doc_free(doc);
    return status;
}

static Status read_image_size(Detector *d, Error *err) {
    yyjson_doc *doc = NULL;
    Status status = read_array(d, &d->arena, ONNX_META_IMAGE_SIZE, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *size = yyjson_doc_get_root(doc);
    int64_t height = yyjson_get_sint(yyjson_arr_get(size, 0)), width = yyjson_get_sint(yyjson_arr_get(size, 1));
    yyjson_doc_free(doc);
    if (height < 1 || width < 1 || height > DETECTOR_SIDE_MAX || width > DETECTOR_SIDE_MAX)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's image_size is wrong");
    d->height = (int)height;
    d->width = (int)width;
    return STATUS_OK;
}

static bool axis_fits(int64_t axis, int64_t wanted) { return axis < 0 || axis == wanted; }

/* Where a row of output lies in the picture, and what counts. */
typedef struct Reading {
    double scale, threshold;
    Box full; /* the picture */
    int64_t rows;
} Reading;

/* One way to arrange an output of shape [1, rows, columns]. */
struct DetectorLayout {
    const char *name;
    double nms_threshold;
    Status (*prepare)(Detector *d, Error *err); /* what more the metadata say; may be NULL */
    int (*columns)(const Detector *d);
    int64_t (*rows)(const Detector *d); /* NULL: any number */
    size_t (*read)(const Detector *d, const float *rows, Reading reading, Detection *out);
};

/* ---- layout "yolox-decoded" ---- */

static int yolox_columns(const Detector *d) { return 5 + d->class_count; }

/* One row of the output; false when it is below the threshold, no number, or outside the picture. */
static bool yolox_row(const float *row, int classes, Reading reading, Detection *out) {
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (row[5 + c] > row[5 + best]) best = c;
    double confidence = (double)row[4] * row[5 + best], scale = reading.scale;
    if (!(confidence >= reading.threshold)) return false;
    Box box = {(row[0] - row[2] / 2) / scale, (row[1] - row[3] / 2) / scale, row[2] / scale, row[3] / scale};
    if (!isfinite(box.x) || !isfinite(box.y) || !isfinite(box.w) || !isfinite(box.h)) return false;
    *out = (Detection){.box = box_intersection(box, reading.full), .class_index = best, .confidence = fmin(confidence, 1)};
    return out->box.w > 0 && out->box.h > 0;
}

static size_t yolox_read(const Detector *d, const float *rows, Reading reading, Detection *out) {
    size_t count = 0, columns = (size_t)yolox_columns(d);
    for (int64_t i = 0; i < reading.rows && count < CANDIDATES_MAX; i++) count += yolox_row(rows + (size_t)i * columns, d->class_count, reading, &out[count]);
    return count;
}

/* ---- layout "gfl" ---- */

static Status gfl_prepare(Detector *d, Error *err) {
    yyjson_doc *doc = NULL;
    yyjson_val *stride;
    size_t i, count;
    int64_t bins = 0;
    const char *text = model_metadata(d->model, &d->arena, GFL_META_BINS);
    Status status = read_array(d, &d->arena, ONNX_META_STRIDES, &doc, err);
    if (status != STATUS_OK) return status;
    d->gfl = (GflHead){.width = d->width, .height = d->height, .classes = d->class_count};
    bool good = text && text_to_int(text, &bins) && bins >= 2 && bins <= GFL_BINS_MAX && yyjson_arr_size(yyjson_doc_get_root(doc)) <= GFL_STRIDES_MAX;
    d->gfl.bins = (int)bins;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, count, stride) {
        good = good && yyjson_get_int(stride) > 0 && yyjson_get_int(stride) <= DETECTOR_SIDE_MAX;
        if (good) d->gfl.strides[d->gfl.stride_count++] = yyjson_get_int(stride);
    }
    yyjson_doc_free(doc);
    return good ? STATUS_OK : error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's strides or " GFL_META_BINS " are wrong");
}

static int gfl_layout_columns(const Detector *d) { return gfl_columns(&d->gfl); }
static int64_t gfl_layout_rows(const Detector *d) { return gfl_rows(&d->gfl); }

static size_t gfl_layout_read(const Detector *d, const float *rows, Reading reading, Detection *out) {
    return gfl_read(&d->gfl, rows, reading.threshold, reading.scale, reading.full, out, CANDIDATES_MAX);
}

/* The suppression thresholds are those of the published evaluations of YOLOX and NanoDet. */
static const DetectorLayout LAYOUTS[] = {
    {ONNX_LAYOUT_YOLOX_DECODED, 0.65, NULL, yolox_columns, NULL, yolox_read},
    {GFL_LAYOUT, 0.6, gfl_prepare, gfl_layout_columns, gfl_layout_rows, gfl_layout_read},
};

/* ---- opening ---- */

static Status find_layout(Detector *d, Error *err) {
    d->layout = model_metadata(d->model, &d->arena, ONNX_META_OUTPUT_LAYOUT);
    for (size_t i = 0; i < sizeof LAYOUTS / sizeof *LAYOUTS && !d->reader; i++)
        if (text_equal(d->layout, LAYOUTS[i].name)) d->reader = &LAYOUTS[i];
    if (d->reader) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's output layout is '%s'; only '" ONNX_LAYOUT_YOLOX_DECODED "' and '" GFL_LAYOUT "' are known",
                     d->layout ? d->layout : "");
}

/* The tensors must agree with the metadata, or the numbers would be read wrongly. */
static Status check_shapes(const Detector *d, Error *err) {
    int64_t in[MODEL_RANK_MAX], out[MODEL_RANK_MAX];
    bool good = model_input_shape(d->model, in) == 4 && axis_fits(in[0], 1) && axis_fits(in[1], 3) && axis_fits(in[2], d->height) &&
                axis_fits(in[3], d->width) && model_output_shape(d->model, out) == 3 && axis_fits(out[0], 1) &&
                axis_fits(out[2], d->reader->columns(d)) && (!d->reader->rows || axis_fits(out[1], d->reader->rows(d)));
    return good ? STATUS_OK : error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's tensors do not have the shapes that its metadata say");
}

static Status read_metadata(Detector *d, Error *err) {
    d->architecture = model_metadata(d->model, &d->arena, ONNX_META_ARCHITECTURE);
    if (!d->architecture) d->architecture = "";
    Status status = find_layout(d, err);
    if (status == STATUS_OK) status = check_fixed(d, &d->arena, err);
    if (status == STATUS_OK) status = read_class_names(d, err);
    if (status == STATUS_OK) status = read_image_size(d, err);
    if (status == STATUS_OK && d->reader->prepare) status = d->reader->prepare(d, err);
    return status == STATUS_OK ? check_shapes(d, err) : status;
}

Status detector_open(Runtime *runtime, const char *path, int threads, Detector **out, Error *err) {
    Detector *d = xcalloc(1, sizeof *d);
    arena_init(&d->arena, 16 << 20);
    Status status = model_open(runtime, path, threads, &d->model, err);
    if (status == STATUS_OK) status = read_metadata(d, err);
    if (status != STATUS_OK) detector_close(d);
    else *out = d;
    return status;
}

void detector_close(Detector *detector) {
    if (!detector) return;
    model_close(detector->model);
    arena_clear(&detector->arena);
    free(detector);
}

/* ---- running ---- */

/* The picture scaled to fit, at the top-left of a grey frame; planes in the order blue, green, red. Returns the scale. */
static double fill_input(const Detector *d, const Picture *picture, float *input) {
    double scale = raster_fit(picture->full_width, picture->full_height, d->width, d->height);
    int width = (int)fmax(1, fmin(d->width, (double)lrint(picture->full_width * scale)));
    int height = (int)fmax(1, fmin(d->height, (double)lrint(picture->full_height * scale)));
    size_t plane = (size_t)d->width * (size_t)d->height;
    Raster fitted;
    raster_resize(&fitted, &picture->raster, width, height);
    for (size_t i = 0; i < 3 * plane; i++) input[i] = LETTERBOX_GREY;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++)
                input[(2 - c) * plane + (size_t)y * (size_t)d->width + (size_t)x] = fitted.pixels[((size_t)y * (size_t)width + (size_t)x) * 3 + c];
    raster_clear(&fitted);
    return scale;
}

Status detector_run(Detector *detector, Arena *arena, const Picture *picture, DetectOptions options, Detection **out, size_t *count, Error *err) {
    const int64_t shape[4] = {1, 3, detector->height, detector->width};
    size_t floats = (size_t)(3 * shape[2] * shape[3]);
    ModelOutput output;
    float *input = xmalloc(floats * sizeof *input);
    double scale = fill_input(detector, picture, input);
    Status status = model_run(detector->model, input, floats, shape, 4, &output, err);
    free(input);
    if (status != STATUS_OK) return status;
    int64_t rows = detector->reader->rows ? detector->reader->rows(detector) : output.shape[1];
    if (output.rank != 3 || output.shape[0] != 1 || output.shape[1] != rows || output.shape[2] != detector->reader->columns(detector)) {
        model_output_clear(detector->model, &output);
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "The model's output does not have the shape that its metadata say");
    }
    Reading reading = {.scale = scale, .threshold = options.confidence_threshold, .full = {0, 0, picture->full_width, picture->full_height}, .rows = rows};
    *out = arena_new_array(arena, Detection, CANDIDATES_MAX);
    *count = detector->reader->read(detector, output.data, reading, *out);
    *count = nms(*out, *count, options.nms_threshold >= 0 ? options.nms_threshold : detector->reader->nms_threshold, options.max_detections);
    model_output_clear(detector->model, &output);
    return STATUS_OK;
}
