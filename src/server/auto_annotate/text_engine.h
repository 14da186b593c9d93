/* Which engine answers text: prompts in words and batches by class names. The one place that decides; private to this feature.
 *
 * A source is a row of the table in text_engine.c; the first that is installed answers. Each names a method of pictograph-vision that takes
 * `model_path` beside the members of "find" (vision/find.h) and answers as it does, so that nothing else depends on which one it is.
 */
#pragma once
#include "base/arena.h"
#include "server/server.h"

typedef struct TextEngine {
    const char *method;     /* of pictograph-vision */
    const char *model_path; /* in the arena */
} TextEngine;

/* STATUS_MODEL_UNAVAILABLE when no source is installed; the text names what mends it. */
Status text_engine_choose(TextEngine *out, const Server *server, Arena *arena, Error *err);
