/* Annotations: the list of one image. Saving replaces the whole list. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The result is the array. */
PICTOGRAPH_API PictographResult *pictograph_annotations_get(PictographClient *client, const char *image_id, PictographError *error);
/* json is an array of annotations; one without an id is given a fresh UUID. The result tells the counts. */
PICTOGRAPH_API PictographResult *pictograph_annotations_save(PictographClient *client, const char *image_id, const char *json,
                                                             PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_annotations_delete(PictographClient *client, const char *image_id, PictographError *error);

/* One list to save with others. */
typedef struct PictographAnnotationsItem {
    const char *image_id;
    const char *json;    /* array */
    PictographStatus status; /* out */
    char reason[512];    /* out, "" when it worked */
} PictographAnnotationsItem;

/* Saves many lists, several requests at once on the calling thread. PICTOGRAPH_OK even when items failed; look at each. */
PICTOGRAPH_API PictographStatus pictograph_annotations_save_many(PictographClient *client, PictographAnnotationsItem *items, size_t count,
                                                                 PictographProgress progress, void *context, PictographError *error);

#ifdef __cplusplus
}
#endif
