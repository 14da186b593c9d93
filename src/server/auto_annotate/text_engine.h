/* Which engine answers text: prompts in words and batches by class names. The one place that decides; private to this feature.
 *
 * A model of the operator's that understands words, where there is one; else the detector that set-up installs. Both answer the method "find" of
 * pictograph-vision (vision/find.h), so that nothing else depends on which one it is.
 */
#pragma once
#include "base/json.h"
#include "server/server.h"

typedef struct TextEngine {
    const char *method;     /* of pictograph-vision */
    const char *model_path; /* in the arena; NULL where the operator's model answers and no detector is installed */
    bool any_word;          /* the operator's model may answer */
    double seconds;         /* that a picture may take */
} TextEngine;

/* STATUS_MODEL_UNAVAILABLE when there is none, or the operator's is broken; the text names what mends it. May wait for a worker that looks at the
 * operator's. */
Status text_engine_choose(TextEngine *out, Server *server, Arena *arena, Error *err);
/* A trained model, by its file. */
TextEngine text_engine_of_model(const char *path);
/* Its members of the call. */
void text_engine_write(JsonWriter *w, const TextEngine *engine);
