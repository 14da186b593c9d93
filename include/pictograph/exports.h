/* Exports: a ZIP of a dataset in one of the formats pictograph, coco, yolo, cvat, pascal_voc, labelme, csv. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct PictographExport {
    const char *dataset_name, *name;
    const char *format;                  /* NULL: pictograph */
    bool without_images;                 /* annotations only */
    const char *const *class_filter;     /* NULL-terminated; NULL: all classes */
    const char *status_filter;           /* NULL: complete; "all" switches it off */
} PictographExport;

PICTOGRAPH_API PictographPager *pictograph_exports_list(PictographClient *client, const PictographList *list, PictographError *error);
/* Returns at once, while the server builds. */
PICTOGRAPH_API PictographResult *pictograph_exports_create(PictographClient *client, const PictographExport *request, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_exports_get(PictographClient *client, const char *dataset_name, const char *name,
                                                        PictographError *error);
/* Polls until completed. A failed export is PICTOGRAPH_API_ERROR with its state in error->response. wait may be NULL. */
PICTOGRAPH_API PictographResult *pictograph_exports_wait(PictographClient *client, const char *dataset_name, const char *name,
                                                         const PictographWait *wait, PictographError *error);
PICTOGRAPH_API PictographStatus pictograph_exports_download(PictographClient *client, const char *dataset_name, const char *name,
                                                            const char *output_path, PictographProgress progress, void *context,
                                                            PictographError *error);
PICTOGRAPH_API PictographStatus pictograph_exports_delete(PictographClient *client, const char *dataset_name, const char *name,
                                                          PictographError *error);

#ifdef __cplusplus
}
#endif
