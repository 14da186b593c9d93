/* Workflows: the long chains of the API as one call each.
 *
 * A single file or image that fails is a row of the report, never an error; an error means that the chain could not go on. Reports are
 * plain structs: start them as {0}, clear them in either case.
 */
#pragma once
#include <pictograph/auto_annotate.h>
#include <pictograph/client.h>
#include <pictograph/datasets.h>
#include <pictograph/training.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a folder of images into a dataset ---- */

typedef struct PictographFolderUpload {
    const char *dataset_name, *folder;
    bool must_exist;       /* do not create a missing dataset: PICTOGRAPH_NOT_FOUND */
    bool flat;             /* everything into "/"; otherwise a first-level subdirectory is a virtual folder, deeper levels collapse into it */
    bool full_paths;       /* every level of subdirectories becomes part of the virtual folder */
    bool conflicts_fail;   /* a name that is taken counts as a failure instead of as skipped */
    int workers;           /* transfers at once; 0: 8 */
    PictographProgress progress; /* after each file */
    void *context;
} PictographFolderUpload;

typedef struct PictographUploadReport {
    int64_t images_attempted, images_uploaded, images_skipped;
    PictographFailure *failures;
    size_t failure_count;
    bool success; /* nothing failed and at least one was uploaded */
} PictographUploadReport;

PICTOGRAPH_API PictographStatus pictograph_upload_dataset_from_folder(PictographClient *client, const PictographFolderUpload *options,
                                                                      PictographUploadReport *report, PictographError *error);
PICTOGRAPH_API void pictograph_upload_report_clear(PictographUploadReport *report);

/* As above for files that the caller names. */
typedef struct PictographUploadFile {
    const char *path;        /* local file */
    const char *folder_path; /* virtual folder */
} PictographUploadFile;
PICTOGRAPH_API PictographStatus pictograph_upload_files(PictographClient *client, const char *dataset_name, const PictographUploadFile *files,
                                                        size_t count, const PictographFolderUpload *options,
                                                        PictographUploadReport *report, PictographError *error);

/* ---- labels for the images of a dataset ---- */

typedef struct PictographAnnotate {
    const char *dataset_name;
    const PictographTarget *classes;
    size_t class_count;
    const char *model_id;        /* batch mode: a trained model; NULL: the built-in segmenter */
    double confidence_threshold; /* negative: the default of the mode */
    bool text_mode;              /* one prompt per image and class instead of one job */
    bool overwrite;              /* images that have annotations too */
    int64_t max_images;          /* 0: all */
    int64_t top_k;               /* batch mode: tags an image; 0: the server's default */
    PictographWait wait;
    PictographProgress progress;
    void *context;
} PictographAnnotate;

typedef struct PictographAnnotateReport {
    int64_t images_attempted, images_processed, images_skipped, annotations_added;
    PictographFailure *failures;
    size_t failure_count;
    char job_id[64];   /* batch mode */
    char message[512]; /* what the job says of itself, such as which names mean nothing to the detector; "" when nothing */
    bool success;      /* nothing failed and at least one was processed */
} PictographAnnotateReport;

PICTOGRAPH_API PictographStatus pictograph_auto_annotate_dataset(PictographClient *client, const PictographAnnotate *options,
                                                                 PictographAnnotateReport *report, PictographError *error);
PICTOGRAPH_API void pictograph_annotate_report_clear(PictographAnnotateReport *report);

/* ---- export, training, model ---- */

typedef struct PictographTrain {
    const char *dataset_name, *pipeline_type;
    const char *export_name; /* NULL: <pipeline>-<YYYYMMDD-HHMMSS> */
    const char *name, *gpu_type, *config_json; /* as in PictographTraining */
    bool no_wait;            /* return as soon as the run is created */
    PictographWait wait;
} PictographTrain;

/* *run is set whenever PICTOGRAPH_OK; *model is NULL unless the run was waited for and completed. Free both. */
PICTOGRAPH_API PictographStatus pictograph_train_pipeline(PictographClient *client, const PictographTrain *options, PictographResult **run,
                                                          PictographResult **model, PictographError *error);

/* ---- all of it ---- */

typedef struct PictographFullPipeline {
    PictographFolderUpload upload;
    const PictographAnnotate *annotate; /* NULL: no annotation; its dataset_name is taken from upload */
    const PictographTrain *train;       /* NULL: no training; likewise */
    int64_t min_credits;                /* gate before annotation and training; 0: 1; negative: off */
} PictographFullPipeline;

typedef struct PictographPipelineReport {
    PictographUploadReport upload;
    bool annotated;
    PictographAnnotateReport annotate;
    PictographResult *training_run, *model; /* NULL when not reached */
    char credit_skip_reason[256];           /* "" unless the gate closed */
    bool success;
} PictographPipelineReport;

PICTOGRAPH_API PictographStatus pictograph_full_pipeline(PictographClient *client, const PictographFullPipeline *options,
                                                         PictographPipelineReport *report, PictographError *error);
PICTOGRAPH_API void pictograph_pipeline_report_clear(PictographPipelineReport *report);

#ifdef __cplusplus
}
#endif
