/* What models a server has: the built-in ones and those of the operator (DATA/models), which of them answers what, and what is wrong with which. The
 * operator's are loaded by pictograph-vision to tell; nothing of them is read in this process.
 */
#pragma once
#include "server/config.h"

typedef struct KnownModel {
    const char *name, *role, *engine, *answers; /* role "built-in", or that of the manifest; NULL where it could not be read */
    const char *state;   /* "in use", "ready", "off", "incomplete", "broken", "missing" */
    const char *problem; /* what is wrong and what mends it; NULL: nothing */
} KnownModel;

enum { KNOWN_MODELS_MAX = 64 };

/* What a server can be asked that needs a model. REPORT_TEXT: prompts in words, and batches by class names. */
typedef enum ReportTask { REPORT_POINT, REPORT_BOX, REPORT_TEXT, REPORT_SEARCH, REPORT_TASK_COUNT } ReportTask;

typedef struct ModelReport {
    KnownModel models[KNOWN_MODELS_MAX];
    int count;
    const char *engines[REPORT_TASK_COUNT]; /* what answers; NULL: nothing does */
    const char *runtime_problem; /* why no model can be run; NULL when ONNX Runtime is there */
} ModelReport;

/* Fails where pictograph-vision does not start. */
Status model_report_load(ModelReport *out, const Config *config, Arena *arena, Error *err);
/* A table for people. */
void model_report_print(const ModelReport *report);
