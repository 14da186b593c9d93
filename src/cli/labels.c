/* Reads a labelled folder by src/formats and decides which part is trained on. */
#include "cli/labels.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "annotation/annotation.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "client/upload.h"
#include "formats/names.h"

#include "base/banned.h"

enum { JSON_MAXIMUM = 256 << 20, HELD_OUT_ONE_IN = 5 };

static const struct {
    const char *name;
    LabelsPart part;
} splits[] = {{"train", PART_TRAIN}, {"val", PART_VAL}, {"test", PART_TEST}};

static LabelsPart part_of_split(const char *split) {
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (text_equal(splits[i].name, split)) return splits[i].part;
    return PART_NONE;
}

static const char *annotations_as_json(Arena *memory, const AnnotationList *list) {
    if (list->count == 0) return NULL;
    Buffer text;
    JsonWriter writer;
    buffer_init(&text, JSON_MAXIMUM);
    json_writer_init(&writer, &text);
    annotation_list_write(list, &writer);
    const char *copy = text.failed ? NULL : arena_strndup(memory, text.data, text.size);
    buffer_clear(&text);
    return copy;
}

static void take_boxes(Labels *labels, LabelsImage *image, const AnnotationList *list) {
    image->boxes = arena_new_array(&labels->memory, EvaluationBox, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const Annotation *annotation = &list->items[i];
        int class_index = labels_class(labels, annotation->name);
        if (annotation->type == ANNOTATION_KEYPOINT || class_index < 0) continue;
        image->boxes[image->box_count++] =
            (EvaluationBox){.image = (int64_t)(image - labels->images), .class_index = class_index, .x = annotation->bounding_box.x,
                            .y = annotation->bounding_box.y, .w = annotation->bounding_box.w, .h = annotation->bounding_box.h};
    }
}

static Status take_image(void *context, const DatasetImage *given, Error *err) {
    Labels *labels = context;
    Arena *memory = &labels->memory;
    if (labels->count == labels->capacity) {
        labels->capacity = labels->capacity ? 2 * labels->capacity : 256;
        labels->images = xrealloc(labels->images, labels->capacity * sizeof *labels->images);
    }
    LabelsImage *image = &labels->images[labels->count++];
    *image = (LabelsImage){
        .path = arena_strdup(memory, given->path),
        .size = given->path ? file_size(given->path) : -1,
        .folder = arena_strdup(memory, given->folder),
        .name = arena_strdup(memory, given->filename),
        .labelled = given->labelled,
        .part = part_of_split(given->split),
        .annotation_count = given->annotations.count,
        .json = annotations_as_json(memory, &given->annotations),
    };
    take_boxes(labels, image, &given->annotations);
    if (given->annotations.count > 0 && !image->json)
        return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s: its annotations are too many", given->filename);
    return STATUS_OK;
}

static bool size_at_server(void *context, const char *folder, const char *filename, uint32_t *width, uint32_t *height) {
    const ServerImage *image = server_images_find(context, folder, filename);
    if (!image) image = server_images_find_elsewhere(context, folder, filename, -1);
    if (!image || image->width < 1 || image->height < 1) return false;
    *width = (uint32_t)image->width;
    *height = (uint32_t)image->height;
    return true;
}

static Status read_dataset(Labels *labels, const char *path, const char *work_folder, const ServerImages *images, Error *err) {
    Dataset *dataset = NULL;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    NameList absent = {.arena = &labels->memory};
    for (size_t i = 0; images && i < images->count; i++) name_list_add(&absent, images->images[i].place + 1);
    options.work_folder = work_folder;
    options.absent = &absent;
    options.size_of = images ? size_at_server : NULL;
    options.context = (void *)(uintptr_t)images;
    Status status = dataset_open(&dataset, path, &options, err);
    if (status) return status;
    const DatasetFormat *format = dataset_format(dataset);
    labels->format = format ? dataset_format_name(format) : NULL;
    DatasetSink sink = {.context = labels, .image = take_image};
    status = dataset_read(dataset, format, &sink, &labels->report, err);
    dataset_close(dataset);
    return status;
}

Status labels_read(Labels *labels, const char *path, const ServerImages *images, Error *err) {
    *labels = (Labels){0};
    arena_init(&labels->memory, SIZE_MAX);
    dataset_report_init(&labels->report, &labels->memory);
    if (file_is_directory(path)) return read_dataset(labels, path, NULL, images, err);
    const char *temporary = getenv("TMPDIR");
    char *work = arena_printf(&labels->memory, "%s/pictograph.XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(work)) return error_set_errno(err, errno, "%s", work);
    Status status = read_dataset(labels, path, work, images, err);
    file_remove_tree(work, NULL);
    return status;
}

void labels_clear(Labels *labels) {
    free(labels->images);
    arena_clear(&labels->memory);
    *labels = (Labels){0};
}

/* A number that depends on the place of an image alone. */
static unsigned place_hash(const LabelsImage *image) {
    unsigned char digest[SHA256_SIZE];
    Buffer place;
    buffer_init(&place, 1 << 16);
    buffer_printf(&place, "%s/%s", image->folder, image->name);
    hash_sha256(buffer_text(&place), place.size, digest);
    buffer_clear(&place);
    return (unsigned)digest[0] << 8 | digest[1];
}

typedef struct Candidate {
    LabelsImage *image;
    unsigned rank; /* the fifth that is held out comes first */
} Candidate;

static int compare_candidates(const void *a, const void *b) {
    unsigned x = ((const Candidate *)a)->rank, y = ((const Candidate *)b)->rank;
    return x < y ? -1 : x > y;
}

/* Whose hash says so is held out, whatever else is there: an image that joins or leaves moves no other. Chance may give a small set too much or too
 * little of that, and only there is the number bounded, to a tenth and three tenths, and by what must be left to train on. */
static void split_by_hash(Candidate *candidates, size_t count) {
    size_t chosen = 0, annotated = 0, held_out = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned hash = place_hash(candidates[i].image);
        candidates[i].rank = hash % HELD_OUT_ONE_IN << 16 | hash;
        chosen += hash % HELD_OUT_ONE_IN == 0;
        annotated += candidates[i].image->annotation_count > 0;
    }
    qsort(candidates, count, sizeof *candidates, compare_candidates);
    size_t least = (count + 9) / 10, most = (3 * count + 9) / 10;
    size_t wanted = chosen < least ? least : chosen > most ? most : chosen;
    for (size_t i = 0; i < count; i++) {
        LabelsImage *image = candidates[i].image;
        bool held = held_out < wanted && (image->annotation_count == 0 || annotated > LABELS_FEWEST_TO_TRAIN);
        image->part = held ? PART_VAL : PART_TRAIN;
        held_out += held;
        annotated -= held && image->annotation_count > 0;
    }
}

void labels_split(Labels *labels) {
    size_t train = labels_count_part(labels, PART_TRAIN), held_out = labels_count_part(labels, PART_VAL) + labels_count_part(labels, PART_TEST), count = 0;
    /* Whoever names a split decides for all images; but something must be held out to measure on. */
    bool named = train + held_out > 0;
    labels->split_by_hash = held_out == 0 || train == 0;
    Candidate *candidates = xcalloc(labels->count + 1, sizeof *candidates);
    for (size_t i = 0; i < labels->count; i++) {
        LabelsImage *image = &labels->images[i];
        if (!image->labelled || !image->path)
            image->part = PART_NONE;
        else if (labels->split_by_hash && (!named || image->part != PART_NONE))
            candidates[count++].image = image;
    }
    split_by_hash(candidates, count);
    free(candidates);
}

size_t labels_count_part(const Labels *labels, LabelsPart part) {
    size_t count = 0;
    for (size_t i = 0; i < labels->count; i++) count += labels->images[i].labelled && labels->images[i].part == part;
    return count;
}

int labels_class(const Labels *labels, const char *name) {
    for (size_t i = 0; i < labels->report.class_count; i++)
        if (text_equal(labels->report.classes[i].name, name)) return (int)i;
    return -1;
}

void labels_print_warnings(const Labels *labels) {
    const DatasetReport *report = &labels->report;
    for (size_t i = 0; i < report->warning_count; i++) fprintf(stderr, "%s: %s\n", report->warnings[i].file, report->warnings[i].text);
    if (report->warning_total > report->warning_count) fprintf(stderr, "… and %zu more\n", report->warning_total - report->warning_count);
}
