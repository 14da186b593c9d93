/* Labels from files into a dataset. */
#include "cli/import.h"

#include <stdio.h>
#include <stdlib.h>

#include "annotation/annotation.h"
#include "base/css_color.h"
#include "base/file.h"
#include "base/text.h"
#include "client/failure.h"
#include "client/report.h"
#include "client/result.h"

#include "base/banned.h"

/* ---- classes ---- */

static bool has_class(const PictographClass *classes, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (text_equal(classes[i].name, name)) return true;
    return false;
}

/* The classes of the project (may be NULL) and those that the labels add. Texts are borrowed from both. */
static PictographClass *merge_classes(const PictographResult *project, const Labels *labels, size_t *out_count, size_t *out_added) {
    size_t i, present, count = 0;
    yyjson_val *row;
    PictographClass *classes = xcalloc(pictograph_count(project, "/classes") + labels->report.class_count + 1, sizeof *classes);
    yyjson_arr_foreach(result_at(project, "/classes"), i, present, row)
        classes[count++] = (PictographClass){json_get_string(row, "name", ""), json_get_string(row, "type", NULL), json_get_string(row, "color", NULL)};
    size_t before = count;
    for (i = 0; i < labels->report.class_count; i++) {
        const DatasetClass *class = &labels->report.classes[i];
        if (!has_class(classes, count, class->name)) classes[count++] = (PictographClass){class->name, class->type, css_color_is_valid(class->color) ? class->color : NULL};
    }
    *out_count = count;
    *out_added = count - before;
    return classes;
}

PictographStatus import_classes(PictographClient *client, const char *project_name, const Labels *labels, bool may_create, bool *created,
                                PictographError *error) {
    for (size_t i = 0; i < labels->report.class_count; i++)
        if (text_length(labels->report.classes[i].name) > CLASS_NAME_CHARACTERS)
            return failure_set(error, PICTOGRAPH_VALIDATION, "The class name '%.60s…' is longer than %d characters", labels->report.classes[i].name, CLASS_NAME_CHARACTERS);
    PictographResult *project = pictograph_projects_get(client, project_name, error), *changed = NULL;
    bool create = !project && error->status == PICTOGRAPH_NOT_FOUND && may_create;
    if (!project && !create) return error->status;
    size_t count, added;
    PictographClass *classes = merge_classes(project, labels, &count, &added);
    PictographProject wanted = {.name = create ? project_name : NULL, .classes = classes, .class_count = count};
    pictograph_error_clear(error);
    if (create) changed = pictograph_projects_create(client, &wanted, error);
    else if (added > 0) changed = pictograph_projects_update(client, project_name, &wanted, error);
    if (created) *created = create && changed;
    free(classes);
    pictograph_result_free(project);
    pictograph_result_free(changed);
    return error->status;
}

/* ---- places ---- */

void import_locate(Labels *labels, const ServerImages *images) {
    enum { NOBODY = 0 };
    const size_t taken = SIZE_MAX; /* by the image of its very place, or claimed by two */
    size_t *owners = xcalloc(images->count + 1, sizeof *owners);
    for (size_t i = 0; i < labels->count; i++) {
        const ServerImage *image = server_images_find(images, labels->images[i].folder, labels->images[i].name);
        if (image) owners[image - images->images] = taken;
    }
    for (size_t i = 0; i < labels->count; i++) {
        const LabelsImage *source = &labels->images[i];
        if (server_images_find(images, source->folder, source->name)) continue;
        const ServerImage *image = server_images_find_elsewhere(images, source->folder, source->name, source->size);
        if (image) owners[image - images->images] = owners[image - images->images] == NOBODY ? i + 1 : taken;
    }
    for (size_t i = 0; i < images->count; i++) {
        if (owners[i] == NOBODY || owners[i] == taken) continue;
        const char *place = images->images[i].place, *name = file_base_name(place);
        labels->images[owners[i] - 1].folder = name - place > 1 ? arena_strndup(&labels->memory, place, (size_t)(name - place) - 1) : "/";
    }
    free(owners);
}

/* ---- annotations ---- */

typedef struct Batch {
    PictographAnnotationsItem *items;
    const LabelsImage **sources; /* beside items */
    size_t count;
    const char **empty_ids;      /* labelled, and found to hold nothing */
    size_t empty_count;
} Batch;

static void note_missing(const LabelsImage *source, const ServerImages *images, ImportReport *report) {
    bool elsewhere = string_map_get(&images->by_name, source->name) != STRING_MAP_NONE;
    Buffer place;
    server_place(&place, source->folder, source->name);
    report_failure(&report->missing, &report->missing_count, buffer_text(&place), NULL,
                   elsewhere ? "the dataset has images of this name, but in other folders" : "not in the dataset");
    buffer_clear(&place);
}

static void sort_out(Batch *batch, const Labels *labels, const ServerImages *images, const ImportOptions *options, ImportReport *report) {
    for (size_t i = 0; i < labels->count; i++) {
        const LabelsImage *source = &labels->images[i];
        if (!source->labelled || (options->wanted && !options->wanted(source, options->context))) continue;
        const ServerImage *image = server_images_find(images, source->folder, source->name);
        if (!image) {
            note_missing(source, images, report);
        } else if (!options->overwrite && (image->annotation_count > 0 || text_equal(image->stage, "complete"))) {
            report->images_skipped++;
        } else if (source->json) {
            batch->sources[batch->count] = source;
            batch->items[batch->count++] = (PictographAnnotationsItem){.image_id = image->id, .json = source->json};
        } else {
            batch->empty_ids[batch->empty_count++] = image->id;
        }
    }
}

static void count_saved(const Batch *batch, ImportReport *report) {
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->items[i].status) {
            report_failure(&report->failures, &report->failure_count, batch->sources[i]->name, NULL, batch->items[i].reason);
        } else {
            report->images_saved++;
            report->annotations_saved += (int64_t)batch->sources[i]->annotation_count;
        }
    }
}

/* An image that holds nothing is a finished one too; an empty save would call it new. */
static PictographStatus complete_empty(PictographClient *client, const char *dataset_name, const Batch *batch, ImportReport *report,
                                       PictographError *error) {
    if (batch->empty_count == 0) return PICTOGRAPH_OK;
    PictographResult *done = pictograph_images_set_stage(client, dataset_name, batch->empty_ids, batch->empty_count, "complete", error);
    if (done) report->images_saved += (int64_t)batch->empty_count;
    pictograph_result_free(done);
    return error->status;
}

PictographStatus import_annotations(PictographClient *client, const char *dataset_name, const Labels *labels, const ServerImages *images,
                                    const ImportOptions *options, ImportReport *report, PictographError *error) {
    *report = (ImportReport){0};
    Batch batch = {.items = xcalloc(labels->count + 1, sizeof *batch.items), .sources = xcalloc(labels->count + 1, sizeof *batch.sources),
                   .empty_ids = xcalloc(labels->count + 1, sizeof *batch.empty_ids)};
    sort_out(&batch, labels, images, options, report);
    PictographStatus status =
        pictograph_annotations_save_many(client, batch.items, batch.count, options->progress, options->progress_context, error);
    if (!status) {
        count_saved(&batch, report);
        status = complete_empty(client, dataset_name, &batch, report, error);
    }
    free(batch.items);
    free(batch.sources);
    free(batch.empty_ids);
    return status;
}

void import_report_clear(ImportReport *report) {
    report_clear(&report->failures, &report->failure_count);
    report_clear(&report->missing, &report->missing_count);
}
