/* Pipeline: the whole way from a folder of images to a measured model, step by step against a server.
 *
 * Each step looks at what is there first and does what is missing, so that a second run of the same command changes nothing. The
 * images of the parts val and test are held out: their labels never reach the server; they are the truth that the model is measured on.
 */
#pragma once
#include "cli/cli.h"
#include "cli/labels.h"
#include "cli/progress.h"
#include "cli/server_images.h"

typedef enum StepId {
    STEP_UPLOAD,
    STEP_IMPORT,
    STEP_EXPORT,
    STEP_TRAIN,
    STEP_ANNOTATE,
    STEP_COCO,
    STEP_MODEL,
    STEP_EVALUATE,
    STEP_COUNT
} StepId;

typedef struct Step {
    bool done;
    int64_t images, annotations; /* -1: does not apply */
    double seconds;
    double rate; /* images a second; 0: images / seconds */
    char note[128];
} Step;

/* Predictions for the images of one held-out part, and how good they are. */
typedef struct PartResult {
    size_t images;
    EvaluationBox *truth, *detections;
    size_t truth_count, detection_count;
    Evaluation evaluation;
    bool measured;
} PartResult;

typedef struct Pipeline {
    Cli *cli;
    Arena *memory;
    PictographClient *client;
    PictographError *error;
    const char *name, *folder, *output;
    const char *config; /* JSON of the training */
    Labels labels;
    ServerImages images;
    Step steps[STEP_COUNT];
    Progress progress;
    double started;
    bool incomplete; /* images or labels that the server did not take: said when it happened, and by the exit code */
    char export_name[64], run_name[80], run_id[64], model_id[64];
    int64_t train_seconds; /* of the run, as the server counts */
    char model_path[4096], sheet_path[4096];
    PartResult parts[PART_COUNT]; /* PART_VAL and PART_TEST */
} Pipeline;

/* Steps. Each returns an exit code and has said what went wrong when it is not CLI_OK. */
int pipeline_upload(Pipeline *pipeline);
int pipeline_import(Pipeline *pipeline);
int pipeline_export(Pipeline *pipeline);
int pipeline_train(Pipeline *pipeline);
int pipeline_annotate(Pipeline *pipeline);
int pipeline_coco(Pipeline *pipeline);
int pipeline_model(Pipeline *pipeline);
int pipeline_evaluate(Pipeline *pipeline);

/* What came out: tables, contact sheet, report.json and the last line. */
int pipeline_report(Pipeline *pipeline);
extern const char *const pipeline_part_names[PART_COUNT];

/* Begins and ends the progress and the clock of a step. */
void pipeline_begin(Pipeline *pipeline, const char *label, const char *unit);
void pipeline_end(Pipeline *pipeline, StepId id, int64_t images, int64_t annotations, const char *note);
