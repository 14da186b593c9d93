/* pictograph-train: trains a YOLOX detector from an export and writes it as ONNX. One process, one run; see --help. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "train/benchmark.h"
#include "train/run.h"
#include "train/torch_shim.h"
#include "base/banned.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_STOPPED = 3, GRACE_SECONDS = 1 };

static const char help[] =
    "Usage: pictograph-train RUN.json\n"
    "       pictograph-train --benchmark MODEL SIZE BATCH PRECISION\n"
    "       pictograph-train --help | --version\n"
    "\n"
    "Trains a YOLOX detector. RUN.json:\n"
    "  {\"pipeline\": \"yolox\",\n"
    "   \"data\": \"export folder or .zip in Pictograph format\",\n"
    "   \"output\": \"folder for checkpoint, metrics.json and model.onnx\",\n"
    "   \"config\": {\"epochs\": 40, \"batch_size\": 4, \"learning_rate\": 0.03, \"image_size\": 256, \"start_size\": 192, \"model_size\": \"tiny\",\n"
    "              \"precision\": \"float32\", \"validation_fraction\": 0.1, \"weights\": \"yolox_tiny.pth\",\n"
    "              \"mosaic\": 0.5, \"mixup\": 0, \"horizontal_flip\": 0.5, \"vertical_flip\": 0.5},\n"
    "   \"seed\": 1, \"threads\": 0, \"max_seconds\": 7200}\n"
    "All of config may be left out: what is missing is chosen by the data. threads 0 means all processors.\n"
    "\n"
    "Progress is written to standard output, one JSON object a line: loading, start, step, epoch, warning, then done, failed or\n"
    "stopped.\n"
    "A run that was stopped or killed goes on from its last epoch when it is started again with the same RUN.json.\n"
    "\n"
    "--benchmark trains on made-up pictures with augmentation and prints images a second.\n"
    "  MODEL nano, tiny, s, m, l, x; SIZE of the input, BATCH, PRECISION float32 or bfloat16.\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 stopped by SIGTERM or SIGINT.\n";

static volatile sig_atomic_t stop; /* a signal handler can reach nothing else */

static void on_signal(int number) {
    (void)number;
    stop = 1;
    alarm(GRACE_SECONDS);
}

/* A step may take longer than a caller waits. Files are renamed when whole, so ending anywhere harms nothing. */
static void on_alarm(int number) {
    (void)number;
    _exit(EXIT_STOPPED);
}

static void catch_signals(void) {
    struct sigaction stopping = {.sa_handler = on_signal}, ending = {.sa_handler = on_alarm};
    sigaction(SIGTERM, &stopping, NULL);
    sigaction(SIGINT, &stopping, NULL);
    sigaction(SIGALRM, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* What comes and goes with each step and is not libtorch's (pool.h has that) stays with the process: handing pages back to the system and
 * faulting them in again costs time. Each thread keeps an arena of its own, as libraries allocate small things a thousand times a step. */
static void tune_allocator(void) {
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
    mallopt(M_TOP_PAD, 64 << 20);
}

static int train(const char *path) {
    Error err = {0};
    Settings settings;
    Events events;
    events_init(&events, STDOUT_FILENO);
    catch_signals();
    Status status = settings_read(&settings, path, &err);
    if (status == STATUS_OK) status = train_images_init("pictograph-train", &err);
    if (status == STATUS_OK) status = run_training(&settings, &events, &stop, &err);
    settings_clear(&settings);
    if (status == STATUS_OK) return 0;
    EventLine line;
    JsonWriter *w = event_begin(&line, &events, status == STATUS_CANCELLED ? "stopped" : "failed");
    if (status != STATUS_CANCELLED) {
        json_field_string(w, "code", status_info(status)->slug);
        json_field_string(w, "message", err.message);
    }
    event_end(&line);
    return status == STATUS_CANCELLED ? EXIT_STOPPED : EXIT_FAILED;
}

int main(int argc, char **argv) {
    tune_allocator();
    if (argc == 2 && text_equal(argv[1], "--help")) {
        fputs(help, stdout);
        return 0;
    }
    if (argc == 2 && text_equal(argv[1], "--version")) {
        printf("pictograph-train %s, libtorch %s, %s\n", PICTOGRAPH_VERSION, torch_library_version(), torch_has_cuda() ? "trains on the GPU (CUDA)" : "trains on the CPU: no GPU that CUDA can use");
        return 0;
    }
    if (argc == 6 && text_equal(argv[1], "--benchmark")) return benchmark_run(argv + 2);
    if (argc == 2 && argv[1][0] != '-') return train(argv[1]);
    fputs(help, stderr);
    return EXIT_USAGE;
}
