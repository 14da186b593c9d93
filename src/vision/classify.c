#include "vision/classify.h"

#include "vision/wire.h"
#include "vision/words.h"
#include "base/banned.h"

Status classify_read(ClassifyQuestion *out, yyjson_val *params, Error *err) {
    yyjson_val *list = yyjson_obj_get(params, "words"), *item;
    size_t i, count;
    double top_k = 0;
    *out = (ClassifyQuestion){0};
    if ((list && !yyjson_is_arr(list)) || yyjson_arr_size(list) > CLASSIFY_WORDS_MAX)
        return error_set(err, STATUS_VALIDATION_ERROR, "'words' must be a list of at most %d words", CLASSIFY_WORDS_MAX);
    yyjson_arr_foreach(list, i, count, item) {
        out->names[out->count] = json_get_string(item, "word", NULL);
        if (!out->names[out->count++]) return error_set(err, STATUS_VALIDATION_ERROR, "words[%zu] has no 'word'", i);
    }
    Status status = wire_number(params, "confidence_threshold", 0.5, 0, 1, &out->threshold, err);
    if (status == STATUS_OK) status = wire_number(params, "top_k", 1, 1, CLASSIFY_TOP_MAX, &top_k, err);
    out->top_k = (size_t)top_k;
    return status;
}

/* Objects, then scenes. */
static SureWords gather(const Description *d, Arena *arena) {
    SureWords all = {arena_new_array(arena, SureWord, d->objects.count + d->scenes.count + 1), 0};
    for (size_t i = 0; i < d->objects.count; i++) all.items[all.count++] = d->objects.items[i];
    for (size_t i = 0; i < d->scenes.count; i++) all.items[all.count++] = d->scenes.items[i];
    return all;
}

static bool is_object(const Description *d, const char *word) {
    for (size_t i = 0; i < d->objects.count; i++)
        if (d->objects.items[i].word == word) return true;
    return false;
}

/* Writes which word each name means, and returns those words. */
static SureWords answer_names(JsonWriter *w, SureWords all, const ClassifyQuestion *question, Arena *arena) {
    const char **words = arena_new_array(arena, const char *, all.count + 1);
    bool *asked = arena_new_array(arena, bool, all.count + 1);
    SureWords out = {arena_new_array(arena, SureWord, all.count + 1), 0};
    for (size_t i = 0; i < all.count; i++) words[i] = all.items[i].word;
    for (size_t i = 0; i < question->count; i++) {
        int at = words_find(words, (int)all.count, question->names[i]);
        if (at >= 0 && !asked[at]) out.items[out.count++] = all.items[at];
        if (at >= 0) asked[at] = true;
        json_begin_object(w);
        json_field_string(w, "class", at >= 0 ? words[at] : NULL);
        json_end_object(w);
    }
    return out;
}

void classify_write(JsonWriter *w, const Description *description, const ClassifyQuestion *question, Arena *arena) {
    SureWord picked[CLASSIFY_TOP_MAX];
    SureWords all = gather(description, arena);
    json_key(w, "words");
    json_begin_array(w);
    SureWords asked = answer_names(w, all, question, arena);
    json_end_array(w);
    if (question->count == 0) asked = all;
    size_t count = description_pick(asked.items, asked.count, question->threshold, picked, question->top_k);
    json_key(w, "found");
    json_begin_array(w);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(w);
        json_field_string(w, "category", is_object(description, picked[i].word) ? "objects" : "scenes");
        json_field_string(w, "class", picked[i].word);
        json_field_number(w, "confidence", picked[i].sureness);
        json_end_object(w);
    }
    json_end_array(w);
}
