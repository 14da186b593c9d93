/* SAM 3: an operator's Segment Anything 3 (Carion et al., "SAM 3: Segment Anything with Concepts", 2025) finds everything in a picture that a phrase
 * names, with a box and a mask for each.
 *
 * Three graphs and a tokenizer; docs/models.md has the script that writes them:
 *   encoder    one input 1 x 3 x height x width; outputs that the decoder asks for by name.
 *   text       input_ids and attention_mask, 1 x N (N tokens, 1 where one is); text_features 1 x N x C.
 *   decoder    text_features, text_mask (the attention_mask), and outputs of the encoder. pred_logits 1 x Q, pred_boxes 1 x Q x 4 (corners in parts of the
 *              picture), pred_masks 1 x Q x h x w (logits), and presence_logits 1 x 1, if it has them.
 *   tokenizer  bpe.h.
 *
 * As the reference decides: a query's score is its probability times that of the phrase being present at all, its mask the sigmoid of the logits,
 * enlarged linearly, above one half. The features of a phrase are kept: in a batch the text encoder runs once.
 */
#pragma once
#include "vision/encoded.h"
#include "vision/segment.h"

enum { SAM3_QUERIES_MAX = 2000, SAM3_TOKENS_MAX = 128 };

typedef struct Sam3Model Sam3Model;

/* Loads all files and checks that they fit each other. STATUS_MODEL_UNAVAILABLE names the file and what is wrong. */
Status sam3_open(Sam3Model **out, Runtime *runtime, const Manifest *manifest, const char *folder, int threads, Error *err);
void sam3_close(Sam3Model *model);
Network *sam3_encoder(Sam3Model *model);

typedef struct Sam3Thing {
    Box box; /* pixels of the full picture, clipped to it */
    double score;
    int query;
} Sam3Thing;

typedef struct Sam3Found {
    Sam3Thing *things; /* surest first; in the arena */
    size_t count;
    Tensor outputs[NETWORK_ENDS_MAX]; /* private */
    int output_count, masks;
} Sam3Found;

/* What the phrase names, with scores of at least `least`. Clear *out, also after a failure. */
Status sam3_find(Sam3Model *model, const EncodedImage *image, Arena *arena, const char *phrase, double least, Sam3Found *out, Error *err);
void sam3_found_clear(Sam3Found *found);
/* The mask of a thing; its score is the thing's. */
void sam3_outline(const Sam3Found *found, const EncodedImage *image, Arena *arena, const Sam3Thing *thing, Segmentation *out);
