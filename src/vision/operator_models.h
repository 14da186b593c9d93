/* Operator's models: the folder that holds a folder for each, with a manifest.json (manifest.h) in it, and which of them answers what.
 *
 * The folder is looked at on every prompt, which costs a few stat calls: a model that was put there, changed or taken away counts from the next
 * prompt on, without a restart. Of several that answer the same kind of prompt the first by name does. A folder without a manifest is
 * left alone: write the manifest last. A manifest that is wrong, or a model that
 * does not load, is no reason to answer with something else silently: the prompt fails and says so, until the manifest is mended, removed, or
 * says "enabled": false.
 */
#pragma once
#include "base/json.h"
#include "vision/sam.h"

typedef struct OperatorModels OperatorModels;

/* What a model can be asked. */
typedef enum PromptKind { PROMPT_POINT, PROMPT_BOX, PROMPT_KIND_COUNT } PromptKind;
const char *prompt_kind_name(PromptKind kind);

/* runtime may be NULL, with the reason why. */
OperatorModels *operator_models_new(Runtime *runtime, const char *why_no_runtime, int threads);
void operator_models_free(OperatorModels *models);

typedef struct OperatorModel {
    const char *name; /* of its folder */
    bool present;     /* there is a manifest */
    bool read;        /* … that holds what follows */
    const char *engine; /* "sam2:my_model": what answers call it; "sam2" is the role */
    Manifest manifest;
    SamModel *sam; /* NULL until first used */
    const char *problem; /* NULL: none known */
} OperatorModel;

/* The model in `folder` (NULL: no folder) that answers a kind of prompt, loaded; NULL where no model does. *changed says that models were read anew
 * since the last call. STATUS_MODEL_UNAVAILABLE names model, file and what is wrong. Borrowed until the next call. */
Status operator_models_for(OperatorModels *models, const char *folder, PromptKind kind, OperatorModel **out, bool *changed, Error *err);

/* Reads the folder and loads every enabled model, as the answer of the method `models` in vision.h. */
void operator_models_examine(OperatorModels *models, const char *folder, JsonWriter *out);
