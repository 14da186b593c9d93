/* Import: labels that were read from files become annotations of images that lie at the server. */
#pragma once
#include <pictograph/pictograph.h>

#include "cli/labels.h"
#include "cli/server_images.h"

typedef struct ImportReport {
    int64_t images_saved, images_skipped; /* skipped: have annotations already */
    int64_t images_missing;               /* labelled here, not at the server */
    int64_t annotations_saved;
    PictographFailure *failures;
    size_t failure_count;
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
/* Saves the labels of the wanted images. An image that fails is a row of the report. Clear the report in either case. */
PictographStatus import_annotations(PictographClient *client, const char *dataset_name, const Labels *labels, const ServerImages *images,
                                    const ImportOptions *options, ImportReport *report, PictographError *error);
void import_report_clear(ImportReport *report);
