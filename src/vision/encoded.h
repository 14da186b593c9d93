/* Encoded: what the image encoder of an operator's model says of a picture. It is run once an image; decoders ask it by the names of its outputs. */
#pragma once
#include "vision/frame.h"

enum { ENCODED_MASK_SIDE = 2048 }; /* longest, of masks that become polygons; of larger pictures a pixel of it is more than one of the file */

typedef struct EncodedImage {
    Tensor features[NETWORK_ENDS_MAX];
    int feature_count;
    size_t bytes;
    int full_width, full_height; /* of the picture */
    FrameFit fit;                /* its part of the model's frame */
} EncodedImage;

Status encoded_new(Network *encoder, const Manifest *manifest, const Picture *picture, EncodedImage **out, Error *err);
void encoded_free(EncodedImage *image);

/* The encoder's output that an input of a decoder asks for: the one of its name. -1: there is none of that name and shape. */
int encoded_feature(const Network *encoder, const TensorSpec *input);
/* An output goes into an input as it came out. */
bool encoded_fits(const Network *encoder, int feature, const TensorSpec *input);

/* The size that masks of the picture get. */
void encoded_mask_size(const EncodedImage *image, int *width, int *height);
/* Linear interpolation between pixel centres, as torch's interpolate without align_corners: the columns 0 .. width - 1 of `from` become to_width, and
 * rows likewise; stride is from row to row. */
float *encoded_interpolate(Arena *arena, const float *from, int stride, int width, int height, int to_width, int to_height);
