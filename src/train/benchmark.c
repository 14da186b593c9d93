/* See benchmark.h. Draws a small export of noise with boxes into a temporary folder and trains on it for a while. */
#include "train/benchmark.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "picture/jpeg_file.h"
#include "train/data_loader.h"
#include "train/random.h"
#include "train/trainer.h"
#include "base/banned.h"

enum { PICTURES = 32, WIDTH = 640, HEIGHT = 480, BOXES = 12, CLASSES = 3, QUALITY = 75, WARM_STEPS = 4, ANY_EPOCHS = 10000 };
#define LEAST_SECONDS 10.0

typedef struct Request {
    YoloxSize model_size;
    int64_t side, batch;
    TorchType type;
} Request;

static Status write_picture(const char *path, Random *random, Error *err) {
    Raster noise = {WIDTH, HEIGHT, xmalloc((size_t)WIDTH * HEIGHT * 3)};
    for (int i = 0; i < WIDTH * HEIGHT; i++) memset(noise.pixels + 3 * i, (int)random_below(random, 256), 3);
    Status status = jpeg_file_write(path, &noise, JPEG_BGR, QUALITY, err);
    raster_clear(&noise);
    return status;
}

static Status write_boxes(const char *path, int number, Random *random, Error *err) {
    Buffer out;
    buffer_init(&out, 1 << 16);
    buffer_printf(&out, "{\"filename\": \"%d.jpg\", \"width\": %d, \"height\": %d, \"annotations\": [", number, WIDTH, HEIGHT);
    for (int i = 0; i < BOXES; i++) {
        buffer_printf(&out, "%s{\"id\": \"%d\", \"name\": \"%c\", \"type\": \"bbox\", \"bounding_box\": {\"x\": %u, \"y\": %u, \"w\": %u, \"h\": %u}}", i ? ", " : "",
                      i, 'a' + (int)random_below(random, CLASSES), random_below(random, WIDTH - 120), random_below(random, HEIGHT - 120),
                      40 + random_below(random, 80), 40 + random_below(random, 80));
    }
    buffer_append_text(&out, "]}");
    Status status = file_write_atomic(path, out.data, out.size, 0600, err);
    buffer_clear(&out);
    return status;
}

static Status draw_export(const char *folder, Arena *arena, Error *err) {
    static const char classes[] = "{\"format\": \"pictograph\", \"version\": 1, \"name\": \"noise\", \"classes\": ["
                                  "{\"name\": \"a\", \"type\": \"bbox\"}, {\"name\": \"b\", \"type\": \"bbox\"}, {\"name\": \"c\", \"type\": \"bbox\"}]}";
    Random random = random_start(1, 1);
    Status status = file_write_atomic(arena_printf(arena, "%s/dataset.json", folder), classes, sizeof classes - 1, 0600, err);
    if (status == STATUS_OK) status = file_make_directories(arena_printf(arena, "%s/images", folder), 0700, err);
    if (status == STATUS_OK) status = file_make_directories(arena_printf(arena, "%s/annotations", folder), 0700, err);
    for (int i = 0; i < PICTURES && status == STATUS_OK; i++) {
        status = write_picture(arena_printf(arena, "%s/images/%d.jpg", folder, i), &random, err);
        if (status == STATUS_OK) status = write_boxes(arena_printf(arena, "%s/annotations/%d.jpg.json", folder, i), i, &random, err);
    }
    return status;
}

/* Processors that this process may run on: `taskset -c 0` measures one replica. */
static int usable_cores(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Steps for LEAST_SECONDS, behind some that warm up, and prints how fast they were. */
static Status time_steps(const Request *request, const TrainerOptions *options, Trainer *trainer, TrainLoader *loader, Error *err) {
    StepRates rates = {.learning_rate = 1e-4, .momentum = 0.9, .weight_decay = 5e-4, .average_keep = 0.99, .statistics_part = YOLOX_NORM_MOMENTUM};
    Status status = STATUS_OK;
    double start = clock_monotonic(), waited = 0;
    clock_t used = clock();
    int64_t images = 0;
    int side = (int)request->side;
    for (int step = 0; status == STATUS_OK && (step < 2 * WARM_STEPS || clock_monotonic() - start < LEAST_SECONDS); step++) {
        if (step == WARM_STEPS) {
            start = clock_monotonic();
            used = clock();
            waited = train_loader_waited(loader);
            images = 0;
        }
        TrainBatch *batch = train_loader_next(loader);
        if (!batch) break;
        TrainerBatch input = {batch->images, batch->targets, batch->count, side, side, batch->max_boxes};
        LossParts parts;
        status = trainer_step(trainer, &parts, &input, &rates, false, err);
        images += batch->count;
        train_batch_release(loader, batch);
    }
    double seconds = clock_monotonic() - start, processor_seconds = (double)(clock() - used) / CLOCKS_PER_SEC;
    if (status == STATUS_OK)
        printf("%s %d batch %d %s: %.2f images/s (%d replicas of %d threads, %.1f %% of the time spent waiting for data; %.1f ms of processor time an image)\n",
               yolox_size_name(request->model_size), side, (int)request->batch, request->type == TORCH_FLOAT32 ? "float32" : "bfloat16",
               (double)images / seconds, options->replicas, options->threads, 100 * (train_loader_waited(loader) - waited) / seconds,
               1000 * processor_seconds / (double)images);
    return status;
}

static Status measure(const Request *request, TrainDataset *dataset, Error *err) {
    int cores = usable_cores(), side = (int)request->side;
    TrainerOptions options = trainer_choose(cores, (int)request->batch, request->type, torch_has_cuda());
    Yolox *net = yolox_new(request->model_size, (int)dataset->class_count);
    float *weights = xmalloc(net->size * sizeof *weights);
    yolox_initialize(net, 1, weights);
    uint32_t *all = NULL, *none = NULL;
    size_t count, no_count;
    train_dataset_split(dataset, 0, &all, &count, &none, &no_count);
    TrainCache *cache = train_cache_new(dataset, side, side, (size_t)1 << 30);
    TrainLoaderOptions o = TRAIN_LOADER_DEFAULTS;
    o.width = o.height = side;
    o.batch = (int)request->batch;
    o.threads = cores < 8 ? 1 : cores / 4;
    o.epochs = ANY_EPOCHS;
    o.shuffle = true;
    o.augment = (AugmentOptions)AUGMENT_DEFAULTS;
    TrainLoader *loader = NULL;
    Trainer *trainer = NULL;
    Status status = train_loader_new(&loader, dataset, cache, all, count, &o, err);
    if (status == STATUS_OK) status = trainer_new(&trainer, net, weights, &options, err);
    if (status == STATUS_OK) status = time_steps(request, &options, trainer, loader, err);
    trainer_free(trainer);
    train_loader_free(loader);
    train_cache_free(cache);
    yolox_free(net);
    free(weights);
    free(all);
    free(none);
    return status;
}

static bool read_request(Request *out, char **arguments) {
    bool half = text_equal(arguments[3], "bfloat16");
    out->type = half ? TORCH_BFLOAT16 : TORCH_FLOAT32;
    return yolox_size_from_name(arguments[0], &out->model_size) && text_to_int(arguments[1], &out->side) && out->side >= 32 &&
           out->side <= 8192 && out->side % 32 == 0 && text_to_int(arguments[2], &out->batch) && out->batch >= 1 && out->batch <= 4096 &&
           (half || text_equal(arguments[3], "float32"));
}

int benchmark_run(char **arguments) {
    Request request;
    if (!read_request(&request, arguments)) {
        fputs("--benchmark MODEL SIZE BATCH PRECISION: for example nano 416 8 float32; SIZE is a multiple of 32\n", stderr);
        return 2;
    }
    Error err = {0};
    Arena arena;
    arena_init(&arena, SIZE_MAX);
    TrainDataset *dataset = NULL;
    char folder[] = "/tmp/pictograph-benchmark-XXXXXX";
    Status status = mkdtemp(folder) ? STATUS_OK : error_set(&err, STATUS_IO, "No folder can be made in /tmp");
    if (status == STATUS_OK) status = train_images_init("pictograph-train", &err);
    if (status == STATUS_OK) status = draw_export(folder, &arena, &err);
    if (status == STATUS_OK) status = train_dataset_open(&dataset, folder, NULL, NULL, NULL, &err);
    if (status == STATUS_OK) status = measure(&request, dataset, &err);
    if (status != STATUS_OK) fprintf(stderr, "%s\n", err.message);
    train_dataset_free(dataset);
    file_remove_tree(folder, NULL);
    arena_clear(&arena);
    return status != STATUS_OK;
}
