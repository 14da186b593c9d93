/* Reading of a data set: src/formats knows the files, this file keeps the boxes and says what is of no use for training. */
#include "train/data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "formats/dataset.h"
#include "train/data_image.h"

#include "base/banned.h"

void train_dataset_warn(TrainDataset *dataset, const char *file, const char *format, ...) {
    if (!dataset->warn) return;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) >= 0) {
        pthread_mutex_lock(&dataset->warn_lock);
        dataset->warn(dataset->warn_context, file, text);
        pthread_mutex_unlock(&dataset->warn_lock);
        free(text);
    }
    va_end(args);
}

/* One reading of the files. */
typedef struct Intake {
    TrainDataset *dataset;
    DatasetReport *report;
    StringMap classes; /* name → index in report->classes, for those that were met */
} Intake;

/* ---- boxes ---- */

/* Cuts a box to the picture; says what is wrong with it, or NULL. */
static const char *fit_box(AugmentBox *out, Box box, const TrainImage *image) {
    if (!isfinite(box.x + box.y + box.w + box.h)) return "has no valid coordinates";
    if (!(box.w > 0 && box.h > 0)) return "has no area";
    *out = (AugmentBox){.x0 = (float)fmax(box.x, 0), .y0 = (float)fmax(box.y, 0), .x1 = (float)fmin(box.x + box.w, image->width),
                        .y1 = (float)fmin(box.y + box.h, image->height)};
    return out->x1 > out->x0 && out->y1 > out->y0 ? NULL : "lies outside the picture";
}

/* Place of a class in the report, which lists it before it delivers a picture that has it. */
static size_t class_index(Intake *intake, const char *name) {
    size_t index = string_map_get(&intake->classes, name);
    for (size_t i = 0; index == STRING_MAP_NONE && i < intake->report->class_count; i++)
        if (!strcmp(intake->report->classes[i].name, name)) {
            index = i;
            string_map_set(&intake->classes, name, index);
        }
    return index;
}

static void take_annotation(Intake *intake, const TrainImage *image, const Annotation *annotation, AugmentBoxes *boxes) {
    AugmentBox box;
    size_t class_at = class_index(intake, annotation->name);
    const char *wrong = class_at == STRING_MAP_NONE ? "is of no known class" : NULL;
    if (annotation->type == ANNOTATION_BBOX)
        wrong = wrong ? wrong : fit_box(&box, annotation->bounding_box, image);
    else if (annotation->type == ANNOTATION_POLYGON)
        wrong = wrong ? wrong : fit_box(&box, polygon_box(&annotation->polygon), image);
    else
        return; /* polylines and keypoints have no box to learn */
    if (wrong) {
        train_dataset_warn(intake->dataset, image->name, "Annotation '%s' (%s) %s and is left out",
                           annotation->id ? annotation->id : "", annotation->name, wrong);
        return;
    }
    box.class_index = (int)class_at;
    augment_boxes_add(boxes, box);
}

/* ---- pictures ---- */

/* "/a/b" and "c.jpg" become "a/b/c.jpg". */
static char *name_of(const DatasetImage *image) {
    const char *folder = image->folder ? image->folder : "/";
    folder += *folder == '/';
    size_t size = strlen(folder) + strlen(image->filename) + 2;
    char *name = xmalloc(size);
    snprintf(name, size, "%s%s%s", folder, *folder ? "/" : "", image->filename);
    return name;
}

/* Width and height as the label file tells them, else from the picture's header. */
static Status find_size(TrainImage *image, const DatasetImage *from, Error *err) {
    if (!from->path) return error_set(err, STATUS_NOT_FOUND, "the picture is not there");
    if (from->width > 0 && from->height > 0 && from->width <= JPEG_MAXIMUM_PIXELS && from->height <= JPEG_MAXIMUM_PIXELS) {
        image->width = (int)from->width;
        image->height = (int)from->height;
        return STATUS_OK;
    }
    return train_image_size(&image->width, &image->height, from->path, err);
}

static void append_image(TrainDataset *dataset, TrainImage image) {
    size_t count = dataset->image_count;
    if ((count & (count - 1)) == 0) /* full at every power of two */
        dataset->images = xrealloc(dataset->images, (count ? 2 * count : 1) * sizeof *dataset->images);
    dataset->images[dataset->image_count++] = image;
    dataset->box_count += image.box_count;
}

static Status take_image(void *context, const DatasetImage *from, Error *err) {
    (void)err;
    Intake *intake = context;
    if (!from->labelled)
        return STATUS_OK; /* what nobody looked at yet must not be learned as empty */
    TrainImage image = {.name = name_of(from)};
    Error why = {0};
    if (find_size(&image, from, &why)) {
        train_dataset_warn(intake->dataset, image.name, "The picture is left out: %s", why.message);
        free(image.name);
        return STATUS_OK;
    }
    AugmentBoxes boxes = {0};
    for (size_t i = 0; i < from->annotations.count; i++) take_annotation(intake, &image, &from->annotations.items[i], &boxes);
    image.path = xstrdup(from->path);
    image.boxes = boxes.items;
    image.box_count = boxes.count;
    append_image(intake->dataset, image);
    return STATUS_OK;
}

static int compare_images(const void *a, const void *b) {
    return strcmp(((const TrainImage *)a)->name, ((const TrainImage *)b)->name);
}

/* ---- the whole ---- */

/* Keeps what the report says, and passes its warnings on. */
static void take_report(TrainDataset *dataset, const DatasetReport *report) {
    dataset->name = xstrdup(report->name ? report->name : "");
    dataset->class_names = xcalloc(report->class_count + 1, sizeof *dataset->class_names);
    for (; dataset->class_count < report->class_count; dataset->class_count++)
        dataset->class_names[dataset->class_count] = xstrdup(report->classes[dataset->class_count].name);
    for (size_t i = 0; i < report->warning_count; i++) train_dataset_warn(dataset, report->warnings[i].file, "%s", report->warnings[i].text);
    if (report->warning_total > report->warning_count)
        train_dataset_warn(dataset, NULL, "%zu more warnings about the files", report->warning_total - report->warning_count);
}

static Status read_files(TrainDataset *dataset, Dataset *files, const char *path, Error *err) {
    if (!dataset_format(files)) return error_set(err, STATUS_VALIDATION_ERROR, "%s is no data set with labels", path);
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    DatasetReport report;
    dataset_report_init(&report, &arena);
    Intake intake = {.dataset = dataset, .report = &report};
    string_map_init(&intake.classes, &arena);
    DatasetSink sink = {&intake, take_image};
    Status status = dataset_read(files, dataset_format(files), &sink, &report, err);
    take_report(dataset, &report);
    arena_clear(&arena);
    if (status) return status;
    if (!dataset->class_count) return error_set(err, STATUS_VALIDATION_ERROR, "%s names no class", path);
    if (!dataset->image_count) return error_set(err, STATUS_VALIDATION_ERROR, "%s holds no picture with labels", path);
    qsort(dataset->images, dataset->image_count, sizeof *dataset->images, compare_images);
    return STATUS_OK;
}

/* An empty folder for an archive; NULL when there is none to be had or no need of one. */
static Status make_unpack_folder(char **out, const char *path, const char *work_folder, Error *err) {
    *out = NULL;
    if (!work_folder || file_is_directory(path)) return STATUS_OK;
    size_t size = strlen(work_folder) + sizeof "/dataset";
    *out = xmalloc(size);
    snprintf(*out, size, "%s/dataset", work_folder);
    Status status = file_remove_tree(*out, err);
    return status ? status : file_make_directories(*out, 0755, err);
}

Status train_dataset_open(TrainDataset **out, const char *path, const char *work_folder, TrainWarning warning, void *warn_context,
                          Error *err) {
    TrainDataset *dataset = xcalloc(1, sizeof *dataset);
    dataset->warn = warning;
    dataset->warn_context = warn_context;
    pthread_mutex_init(&dataset->warn_lock, NULL);
    Dataset *files = NULL;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    char *folder;
    Status status = make_unpack_folder(&folder, path, work_folder, err);
    options.work_folder = folder;
    if (!status) status = dataset_open(&files, path, &options, err);
    if (!status) status = read_files(dataset, files, path, err);
    dataset_close(files);
    free(folder);
    if (status) {
        train_dataset_free(dataset);
        dataset = NULL;
    }
    *out = dataset;
    return status;
}

void train_dataset_free(TrainDataset *dataset) {
    if (!dataset) return;
    for (size_t i = 0; i < dataset->image_count; i++) {
        free(dataset->images[i].name);
        free(dataset->images[i].path);
        free(dataset->images[i].boxes);
    }
    for (size_t i = 0; i < dataset->class_count; i++) free(dataset->class_names[i]);
    free(dataset->images);
    free(dataset->class_names);
    free(dataset->name);
    pthread_mutex_destroy(&dataset->warn_lock);
    free(dataset);
}

/* ---- split ---- */

/* A number in 0..1 that depends on the name alone. */
static double name_position(const char *name) {
    unsigned char digest[SHA256_SIZE];
    hash_sha256(name, strlen(name), digest);
    return (digest[0] * 65536.0 + digest[1] * 256.0 + digest[2]) / 16777216.0;
}

void train_dataset_split(const TrainDataset *dataset, double fraction, uint32_t **train, size_t *train_count, uint32_t **held_out,
                         size_t *held_out_count) {
    size_t count = dataset->image_count, lowest = 0;
    double *positions = xcalloc(count + 1, sizeof *positions);
    *train = xcalloc(count + 1, sizeof **train);
    *held_out = xcalloc(count + 1, sizeof **held_out);
    *train_count = *held_out_count = 0;
    for (size_t i = 0; i < count; i++) {
        positions[i] = name_position(dataset->images[i].name);
        lowest = positions[i] < positions[lowest] ? i : lowest;
    }
    for (size_t i = 0; i < count; i++) {
        bool held = positions[i] < fraction || (i == lowest && fraction > 0);
        if (held && *held_out_count + 1 < count) /* one picture at least stays to be learned from */
            (*held_out)[(*held_out_count)++] = (uint32_t)i;
        else
            (*train)[(*train_count)++] = (uint32_t)i;
    }
    free(positions);
}
