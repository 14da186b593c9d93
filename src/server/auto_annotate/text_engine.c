#include "server/auto_annotate/text_engine.h"

#include "server/auto_annotate/operator_answers.h"
#include "server/config.h"
#include "base/banned.h"

/* For a picture: by the detector, and by a large model, perhaps on a processor. */
#define DETECTOR_SECONDS 120.0
#define OPERATOR_SECONDS 600.0

TextEngine text_engine_of_model(const char *path) { return (TextEngine){.method = "find", .model_path = path, .seconds = DETECTOR_SECONDS}; }

Status text_engine_choose(TextEngine *out, Server *server, Arena *arena, Error *err) {
    OperatorAnswer answer;
    Status status = operator_answer(server, arena, OPERATOR_TEXT, &answer, err);
    if (status != STATUS_OK) return status;
    *out = text_engine_of_model(builtin_model_path(&server->config, "nanodet", arena));
    out->any_word = answer.engine != NULL;
    if (out->any_word) out->seconds = OPERATOR_SECONDS;
    if (out->model_path || out->any_word) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "No model that understands words is installed: run 'tools/setup models', or see 'pictographd doctor'");
}

void text_engine_write(JsonWriter *w, const TextEngine *engine) {
    json_field_string(w, "model_path", engine->model_path);
    json_field_bool(w, "any_word", engine->any_word);
}
