/* Images: one file of a dataset. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct PictographUpload {
    const char *folder_path;     /* virtual folder, "/" when NULL */
    const char *filename;        /* name at the server; NULL: the file's own */
    const char *idempotency_key; /* NULL: a fresh one */
    PictographProgress progress; /* bytes sent */
    void *context;
} PictographUpload;

/* Signed address, PUT, registration. PICTOGRAPH_VALIDATION without a request when the extension is no image's; PICTOGRAPH_CONFLICT
 * when the folder has that name already. The result is the image. options may be NULL. */
PICTOGRAPH_API PictographResult *pictograph_images_upload(PictographClient *client, const char *dataset_name, const char *path,
                                                          const PictographUpload *options, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_images_get(PictographClient *client, const char *image_id, PictographError *error);
/* Written to output_path + ".part", renamed at the end, removed on failure. progress may be NULL. */
PICTOGRAPH_API PictographStatus pictograph_images_download(PictographClient *client, const char *image_id, const char *output_path,
                                                           PictographProgress progress, void *context, PictographError *error);
/* Archives; removes for good when permanent. */
PICTOGRAPH_API PictographResult *pictograph_images_delete(PictographClient *client, const char *image_id, bool permanent,
                                                          PictographError *error);
/* Puts images into a stage (new, annotate, review, complete). The result says which did not work. */
PICTOGRAPH_API PictographResult *pictograph_images_set_stage(PictographClient *client, const char *dataset_name,
                                                             const char *const *image_ids, size_t count, const char *stage,
                                                             PictographError *error);
/* Whether the name ends like an image that the API takes (.jpg .jpeg .png .webp .bmp .tif .tiff .gif .heic .heif, any case). */
PICTOGRAPH_API bool pictograph_is_image_name(const char *filename);

#ifdef __cplusplus
}
#endif
