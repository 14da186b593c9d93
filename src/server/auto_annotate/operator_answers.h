/* What the operator's own models (DATA/models) answer where the server has to know before it asks: which of them understands words,
 * and which describes pictures, as vectors of different models cannot be compared. pictograph-vision reads the manifests; what it says is kept until a file there changes.
 */
#pragma once
#include "base/arena.h"
#include "server/server.h"

typedef enum OperatorTask { OPERATOR_TEXT, OPERATOR_SEARCH, OPERATOR_TASK_COUNT } OperatorTask;

typedef struct OperatorAnswer {
    const char *engine; /* "siglip2:mine"; NULL: no model of the operator answers this. In the arena */
    const char *model;  /* for OPERATOR_SEARCH: engine and contents, the name that its vectors bear */
} OperatorAnswer;

OperatorAnswers *operator_answers_new(void);
void operator_answers_free(OperatorAnswers *answers);

/* May wait for a worker where the folder changed. STATUS_MODEL_UNAVAILABLE: a model is meant for this and does not work; the text says why. */
Status operator_answer(Server *server, Arena *arena, OperatorTask task, OperatorAnswer *out, Error *err);
/* The same without waiting: false where a worker would have to be asked. */
bool operator_answer_known(Server *server, Arena *arena, OperatorTask task, OperatorAnswer *out, Status *status, Error *err);
