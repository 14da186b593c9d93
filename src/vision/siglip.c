#include "vision/siglip.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "vision/frame.h"
#include "base/banned.h"

enum { OBJECTS, SCENES, CATEGORY_COUNT };
static const char *const CATEGORIES[CATEGORY_COUNT] = {"objects", "scenes"};

struct SiglipModel {
    const Manifest *manifest;
    Network *image, *labels; /* labels NULL: no words */
    int embedding;           /* output of image */
    Arena arena;             /* of the words */
    const char **words;
    size_t counts[CATEGORY_COUNT]; /* how many of the words are objects, the scenes after them */
};

/* ---- opening ---- */

static Status refuse(const SiglipModel *m, ModelPart part, Error *err, const char *what) {
    return error_set(err, STATUS_MODEL_UNAVAILABLE, "%s: %s", m->manifest->files[part], what);
}

static Status check_image(SiglipModel *m, Error *err) {
    static const char *const NAMES[] = {"image_embeds", "pooler_output"};
    const Network *n = m->image;
    Status status = frame_check(m->manifest, PART_IMAGE, n, err);
    if (status != STATUS_OK) return status;
    m->embedding = n->output_count == 1 ? 0 : -1;
    for (size_t i = 0; m->embedding < 0 && i < sizeof NAMES / sizeof *NAMES; i++) m->embedding = network_find(n->outputs, n->output_count, NAMES[i]);
    if (m->embedding < 0) return refuse(m, PART_IMAGE, err, "it has no output 'image_embeds' or 'pooler_output'");
    const TensorSpec *out = &n->outputs[m->embedding];
    if (out->rank == 2 && network_axis_fits(out->shape[0], 1) && out->shape[1] <= EMBEDDING_MAX) return STATUS_OK;
    return refuse(m, PART_IMAGE, err, "its embedding must have the shape 1 x D");
}

static size_t label_count(const SiglipModel *m) { return m->counts[OBJECTS] + m->counts[SCENES]; }

static Status check_labels(const SiglipModel *m, Error *err) {
    const Network *n = m->labels;
    if (n->input_count != 1 || n->inputs[0].rank != 2 || !network_axis_fits(n->inputs[0].shape[0], 1))
        return refuse(m, PART_LABELS, err, "it must have one input of the shape 1 x D, the embedding");
    const int64_t given = m->image->outputs[m->embedding].shape[1], taken = n->inputs[0].shape[1];
    if (given > 0 && !network_axis_fits(taken, given)) return refuse(m, PART_LABELS, err, "it takes embeddings of another length than the image tower's");
    if (n->output_count == 1 && n->outputs[0].rank == 2 && network_axis_fits(n->outputs[0].shape[1], (int64_t)label_count(m))) return STATUS_OK;
    return refuse(m, PART_LABELS, err, "it must have one output of the shape 1 x L, a logit for each of its labels");
}

/* In the spelling of tags: lower case. NULL for what is no word. */
static const char *read_word(Arena *arena, yyjson_val *value) {
    size_t size = yyjson_get_len(value);
    const char *text = yyjson_get_str(value);
    if (!text || size < 1 || size > SIGLIP_LABEL_BYTES || strlen(text) != size) return NULL;
    char *word = arena_strdup(arena, text);
    for (char *c = word; *c; c++) *c = (char)tolower((unsigned char)*c);
    return word;
}

static Status read_category(SiglipModel *m, yyjson_val *list, int category, Error *err) {
    yyjson_val *item;
    size_t i, count;
    if (!yyjson_is_arr(list)) return refuse(m, PART_LABELS, err, "its metadata 'labels' must be {\"objects\": [word, ...], \"scenes\": [word, ...]}");
    yyjson_arr_foreach(list, i, count, item) {
        size_t at = label_count(m);
        const char *word = at < SIGLIP_LABELS_MAX ? read_word(&m->arena, item) : NULL;
        if (!word) return refuse(m, PART_LABELS, err, at < SIGLIP_LABELS_MAX ? "a label must be a text of 1 to 120 bytes" : "it has more than 4000 labels");
        m->words[at] = word;
        m->counts[category]++;
    }
    return STATUS_OK;
}

static Status read_words(SiglipModel *m, Error *err) {
    const char *text = network_metadata(m->labels, &m->arena, "labels");
    yyjson_doc *doc = text ? json_parse(text, strlen(text), NULL) : NULL;
    if (!doc) return refuse(m, PART_LABELS, err, text ? "its metadata 'labels' are no JSON" : "it has no metadata 'labels'");
    m->words = arena_new_array(&m->arena, const char *, SIGLIP_LABELS_MAX);
    Status status = STATUS_OK;
    for (int c = 0; c < CATEGORY_COUNT && status == STATUS_OK; c++) status = read_category(m, yyjson_obj_get(yyjson_doc_get_root(doc), CATEGORIES[c]), c, err);
    yyjson_doc_free(doc);
    return status;
}

Status siglip_open(SiglipModel **out, Runtime *runtime, const Manifest *manifest, const char *folder, int threads, Error *err) {
    SiglipModel *m = xcalloc(1, sizeof *m);
    m->manifest = manifest;
    arena_init(&m->arena, 16 << 20);
    Status status = frame_open_part(manifest, PART_IMAGE, runtime, folder, threads, &m->image, err);
    if (status == STATUS_OK) status = check_image(m, err);
    if (status == STATUS_OK && manifest->files[PART_LABELS]) {
        status = frame_open_part(manifest, PART_LABELS, runtime, folder, threads, &m->labels, err);
        if (status == STATUS_OK) status = read_words(m, err);
        if (status == STATUS_OK) status = check_labels(m, err);
    }
    if (status != STATUS_OK) siglip_close(m);
    else *out = m;
    return status;
}

void siglip_close(SiglipModel *model) {
    if (!model) return;
    network_close(model->image);
    network_close(model->labels);
    arena_clear(&model->arena);
    free(model);
}

/* ---- running ---- */

/* Twice the model's side, so that a long picture is not enlarged across. */
int siglip_picture_side(const SiglipModel *model) {
    int side = 2 * (model->manifest->width > model->manifest->height ? model->manifest->width : model->manifest->height);
    return side > DESCRIPTION_PICTURE_SIDE ? side : DESCRIPTION_PICTURE_SIDE;
}

static Status embed(SiglipModel *m, Arena *arena, const Picture *picture, Description *out, Error *err) {
    Tensor outputs[NETWORK_ENDS_MAX];
    FrameFit fit = frame_fit(m->manifest, picture->full_width, picture->full_height);
    Tensor input = frame_fill(m->manifest, fit, picture);
    Status status = network_run(m->image, &input, outputs, err);
    free(input.data);
    if (status != STATUS_OK) return status;
    const Tensor *features = &outputs[m->embedding];
    size_t count = tensor_count(features);
    if (features->rank != 2 || features->shape[0] != 1 || count < 1 || count > EMBEDDING_MAX) status = refuse(m, PART_IMAGE, err, "its embedding does not have the shape 1 x D");
    if (status == STATUS_OK) status = description_embed(features->data, (int)count, arena, out, err);
    tensors_clear(outputs, m->image->output_count);
    return status;
}

static Status find_words(SiglipModel *m, Arena *arena, Description *out, Error *err) {
    Tensor outputs[NETWORK_ENDS_MAX];
    float *embedding = arena_new_array(arena, float, (size_t)out->dimensions);
    memcpy(embedding, out->embedding, (size_t)out->dimensions * sizeof *embedding);
    const Tensor input = {.data = embedding, .rank = 2, .shape = {1, out->dimensions}};
    Status status = network_run(m->labels, &input, outputs, err);
    if (status != STATUS_OK) return status;
    size_t count = label_count(m), objects = m->counts[OBJECTS];
    if (tensor_count(&outputs[0]) == count) {
        SureWord *sure = arena_new_array(arena, SureWord, count + 1);
        for (size_t i = 0; i < count; i++) sure[i] = (SureWord){m->words[i], 1 / (1 + exp(-outputs[0].data[i]))};
        out->objects = (SureWords){sure, objects};
        out->scenes = (SureWords){sure + objects, count - objects};
        out->least = m->manifest->threshold;
    } else {
        status = refuse(m, PART_LABELS, err, "it does not give a logit for each of its labels");
    }
    tensors_clear(outputs, m->labels->output_count);
    return status;
}

Status siglip_describe(SiglipModel *model, Arena *arena, const Picture *picture, Description *out, Error *err) {
    *out = (Description){0};
    Status status = embed(model, arena, picture, out, err);
    if (status == STATUS_OK && model->labels) status = find_words(model, arena, out, err);
    if (status == STATUS_OK) out->attribute_count = attributes_measure(picture, out->attributes);
    return status;
}
