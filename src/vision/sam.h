/* SAM: an operator's Segment Anything model, of the roles sam and sam2: an image encoder, run once an image, and a decoder, run once a prompt.
 *
 * The files are those of the usual exports (Kirillov et al., "Segment Anything", ICCV 2023, script export_onnx_model.py; MobileSAM's is the same;
 * Ravi et al., "SAM 2", 2024). encoder: one input 1 x 3 x height x width. decoder: point_coords, point_labels and, where it has them, mask_input,
 * has_mask_input, orig_im_size; every other input must be an output of the encoder by name (or its only one, as image_embeddings). It gives
 * iou_predictions and low_res_masks, or else masks.
 *
 * What a prompt becomes: points with labels 1 and 0, a box as two points with labels 2 and 3, and the padding point that the reference's predictor
 * adds (role sam: where there is no box; sam2: always). Of four masks the first is taken where the prompt is clear and the best of the others
 * where it is a single click or box, as the reference's export does; of fewer, the one with the best predicted IoU, which is the score.
 */
#pragma once
#include "vision/encoded.h"
#include "vision/segment.h"

typedef struct SamModel SamModel;

typedef struct SamPrompt {
    const PromptPoint *points;
    size_t point_count;
    const Box *box; /* NULL: points only */
    const Box *without;
    size_t without_count; /* boxes that stay background */
} SamPrompt;

/* Loads both files and checks their inputs and outputs. STATUS_MODEL_UNAVAILABLE names the file and what is wrong. */
Status sam_open(SamModel **out, Runtime *runtime, const Manifest *manifest, const char *folder, int threads, Error *err);
void sam_close(SamModel *model);

Network *sam_encoder(SamModel *model);
Status sam_segment(SamModel *model, const EncodedImage *image, Arena *arena, const SamPrompt *prompt, Segmentation *out, Error *err);
