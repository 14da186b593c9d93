// The project's only C++: libtorch behind torch_shim.h. Exceptions end here and become the Torch's first failure.
// Keeps to what both libtorch 1.13 and 2.13 have.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <torch/version.h>

#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

extern "C" {
#include "train/depthwise.h"
#include "train/pool.h"
#include "train/product.h"
#include "train/torch_shim.h"
#include "train/winograd.h"
}

struct Tensor {
    at::Tensor value;
    Tensor *older, *newer; // the Torch's list
};

struct Torch {
    at::Device device{at::kCPU};
    Tensor *newest = nullptr;
    bool failed = false;
    std::string failure;
};

namespace {

// Gives libtorch, and oneDNN below it, the memory of pool.h.
struct PoolAllocator final : c10::Allocator {
    static c10::DataPtr take(size_t size)
    {
        void *memory = size ? pool_take(size) : nullptr;
        if (size && !memory)
            throw std::bad_alloc();
        return {memory, memory, &pool_give, c10::DeviceType::CPU};
    }
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
    c10::DataPtr allocate(size_t size) override { return take(size); }
    void copy_data(void *to, const void *from, size_t size) const override { default_copy_data(to, from, size); }
#else
    c10::DataPtr allocate(size_t size) const override { return take(size); }
#endif
    c10::DeleterFnPtr raw_deleter() const override { return &pool_give; }
};

void use_pool()
{
    static PoolAllocator allocator;
    c10::SetCPUAllocator(&allocator);
}

Tensor *keep(Torch *torch, at::Tensor value)
{
    Tensor *tensor = new Tensor{std::move(value), torch->newest, nullptr};
    if (torch->newest)
        torch->newest->newer = tensor;
    torch->newest = tensor;
    return tensor;
}

// Runs one operation below autograd; true when it went well.
template <typename Work> bool run(Torch *torch, Work &&work)
{
    if (torch->failed)
        return false;
    try {
        at::AutoDispatchBelowAutograd no_graph;
        work();
        return true;
    } catch (const c10::Error &e) {
        torch->failure = e.what_without_backtrace();
    } catch (const std::exception &e) {
        torch->failure = e.what();
    }
    torch->failed = true;
    return false;
}

// An operation with one result. Missing inputs are the trace of an earlier failure.
template <typename Work> Tensor *make(Torch *torch, Work &&work, std::initializer_list<const Tensor *> inputs)
{
    for (const Tensor *input : inputs) {
        if (!input)
            return nullptr;
    }
    Tensor *result = nullptr;
    run(torch, [&] { result = keep(torch, work()); });
    return result;
}

at::ScalarType scalar_type(TorchType type)
{
    return type == TORCH_BFLOAT16 ? at::kBFloat16 : type == TORCH_FLOAT64 ? at::kDouble : at::kFloat;
}

std::vector<int64_t> sizes_of(int rank, const int *shape)
{
    return std::vector<int64_t>(shape, shape + rank);
}

int64_t padding_of(const Tensor *weight)
{
    return (weight->value.size(2) - 1) / 2;
}

// Whether kernels of our own run. PICTOGRAPH_TRAIN_KERNELS=own or library says so against what suits the processor: for tests and comparisons.
bool own_kernels()
{
    static const bool chosen = [] {
        const char *wish = std::getenv("PICTOGRAPH_TRAIN_KERNELS");
        return std::string_view(wish ? wish : "") == "own" ? product_available() : product_preferred() && std::string_view(wish ? wish : "") != "library";
    }();
    return chosen && at::get_num_threads() == 1;
}

// A 1 x 1 convolution over N, H, W, C is a product of matrices, pixels by channels. For floats on a CPU the plain product beats torch's
// choice for convolutions, which for one thread unfolds the image first.
bool is_product(const at::Tensor &x, const at::Tensor &weight, int stride, int groups)
{
    return x.device().is_cpu() && x.scalar_type() == at::kFloat && weight.size(2) == 1 && weight.size(3) == 1 && stride == 1 && groups == 1;
}

at::Tensor as_matrix(const at::Tensor &map)
{
    return map.permute({0, 2, 3, 1}).reshape({-1, map.size(1)});
}

at::Tensor as_map(const at::Tensor &matrix, const at::Tensor &like)
{
    return matrix.view({like.size(0), like.size(2), like.size(3), matrix.size(1)}).permute({0, 3, 1, 2});
}

// Whether product.h's kernels take it: they run on one thread, on whole vectors of channels.
bool is_our_product(const at::Tensor &weight)
{
    return weight.size(0) % 8 == 0 && weight.size(1) % 8 == 0 && own_kernels();
}

// Whether depthwise.h's kernels take it. Maps from here are dense, or made so.
bool is_our_depthwise(const at::Tensor &x, const at::Tensor &weight, int64_t stride, int64_t groups)
{
    bool even = x.size(2) % stride == 0 && x.size(3) % stride == 0;
    return x.device().is_cpu() && x.scalar_type() == at::kFloat && weight.size(2) == 3 && weight.size(3) == 3 && groups == x.size(1) &&
           groups == weight.size(0) && groups % 8 == 0 && stride <= 2 && even && own_kernels();
}

DepthwiseShape depthwise_shape(const at::Tensor &x, int64_t stride)
{
    return {static_cast<int>(x.size(0)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)), static_cast<int>(x.size(1)),
            static_cast<int>(stride)};
}

at::Tensor empty_map(at::IntArrayRef sizes, const at::Tensor &like)
{
    return at::empty(sizes, like.options(), at::MemoryFormat::ChannelsLast);
}

at::Tensor depthwise_map(const at::Tensor &map, const at::Tensor &weight, int64_t stride)
{
    at::Tensor x = map.contiguous(at::MemoryFormat::ChannelsLast), y = empty_map({x.size(0), x.size(1), x.size(2) / stride, x.size(3) / stride}, x);
    depthwise_forward(y.data_ptr<float>(), x.data_ptr<float>(), weight.data_ptr<float>(), depthwise_shape(x, stride));
    return y;
}

// Whether product.h's and winograd.h's kernels of 3 x 3 convolutions take it. Not the twelve channels of the pictures.
bool is_our_square(const at::Tensor &x, const at::Tensor &weight, int64_t stride, int64_t groups)
{
    return x.device().is_cpu() && x.scalar_type() == at::kFloat && weight.size(2) == 3 && weight.size(3) == 3 && groups == 1 && stride <= 2 &&
           weight.size(0) % 8 == 0 && x.size(1) % 8 == 0 && x.size(2) % stride == 0 && x.size(3) % stride == 0 && own_kernels();
}

SquareShape square_shape(const at::Tensor &x, const at::Tensor &weight, int64_t stride)
{
    return {static_cast<int>(x.size(0)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)), static_cast<int>(x.size(1)),
            static_cast<int>(weight.size(0)), static_cast<int>(stride)};
}

at::Tensor square_map(const at::Tensor &map, const at::Tensor &weight)
{
    at::Tensor x = map.contiguous(at::MemoryFormat::ChannelsLast), y = empty_map({x.size(0), weight.size(0), x.size(2), x.size(3)}, x);
    winograd_forward(y.data_ptr<float>(), x.data_ptr<float>(), weight.data_ptr<float>(), square_shape(x, weight, 1));
    return y;
}

at::Tensor square_input(const at::Tensor &gradient, const at::Tensor &x, const at::Tensor &weight)
{
    at::Tensor result = empty_map(x.sizes(), x);
    winograd_by_input(result.data_ptr<float>(), gradient.data_ptr<float>(), weight.data_ptr<float>(), square_shape(x, weight, 1));
    return result;
}

at::Tensor square_weights(const at::Tensor &gradient, const at::Tensor &map, const at::Tensor &weight, int64_t stride)
{
    at::Tensor x = map.contiguous(at::MemoryFormat::ChannelsLast), result = at::empty(weight.sizes(), weight.options());
    SquareShape shape = square_shape(x, weight, stride);
    auto *by_weights = stride == 1 ? winograd_by_weights : square_by_weights;
    by_weights(result.data_ptr<float>(), gradient.data_ptr<float>(), x.data_ptr<float>(), shape);
    return result;
}

void depthwise_map_backward(at::Tensor *by_x, at::Tensor *by_weight, const at::Tensor &gradient, const at::Tensor &map, const at::Tensor &weight,
                            int64_t stride)
{
    at::Tensor x = map.contiguous(at::MemoryFormat::ChannelsLast);
    DepthwiseShape shape = depthwise_shape(x, stride);
    if (by_x) {
        *by_x = empty_map(x.sizes(), x);
        depthwise_by_input(by_x->data_ptr<float>(), gradient.data_ptr<float>(), weight.data_ptr<float>(), shape);
    }
    *by_weight = at::empty(weight.sizes(), weight.options());
    depthwise_by_weights(by_weight->data_ptr<float>(), gradient.data_ptr<float>(), x.data_ptr<float>(), shape);
}

ProductShape product_shape(const at::Tensor &matrix, const at::Tensor &weight)
{
    return {static_cast<size_t>(matrix.size(0)), static_cast<int>(weight.size(1)), static_cast<int>(weight.size(0))};
}

size_t row_stride(const at::Tensor &matrix)
{
    return static_cast<size_t>(matrix.stride(0));
}

at::Tensor product_map(const at::Tensor &x, const at::Tensor &weight)
{
    at::Tensor matrix = as_matrix(x), y = at::empty({matrix.size(0), weight.size(0)}, matrix.options());
    product_forward(y.data_ptr<float>(), row_stride(y), matrix.data_ptr<float>(), row_stride(matrix), weight.data_ptr<float>(),
                    product_shape(matrix, weight));
    return as_map(y, x);
}

void product_map_backward(at::Tensor *by_x, at::Tensor *by_weight, const at::Tensor &gradient, const at::Tensor &x, const at::Tensor &weight)
{
    at::Tensor matrix = as_matrix(gradient), x_matrix = as_matrix(x);
    ProductShape shape = product_shape(matrix, weight);
    if (by_x) {
        at::Tensor result = at::empty({matrix.size(0), weight.size(1)}, matrix.options());
        product_by_input(result.data_ptr<float>(), row_stride(result), matrix.data_ptr<float>(), row_stride(matrix), weight.data_ptr<float>(), shape);
        *by_x = as_map(result, x);
    }
    *by_weight = at::empty(weight.sizes(), weight.options());
    product_by_weights(by_weight->data_ptr<float>(), matrix.data_ptr<float>(), row_stride(matrix), x_matrix.data_ptr<float>(), row_stride(x_matrix),
                       shape);
}

at::Tensor convolve(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, int64_t stride, int64_t padding, int64_t groups)
{
    if (!bias.defined() && is_our_depthwise(x, weight, stride, groups))
        return depthwise_map(x, weight, stride);
    if (!bias.defined() && stride == 1 && is_our_square(x, weight, stride, groups))
        return square_map(x, weight);
    if (!is_product(x, weight, static_cast<int>(stride), static_cast<int>(groups)))
        return at::conv2d(x, weight, bias, {stride, stride}, {padding, padding}, {1, 1}, groups).contiguous(at::MemoryFormat::ChannelsLast);
    if (!bias.defined() && is_our_product(weight))
        return product_map(x, weight);
    at::Tensor transposed = weight.view({weight.size(0), weight.size(1)}).t(), matrix = as_matrix(x);
    return as_map(bias.defined() ? at::addmm(bias, matrix, transposed) : at::mm(matrix, transposed), x);
}

} // namespace

const char *torch_library_version(void)
{
    return TORCH_VERSION;
}

bool torch_has_cuda(void)
{
    return at::hasCUDA();
}

void torch_threads(int count)
{
    at::set_num_threads(count);
}

Torch *torch_new(bool cuda)
{
    static std::once_flag once;
    std::call_once(once, use_pool);
    Torch *torch = new Torch;
    if (cuda)
        torch->device = at::Device(at::kCUDA, 0);
    return torch;
}

void torch_free(Torch *torch)
{
    if (!torch)
        return;
    torch_clear(torch, nullptr);
    delete torch;
}

Tensor *torch_mark(const Torch *torch)
{
    return torch->newest;
}

void torch_clear(Torch *torch, const Tensor *mark)
{
    while (torch->newest && torch->newest != mark)
        tensor_release(torch, torch->newest);
}

Status torch_status(Torch *torch, Error *err)
{
    if (!torch->failed)
        return STATUS_OK;
    torch->failed = false;
    bool memory = torch->failure.find("out of memory") != std::string::npos || torch->failure.find("alloc") != std::string::npos;
    return error_set(err, memory ? STATUS_OUT_OF_MEMORY : STATUS_INTERNAL_ERROR, "libtorch: %s", torch->failure.c_str());
}

Tensor *tensor_empty(Torch *torch, TorchType type, int rank, const int *shape)
{
    return make(torch, [&] {
        auto options = at::TensorOptions().dtype(scalar_type(type)).device(torch->device);
        return at::empty(sizes_of(rank, shape), options, rank == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
    }, {});
}

Tensor *tensor_borrow(Torch *torch, float *memory, int rank, const int *shape)
{
    return make(torch, [&] { return at::from_blob(memory, sizes_of(rank, shape), at::TensorOptions().dtype(at::kFloat)); }, {});
}

Tensor *tensor_borrow_map(Torch *torch, float *memory, const int shape[4], size_t image_stride, size_t pixel_stride)
{
    return make(torch, [&] {
        int64_t image = static_cast<int64_t>(image_stride), pixel = static_cast<int64_t>(pixel_stride);
        std::vector<int64_t> strides{image, 1, pixel * shape[3], pixel};
        return at::from_blob(memory, sizes_of(4, shape), strides, at::TensorOptions().dtype(at::kFloat));
    }, {});
}

Tensor *tensor_view(Torch *torch, const Tensor *flat, size_t offset, int rank, const int *shape)
{
    return make(torch, [&] {
        std::vector<int64_t> sizes = sizes_of(rank, shape);
        int64_t count = 1;
        for (int64_t size : sizes)
            count *= size;
        return flat->value.narrow(0, static_cast<int64_t>(offset), count).view(sizes);
    }, {flat});
}

Tensor *tensor_view_map(Torch *torch, const Tensor *flat, size_t offset, const int shape[4])
{
    return make(torch, [&] {
        int64_t n = shape[0], c = shape[1], h = shape[2], w = shape[3];
        return flat->value.narrow(0, static_cast<int64_t>(offset), n * c * h * w).view({n, h, w, c}).permute({0, 3, 1, 2});
    }, {flat});
}

void tensor_copy(Torch *torch, Tensor *to, const Tensor *from)
{
    if (to && from)
        run(torch, [&] { to->value.copy_(from->value); });
}

Tensor *tensor_cast(Torch *torch, const Tensor *tensor, TorchType type)
{
    return make(torch, [&] { return tensor->value.to(torch->device, scalar_type(type)); }, {tensor});
}

Tensor *tensor_dense(Torch *torch, const Tensor *tensor)
{
    return make(torch, [&] { return tensor->value.contiguous(at::MemoryFormat::ChannelsLast); }, {tensor});
}

void tensor_release(Torch *torch, Tensor *tensor)
{
    if (!tensor)
        return;
    (tensor->newer ? tensor->newer->older : torch->newest) = tensor->older;
    if (tensor->older)
        tensor->older->newer = tensor->newer;
    delete tensor;
}

void *tensor_data(const Tensor *tensor)
{
    return tensor && tensor->value.device().is_cpu() ? tensor->value.data_ptr() : nullptr;
}

TorchType tensor_type(const Tensor *tensor)
{
    at::ScalarType type = tensor->value.scalar_type();
    return type == at::kBFloat16 ? TORCH_BFLOAT16 : type == at::kDouble ? TORCH_FLOAT64 : TORCH_FLOAT32;
}

int tensor_size(const Tensor *tensor, int dimension)
{
    return static_cast<int>(tensor->value.size(dimension));
}

size_t tensor_pixel_stride(const Tensor *tensor)
{
    const at::Tensor &t = tensor->value;
    if (t.dim() != 4 || (t.size(1) > 1 && t.stride(1) != 1))
        return 0;
    // Strides of dimensions of size 1 mean nothing: the narrowest one that counts is the distance of pixels.
    int64_t height = t.size(2), width = t.size(3);
    int64_t pixel = width > 1 ? t.stride(3) : height > 1 ? t.stride(2) : t.size(0) > 1 ? t.stride(0) : t.size(1);
    bool even = (height == 1 || width == 1 || t.stride(2) == pixel * width) && (t.size(0) == 1 || t.stride(0) == pixel * width * height);
    return even && pixel >= t.size(1) ? static_cast<size_t>(pixel) : 0;
}

Tensor *tensor_conv(Torch *torch, const Tensor *x, const Tensor *weight, const Tensor *bias, int stride, int groups)
{
    return make(torch, [&] {
        return convolve(x->value, weight->value, bias ? bias->value : at::Tensor(), stride, padding_of(weight), groups);
    }, {x, weight});
}

void tensor_conv_backward(Torch *torch, Tensor **x_gradient, Tensor **weight_gradient, Tensor **bias_gradient, const Tensor *gradient,
                          const Tensor *x, const Tensor *weight, int stride, int groups)
{
    if (!gradient || !x || !weight)
        return;
    run(torch, [&] {
        int64_t padding = padding_of(weight), s = stride;
        at::Tensor dense = gradient->value.contiguous(at::MemoryFormat::ChannelsLast), w = weight->value, by_x, by_weight, by_bias;
        bool product = is_product(x->value, w, stride, groups);
        if (!bias_gradient && is_our_depthwise(x->value, w, s, groups)) {
            depthwise_map_backward(x_gradient ? &by_x : nullptr, &by_weight, dense, x->value, w, s);
        } else if (product && !bias_gradient && is_our_product(w)) {
            product_map_backward(x_gradient ? &by_x : nullptr, &by_weight, dense, x->value, w);
        } else if (product) {
            at::Tensor matrix = as_matrix(dense);
            if (x_gradient)
                by_x = as_map(at::mm(matrix, w.view({w.size(0), w.size(1)})), x->value);
            by_weight = at::mm(matrix.t(), as_matrix(x->value)).view(w.sizes());
            if (bias_gradient)
                by_bias = matrix.sum(0);
        } else {
            bool square = !bias_gradient && is_our_square(x->value, w, s, groups), winograd = square && s == 1;
            std::vector<int64_t> bias_size{w.size(0)};
            if (!square || (x_gradient && !winograd))
                std::tie(by_x, by_weight, by_bias) =
                    at::convolution_backward(dense, x->value, w, at::IntArrayRef(bias_size), {s, s}, {padding, padding}, {1, 1}, false,
                                             {0, 0}, groups,
                                             {x_gradient != nullptr, !square, bias_gradient != nullptr});
            if (x_gradient && winograd)
                by_x = square_input(dense, x->value, w);
            if (square)
                by_weight = square_weights(dense, x->value, w, s);
        }
        *weight_gradient = keep(torch, by_weight);
        if (x_gradient)
            *x_gradient = keep(torch, by_x.contiguous(at::MemoryFormat::ChannelsLast));
        if (bias_gradient)
            *bias_gradient = keep(torch, by_bias);
    });
}

Tensor *tensor_norm_silu(Torch *torch, Tensor **normal, Tensor **mean, Tensor **inverse, const Tensor *x, const Tensor *scale,
                         const Tensor *shift, double epsilon)
{
    if (!x || !scale || !shift)
        return nullptr;
    Tensor *result = nullptr;
    run(torch, [&] {
        auto out = at::native_batch_norm(x->value, scale->value, shift->value, {}, {}, true, 0, epsilon);
        *normal = keep(torch, std::get<0>(out));
        *mean = keep(torch, std::get<1>(out));
        *inverse = keep(torch, std::get<2>(out));
        result = keep(torch, at::silu(std::get<0>(out)));
    });
    return result;
}

Tensor *tensor_norm_silu_fixed(Torch *torch, const Tensor *x, const Tensor *scale, const Tensor *shift, const Tensor *mean,
                               const Tensor *variance, double epsilon)
{
    return make(torch, [&] {
        at::Tensor factor = scale->value / (variance->value + epsilon).sqrt(), rest = shift->value - mean->value * factor;
        at::Tensor normal = x->value.to(at::kFloat) * factor.view({1, -1, 1, 1}) + rest.view({1, -1, 1, 1});
        return at::silu(normal).to(x->value.scalar_type());
    }, {x, scale, shift, mean, variance});
}

void tensor_norm_silu_backward(Torch *torch, Tensor **x_gradient, Tensor **scale_gradient, Tensor **shift_gradient,
                               const Tensor *gradient, const Tensor *normal, const Tensor *x, const Tensor *scale, const Tensor *mean,
                               const Tensor *inverse, double epsilon)
{
    if (!gradient || !normal || !x || !scale || !mean || !inverse)
        return;
    run(torch, [&] {
        at::Tensor inner = at::silu_backward(gradient->value.contiguous(at::MemoryFormat::ChannelsLast), normal->value);
        auto out = at::native_batch_norm_backward(inner, x->value, scale->value, {}, {}, mean->value, inverse->value, true, epsilon,
                                                  {true, true, true});
        *x_gradient = keep(torch, std::get<0>(out));
        *scale_gradient = keep(torch, std::get<1>(out));
        *shift_gradient = keep(torch, std::get<2>(out));
    });
}

Tensor *tensor_add(Torch *torch, const Tensor *a, const Tensor *b)
{
    return make(torch, [&] { return at::add(a->value, b->value); }, {a, b});
}

Tensor *tensor_concat(Torch *torch, Tensor *const *parts, int count)
{
    std::vector<at::Tensor> values;
    for (int i = 0; i < count; i++) {
        if (!parts[i])
            return nullptr;
        values.push_back(parts[i]->value);
    }
    return make(torch, [&] { return at::cat(values, 1); }, {});
}

Tensor *tensor_channels(Torch *torch, const Tensor *x, int first, int count)
{
    return make(torch, [&] { return x->value.narrow(1, first, count); }, {x});
}

Tensor *tensor_upsample(Torch *torch, const Tensor *x)
{
    return make(torch, [&] {
        std::vector<int64_t> size{2 * x->value.size(2), 2 * x->value.size(3)};
        return at::upsample_nearest2d(x->value, at::IntArrayRef(size));
    }, {x});
}

Tensor *tensor_upsample_backward(Torch *torch, const Tensor *gradient)
{
    return make(torch, [&] {
        const at::Tensor dense = gradient->value.contiguous(at::MemoryFormat::ChannelsLast);
        int64_t height = dense.size(2), width = dense.size(3);
        std::vector<int64_t> from{height, width}, to{dense.size(0), dense.size(1), height / 2, width / 2};
        return at::upsample_nearest2d_backward(dense, at::IntArrayRef(from), at::IntArrayRef(to));
    }, {gradient});
}

Tensor *tensor_maxpool(Torch *torch, Tensor **indices, const Tensor *x, int kernel)
{
    if (!x)
        return nullptr;
    Tensor *result = nullptr;
    run(torch, [&] {
        int64_t k = kernel, padding = kernel / 2;
        auto out = at::max_pool2d_with_indices(x->value, {k, k}, {1, 1}, {padding, padding});
        result = keep(torch, std::get<0>(out));
        *indices = keep(torch, std::get<1>(out));
    });
    return result;
}

Tensor *tensor_maxpool_backward(Torch *torch, const Tensor *gradient, const Tensor *x, const Tensor *indices, int kernel)
{
    return make(torch, [&] {
        int64_t k = kernel, padding = kernel / 2;
        return at::max_pool2d_with_indices_backward(gradient->value.contiguous(at::MemoryFormat::ChannelsLast), x->value, {k, k}, {1, 1},
                                                    {padding, padding}, {1, 1}, false, indices->value);
    }, {gradient, x, indices});
}
