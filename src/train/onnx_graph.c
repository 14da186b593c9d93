/* Graph builder over protobuf-c's structs. Every list grows by doubling inside one arena; nothing is freed singly. */
#include "train/onnx_graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "onnx.pb-c.h"

#include "base/banned.h"

#define MODEL_MAXIMUM ((size_t)INT32_MAX)

struct OnnxGraph {
    Arena arena;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
};

/* Appends to one of protobuf-c's pairs of count and array. Arrays are full at every power of two. */
static void append(Arena *arena, size_t *count, void ***items, void *item) {
    if ((*count & (*count - 1)) == 0) {
        void **larger = arena_array(arena, *count ? 2 * *count : 1, sizeof *larger);
        if (*count) memcpy(larger, *items, *count * sizeof *larger);
        *items = larger;
    }
    (*items)[(*count)++] = item;
}
#define APPEND(graph, owner, list, item) append(&(graph)->arena, &(owner)->n_##list, (void ***)&(owner)->list, (item))

/* new_x(graph): a message of type x in the arena. */
#define DEFINE_NEW(Type, name)                                          \
    static Type *new_##name(OnnxGraph *graph)                           \
    {                                                                   \
        Type *message = arena_new(&graph->arena, Type);                 \
        onnx__##name##__init(message);                                  \
        return message;                                                 \
    }
DEFINE_NEW(Onnx__OperatorSetIdProto, operator_set_id_proto)
DEFINE_NEW(Onnx__StringStringEntryProto, string_string_entry_proto)
DEFINE_NEW(Onnx__TensorProto, tensor_proto)
DEFINE_NEW(Onnx__ValueInfoProto, value_info_proto)
DEFINE_NEW(Onnx__TypeProto, type_proto)
DEFINE_NEW(Onnx__TypeProto__Tensor, type_proto__tensor)
DEFINE_NEW(Onnx__TensorShapeProto, tensor_shape_proto)
DEFINE_NEW(Onnx__TensorShapeProto__Dimension, tensor_shape_proto__dimension)
DEFINE_NEW(Onnx__NodeProto, node_proto)
DEFINE_NEW(Onnx__AttributeProto, attribute_proto)

OnnxGraph *onnx_graph_new(const char *name) {
    OnnxGraph *graph = xcalloc(1, sizeof *graph);
    arena_init(&graph->arena, SIZE_MAX);
    onnx__model_proto__init(&graph->model);
    onnx__graph_proto__init(&graph->graph);
    graph->graph.name = arena_strdup(&graph->arena, name);
    graph->model.graph = &graph->graph;
    graph->model.has_ir_version = true;
    graph->model.ir_version = ONNX_IR_VERSION;
    graph->model.producer_name = arena_strdup(&graph->arena, "pictograph");
    graph->model.producer_version = arena_strdup(&graph->arena, PICTOGRAPH_VERSION);
    Onnx__OperatorSetIdProto *opset = new_operator_set_id_proto(graph);
    opset->domain = arena_strdup(&graph->arena, "");
    opset->has_version = true;
    opset->version = ONNX_OPSET;
    APPEND(graph, &graph->model, opset_import, opset);
    return graph;
}

void onnx_graph_free(OnnxGraph *graph) {
    if (!graph) return;
    arena_clear(&graph->arena);
    free(graph);
}

const char *onnx_graph_text(OnnxGraph *graph, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(&graph->arena, format, args);
    va_end(args);
    return text;
}

void onnx_graph_metadata(OnnxGraph *graph, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = new_string_string_entry_proto(graph);
    entry->key = arena_strdup(&graph->arena, key);
    entry->value = arena_strdup(&graph->arena, value);
    APPEND(graph, &graph->model, metadata_props, entry);
}

/* ---- values ---- */

static Onnx__TensorShapeProto *shape_new(OnnxGraph *graph, const int64_t *shape, size_t rank) {
    Onnx__TensorShapeProto *out = new_tensor_shape_proto(graph);
    for (size_t i = 0; i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *dimension = new_tensor_shape_proto__dimension(graph);
        if (shape[i] == ONNX_DYNAMIC) {
            dimension->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dimension->dim_param = arena_strdup(&graph->arena, "batch");
        } else {
            dimension->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dimension->dim_value = shape[i];
        }
        APPEND(graph, out, dim, dimension);
    }
    return out;
}

static Onnx__ValueInfoProto *value_new(OnnxGraph *graph, const char *name, OnnxType type, const int64_t *shape, size_t rank) {
    Onnx__ValueInfoProto *value = new_value_info_proto(graph);
    value->name = arena_strdup(&graph->arena, name);
    value->type = new_type_proto(graph);
    value->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    value->type->tensor_type = new_type_proto__tensor(graph);
    value->type->tensor_type->has_elem_type = true;
    value->type->tensor_type->elem_type = type;
    value->type->tensor_type->shape = shape_new(graph, shape, rank);
    return value;
}

void onnx_graph_input(OnnxGraph *graph, const char *name, OnnxType type, const int64_t *shape, size_t rank) {
    APPEND(graph, &graph->graph, input, value_new(graph, name, type, shape, rank));
}

void onnx_graph_output(OnnxGraph *graph, const char *name, OnnxType type, const int64_t *shape, size_t rank) {
    APPEND(graph, &graph->graph, output, value_new(graph, name, type, shape, rank));
}

/* The numbers go in as raw bytes, which ONNX defines as little-endian. */
static void add_constant(OnnxGraph *graph, const char *name, OnnxType type, const void *data, size_t element, const int64_t *shape,
                         size_t rank) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw tensor data is little-endian");
    Onnx__TensorProto *tensor = new_tensor_proto(graph);
    tensor->name = arena_strdup(&graph->arena, name);
    tensor->has_data_type = true;
    tensor->data_type = (int32_t)type;
    tensor->n_dims = rank;
    tensor->dims = arena_new_array(&graph->arena, int64_t, rank);
    size_t size = element;
    for (size_t i = 0; i < rank; i++) {
        tensor->dims[i] = shape[i];
        size *= (size_t)shape[i];
    }
    tensor->has_raw_data = true;
    tensor->raw_data.len = size;
    tensor->raw_data.data = arena_alloc(&graph->arena, size);
    memcpy(tensor->raw_data.data, data, size);
    APPEND(graph, &graph->graph, initializer, tensor);
}

void onnx_graph_floats(OnnxGraph *graph, const char *name, const float *data, const int64_t *shape, size_t rank) {
    add_constant(graph, name, ONNX_FLOAT, data, sizeof *data, shape, rank);
}

void onnx_graph_ints(OnnxGraph *graph, const char *name, const int64_t *data, const int64_t *shape, size_t rank) {
    add_constant(graph, name, ONNX_INT64, data, sizeof *data, shape, rank);
}

/* ---- nodes ---- */

OnnxNode *onnx_graph_node(OnnxGraph *graph, const char *op, const char *name, const char *const *inputs, size_t input_count) {
    OnnxNode *node = new_node_proto(graph);
    node->op_type = arena_strdup(&graph->arena, op);
    node->name = arena_strdup(&graph->arena, name);
    for (size_t i = 0; i < input_count; i++) APPEND(graph, node, input, arena_strdup(&graph->arena, inputs[i]));
    onnx_node_output(graph, node, name);
    APPEND(graph, &graph->graph, node, node);
    return node;
}

void onnx_node_output(OnnxGraph *graph, OnnxNode *node, const char *name) {
    APPEND(graph, node, output, arena_strdup(&graph->arena, name));
}

static Onnx__AttributeProto *add_attribute(OnnxGraph *graph, OnnxNode *node, const char *name, Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *attribute = new_attribute_proto(graph);
    attribute->name = arena_strdup(&graph->arena, name);
    attribute->has_type = true;
    attribute->type = type;
    APPEND(graph, node, attribute, attribute);
    return attribute;
}

void onnx_node_int(OnnxGraph *graph, OnnxNode *node, const char *name, int64_t value) {
    Onnx__AttributeProto *attribute = add_attribute(graph, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    attribute->has_i = true;
    attribute->i = value;
}

void onnx_node_ints(OnnxGraph *graph, OnnxNode *node, const char *name, const int64_t *values, size_t count) {
    Onnx__AttributeProto *attribute = add_attribute(graph, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    attribute->n_ints = count;
    attribute->ints = arena_new_array(&graph->arena, int64_t, count);
    memcpy(attribute->ints, values, count * sizeof *values);
}

void onnx_node_string(OnnxGraph *graph, OnnxNode *node, const char *name, const char *value) {
    Onnx__AttributeProto *attribute = add_attribute(graph, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    attribute->has_s = true;
    attribute->s.len = strlen(value);
    attribute->s.data = (uint8_t *)arena_strdup(&graph->arena, value);
}

/* ---- the file ---- */

Status onnx_graph_write(OnnxGraph *graph, const char *path, Error *err) {
    size_t size = onnx__model_proto__get_packed_size(&graph->model);
    if (size > MODEL_MAXIMUM) return error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s: a model of %zu bytes is too large for one ONNX file", path, size);
    uint8_t *bytes = xmalloc(size);
    onnx__model_proto__pack(&graph->model, bytes);
    Status status = file_write_atomic(path, bytes, size, 0644, err);
    free(bytes);
    return status;
}
