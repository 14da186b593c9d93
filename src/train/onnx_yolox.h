/* Export of a trained YOLOX network as one ONNX file that decodes its own output. Layout and metadata: onnx_metadata.h.
 *
 * Batch normalisation is folded into the convolution before it, and the rearranged pixels of the stem (the paper's Focus) with its
 * 3 × 3 convolution become one 6 × 6 convolution of stride 2: the same sums, in another order.
 */
#pragma once
#include "base/error.h"
#include "train/yolox.h"

/* Writes the network with weights (net->size floats) for inputs of height × width (multiples of 32). class_names has net->class_count
 * entries. STATUS_VALIDATION_ERROR for a size that does not fit or weights that are not finite, naming the tensor. */
Status onnx_yolox_write(const char *path, const Yolox *net, const float *weights, int height, int width, const char *const *class_names,
                        Error *err);
