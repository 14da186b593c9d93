/* Reading an export: the classes of dataset.json, then one annotation file after the other. Pictures are not opened here unless their
 * annotation file says nothing of their size. */
#include "train/data.h"

#include <errno.h>
#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "train/data_image.h"

#include "base/banned.h"

enum { DATASET_FILE_MAXIMUM = 64 << 20, ANNOTATION_FILE_MAXIMUM = 64 << 20, CLASSES_MAXIMUM = 100000 };
#define UNPACK_MAXIMUM ((int64_t)1 << 42)

static char *text_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text_printf(const char *format, ...)
{
    char *out = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&out, format, args);
    va_end(args);
    return length < 0 ? xstrdup("") : out;
}

void train_dataset_warn(TrainDataset *dataset, const char *format, ...)
{
    if (!dataset->warn)
        return;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) >= 0) {
        pthread_mutex_lock(&dataset->warn_lock);
        dataset->warn(dataset->warn_context, text);
        pthread_mutex_unlock(&dataset->warn_lock);
        free(text);
    }
    va_end(args);
}

/* ---- classes ---- */

static Status read_classes(TrainDataset *dataset, yyjson_val *root, Error *err)
{
    yyjson_val *classes = yyjson_obj_get(root, "classes"), *item;
    size_t i, n;
    if (!yyjson_is_arr(classes) || yyjson_arr_size(classes) == 0 || yyjson_arr_size(classes) > CLASSES_MAXIMUM)
        return error_set(err, STATUS_VALIDATION_ERROR, "dataset.json lists no classes, or too many");
    dataset->class_names = xcalloc(yyjson_arr_size(classes), sizeof *dataset->class_names);
    yyjson_arr_foreach(classes, i, n, item) {
        const char *name = yyjson_is_str(item) ? yyjson_get_str(item) : json_get_string(item, "name", NULL);
        if (!name || !*name)
            return error_set(err, STATUS_VALIDATION_ERROR, "Class %zu of dataset.json has no name", i);
        dataset->class_names[dataset->class_count++] = xstrdup(name);
    }
    return STATUS_OK;
}

static Status read_head(TrainDataset *dataset, Error *err)
{
    char *path = text_printf("%s/dataset.json", dataset->folder);
    yyjson_doc *doc = json_parse_file(path, DATASET_FILE_MAXIMUM, err);
    free(path);
    if (!doc)
        return err->status;
    yyjson_val *root = yyjson_doc_get_root(doc);
    dataset->name = xstrdup(json_get_string(root, "name", ""));
    Status status = read_classes(dataset, root, err);
    yyjson_doc_free(doc);
    return status;
}

static int class_index(const TrainDataset *dataset, const char *name)
{
    for (size_t i = 0; name && i < dataset->class_count; i++)
        if (!strcmp(dataset->class_names[i], name))
            return (int)i;
    return -1;
}

/* ---- annotations ---- */

static bool box_of_rectangle(yyjson_val *rectangle, double out[4])
{
    if (!yyjson_is_obj(rectangle))
        return false;
    out[0] = json_get_number(rectangle, "x", NAN);
    out[1] = json_get_number(rectangle, "y", NAN);
    out[2] = out[0] + json_get_number(rectangle, "w", NAN);
    out[3] = out[1] + json_get_number(rectangle, "h", NAN);
    return true;
}

/* Enclosing rectangle of all rings. */
static bool box_of_polygon(yyjson_val *polygon, double out[4])
{
    size_t i, n, k, m, points = 0;
    yyjson_val *ring, *point;
    out[0] = out[1] = INFINITY;
    out[2] = out[3] = -INFINITY;
    yyjson_arr_foreach(yyjson_obj_get(polygon, "paths"), i, n, ring)
        yyjson_arr_foreach(ring, k, m, point) {
            double x = json_get_number(point, "x", NAN), y = json_get_number(point, "y", NAN);
            out[0] = fmin(out[0], x), out[1] = fmin(out[1], y);
            out[2] = fmax(out[2], x), out[3] = fmax(out[3], y);
            points++;
        }
    return points > 0;
}

/* Cuts a box to the picture; says what is wrong with it, or NULL. */
static const char *fit_box(AugmentBox *out, const double box[4], const TrainImage *image)
{
    for (int i = 0; i < 4; i++)
        if (!isfinite(box[i]))
            return "has no valid coordinates";
    if (box[2] <= box[0] || box[3] <= box[1])
        return "has no area";
    *out = (AugmentBox){.x0 = (float)fmax(box[0], 0), .y0 = (float)fmax(box[1], 0), .x1 = (float)fmin(box[2], image->width),
                        .y1 = (float)fmin(box[3], image->height)};
    return out->x1 > out->x0 && out->y1 > out->y0 ? NULL : "lies outside the picture";
}

static void read_annotation(TrainDataset *dataset, TrainImage *image, yyjson_val *item, size_t number, AugmentBoxes *boxes)
{
    const char *type = json_get_string(item, "type", ""), *name = json_get_string(item, "name", "");
    double sides[4];
    AugmentBox box;
    bool found = false;
    if (text_equal(type, "bbox") || text_equal(type, "box"))
        found = box_of_rectangle(yyjson_obj_get(item, "bounding_box"), sides);
    else if (text_equal(type, "polygon"))
        found = box_of_polygon(yyjson_obj_get(item, "polygon"), sides) || box_of_rectangle(yyjson_obj_get(item, "bounding_box"), sides);
    else
        return; /* polylines, keypoints and tags have no box to learn */
    const char *wrong = found ? fit_box(&box, sides, image) : "has no coordinates";
    box.class_index = class_index(dataset, name);
    if (!wrong && box.class_index < 0)
        wrong = "is of a class that dataset.json lacks";
    if (wrong)
        train_dataset_warn(dataset, "%s: annotation %zu (%s) %s and is left out", image->name, number, name, wrong);
    else
        augment_boxes_add(boxes, box);
}

/* Width and height as the annotation file tells them, else from the picture's header. */
static Status read_size(const TrainDataset *dataset, TrainImage *image, yyjson_val *root, Error *err)
{
    char *path = text_printf("%s/images/%s", dataset->folder, image->name);
    Status status = STATUS_OK;
    int64_t width = json_get_int(root, "width", 0), height = json_get_int(root, "height", 0);
    if (!file_exists(path))
        status = error_set(err, STATUS_NOT_FOUND, "%s is not there", path);
    else if (width < 1 || height < 1 || width > JPEG_MAXIMUM_PIXELS || height > JPEG_MAXIMUM_PIXELS)
        status = train_image_size(&image->width, &image->height, path, err);
    else
        image->width = (int)width, image->height = (int)height;
    free(path);
    return status;
}

static Status read_image(TrainDataset *dataset, TrainImage *image, const char *path, Error *err)
{
    yyjson_doc *doc = json_parse_file(path, ANNOTATION_FILE_MAXIMUM, err);
    if (!doc)
        return err->status;
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    size_t i, n;
    Status status = read_size(dataset, image, root, err);
    AugmentBoxes boxes = {0};
    if (!status)
        yyjson_arr_foreach(yyjson_obj_get(root, "annotations"), i, n, item)
            read_annotation(dataset, image, item, i, &boxes);
    image->boxes = boxes.items;
    image->box_count = boxes.count;
    yyjson_doc_free(doc);
    return status;
}

/* ---- the folder ---- */

/* Takes over name. */
static void add_image(TrainDataset *dataset, char *name, const char *path)
{
    Error err = {0};
    TrainImage image = {.name = name};
    if (read_image(dataset, &image, path, &err)) {
        train_dataset_warn(dataset, "%s is left out: %s", image.name, err.message);
        free(image.name);
        free(image.boxes);
        return;
    }
    size_t count = dataset->image_count;
    if ((count & (count - 1)) == 0) /* full at every power of two */
        dataset->images = xrealloc(dataset->images, (count ? 2 * count : 1) * sizeof *dataset->images);
    dataset->images[dataset->image_count++] = image;
    dataset->box_count += image.box_count;
}

static int compare_entries(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static int compare_images(const void *a, const void *b)
{
    return strcmp(((const TrainImage *)a)->name, ((const TrainImage *)b)->name);
}

/* Every annotations/<name>.json belongs to images/<name>. */
static Status read_images(TrainDataset *dataset, Error *err)
{
    char *root = text_printf("%s/annotations", dataset->folder), *roots[] = {root, NULL};
    Status status = STATUS_OK;
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_entries);
    if (!tree) {
        status = error_set_errno(err, errno, "%s", root);
        goto out;
    }
    size_t skip = strlen(root) + 1;
    for (FTSENT *entry; (entry = fts_read(tree)) != NULL;)
        if (entry->fts_info == FTS_F && text_ends_with(entry->fts_name, ".json") && !text_starts_with(entry->fts_name, "._")) {
            char *name = xstrdup(entry->fts_path + skip);
            name[strlen(name) - strlen(".json")] = '\0';
            add_image(dataset, name, entry->fts_path);
        }
    fts_close(tree);
    if (dataset->image_count)
        qsort(dataset->images, dataset->image_count, sizeof *dataset->images, compare_images);
    else
        status = error_set(err, STATUS_VALIDATION_ERROR, "%s holds no picture with annotations", dataset->folder);
out:
    free(root);
    return status;
}

/* The folder that path stands for: itself, or where its archive was unpacked. */
static Status find_folder(char **out, const char *path, const char *work_folder, Error *err)
{
    if (file_is_directory(path)) {
        *out = xstrdup(path);
        return STATUS_OK;
    }
    if (!file_exists(path))
        return error_set(err, STATUS_NOT_FOUND, "%s is not there", path);
    if (!work_folder)
        return error_set(err, STATUS_CONFIGURATION, "%s is an archive, and there is no folder to unpack it into", path);
    *out = text_printf("%s/dataset", work_folder);
    Status status = file_remove_tree(*out, err);
    return status ? status : train_unpack(path, *out, UNPACK_MAXIMUM, err);
}

Status train_dataset_open(TrainDataset **out, const char *path, const char *work_folder, TrainWarning warning, void *warn_context,
                          Error *err)
{
    Error local = {0};
    err = err ? err : &local;
    TrainDataset *dataset = xcalloc(1, sizeof *dataset);
    dataset->warn = warning;
    dataset->warn_context = warn_context;
    pthread_mutex_init(&dataset->warn_lock, NULL);
    Status status = find_folder(&dataset->folder, path, work_folder, err);
    if (!status)
        status = read_head(dataset, err);
    if (!status)
        status = read_images(dataset, err);
    if (status) {
        train_dataset_free(dataset);
        dataset = NULL;
    }
    *out = dataset;
    return status;
}

void train_dataset_free(TrainDataset *dataset)
{
    if (!dataset)
        return;
    for (size_t i = 0; i < dataset->image_count; i++) {
        free(dataset->images[i].name);
        free(dataset->images[i].boxes);
    }
    for (size_t i = 0; i < dataset->class_count; i++)
        free(dataset->class_names[i]);
    free(dataset->images);
    free(dataset->class_names);
    free(dataset->folder);
    free(dataset->name);
    pthread_mutex_destroy(&dataset->warn_lock);
    free(dataset);
}

/* ---- split ---- */

/* A number in 0..1 that depends on the name alone. */
static double name_position(const char *name)
{
    unsigned char digest[SHA256_SIZE];
    hash_sha256(name, strlen(name), digest);
    return ((double)digest[0] * 65536 + digest[1] * 256.0 + digest[2]) / 16777216.0;
}

void train_dataset_split(const TrainDataset *dataset, double fraction, uint32_t **train, size_t *train_count, uint32_t **held_out,
                         size_t *held_out_count)
{
    size_t count = dataset->image_count, lowest = 0;
    *train = xcalloc(count + 1, sizeof **train);
    *held_out = xcalloc(count + 1, sizeof **held_out);
    *train_count = *held_out_count = 0;
    for (size_t i = 0; i < count; i++)
        if (name_position(dataset->images[i].name) < name_position(dataset->images[lowest].name))
            lowest = i;
    for (size_t i = 0; i < count; i++) {
        bool held = name_position(dataset->images[i].name) < fraction || (i == lowest && fraction > 0 && count > 1);
        /* One picture at least stays to be learned from. */
        if (held && (*held_out_count + 1 < count))
            (*held_out)[(*held_out_count)++] = (uint32_t)i;
        else
            (*train)[(*train_count)++] = (uint32_t)i;
    }
}
