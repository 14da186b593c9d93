/* Automatic annotation: prompts on one image, which store nothing, and batch jobs, which do. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct PictographPointPrompt {
    const char *dataset_name, *image_filename;
    double x, y;                           /* pixels */
    const char *name;                      /* label; NULL: "object" */
    const double (*positive_points)[2];    /* more points on the object */
    size_t positive_count;
    const double (*negative_points)[2];    /* points beside it */
    size_t negative_count;
    double score_threshold;                /* negative: the server's default */
} PictographPointPrompt;

typedef struct PictographBoxPrompt {
    const char *dataset_name, *image_filename;
    double x, y, w, h;           /* pixels, top-left corner and size */
    const char *name;            /* label */
    double confidence_threshold; /* negative: the server's default */
    bool without_polygon;
} PictographBoxPrompt;

typedef struct PictographTextPrompt {
    const char *dataset_name, *image_filename;
    const char *text_prompt;     /* what to look for; becomes the label */
    const char *output_type;     /* polygon (default) or bbox */
    double confidence_threshold; /* negative: the server's default */
    int max_detections;          /* 0: the server's default */
} PictographTextPrompt;

/* The results carry "status" and "annotations". */
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_point(PictographClient *client, const PictographPointPrompt *prompt,
                                                                PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_box(PictographClient *client, const PictographBoxPrompt *prompt,
                                                              PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_text(PictographClient *client, const PictographTextPrompt *prompt,
                                                               PictographError *error);

typedef struct PictographTarget {
    const char *name; /* what to detect; becomes the label */
    const char *type; /* polygon (when NULL), bbox, polyline, keypoint, tag */
} PictographTarget;

typedef struct PictographBatch {
    const char *dataset_name;
    const char *const *image_filenames; /* file names or full virtual paths */
    size_t image_count;                 /* 1 … 10,000 */
    const PictographTarget *classes;
    size_t class_count;
    double confidence_threshold; /* negative: the server's default */
    const char *model_id;        /* a trained model; NULL: the built-in segmenter, and for tags the built-in classification model */
    int64_t top_k;               /* tags an image; 0: the server's default */
} PictographBatch;

/* Starts a job and returns it. */
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_batch(PictographClient *client, const PictographBatch *batch, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_batch_get(PictographClient *client, const char *job_id, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_batch_cancel(PictographClient *client, const char *job_id, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_auto_annotate_batch_wait(PictographClient *client, const char *job_id, const PictographWait *wait,
                                                                     PictographError *error);

#ifdef __cplusplus
}
#endif
