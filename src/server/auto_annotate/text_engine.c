#include "server/auto_annotate/text_engine.h"

#include "server/config.h"
#include "base/banned.h"

/* The detector that set-up makes of a package's weights: COCO's 80 classes and their synonyms, no other word. */
static bool builtin_detector(TextEngine *out, const Server *server, Arena *arena) {
    *out = (TextEngine){.method = "find", .model_path = builtin_model_path(&server->config, "nanodet", arena)};
    return out->model_path != NULL;
}

/* Best first. */
static bool (*const SOURCES[])(TextEngine *out, const Server *server, Arena *arena) = {builtin_detector};

Status text_engine_choose(TextEngine *out, const Server *server, Arena *arena, Error *err) {
    for (size_t i = 0; i < sizeof SOURCES / sizeof *SOURCES; i++)
        if (SOURCES[i](out, server, arena)) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "No model that understands words is installed: run 'tools/setup models', or see 'pictographd doctor'");
}
