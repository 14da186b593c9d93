/* Names of the metadata_props that pictograph-train writes into its ONNX files and that pictograph-vision reads.
 *
 * A detector of layout "yolox-decoded":
 *   input  "images" float32 [batch, 3, height, width]: channel order BGR, values 0 to 255, no further normalisation. The picture is scaled
 *          by r = min(width / w, height / h), antialiased linear interpolation, put at the top-left corner, the rest filled with 114.
 *   output "output" float32 [batch, anchors, 5 + classes]: cx, cy, w, h in pixels of the input (divide by r for pixels of the
 *          picture), objectness, then one probability a class; both after the sigmoid. The score of a class is objectness times
 *          probability. No suppression of overlapping boxes took place: that is the reader's part.
 * The batch axis is dynamic, the others are fixed.
 */
#pragma once

#define ONNX_META_ARCHITECTURE "architecture"           /* "yolox_nano", "yolox_tiny", "yolox_s" … */
#define ONNX_META_CLASS_NAMES "class_names"             /* JSON array of strings, in the order of the output's columns */
#define ONNX_META_IMAGE_SIZE "image_size"               /* JSON array [height, width] */
#define ONNX_META_CHANNEL_ORDER "channel_order"         /* "BGR" */
#define ONNX_META_PIXEL_RANGE "pixel_range"             /* JSON array [0, 255] */
#define ONNX_META_LETTERBOX_VALUE "letterbox_value"     /* "114" */
#define ONNX_META_LETTERBOX_ANCHOR "letterbox_anchor"   /* "top-left" */
#define ONNX_META_OUTPUT_LAYOUT "output_layout"         /* one of ONNX_LAYOUT_… */
#define ONNX_META_STRIDES "strides"                     /* JSON array [8, 16, 32] */
#define ONNX_META_PICTOGRAPH_VERSION "pictograph_version"

#define ONNX_LAYOUT_YOLOX_DECODED "yolox-decoded"

#define ONNX_INPUT_NAME "images"
#define ONNX_OUTPUT_NAME "output"
