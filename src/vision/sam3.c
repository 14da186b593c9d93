#include "vision/sam3.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "vision/bpe.h"
#include "vision/outline.h"
#include "vision/recent.h"
#include "base/banned.h"

enum { TOKENS_DEFAULT = 32, PHRASES_KEPT = 256, MASK_SIDE_MAX = 8192 };
enum { FEED_TEXT = -1, FEED_TEXT_MASK = -2 }; /* of the decoder; 0 and above: that feature of the image */

struct Sam3Model {
    const Manifest *manifest;
    Network *encoder, *text, *decoder;
    Bpe *bpe;
    int token_count, text_output;
    int feeds[NETWORK_ENDS_MAX];
    int logits, boxes, masks, presence; /* outputs of the decoder; presence -1: it has none */
    Recent *phrases;
};

/* What the text encoder says of a phrase. */
typedef struct Phrase {
    Tensor outputs[NETWORK_ENDS_MAX];
    int output_count;
    float mask[SAM3_TOKENS_MAX];
} Phrase;

static void free_phrase(void *value) {
    Phrase *phrase = value;
    tensors_clear(phrase->outputs, phrase->output_count);
    free(phrase);
}

/* ---- opening ---- */

static Status refuse(const Sam3Model *m, ModelPart part, Error *err, const char *what, const char *name) {
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s '%s'", m->manifest->files[part], what, name);
}

static Status open_tokenizer(Sam3Model *m, const char *folder, Error *err) {
    char path[4096];
    Error failure;
    const char *file = m->manifest->files[PART_TOKENIZER];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path) return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: the path is too long", file);
    if (bpe_open(&m->bpe, path, &failure) == STATUS_OK) return STATUS_OK;
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s", file, failure.message);
}

static Status check_text(Sam3Model *m, Error *err) {
    const Network *n = m->text;
    m->token_count = TOKENS_DEFAULT;
    for (int i = 0; i < n->input_count; i++) {
        const TensorSpec *in = &n->inputs[i];
        bool known = (text_equal(in->name, "input_ids") || text_equal(in->name, "attention_mask")) && in->rank == 2 && network_axis_fits(in->shape[0], 1);
        if (!known || in->shape[1] > SAM3_TOKENS_MAX || in->shape[1] == 0 || in->shape[1] == 1) return refuse(m, PART_TEXT, err, "nothing fits its input", in->name);
        if (in->shape[1] > 0) m->token_count = (int)in->shape[1];
    }
    if (network_find(n->inputs, n->input_count, "input_ids") < 0) return refuse(m, PART_TEXT, err, "it has no input", "input_ids");
    m->text_output = network_find(n->outputs, n->output_count, "text_features");
    return m->text_output >= 0 ? STATUS_OK : refuse(m, PART_TEXT, err, "it has no output", "text_features");
}

static Status bind_inputs(Sam3Model *m, Error *err) {
    bool text = false;
    for (int i = 0; i < m->decoder->input_count; i++) {
        const TensorSpec *in = &m->decoder->inputs[i];
        bool features = text_equal(in->name, "text_features"), mask = text_equal(in->name, "text_mask");
        m->feeds[i] = features ? FEED_TEXT : mask ? FEED_TEXT_MASK : encoded_feature(m->encoder, in);
        text = text || features;
        bool fits = features ? encoded_fits(m->text, m->text_output, in) : mask ? in->rank == 2 && network_axis_fits(in->shape[1], m->token_count) : m->feeds[i] >= 0;
        if (!fits) return refuse(m, PART_DECODER, err, "nothing fits its input", in->name);
    }
    return text ? STATUS_OK : refuse(m, PART_DECODER, err, "it has no input", "text_features");
}

static Status bind_outputs(Sam3Model *m, Error *err) {
    const struct {
        const char *name;
        int *output;
        bool needed;
    } OUTPUTS[] = {{"pred_logits", &m->logits, true}, {"pred_boxes", &m->boxes, true}, {"pred_masks", &m->masks, true}, {"presence_logits", &m->presence, false}};
    for (size_t i = 0; i < sizeof OUTPUTS / sizeof *OUTPUTS; i++) {
        *OUTPUTS[i].output = network_find(m->decoder->outputs, m->decoder->output_count, OUTPUTS[i].name);
        if (OUTPUTS[i].needed && *OUTPUTS[i].output < 0) return refuse(m, PART_DECODER, err, "it has no output", OUTPUTS[i].name);
    }
    return STATUS_OK;
}

Status sam3_open(Sam3Model **out, Runtime *runtime, const Manifest *manifest, const char *folder, int threads, Error *err) {
    Sam3Model *m = xcalloc(1, sizeof *m);
    m->manifest = manifest;
    m->phrases = recent_new(0, PHRASES_KEPT, free_phrase);
    Status status = open_tokenizer(m, folder, err); /* the cheapest first */
    if (status == STATUS_OK) status = frame_open_part(manifest, PART_TEXT, runtime, folder, threads, &m->text, err);
    if (status == STATUS_OK) status = check_text(m, err);
    if (status == STATUS_OK) status = frame_open_part(manifest, PART_ENCODER, runtime, folder, threads, &m->encoder, err);
    if (status == STATUS_OK) status = frame_check(manifest, PART_ENCODER, m->encoder, err);
    if (status == STATUS_OK) status = frame_open_part(manifest, PART_DECODER, runtime, folder, threads, &m->decoder, err);
    if (status == STATUS_OK) status = bind_inputs(m, err);
    if (status == STATUS_OK) status = bind_outputs(m, err);
    if (status != STATUS_OK) sam3_close(m);
    else *out = m;
    return status;
}

void sam3_close(Sam3Model *model) {
    if (!model) return;
    network_close(model->encoder);
    network_close(model->text);
    network_close(model->decoder);
    bpe_free(model->bpe);
    recent_free(model->phrases);
    free(model);
}

Network *sam3_encoder(Sam3Model *model) { return model->encoder; }

/* ---- a phrase ---- */

static Status run_text(Sam3Model *m, const char *text, Phrase *out, Error *err) {
    int32_t tokens[SAM3_TOKENS_MAX];
    float ids[SAM3_TOKENS_MAX];
    Tensor inputs[NETWORK_ENDS_MAX];
    size_t count = bpe_encode(m->bpe, text, tokens, (size_t)m->token_count);
    for (size_t i = 0; i < (size_t)m->token_count; i++) {
        ids[i] = (float)(i < count ? tokens[i] : bpe_end(m->bpe));
        out->mask[i] = i < count;
    }
    for (int i = 0; i < m->text->input_count; i++)
        inputs[i] = (Tensor){.data = text_equal(m->text->inputs[i].name, "input_ids") ? ids : out->mask, .rank = 2, .shape = {1, m->token_count}};
    Error failure;
    if (network_run(m->text, inputs, out->outputs, &failure) != STATUS_OK)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s", m->manifest->files[PART_TEXT], failure.message);
    out->output_count = m->text->output_count;
    return STATUS_OK;
}

static Status get_phrase(Sam3Model *m, const char *text, Phrase **out, Error *err) {
    *out = recent_find(m->phrases, text);
    if (*out) return STATUS_OK;
    Phrase *fresh = xcalloc(1, sizeof *fresh);
    Status status = run_text(m, text, fresh, err);
    if (status != STATUS_OK) {
        free_phrase(fresh);
        return status;
    }
    recent_add(m->phrases, text, fresh, 0);
    *out = fresh;
    return STATUS_OK;
}

/* ---- what it names ---- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static Status run_decoder(Sam3Model *m, const EncodedImage *image, Phrase *phrase, Sam3Found *out, Error *err) {
    Tensor inputs[NETWORK_ENDS_MAX];
    Error failure;
    for (int i = 0; i < m->decoder->input_count; i++) {
        if (m->feeds[i] == FEED_TEXT) inputs[i] = phrase->outputs[m->text_output];
        else if (m->feeds[i] == FEED_TEXT_MASK) inputs[i] = (Tensor){.data = phrase->mask, .rank = 2, .shape = {1, m->token_count}};
        else inputs[i] = image->features[m->feeds[i]];
    }
    if (network_run(m->decoder, inputs, out->outputs, &failure) != STATUS_OK)
        return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s", m->manifest->files[PART_DECODER], failure.message);
    out->output_count = m->decoder->output_count;
    out->masks = m->masks;
    const Tensor *logits = &out->outputs[m->logits], *boxes = &out->outputs[m->boxes], *masks = &out->outputs[m->masks];
    size_t queries = tensor_count(logits);
    bool good = queries >= 1 && queries <= SAM3_QUERIES_MAX && tensor_count(boxes) == 4 * queries && masks->rank == 4 && masks->shape[0] == 1 &&
                masks->shape[1] == (int64_t)queries && masks->shape[2] >= 1 && masks->shape[2] <= MASK_SIDE_MAX && masks->shape[3] >= 1 &&
                masks->shape[3] <= MASK_SIDE_MAX && (m->presence < 0 || tensor_count(&out->outputs[m->presence]) == 1);
    return good ? STATUS_OK : error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: its logits, boxes and masks do not have shapes that fit each other", m->manifest->files[PART_DECODER]);
}

static bool read_box(const float *corners, const EncodedImage *image, Box *out) {
    const Box full = {0, 0, image->full_width, image->full_height};
    for (int i = 0; i < 4; i++)
        if (!isfinite(corners[i])) return false;
    double x = corners[0] * full.w, y = corners[1] * full.h;
    *out = box_intersection((Box){x, y, corners[2] * full.w - x, corners[3] * full.h - y}, full);
    return out->w > 0 && out->h > 0;
}

static int compare_things(const void *a, const void *b) {
    const Sam3Thing *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->query - y->query;
}

Status sam3_find(Sam3Model *model, const EncodedImage *image, Arena *arena, const char *phrase, double least, Sam3Found *out, Error *err) {
    Phrase *known = NULL;
    *out = (Sam3Found){0};
    Status status = get_phrase(model, phrase, &known, err);
    if (status == STATUS_OK) status = run_decoder(model, image, known, out, err);
    if (status != STATUS_OK) return status;
    const Tensor *logits = &out->outputs[model->logits], *boxes = &out->outputs[model->boxes];
    double presence = model->presence < 0 ? 1 : sigmoid(out->outputs[model->presence].data[0]);
    int queries = (int)tensor_count(logits);
    out->things = arena_new_array(arena, Sam3Thing, (size_t)queries);
    for (int q = 0; q < queries; q++) {
        Sam3Thing thing = {.score = sigmoid(logits->data[q]) * presence, .query = q};
        if (thing.score >= least && read_box(boxes->data + 4 * q, image, &thing.box)) out->things[out->count++] = thing;
    }
    qsort(out->things, out->count, sizeof *out->things, compare_things);
    return STATUS_OK;
}

void sam3_found_clear(Sam3Found *found) { tensors_clear(found->outputs, found->output_count); }

void sam3_outline(const Sam3Found *found, const EncodedImage *image, Arena *arena, const Sam3Thing *thing, Segmentation *out) {
    const Tensor *masks = &found->outputs[found->masks];
    int from_height = (int)masks->shape[2], from_width = (int)masks->shape[3], width, height;
    size_t from_count = (size_t)from_width * (size_t)from_height;
    const float *logits = masks->data + (size_t)thing->query * from_count;
    Arena scratch; /* a large picture has many things, and each of their masks is some megabytes */
    arena_init(&scratch, SIZE_MAX);
    float *sure = arena_new_array(&scratch, float, from_count);
    for (size_t i = 0; i < from_count; i++) sure[i] = (float)sigmoid(logits[i]);
    encoded_mask_size(image, &width, &height);
    const float *large = encoded_interpolate(&scratch, sure, from_width, from_width, from_height, width, height);
    size_t count = (size_t)width * (size_t)height;
    Mask mask = {.width = (uint32_t)width, .height = (uint32_t)height, .pixels = arena_alloc(&scratch, count)};
    for (size_t i = 0; i < count; i++) mask.pixels[i] = large[i] > 0.5f;
    *out = (Segmentation){0};
    outline_mask(arena, &mask, (Point){0, 0}, (double)image->full_width / width, (double)image->full_height / height, out);
    out->score = thing->score;
    arena_clear(&scratch);
}
