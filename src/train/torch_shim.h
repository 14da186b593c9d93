/* libtorch as a small C interface: tensors and the dozen operations that a convolutional network needs, forward and backward.
 * No autograd: who walks the network also walks it back (model.c), which saves the graph and frees each activation at its last use.
 *
 * A Torch is one thread's set of tensors and its first failure. Operations never fail loudly: after a failure they return NULL and do
 * nothing, NULL inputs give NULL, and torch_status() tells what went wrong, once, at the end of a pass. Every tensor belongs to its
 * Torch: release it at its last use, or let torch_clear()/torch_free() take all that are left.
 *
 * Tensors of rank 4 are [N, C, H, W] in memory order N, H, W, C (what torch calls channels_last), except those borrowed or viewed,
 * which are row-major. Works with libtorch 1.13 to 2.13 (torch_shim.cpp is the only C++ of the project).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum TorchType { TORCH_FLOAT32, TORCH_BFLOAT16, TORCH_FLOAT64 } TorchType;
typedef struct Torch Torch;
typedef struct Tensor Tensor;

/* Process-wide. torch_threads sets how many threads one operation may use, for threads that start later too. */
const char *torch_library_version(void);
bool torch_has_cuda(void);
void torch_threads(int count);

Torch *torch_new(bool cuda);
void torch_free(Torch *torch); /* NULL is fine */
/* Releases all tensors made since the mark; torch_mark() is taken before. A mark of NULL releases all. */
Tensor *torch_mark(const Torch *torch);
void torch_clear(Torch *torch, const Tensor *mark);
/* The first failure since the last call, which is then forgotten. */
Status torch_status(Torch *torch, Error *err);

/* Uninitialised. */
Tensor *tensor_empty(Torch *torch, TorchType type, int rank, const int *shape);
/* Host memory as a float tensor, in place, row-major; it must outlive the tensor. Always on the CPU. */
Tensor *tensor_borrow(Torch *torch, float *memory, int rank, const int *shape);
/* Host memory as a map [N, C, H, W], in place: channels lie together, pixels pixel_stride and images image_stride floats apart. */
Tensor *tensor_borrow_map(Torch *torch, float *memory, const int shape[4], size_t image_stride, size_t pixel_stride);
/* Part of a tensor of rank 1, in place, row-major. */
Tensor *tensor_view(Torch *torch, const Tensor *flat, size_t offset, int rank, const int *shape);
/* Likewise one of rank 4, in memory order N, H, W, C. */
Tensor *tensor_view_map(Torch *torch, const Tensor *flat, size_t offset, const int shape[4]);
/* Copies values across types, devices and memory orders; the shapes are equal. */
void tensor_copy(Torch *torch, Tensor *to, const Tensor *from);
/* The values as that type on the Torch's device; the same storage when nothing is to be converted. */
Tensor *tensor_cast(Torch *torch, const Tensor *tensor, TorchType type);
/* In memory order N, H, W, C without gaps; the same storage when it already is. */
Tensor *tensor_dense(Torch *torch, const Tensor *tensor);
void tensor_release(Torch *torch, Tensor *tensor); /* NULL is fine */
/* First value in host memory, NULL on a GPU or for NULL. */
void *tensor_data(const Tensor *tensor);
TorchType tensor_type(const Tensor *tensor);
/* Size of a dimension. */
int tensor_size(const Tensor *tensor, int dimension);
/* For a tensor of rank 4: elements from one pixel to the next in memory, if its pixels are evenly spaced rows of channels; else 0. */
size_t tensor_pixel_stride(const Tensor *tensor);

/* bias may be NULL; padding is (kernel - 1) / 2. */
Tensor *tensor_conv(Torch *torch, const Tensor *x, const Tensor *weight, const Tensor *bias, int stride, int groups);
/* Gradients of a convolution; x_gradient and bias_gradient may be NULL: not wanted. */
void tensor_conv_backward(Torch *torch, Tensor **x_gradient, Tensor **weight_gradient, Tensor **bias_gradient, const Tensor *gradient,
                          const Tensor *x, const Tensor *weight, int stride, int groups);

/* Batch normalisation and SiLU by torch's own kernels, for GPUs (norm_silu.h is what CPUs run). normal is the value before SiLU,
 * inverse is 1 / sqrt(variance + epsilon), both for the way back. */
Tensor *tensor_norm_silu(Torch *torch, Tensor **normal, Tensor **mean, Tensor **inverse, const Tensor *x, const Tensor *scale,
                         const Tensor *shift, double epsilon);
/* With given statistics. */
Tensor *tensor_norm_silu_fixed(Torch *torch, const Tensor *x, const Tensor *scale, const Tensor *shift, const Tensor *mean,
                               const Tensor *variance, double epsilon);
void tensor_norm_silu_backward(Torch *torch, Tensor **x_gradient, Tensor **scale_gradient, Tensor **shift_gradient,
                               const Tensor *gradient, const Tensor *normal, const Tensor *x, const Tensor *scale, const Tensor *mean,
                               const Tensor *inverse, double epsilon);

Tensor *tensor_add(Torch *torch, const Tensor *a, const Tensor *b);
Tensor *tensor_concat(Torch *torch, Tensor *const *parts, int count); /* along the channels */
/* count channels from first on, in place. */
Tensor *tensor_channels(Torch *torch, const Tensor *x, int first, int count);
Tensor *tensor_upsample(Torch *torch, const Tensor *x); /* twice the size, nearest neighbour */
Tensor *tensor_upsample_backward(Torch *torch, const Tensor *gradient);
/* Stride 1, same size. indices are for the way back. */
Tensor *tensor_maxpool(Torch *torch, Tensor **indices, const Tensor *x, int kernel);
Tensor *tensor_maxpool_backward(Torch *torch, const Tensor *gradient, const Tensor *x, const Tensor *indices, int kernel);

#ifdef __cplusplus
}
#endif
