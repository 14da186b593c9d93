/* Frame: what the models that operators bring share on the way in: opening a file of the manifest, and a picture as the manifest says that the model
 * sees it.
 */
#pragma once
#include "vision/manifest.h"
#include "vision/network.h"
#include "vision/picture.h"

/* Opens the file of a part. STATUS_MODEL_UNAVAILABLE names it. */
Status frame_open_part(const Manifest *manifest, ModelPart part, Runtime *runtime, const char *folder, int threads, Network **out, Error *err);
/* A network that looks at pictures has one input, 1 x 3 x height x width as the manifest says, and at least one output. */
Status frame_check(const Manifest *manifest, ModelPart part, const Network *network, Error *err);

/* The picture's part of the frame, at its top left. */
typedef struct FrameFit {
    int width, height;
} FrameFit;

FrameFit frame_fit(const Manifest *manifest, int full_width, int full_height);
/* Planes of red, green and blue, (value - mean) / std; what the picture does not fill is 0. Free the data. */
Tensor frame_fill(const Manifest *manifest, FrameFit fit, const Picture *picture);
