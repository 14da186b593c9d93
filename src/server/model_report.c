#include "server/model_report.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "server/jobs/workers.h"
#include "base/banned.h"

enum { LOAD_SECONDS = 300 };

static const char *const TASKS[REPORT_TASK_COUNT] = {[REPORT_POINT] = "point", [REPORT_BOX] = "box", [REPORT_TEXT] = "text", [REPORT_SEARCH] = "search"};
#define TASK(task) (1u << (task))

/* What comes with the program. */
static const struct {
    const char *name, *answers;
    unsigned tasks;
    bool part_of_it; /* no file to install */
} BUILT_IN[] = {{"graph_cut", "point, box", TASK(REPORT_POINT) | TASK(REPORT_BOX), true},
                {"nanodet", "text, classes", TASK(REPORT_TEXT), false},
                {"efficientnet_lite0", "search, tags", TASK(REPORT_SEARCH), false}};

static KnownModel *add(ModelReport *r, const char *name, const char *role, const char *answers) {
    KnownModel *m = &r->models[r->count < KNOWN_MODELS_MAX ? r->count++ : KNOWN_MODELS_MAX - 1];
    *m = (KnownModel){.name = name, .role = role, .engine = name, .answers = answers};
    return m;
}

/* Answers what no model of the operator's does; "" marks what a broken one was meant for. */
static void add_built_in(ModelReport *r, const Config *config, Arena *arena) {
    for (size_t i = 0; i < sizeof BUILT_IN / sizeof *BUILT_IN; i++) {
        KnownModel *m = add(r, BUILT_IN[i].name, "built-in", BUILT_IN[i].answers);
        bool installed = BUILT_IN[i].part_of_it || builtin_model_path(config, m->name, arena), needed = false;
        bool there = installed && (BUILT_IN[i].part_of_it || !r->runtime_problem);
        for (int task = 0; task < REPORT_TASK_COUNT; task++) {
            if (!(BUILT_IN[i].tasks & TASK(task)) || r->engines[task]) continue;
            needed = true;
            if (there) r->engines[task] = m->name;
        }
        m->state = !there ? "missing" : needed ? "in use" : "ready";
        if (!there && needed) m->problem = installed ? r->runtime_problem : "install it with 'tools/setup models'";
    }
    for (int task = 0; task < REPORT_TASK_COUNT; task++)
        if (r->engines[task] && !*r->engines[task]) r->engines[task] = NULL;
}

/* ---- the operator's ---- */

static const char *join(yyjson_val *kinds, Arena *arena) {
    const char *text = "";
    yyjson_val *kind;
    size_t i, count;
    yyjson_arr_foreach(kinds, i, count, kind) text = arena_printf(arena, "%s%s%s", text, i ? ", " : "", yyjson_get_str(kind));
    return *text ? text : "-";
}

/* The first model that is meant for a task answers it; one that is broken makes it fail. */
static bool take_task(const char **engine, const KnownModel *m, const char *task) {
    bool meant = strstr(m->answers, task) || !m->role;
    if (*engine != NULL || !meant || text_equal(m->state, "off") || text_equal(m->state, "incomplete")) return false;
    *engine = text_equal(m->state, "broken") ? "" : m->engine;
    return **engine != '\0';
}

static void add_model(ModelReport *r, yyjson_val *item, const Config *config, Arena *arena) {
    const char *problem = json_get_string(item, "problem", NULL);
    KnownModel *m = add(r, arena_strdup(arena, json_get_string(item, "name", "?")), arena_strdup(arena, json_get_string(item, "role", NULL)),
                        join(yyjson_obj_get(item, "kinds"), arena));
    m->engine = arena_strdup(arena, json_get_string(item, "engine", NULL));
    m->state = arena_strdup(arena, json_get_string(item, "state", "broken"));
    if (problem)
        m->problem = arena_printf(arena, text_equal(m->state, "incomplete") ? "%s (%s/models/%s)" : "%s (mend %s/models/%s/manifest.json, or say \"enabled\": false in it)",
                                  problem, config->data_directory, m->name);
    bool in_use = false;
    for (int task = 0; task < REPORT_TASK_COUNT; task++) in_use |= take_task(&r->engines[task], m, TASKS[task]);
    if (in_use) m->state = "in use";
}

static Status add_operators(ModelReport *r, const Config *config, WorkerPool *vision, Arena *arena, Error *err) {
    Buffer params;
    JsonWriter w;
    yyjson_doc *reply = NULL;
    yyjson_val *item;
    size_t i, count;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "models_path", arena_printf(arena, "%s/models", config->data_directory));
    json_end_object(&w);
    Status status = workers_call(vision, &reply, "models", buffer_text(&params), LOAD_SECONDS, NULL, NULL, err);
    if (status == STATUS_OK) {
        yyjson_val *models = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(reply), "result"), "models");
        yyjson_arr_foreach(models, i, count, item) add_model(r, item, config, arena);
    }
    yyjson_doc_free(reply);
    buffer_clear(&params);
    return status;
}

/* Whether there is what runs models at all. */
static Status ask_runtime(ModelReport *r, WorkerPool *vision, Arena *arena, Error *err) {
    yyjson_doc *reply = NULL;
    Status status = workers_call(vision, &reply, "status", "{}", LOAD_SECONDS, NULL, NULL, err);
    yyjson_val *runtime = status == STATUS_OK ? yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(reply), "result"), "runtime") : NULL;
    if (runtime && !json_get_bool(runtime, "available", false)) r->runtime_problem = arena_strdup(arena, json_get_string(runtime, "reason", "ONNX Runtime is not installed"));
    yyjson_doc_free(reply);
    return status;
}

Status model_report_load(ModelReport *out, const Config *config, Arena *arena, Error *err) {
    WorkerPool *vision = NULL;
    WorkerProgram program = {.path = arena_printf(arena, "%s/pictograph-vision", config->program_directory), .name = "vision", .count = 1, .idle_seconds = 60,
                             .directory = config->data_directory, .died = STATUS_MODEL_UNAVAILABLE};
    *out = (ModelReport){0};
    Status status = workers_open(&vision, &program, err);
    if (status == STATUS_OK) status = ask_runtime(out, vision, arena, err);
    if (status == STATUS_OK) status = add_operators(out, config, vision, arena, err);
    workers_close(vision);
    if (status != STATUS_OK) return status;
    add_built_in(out, config, arena);
    return STATUS_OK;
}

void model_report_print(const ModelReport *report) {
    printf("%-24s %-9s %-14s %-24s %s\n", "MODEL", "ROLE", "ANSWERS", "ENGINE", "STATE");
    for (int i = 0; i < report->count; i++) {
        const KnownModel *m = &report->models[i];
        printf("%-24s %-9s %-14s %-24s %s%s%s\n", m->name, m->role ? m->role : "?", m->answers, m->engine ? m->engine : "-", m->state, m->problem ? ": " : "",
               m->problem ? m->problem : "");
    }
}
