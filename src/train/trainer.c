/* Replicas on threads: they wait for a batch, do their part of it, and meet in the team's barriers. */
#include "train/trainer.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

typedef struct Replica {
    Trainer *trainer;
    TeamMember member;
    Model *model;
    Arena arena; /* scratch of the loss */
    LossParts parts;
    Status status;
    Error err;
    pthread_t thread;
    bool started;
} Replica;

typedef struct Step {
    const TrainerBatch *batch;
    const StepRates *rates;
    bool l1;
} Step;

struct Trainer {
    const Yolox *net;
    TrainerOptions options;
    Optimizer optimizer;
    Team *team;
    Replica replicas[TEAM_MAX];
    const float *gradients[TEAM_MAX];
    Model *judge; /* runs the moving average */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    unsigned steps; /* asked for so far; the threads start when it grows */
    bool stop;
    Step step;
};

TorchType trainer_type(YoloxSize size, bool cuda) {
    bool half = cuda;
#if defined(__x86_64__) && __GNUC__ >= 12
    half = half || (__builtin_cpu_supports("avx512bf16") && (size != YOLOX_NANO || __builtin_cpu_is("amd")));
#endif
    return half ? TORCH_BFLOAT16 : TORCH_FLOAT32;
}

TrainerOptions trainer_choose(int cores, int batch, TorchType type, bool cuda) {
    if (cuda) return (TrainerOptions){.replicas = 1, .threads = 1, .type = type, .cuda = true};
    int replicas = cores < batch ? cores : batch;
    replicas = replicas < TEAM_MAX ? replicas : TEAM_MAX;
    return (TrainerOptions){.replicas = replicas, .threads = cores / replicas, .type = type};
}

static Status run_passes(Replica *r, const Step *step) {
    const TrainerBatch *b = step->batch;
    int size = r->trainer->options.replicas, first = b->count * r->member.number / size, end = b->count * (r->member.number + 1) / size;
    const uint8_t *images = b->images + (size_t)first * (size_t)b->height * (size_t)b->width * 3;
    arena_reset(&r->arena);
    Status forward = model_forward(r->model, images, end - first, b->height, b->width, true, &r->err);
    LossInput input = {.net = r->trainer->net, .count = end - first, .height = b->height, .width = b->width, .raw = model_raw(r->model),
                       .targets = b->targets + (size_t)first * (size_t)b->max_boxes * 5, .max_boxes = b->max_boxes, .l1 = step->l1,
                       .member = &r->member};
    loss_compute(&r->parts, model_raw_gradient(r->model), &input, &r->arena);
    Status backward = model_backward(r->model, forward == STATUS_OK ? &r->err : NULL);
    return forward != STATUS_OK ? forward : backward;
}

/* A replica's share of a step. All replicas take all barriers, whatever happens to them. */
static void run_step(Replica *r, const Step *step) {
    Trainer *t = r->trainer;
    r->status = run_passes(r, step);
    double failures = r->status != STATUS_OK || !isfinite(r->parts.total);
    team_sum(&r->member, &failures, 1); /* past this all gradients are there */
    if (failures == 0) {
        size_t size = (size_t)t->options.replicas, n = (size_t)r->member.number;
        optimizer_step(&t->optimizer, step->rates, t->gradients, t->options.replicas, model_statistics(t->replicas[0].model),
                       t->net->size * n / size, t->net->size * (n + 1) / size);
    }
    team_wait(&r->member);
    model_refresh(r->model);
}

static void *run_replica(void *argument) {
    Replica *r = argument;
    Trainer *t = r->trainer;
    for (unsigned done = 0;; done++) {
        pthread_mutex_lock(&t->mutex);
        while (t->steps == done && !t->stop) pthread_cond_wait(&t->wake, &t->mutex);
        bool stop = t->stop;
        pthread_mutex_unlock(&t->mutex);
        if (stop) return NULL;
        run_step(r, &t->step);
    }
}

Status trainer_step(Trainer *t, LossParts *parts, const TrainerBatch *batch, const StepRates *rates, bool l1, Error *err) {
    pthread_mutex_lock(&t->mutex);
    t->step = (Step){batch, rates, l1};
    t->steps++;
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    run_step(&t->replicas[0], &t->step);
    for (int i = 0; i < t->options.replicas; i++) {
        if (t->replicas[i].status != STATUS_OK) return error_set(err, t->replicas[i].status, "%s", t->replicas[i].err.message);
    }
    *parts = t->replicas[0].parts;
    if (!isfinite(parts->total)) return error_set(err, STATUS_VALIDATION_ERROR, "The loss is no longer a number: choose a lower learning_rate");
    return STATUS_OK;
}

Optimizer *trainer_optimizer(Trainer *t) {
    return &t->optimizer;
}

void trainer_weights_changed(Trainer *t) {
    for (int i = 0; i < t->options.replicas; i++) model_refresh(t->replicas[i].model);
}

Status trainer_predict(Trainer *t, const float **raw, const uint8_t *images, int count, int height, int width, Error *err) {
    model_refresh(t->judge);
    Status status = model_forward(t->judge, images, count, height, width, false, err);
    *raw = model_raw(t->judge);
    return status;
}

static Status start_replica(Trainer *t, int number, Error *err) {
    Replica *r = &t->replicas[number];
    r->trainer = t;
    r->member = (TeamMember){.team = t->team, .number = number};
    arena_init(&r->arena, SIZE_MAX);
    ModelOptions options = {.type = t->options.type, .cuda = t->options.cuda, .threads = t->options.threads, .member = &r->member};
    Status status = model_new(&r->model, t->net, t->optimizer.weights, &options, err);
    if (status != STATUS_OK) return status;
    t->gradients[number] = model_gradient(r->model);
    if (number == 0) /* the caller's own thread */
        return STATUS_OK;
    int failure = pthread_create(&r->thread, NULL, run_replica, r);
    r->started = failure == 0;
    return failure == 0 ? STATUS_OK : error_set_errno(err, failure, "Starting a thread");
}

Status trainer_new(Trainer **out, const Yolox *net, const float *weights, const TrainerOptions *options, Error *err) {
    Trainer *t = xcalloc(1, sizeof *t);
    t->net = net;
    t->options = *options;
    torch_threads(options->threads);
    optimizer_init(&t->optimizer, net, weights);
    t->team = options->replicas > 1 ? team_new(options->replicas) : NULL;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->wake, NULL);
    Status status = STATUS_OK;
    for (int i = 0; i < options->replicas && status == STATUS_OK; i++) status = start_replica(t, i, err);
    ModelOptions judge = {.type = options->type, .cuda = options->cuda, .threads = options->threads};
    if (status == STATUS_OK) status = model_new(&t->judge, net, t->optimizer.average, &judge, err);
    if (status == STATUS_OK) *out = t;
    else trainer_free(t);
    return status;
}

void trainer_free(Trainer *t) {
    if (!t) return;
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    for (int i = 0; i < t->options.replicas; i++) {
        if (t->replicas[i].started) pthread_join(t->replicas[i].thread, NULL);
        model_free(t->replicas[i].model);
        arena_clear(&t->replicas[i].arena);
    }
    model_free(t->judge);
    optimizer_clear(&t->optimizer);
    team_free(t->team);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->wake);
    free(t);
}
