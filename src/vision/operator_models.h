/* Operator's models: the folder that holds a folder for each, with a manifest.json (manifest.h) in it, and which of them answers what.
 *
 * The folder is looked at on every call, which costs a few stat calls: a model that was put there, changed or taken away counts from the next
 * call on, without a restart. Of several that answer the same the first by name does. A folder without a manifest is left alone: write the manifest
 * last. A manifest that is wrong, or a model that does not load, is no reason to answer with something else silently: the call fails and says so,
 * until the manifest is mended, removed, or says "enabled": false.
 */
#pragma once
#include "base/json.h"
#include "vision/recent.h"
#include "vision/sam.h"
#include "vision/sam3.h"
#include "vision/siglip.h"
#include "worker/model_folder.h"

typedef struct OperatorModels OperatorModels;

/* What a model can be asked. TASK_TEXT: to find what a phrase names. TASK_SEARCH: to describe pictures, for search. */
typedef enum ModelTask { TASK_POINT, TASK_BOX, TASK_TEXT, TASK_SEARCH, TASK_COUNT } ModelTask;

/* runtime may be NULL, with the reason why. */
OperatorModels *operator_models_new(Runtime *runtime, const char *why_no_runtime, int threads);
void operator_models_free(OperatorModels *models);

typedef struct OperatorModel {
    const char *name; /* of its folder */
    bool present;     /* there is a manifest */
    bool read;        /* … that holds what follows */
    const char *engine; /* "sam2:my_model": what answers call it; "sam2" is the role */
    Manifest manifest;
    SamModel *sam;       /* of the roles sam and sam2; NULL until first used */
    Sam3Model *sam3;     /* of the role sam3; likewise */
    SiglipModel *siglip; /* of the role siglip2; likewise */
    const char *identity; /* engine and contents, "siglip2:mine:0123456789ab": equal for models whose numbers can be compared; NULL until first asked */
    const char *problem; /* NULL: none known */
} OperatorModel;

/* The model in `folder` (NULL: no folder) that answers a task, loaded; NULL where no model does. STATUS_MODEL_UNAVAILABLE names model, file and what is
 * wrong. Borrowed until the next call. */
Status operator_models_for(OperatorModels *models, const char *folder, ModelTask task, OperatorModel **out, Error *err);
/* The same model, not loaded: cheap. With `identity`, its files are read for that. */
Status operator_models_choose(OperatorModels *models, const char *folder, ModelTask task, bool identity, OperatorModel **out, Error *err);

/* What the encoder of a loaded model says of a picture; key names its content. Kept under model and content until the folder changes, so that the second
 * prompt on an image runs the decoder only: *cached. Borrowed until the next call. */
Status operator_models_image(OperatorModels *models, OperatorModel *model, const char *key, const char *path, const EncodedImage **out, bool *cached, Error *err);
/* Encoded images that are kept, and their bytes. */
int operator_models_images(const OperatorModels *models, size_t *bytes);

/* Reads the folder and loads every enabled model, as the answer of the method `models` in vision.h. */
void operator_models_examine(OperatorModels *models, const char *folder, JsonWriter *out);
