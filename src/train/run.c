/* The run of run.h, in the order of its stages: open data, choose settings, make the network, loop, export. */
#include "train/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "train/checkpoint.h"
#include "train/data_loader.h"
#include "train/judge.h"
#include "train/onnx_yolox.h"
#include "train/schedule.h"
#include "train/trainer.h"
#include "train/weights.h"
#include "base/banned.h"

enum { LEAST_IMAGES = 5, AHEAD = 4, SHORT_RUN_UPDATES = 1000, SETTLING_BATCHES = 24 };
#define QUIET_SECONDS 1.5 /* longest silence between steps */
#define END_PART 0.97     /* of the time given, for the epochs; the rest is for the end */

typedef struct Run {
    Settings *settings;
    Events *events;
    const volatile sig_atomic_t *stop;
    Arena arena; /* paths and names */
    TrainDataset *dataset;
    TrainCache *cache;
    uint32_t *train, *held_out;
    size_t train_count, held_out_count, labelled; /* labelled: of train, those with boxes */
    Yolox *net;
    Trainer *trainer;
    TrainerOptions replicas;
    TrainLoader *loader;
    SizeStage stages[SIZE_STAGES];
    int stage_count;
    Schedule schedule;
    int closing_epochs;
    Progress progress;
    LossParts losses; /* mean of the epoch so far */
    int epoch_steps;
    double started, rate, last_checkpoint; /* started: of this process */
    int64_t images_seen;                   /* by this process */
    double pixels_seen;                    /* in those images: what time grows with */
    Metrics metrics;                       /* latest of the held-out images */
    int asked_epochs;
    bool replanned; /* the plan has changed since the loader was opened */
    bool out_of_time;
} Run;

static const char *output_path(Run *run, const char *name) {
    return arena_printf(&run->arena, "%s/%s", run->settings->output, name);
}

static double seconds_of_run(const Run *run) {
    return run->progress.seconds + clock_monotonic() - run->started;
}

/* ---- data ---- */

static void pass_warning(void *context, const char *file, const char *text) {
    event_warning(context, file, text);
}

static size_t count_labelled(const Run *run) {
    size_t count = 0;
    for (size_t i = 0; i < run->train_count; i++) count += run->dataset->images[run->train[i]].box_count > 0;
    return count;
}

static Status open_data(Run *run, Error *err) {
    Settings *s = run->settings;
    EventLine line;
    json_field_string(event_begin(&line, run->events, "loading"), "data", s->data);
    event_end(&line);
    Status status = train_dataset_open(&run->dataset, s->data, s->output, pass_warning, run->events, err);
    if (status != STATUS_OK) return status;
    train_dataset_split(run->dataset, s->validation_fraction, &run->train, &run->train_count, &run->held_out, &run->held_out_count);
    run->labelled = count_labelled(run);
    if (run->labelled < LEAST_IMAGES)
        return error_set(err, STATUS_DATASET_TOO_SMALL, "Training needs at least %d images with boxes; the export has %zu", LEAST_IMAGES,
                         run->labelled);
    if (run->dataset->class_count == 0 || run->dataset->class_count > YOLOX_MAX_CLASSES)
        return error_set(err, STATUS_VALIDATION_ERROR, "The export has %zu classes; from 1 to %d can be trained", run->dataset->class_count,
                         YOLOX_MAX_CLASSES);
    return STATUS_OK;
}

static size_t memory_for_pictures(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages / 3 * (size_t)size : (size_t)1 << 30;
}

/* In place of the present loader: epochs first_epoch … epochs - 1, of which the last `closing` are drawn plainly; at the cache's size. */
static Status open_loader(Run *run, TrainCache *cache, int side, int first_epoch, int epochs, int closing, Error *err) {
    const Settings *s = run->settings;
    TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
    o.width = o.height = side;
    o.batch = s->batch;
    o.threads = s->threads < 8 ? 1 : s->threads / 4;
    o.ahead = AHEAD;
    o.seed = s->seed;
    o.shuffle = o.drop_last = true;
    o.first_epoch = first_epoch;
    o.epochs = epochs;
    o.closing_epochs = closing;
    o.augment = (AugmentOptions)AUGMENT_DEFAULTS;
    o.augment.mosaic = (float)s->mosaic;
    o.augment.mixup = (float)s->mixup;
    o.augment.flip_horizontal = (float)s->horizontal_flip;
    o.augment.flip_vertical = (float)s->vertical_flip;
    train_loader_free(run->loader);
    return train_loader_new(&run->loader, run->dataset, cache, run->train, run->train_count, &o, err);
}

/* ---- network ---- */

static Status load_weights(Run *run, float *weights, Error *err) {
    TensorFile file;
    int skipped = 0;
    Status status = tensor_file_open(&file, run->settings->weights, err);
    if (status != STATUS_OK) return status;
    status = weights_read(run->net, weights, &file, "", &skipped, err);
    tensor_file_close(&file);
    if (status == STATUS_OK && skipped > 0)
        event_warning(run->events, run->settings->weights, "The weights are for another number of classes: class predictions start anew");
    return status == STATUS_OK ? status : error_prefix(err, "%s", run->settings->weights);
}

static Status make_trainer(Run *run, Error *err) {
    Settings *s = run->settings;
    run->net = yolox_new(s->model_size, (int)run->dataset->class_count);
    float *weights = xmalloc(run->net->size * sizeof *weights);
    yolox_initialize(run->net, s->seed, weights);
    Status status = s->weights ? load_weights(run, weights, err) : STATUS_OK;
    bool cuda = torch_has_cuda();
    TorchType type = s->precision == PRECISION_DEFAULT ? trainer_type(s->model_size, cuda) : s->precision == PRECISION_FLOAT32 ? TORCH_FLOAT32 : TORCH_BFLOAT16;
    run->replicas = trainer_choose(s->threads, s->batch, type, cuda);
    if (status == STATUS_OK) status = trainer_new(&run->trainer, run->net, weights, &run->replicas, err);
    free(weights);
    return status;
}

/* Goes on from the checkpoint of the same run, if there is one. A broken one is told of and not used. */
static void resume(Run *run) {
    Error why = {0};
    Optimizer *optimizer = trainer_optimizer(run->trainer);
    size_t size = run->net->size * sizeof(float);
    float *kept = xmalloc(size);
    memcpy(kept, optimizer->weights, size);
    Status status = checkpoint_read(output_path(run, "checkpoint.safetensors"), optimizer, &run->progress, run->settings->fingerprint, &why);
    if (status == STATUS_OK && run->progress.epoch > run->settings->epochs)
        status = error_set(&why, STATUS_VALIDATION_ERROR, "The checkpoint is past the end of the run");
    if (status != STATUS_OK) {
        if (status != STATUS_NOT_FOUND) event_warning(run->events, "checkpoint.safetensors", why.message);
        memcpy(optimizer->weights, kept, size);
        memcpy(optimizer->average, kept, size);
        memset(optimizer->velocity, 0, run->net->trained * sizeof(float));
        run->progress = (Progress){0};
    }
    free(kept);
    trainer_weights_changed(run->trainer);
}

/* Lays out so many epochs. */
static void plan(Run *run, int epochs) {
    Settings *s = run->settings;
    s->epochs = epochs;
    int64_t per_epoch = (int64_t)run->train_count / s->batch > 0 ? (int64_t)run->train_count / s->batch : 1;
    run->stage_count = schedule_sizes(run->stages, s->epochs, s->start_size, s->image_size);
    run->closing_epochs = s->epochs < 4 ? s->epochs / 2 : (s->epochs * 15 + 50) / 100;
    run->schedule = (Schedule){.rate = s->learning_rate, .least_part = 0.05, .steps = per_epoch * s->epochs,
                               .flat_steps = per_epoch * run->closing_epochs};
    int64_t warmup = per_epoch > 50 ? per_epoch : 50;
    run->schedule.warmup_steps = warmup < run->schedule.steps / 5 ? warmup : run->schedule.steps / 5;
}

/* ---- the loop ---- */

static void write_losses(JsonWriter *w, const LossParts *losses) {
    json_key(w, "loss");
    json_begin_object(w);
    json_field_number(w, "total", losses->total);
    json_field_number(w, "box", losses->box);
    json_field_number(w, "objectness", losses->objectness);
    json_field_number(w, "class", losses->classes);
    json_field_number(w, "l1", losses->l1);
    json_end_object(w);
}

static double pixels_left(const Run *run) {
    double left = 0, per_epoch = (double)run->schedule.steps / run->settings->epochs;
    for (int i = 0; i < run->stage_count; i++) {
        const SizeStage *stage = &run->stages[i];
        double first = fmax((double)run->progress.updates, stage->first_epoch * per_epoch);
        left += fmax(stage->end_epoch * per_epoch - first, 0) * run->settings->batch * stage->side * stage->side;
    }
    return left;
}

static void report(Run *run, const char *name) {
    EventLine line;
    JsonWriter *w = event_begin(&line, run->events, name);
    double seconds = clock_monotonic() - run->started, speed = (double)run->images_seen / fmax(seconds, 1e-3);
    json_field_int(w, "epoch", run->progress.epoch);
    json_field_int(w, "epochs", run->settings->epochs);
    json_field_int(w, "updates", run->progress.updates);
    write_losses(w, &run->losses);
    json_field_number(w, "learning_rate", run->rate);
    json_field_number(w, "images_per_second", round(speed * 100) / 100);
    json_field_int(w, "eta_seconds", (int64_t)ceil(pixels_left(run) / fmax(run->pixels_seen / fmax(seconds, 1e-3), 1)));
    json_field_number(w, "loader_wait_seconds", round(train_loader_waited(run->loader) * 100) / 100);
    if (run->metrics.known && strcmp(name, "epoch") == 0) metrics_write(w, &run->metrics, NULL);
    event_end(&line);
}

static void add_losses(Run *run, const LossParts *parts) {
    double part = 1.0 / ++run->epoch_steps;
    LossParts *mean = &run->losses;
    mean->total += part * (parts->total - mean->total);
    mean->box += part * (parts->box - mean->box);
    mean->objectness += part * (parts->objectness - mean->objectness);
    mean->classes += part * (parts->classes - mean->classes);
    mean->l1 += part * (parts->l1 - mean->l1);
}

/* From random weights the running statistics start as the mean over the batches seen so far: the values that they were initialized with mean nothing, and
 * a small data set does not have the hundred steps that it takes to forget them. */
static double statistics_part(const Run *run) {
    double mean_so_far = run->settings->weights ? 0 : 1.0 / (double)(run->progress.updates + 1);
    return mean_so_far > YOLOX_NORM_MOMENTUM ? mean_so_far : YOLOX_NORM_MOMENTUM;
}

static Status step(Run *run, const TrainBatch *batch, int side, Error *err) {
    run->rate = schedule_rate(&run->schedule, run->progress.updates);
    StepRates rates = {.learning_rate = run->rate, .momentum = 0.9, .weight_decay = 5e-4,
                       .average_keep = average_keep(0.995, 200, run->progress.updates + 1), .statistics_part = statistics_part(run)};
    TrainerBatch input = {.images = batch->images, .targets = batch->targets, .count = batch->count, .height = side, .width = side,
                          .max_boxes = batch->max_boxes};
    bool closing = batch->epoch >= run->settings->epochs - run->closing_epochs;
    LossParts parts;
    if (batch->index == 0) {
        run->losses = (LossParts){.total = 0};
        run->epoch_steps = 0;
    }
    Status status = trainer_step(run->trainer, &parts, &input, &rates, closing, err);
    if (status != STATUS_OK) return status;
    add_losses(run, &parts);
    run->progress.updates++;
    run->images_seen += batch->count;
    run->pixels_seen += (double)batch->count * side * side;
    return STATUS_OK;
}

static Status judge(Run *run, Error *err) {
    if (run->held_out_count == 0) return STATUS_OK;
    JudgeInput input = {.net = run->net, .trainer = run->trainer, .dataset = run->dataset, .cache = run->cache, .images = run->held_out,
                        .count = run->held_out_count, .side = run->settings->image_size, .stop = run->stop};
    return judge_images(&run->metrics, &input, &run->arena, err);
}

/* The time that the plan takes from here on, as a part of what the user leaves for it. */
static double part_of_time(const Run *run) {
    double speed = run->pixels_seen / fmax(clock_monotonic() - run->started, 1e-3);
    return pixels_left(run) / speed / fmax(run->settings->max_seconds * END_PART - seconds_of_run(run), 1e-3);
}

/* Fewer epochs, when those asked for would take longer than the user gives: all phases of the schedule shrink, so that the run still ends with its low
 * rate and plain pictures (budgeted training, Li et al., arXiv 1905.04753). More of them again when it goes faster than it seemed. */
static void fit_to_time(Run *run) {
    Settings *s = run->settings;
    if (s->max_seconds <= 0) return;
    int planned = s->epochs;
    bool closing = run->progress.epoch >= planned - run->closing_epochs;
    double part = part_of_time(run);
    bool late = part > 1.02, early = part < 0.9 && planned < run->asked_epochs && !closing;
    if (!late && !early) return;
    for (plan(run, late ? planned : run->asked_epochs); s->epochs > run->progress.epoch + 1 && part_of_time(run) > 1;) plan(run, s->epochs - 1);
    if (s->epochs == planned) return;
    run->replanned = true;
    event_warning(run->events, "max_seconds",
                  arena_printf(&run->arena, "%d of %d epochs, as the run may take %.0f s", s->epochs, run->asked_epochs, s->max_seconds));
}

static Status end_epoch(Run *run, Error *err) {
    const Settings *s = run->settings;
    int every = s->epochs > 10 ? s->epochs / 10 : 1;
    run->progress.epoch++;
    run->metrics.known = false;
    Progress now = run->progress;
    now.seconds = seconds_of_run(run);
    Status status = checkpoint_write(output_path(run, "checkpoint.safetensors"), trainer_optimizer(run->trainer), &now, s->fingerprint, err);
    if (status == STATUS_OK && run->progress.epoch % every == 0 && run->progress.epoch < s->epochs) status = judge(run, err);
    if (run->progress.epoch < s->epochs) fit_to_time(run);
    report(run, "epoch");
    run->out_of_time = s->max_seconds > 0 && seconds_of_run(run) > s->max_seconds;
    return status;
}

/* The epochs of a stage, or what is left of them. */
static Status train_stage(Run *run, const SizeStage *stage, TrainCache *cache, Error *err) {
    int first = run->progress.epoch, plain = stage->end_epoch - (run->settings->epochs - run->closing_epochs);
    Status status = open_loader(run, cache, stage->side, first, stage->end_epoch, plain > 0 ? plain : 0, err);
    if (status != STATUS_OK) return status;
    int per_epoch = train_loader_batches_per_epoch(run->loader);
    TrainBatch *batch;
    run->replanned = false;
    while (status == STATUS_OK && !run->out_of_time && !run->replanned && (batch = train_loader_next(run->loader)) != NULL) {
        bool last = batch->index == per_epoch - 1;
        status = step(run, batch, stage->side, err);
        train_batch_release(run->loader, batch);
        if (status == STATUS_OK && *run->stop) status = error_set(err, STATUS_CANCELLED, "Stopped");
        else if (status == STATUS_OK && last) status = end_epoch(run, err);
        else if (status == STATUS_OK && clock_monotonic() - run->events->last > QUIET_SECONDS) report(run, "step");
    }
    return status;
}

/* Smaller pictures than those of the last stage have a cache of their own while they are used. */
static Status train(Run *run, Error *err) {
    Status status = STATUS_OK;
    for (int i = 0; i < run->stage_count && status == STATUS_OK && !run->out_of_time; i = run->replanned ? 0 : i + 1) {
        SizeStage stage = run->stages[i]; /* a copy: a new plan writes over it */
        if (run->progress.epoch >= stage.end_epoch) {
            run->replanned = false;
            continue;
        }
        bool last = stage.side == run->settings->image_size;
        TrainCache *cache = last ? run->cache : train_cache_new(run->dataset, stage.side, stage.side, memory_for_pictures());
        status = train_stage(run, &stage, cache, err);
        train_loader_free(run->loader); /* its threads use the cache */
        run->loader = NULL;
        if (!last) train_cache_free(cache);
    }
    return status;
}

/* ---- the end ---- */

/* After a short run the running statistics lag behind the weights, and the error grows with every layer: they are measured anew for the averaged
 * weights, as means over plain batches (precise batch normalisation, Wu & Johnson 2021). The steps have rate 0, so nothing else moves. */
static Status settle_statistics(Run *run, Error *err) {
    Optimizer *optimizer = trainer_optimizer(run->trainer);
    if (run->progress.updates >= SHORT_RUN_UPDATES || run->progress.updates == 0) return STATUS_OK;
    memcpy(optimizer->weights, optimizer->average, run->net->size * sizeof *optimizer->weights);
    trainer_weights_changed(run->trainer);
    Status status = open_loader(run, run->cache, run->settings->image_size, 0, SETTLING_BATCHES, SETTLING_BATCHES, err);
    TrainBatch *batch;
    for (int n = 0; status == STATUS_OK && n < SETTLING_BATCHES && (batch = train_loader_next(run->loader)) != NULL; n++) {
        TrainerBatch input = {.images = batch->images, .targets = batch->targets, .count = batch->count, .height = run->settings->image_size,
                              .width = run->settings->image_size, .max_boxes = batch->max_boxes};
        StepRates rates = {.momentum = 0.9, .statistics_part = 1.0 / (n + 1)};
        LossParts parts;
        status = trainer_step(run->trainer, &parts, &input, &rates, false, err);
        train_batch_release(run->loader, batch);
    }
    return status;
}

static void write_metrics(const Run *run, JsonWriter *w) {
    json_begin_object(w);
    metrics_write(w, &run->metrics, run->dataset);
    write_losses(w, &run->losses);
    json_field_string(w, "model_size", yolox_size_name(run->settings->model_size));
    json_field_string(w, "device", run->replicas.cuda ? "cuda" : "cpu");
    json_field_string(w, "precision", run->replicas.type == TORCH_FLOAT32 ? "float32" : "bfloat16");
    json_field_int(w, "epochs", run->progress.epoch);
    json_field_int(w, "updates", run->progress.updates);
    json_field_int(w, "batch_size", run->settings->batch);
    json_field_number(w, "learning_rate", run->settings->learning_rate);
    json_field_int(w, "training_images", (int64_t)run->train_count);
    json_field_int(w, "validation_images", (int64_t)run->held_out_count);
    json_field_bool(w, "stopped_by_time", run->out_of_time);
    json_end_object(w);
}

static Status write_metrics_file(Run *run, Error *err) {
    Buffer out;
    JsonWriter w;
    buffer_init(&out, 1 << 20);
    json_writer_init(&w, &out);
    w.indent = 2;
    write_metrics(run, &w);
    Status status = file_write_atomic(output_path(run, "metrics.json"), buffer_text(&out), out.size, 0600, err);
    buffer_clear(&out);
    return status;
}

static void write_names(const Run *run, JsonWriter *w) {
    json_key(w, "class_names");
    json_begin_array(w);
    for (size_t i = 0; i < run->dataset->class_count; i++) json_string(w, run->dataset->class_names[i]);
    json_end_array(w);
}

static Status finish(Run *run, Error *err) {
    int side = run->settings->image_size;
    Status status = judge(run, err);
    if (status == STATUS_OK) status = write_metrics_file(run, err);
    if (status == STATUS_OK)
        status = onnx_yolox_write(output_path(run, "model.onnx"), run->net, trainer_optimizer(run->trainer)->average, side, side,
                                  (const char *const *)run->dataset->class_names, err);
    if (status != STATUS_OK) return status;
    EventLine line;
    JsonWriter *w = event_begin(&line, run->events, "done");
    json_field_string(w, "model", "model.onnx");
    json_key(w, "metrics");
    write_metrics(run, w);
    json_field_int(w, "image_size", side);
    write_names(run, w);
    json_field_number(w, "seconds", round(seconds_of_run(run) * 1000) / 1000);
    event_end(&line);
    return STATUS_OK;
}

static void announce(Run *run) {
    EventLine line;
    const Settings *s = run->settings;
    JsonWriter *w = event_begin(&line, run->events, "start");
    json_field_string(w, "pipeline", "yolox");
    json_field_string(w, "model_size", yolox_size_name(s->model_size));
    json_field_int(w, "image_size", s->image_size);
    json_field_int(w, "start_size", s->start_size);
    json_field_int(w, "batch_size", s->batch);
    json_field_int(w, "epoch", run->progress.epoch);
    json_field_int(w, "epochs", s->epochs);
    json_field_number(w, "learning_rate", s->learning_rate);
    json_field_int(w, "images", (int64_t)run->train_count);
    json_field_int(w, "validation_images", (int64_t)run->held_out_count);
    json_field_int(w, "boxes", (int64_t)run->dataset->box_count);
    write_names(run, w);
    json_field_string(w, "device", run->replicas.cuda ? "cuda" : "cpu");
    json_field_string(w, "precision", run->replicas.type == TORCH_FLOAT32 ? "float32" : "bfloat16");
    json_field_int(w, "replicas", run->replicas.replicas);
    json_field_int(w, "threads", run->replicas.threads);
    json_field_string(w, "torch", torch_library_version());
    event_end(&line);
}

static void run_clear(Run *run) {
    train_loader_free(run->loader);
    trainer_free(run->trainer);
    yolox_free(run->net);
    train_cache_free(run->cache);
    train_dataset_free(run->dataset);
    free(run->train);
    free(run->held_out);
    arena_clear(&run->arena);
}

Status run_training(Settings *settings, Events *events, const volatile sig_atomic_t *stop, Error *err) {
    Run run = {.settings = settings, .events = events, .stop = stop, .started = clock_monotonic()};
    arena_init(&run.arena, SIZE_MAX);
    Status status = file_make_directories(settings->output, 0700, err);
    if (status == STATUS_OK) status = open_data(&run, err);
    if (status == STATUS_OK) {
        bool half = trainer_type(YOLOX_TINY, false) == TORCH_BFLOAT16;
        settings_choose(settings, run.dataset, run.labelled, torch_has_cuda() ? MACHINE_GPU : half ? MACHINE_CPU_BFLOAT16 : MACHINE_CPU);
        run.cache = train_cache_new(run.dataset, settings->image_size, settings->image_size, memory_for_pictures());
        plan(&run, run.asked_epochs = settings->epochs);
        status = make_trainer(&run, err);
    }
    if (status == STATUS_OK) {
        resume(&run);
        announce(&run);
        status = train(&run, err);
    }
    if (status == STATUS_OK) status = settle_statistics(&run, err);
    if (status == STATUS_OK) status = finish(&run, err);
    run_clear(&run);
    return status;
}
