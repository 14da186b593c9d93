/* Detector: an ONNX file that pictograph-train wrote (worker/onnx_metadata.h says how), or anyone who keeps to that layout; or the built-in one of
 * tools/models/nanodet.py (gfl.h).
 *
 * The metadata of the file decide how a picture is fed and the output read; a layout, channel order or value range that this reader does
 * not know is refused, never guessed.
 */
#pragma once
#include "base/arena.h"
#include "vision/gfl.h"
#include "vision/nms.h"
#include "vision/picture.h"
#include "vision/runtime.h"

enum { DETECTOR_SIDE_MAX = 4096, DETECTOR_CLASSES_MAX = 10000 };

typedef struct DetectorLayout DetectorLayout;

typedef struct Detector {
    Model *model;
    Arena arena; /* of the texts below */
    char **class_names;
    int class_count;
    int width, height;        /* of the input */
    const char *architecture; /* "" when the file does not say */
    const char *layout;
    const DetectorLayout *reader; /* how the layout is read */
    GflHead gfl;                  /* for "gfl" */
    long serial;                  /* set by the cache: no other detector of it ever has the same */
} Detector;

/* STATUS_MODEL_UNAVAILABLE says what is missing or unknown. */
Status detector_open(Runtime *runtime, const char *path, int threads, Detector **out, Error *err);
void detector_close(Detector *detector);

typedef struct DetectOptions {
    double confidence_threshold; /* 0..1 */
    double nms_threshold; /* negative: as the layout's authors published it */
    size_t max_detections;
} DetectOptions;
#define DETECT_DEFAULTS ((DetectOptions){.confidence_threshold = 0.5, .nms_threshold = -1, .max_detections = 100})

/* Boxes in pixels of the full picture, clipped to it, surest first; in the arena. */
Status detector_run(Detector *detector, Arena *arena, const Picture *picture, DetectOptions options, Detection **out, size_t *count, Error *err);

/* A few detectors kept open, by path, threads and the file's identity, so that a replaced file is read anew. */
typedef struct DetectorCache DetectorCache;
DetectorCache *detector_cache_new(Runtime *runtime);
void detector_cache_free(DetectorCache *cache);
/* threads: how many compute one picture. Borrowed until the next call. */
Status detector_cache_get(DetectorCache *cache, const char *path, int threads, Detector **out, Error *err);
int detector_cache_count(const DetectorCache *cache);
