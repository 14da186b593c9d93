/* Training runs: a model is trained from a completed export. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct PictographTraining {
    const char *dataset_name, *export_name;
    const char *pipeline_type; /* yolox, … */
    const char *name;          /* NULL: made by the server */
    const char *gpu_type;      /* NULL: a10g */
    const char *config_json;   /* an object, such as {"epochs": 30}; NULL: the server's defaults */
} PictographTraining;

PICTOGRAPH_API PictographPager *pictograph_training_list(PictographClient *client, const PictographList *list, PictographError *error);
/* Takes the credits of the estimated minutes and returns at once. */
PICTOGRAPH_API PictographResult *pictograph_training_create(PictographClient *client, const PictographTraining *request,
                                                            PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_training_get(PictographClient *client, const char *run_id, PictographError *error);
/* Polls until completed. A failed or cancelled run is PICTOGRAPH_API_ERROR with its state in error->response. */
PICTOGRAPH_API PictographResult *pictograph_training_wait(PictographClient *client, const char *run_id, const PictographWait *wait,
                                                          PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_training_cancel(PictographClient *client, const char *run_id, PictographError *error);

#ifdef __cplusplus
}
#endif
