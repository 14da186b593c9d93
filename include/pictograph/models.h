/* Models: what training runs leave behind. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

PICTOGRAPH_API PictographPager *pictograph_models_list(PictographClient *client, const PictographList *list, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_models_get(PictographClient *client, const char *model_id, PictographError *error);
/* The ONNX file, by way of output_path + ".part"; its MD5 is compared with the server's before the rename. The result is the server's note
 * on the file (file_size, md5, filename). */
PICTOGRAPH_API PictographResult *pictograph_models_download(PictographClient *client, const char *model_id, const char *output_path,
                                                            PictographProgress progress, void *context, PictographError *error);
/* Archives it; the weights stay. */
PICTOGRAPH_API PictographStatus pictograph_models_delete(PictographClient *client, const char *model_id, PictographError *error);

#ifdef __cplusplus
}
#endif
