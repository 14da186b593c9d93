/* SigLIP: an operator's SigLIP 2 model describes pictures: its image tower gives the embedding, and how well each of a list of words fits the picture.
 *
 * Two files (Tschannen et al., "SigLIP 2", 2025; docs/models.md has the script that writes them):
 *   image    one input 1 x 3 x height x width; its output image_embeds, else pooler_output, else its only output, of shape 1 x D, is the embedding.
 *   labels   one input image_embeds 1 x D, which is of length 1; one output, logits 1 x L: for each label the cosine times the model's scale plus its
 *            bias. Metadata "labels": {"objects": [word, …], "scenes": [word, …]}, L words in all. Without this file there are attributes only.
 *
 * So the text tower has run once, when the file was made: the words of a description are few and the same for every picture, and neither a tokenizer nor
 * the larger half of the model needs to be here. A word is said when its probability, the sigmoid of its logit, reaches the manifest's threshold.
 */
#pragma once
#include "vision/description.h"
#include "vision/manifest.h"
#include "vision/network.h"
#include "vision/picture.h"

enum { SIGLIP_LABELS_MAX = 4000, SIGLIP_LABEL_BYTES = 120 };

typedef struct SiglipModel SiglipModel;

/* Loads the files and checks that they fit each other. STATUS_MODEL_UNAVAILABLE names the file and what is wrong. */
Status siglip_open(SiglipModel **out, Runtime *runtime, const Manifest *manifest, const char *folder, int threads, Error *err);
void siglip_close(SiglipModel *model);

/* Side of the square that the picture is best loaded to fit. */
int siglip_picture_side(const SiglipModel *model);
Status siglip_describe(SiglipModel *model, Arena *arena, const Picture *picture, Description *out, Error *err);
