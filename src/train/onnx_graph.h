/* Graph builder: puts an ONNX model together node by node and writes it to a file.
 *
 * The wire format is protobuf, by the code that protoc-c generates from onnx.proto during the build. Names and numbers are copied into
 * the graph's arena, so arguments may be temporary. Values are named by the node that makes them: a node's output has the node's name.
 *
 *     OnnxGraph *g = onnx_graph_new("demo");
 *     onnx_graph_input(g, "x", ONNX_FLOAT, (int64_t[]){ONNX_DYNAMIC, 3}, 2);
 *     OnnxNode *n = onnx_graph_node(g, "Softmax", "y", (const char *[]){"x"}, 1);
 *     onnx_node_int(g, n, "axis", 1);
 *     onnx_graph_output(g, "y", ONNX_FLOAT, (int64_t[]){ONNX_DYNAMIC, 3}, 2);
 *     status = onnx_graph_write(g, "demo.onnx", &err);
 *     onnx_graph_free(g);
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Operator set and file format that the graphs declare: those of ONNX 1.12, read by every runtime since 2022. */
enum { ONNX_OPSET = 17, ONNX_IR_VERSION = 8 };
/* A dimension that is known only at run time; it is named "batch". */
enum { ONNX_DYNAMIC = -1 };
/* Element types, by their numbers in ONNX. */
typedef enum OnnxType { ONNX_FLOAT = 1, ONNX_INT64 = 7 } OnnxType;

typedef struct OnnxGraph OnnxGraph;
typedef struct Onnx__NodeProto OnnxNode;

OnnxGraph *onnx_graph_new(const char *name);
void onnx_graph_free(OnnxGraph *graph);

void onnx_graph_input(OnnxGraph *graph, const char *name, OnnxType type, const int64_t *shape, size_t rank);
void onnx_graph_output(OnnxGraph *graph, const char *name, OnnxType type, const int64_t *shape, size_t rank);
void onnx_graph_metadata(OnnxGraph *graph, const char *key, const char *value);

/* Constants. The product of shape numbers are copied. */
void onnx_graph_floats(OnnxGraph *graph, const char *name, const float *data, const int64_t *shape, size_t rank);
void onnx_graph_ints(OnnxGraph *graph, const char *name, const int64_t *data, const int64_t *shape, size_t rank);

/* A node with one output, which is called name. An input "" is left out. The node is borrowed, for its attributes. */
OnnxNode *onnx_graph_node(OnnxGraph *graph, const char *op, const char *name, const char *const *inputs, size_t input_count);
void onnx_node_int(OnnxGraph *graph, OnnxNode *node, const char *name, int64_t value);
void onnx_node_ints(OnnxGraph *graph, OnnxNode *node, const char *name, const int64_t *values, size_t count);
void onnx_node_string(OnnxGraph *graph, OnnxNode *node, const char *name, const char *value);
/* Further outputs, for operators with several. */
void onnx_node_output(OnnxGraph *graph, OnnxNode *node, const char *name);

/* Text that lives as long as the graph, for names that are put together. */
const char *onnx_graph_text(OnnxGraph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes the model so that it is there whole or not at all. STATUS_PAYLOAD_TOO_LARGE past protobuf's two gigabytes. */
Status onnx_graph_write(OnnxGraph *graph, const char *path, Error *err);
