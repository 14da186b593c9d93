/* Prompts: answers the methods segment_point and segment_box of vision.h, by an operator's model where one is there for them, else by the
 * built-in segmenter.
 */
#pragma once
#include "vision/operator_models.h"
#include "vision/sam_cache.h"
#include "vision/scene.h"
#include "worker/channel.h"

#define BUILT_IN_SEGMENTER "graph_cut"

typedef struct Prompter {
    SceneCache *scenes;
    OperatorModels *models;
    SamCache *encoded;
} Prompter;

Status prompt_answer(Prompter *prompter, PromptKind kind, WorkerCall *call, Error *err);
