/* What runtime.c and network.c share; the only files that know onnxruntime_c_api.h. */
#pragma once
#include <onnxruntime_c_api.h>

#include "vision/runtime.h"

struct Runtime {
    void *library;
    const OrtApiBase *base;
    const OrtApi *api;
    OrtEnv *env; /* made with the first model: it may start threads */
};

/* Takes over a failure of the library, without the path of the model (NULL: none). Frees the status. */
Status runtime_check(const Runtime *runtime, OrtStatus *status, const char *path, Error *err);
Status runtime_session(Runtime *runtime, const char *path, int threads, OrtSession **out, OrtMemoryInfo **memory, Error *err);
/* Value of a metadata key of a session's model, in the arena; NULL when it has none. */
const char *runtime_metadata(const Runtime *runtime, const OrtSession *session, Arena *arena, const char *key);
