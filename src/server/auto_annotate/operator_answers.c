#include "server/auto_annotate/operator_answers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/json.h"
#include "server/jobs/workers.h"
#include "worker/model_folder.h"
#include "base/banned.h"

enum { ASK_SECONDS = 120 }; /* large files may have to be read */

static const char *const NAMES[OPERATOR_TASK_COUNT] = {[OPERATOR_TEXT] = "text", [OPERATOR_SEARCH] = "search"};

typedef struct Kept {
    char *engine, *model, *problem; /* malloc; problem NULL: none */
} Kept;

struct OperatorAnswers {
    pthread_mutex_t mutex;
    bool known;
    uint64_t state; /* of the folder when it was asked */
    Kept kept[OPERATOR_TASK_COUNT];
};

OperatorAnswers *operator_answers_new(void) {
    OperatorAnswers *answers = xcalloc(1, sizeof *answers);
    pthread_mutex_init(&answers->mutex, NULL);
    return answers;
}

static void forget(OperatorAnswers *answers) {
    for (int i = 0; i < OPERATOR_TASK_COUNT; i++) {
        free(answers->kept[i].engine);
        free(answers->kept[i].model);
        free(answers->kept[i].problem);
        answers->kept[i] = (Kept){0};
    }
}

void operator_answers_free(OperatorAnswers *answers) {
    if (!answers) return;
    forget(answers);
    pthread_mutex_destroy(&answers->mutex);
    free(answers);
}

static char *copy_of(yyjson_val *object, const char *key) {
    const char *text = json_get_string(object, key, NULL);
    return text ? xstrdup(text) : NULL;
}

/* result NULL: there are no models. */
static void keep(OperatorAnswers *answers, uint64_t state, yyjson_val *result) {
    pthread_mutex_lock(&answers->mutex);
    forget(answers);
    for (int i = 0; i < OPERATOR_TASK_COUNT; i++) {
        yyjson_val *said = yyjson_obj_get(result, NAMES[i]);
        answers->kept[i] = (Kept){copy_of(said, "engine"), copy_of(said, "model"), copy_of(said, "problem")};
    }
    answers->state = state;
    answers->known = true;
    pthread_mutex_unlock(&answers->mutex);
}

static Status ask(Server *server, const char *folder, uint64_t state, Error *err) {
    Buffer params;
    JsonWriter w;
    yyjson_doc *reply = NULL;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "models_path", folder);
    json_end_object(&w);
    Status status = workers_call(server->vision, &reply, "answerers", buffer_text(&params), ASK_SECONDS, NULL, NULL, err);
    if (status == STATUS_OK) keep(server->operator_answers, state, yyjson_obj_get(yyjson_doc_get_root(reply), "result"));
    yyjson_doc_free(reply);
    buffer_clear(&params);
    return status;
}

static bool look_up(OperatorAnswers *answers, uint64_t state, Arena *arena, OperatorTask task, OperatorAnswer *out, Status *status, Error *err) {
    pthread_mutex_lock(&answers->mutex);
    const Kept *kept = &answers->kept[task];
    bool known = answers->known && answers->state == state;
    *status = known && kept->problem ? error_set(err, STATUS_MODEL_UNAVAILABLE, "%s", kept->problem) : STATUS_OK;
    *out = (OperatorAnswer){0};
    if (known && !kept->problem) *out = (OperatorAnswer){arena_strdup(arena, kept->engine), arena_strdup(arena, kept->model)};
    pthread_mutex_unlock(&answers->mutex);
    return known;
}

static const char *models_folder(const Server *server, Arena *arena) { return arena_printf(arena, "%s/models", server->config.data_directory); }

bool operator_answer_known(Server *server, Arena *arena, OperatorTask task, OperatorAnswer *out, Status *status, Error *err) {
    const char *folder = models_folder(server, arena);
    uint64_t state = model_folder_state(folder);
    if (look_up(server->operator_answers, state, arena, task, out, status, err)) return true;
    if (model_folder_has_models(folder)) return false;
    keep(server->operator_answers, state, NULL); /* no process needs to start to say that there is nothing */
    return true;
}

Status operator_answer(Server *server, Arena *arena, OperatorTask task, OperatorAnswer *out, Error *err) {
    const char *folder = models_folder(server, arena);
    Status status;
    if (operator_answer_known(server, arena, task, out, &status, err)) return status;
    uint64_t state = model_folder_state(folder);
    status = ask(server, folder, state, err);
    if (status == STATUS_OK) look_up(server->operator_answers, state, arena, task, out, &status, err);
    return status;
}
