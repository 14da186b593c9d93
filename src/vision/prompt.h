/* Prompts: answers the methods segment_point and segment_box of vision.h, by an operator's model where one is there for them, else by the
 * built-in segmenter.
 */
#pragma once
#include "vision/operator_models.h"
#include "vision/scene.h"
#include "vision/segment.h"
#include "worker/channel.h"

#define BUILT_IN_SEGMENTER "graph_cut"

typedef struct Prompter {
    SceneCache *scenes;
    OperatorModels *models;
} Prompter;

/* A picture that is asked about. */
typedef struct PromptPicture {
    const char *path, *key; /* key: names the content, so that the next question on it reads no file */
    const char *models;     /* the operator's folder, NULL: none */
} PromptPicture;

/* What lies in a box, by whoever answers box prompts. The answer lies in the arena; *engine is borrowed until the next call. */
Status prompt_box(Prompter *prompter, const PromptPicture *picture, Arena *arena, Box box, Segmentation *out, const char **engine, Error *err);

Status prompt_answer(Prompter *prompter, ModelTask task, WorkerCall *call, Error *err);
