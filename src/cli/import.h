/* Import: labels that were read from files become annotations of images that lie at the server. */
#pragma once
#include <pictograph/pictograph.h>

#include "cli/labels.h"
#include "cli/server_images.h"

typedef struct ImportReport {
    int64_t images_saved, images_skipped; /* skipped: have annotations already */
    int64_t annotations_saved;
    PictographFailure *missing, *failures; /* missing: labelled here, not at the server */
    size_t missing_count, failure_count;
} ImportReport;

typedef struct ImportOptions {
    bool (*wanted)(const LabelsImage *image, const void *context); /* NULL: every labelled image */
    const void *context;
    bool overwrite; /* images that have annotations too */
    PictographProgress progress;
    void *progress_context;
} ImportOptions;

/* Adds the classes of the labels that the project lacks, creating the project when it is missing. *created may be NULL. */
PictographStatus import_classes(PictographClient *client, const char *project_name, const Labels *labels, bool may_create, bool *created,
                                PictographError *error);
/* Gives each image the folder that it has at the server, when that is another than here: `datasets upload` and other programs keep other levels of
 * folders. Only where there is no doubt which image is meant. */
void import_locate(Labels *labels, const ServerImages *images);
/* Saves the labels of the wanted images. An image that fails is a row of the report. Clear the report in either case. */
PictographStatus import_annotations(PictographClient *client, const char *dataset_name, const Labels *labels, const ServerImages *images,
                                    const ImportOptions *options, ImportReport *report, PictographError *error);
void import_report_clear(ImportReport *report);
