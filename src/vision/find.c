#include "vision/find.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "vision/centre_line.h"
#include "vision/segment.h"
#include "vision/wire.h"
#include "vision/words.h"
#include "base/banned.h"

typedef enum Shape { SHAPE_BOX, SHAPE_POLYGON, SHAPE_LINE, SHAPE_POINT } Shape;
static const char *const SHAPES[] = {"box", "polygon", "line", "point"};

typedef struct Word {
    const char *text;
    Shape shape;
    int class_index; /* -1: none; its own number where a model understands words */
} Word;

typedef struct Search {
    Finder *finder;
    WorkerCall *call;
    Arena arena;
    const char *path, *image_key; /* image_key NULL: nothing is kept */
    const char *models;           /* of the operator */
    const char *segmenter;        /* who saw the shapes; in the arena */
    double threshold, floor, maximum;
    Word *words;
    size_t word_count;
    const Detection *found;
    const Segmentation *const *seen; /* of each, by a model that sees shapes itself; NULL: none does */
    size_t count;
    bool cached;
} Search;

static Status read_shape(const char *name, Shape *out, Error *err) {
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        *out = (Shape)i;
        if (text_equal(name, SHAPES[i])) return STATUS_OK;
    }
    return error_set(err, STATUS_VALIDATION_ERROR, "a word's 'shape' must be box, polygon, line or point");
}

static Status read_words(Search *s, Error *err) {
    const Detector *d = s->finder->detector;
    yyjson_val *list = yyjson_obj_get(s->call->params, "words"), *item;
    size_t i, count;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) < 1 || yyjson_arr_size(list) > FIND_WORDS_MAX)
        return error_set(err, STATUS_VALIDATION_ERROR, "'words' must be a list of 1 to %d words", FIND_WORDS_MAX);
    s->words = arena_new_array(&s->arena, Word, yyjson_arr_size(list));
    yyjson_arr_foreach(list, i, count, item) {
        Word *word = &s->words[s->word_count++];
        word->text = json_get_string(item, "word", NULL);
        if (!word->text) return error_set(err, STATUS_VALIDATION_ERROR, "words[%zu] has no 'word'", i);
        Status status = read_shape(json_get_string(item, "shape", "box"), &word->shape, err);
        if (status != STATUS_OK) return status;
        word->class_index = d ? words_find((const char *const *)d->class_names, d->class_count, word->text) : (int)i;
    }
    return STATUS_OK;
}

static Status read_search(Search *s, Error *err) {
    yyjson_val *params = s->call->params;
    s->image_key = json_get_string(params, "image_key", NULL);
    s->models = json_get_string(params, "models_path", NULL);
    Status status = wire_picture(params, &s->path, err);
    if (status == STATUS_OK) status = wire_number(params, "confidence_threshold", 0.3, 0, 1, &s->threshold, err);
    if (status == STATUS_OK) status = wire_number(params, "floor", FIND_FLOOR, 0, 1, &s->floor, err);
    if (s->floor > FIND_FLOOR) s->floor = FIND_FLOOR;
    if (status == STATUS_OK) status = wire_number(params, "max_detections", 50, 1, FIND_DETECTIONS_MAX, &s->maximum, err);
    return status == STATUS_OK ? read_words(s, err) : status;
}

static Status detect(Search *s, Error *err) {
    Detector *d = s->finder->detector;
    Picture picture;
    Detection *fresh = NULL;
    bool shared = s->image_key && s->floor == FIND_FLOOR; /* what is kept of a picture reaches down to there */
    if (shared) s->found = found_cache_get(s->finder->cache, s->image_key, d->serial, &s->count);
    s->cached = s->found != NULL;
    if (s->cached) return STATUS_OK;
    DetectOptions options = DETECT_DEFAULTS;
    options.confidence_threshold = s->floor;
    options.max_detections = FIND_DETECTIONS_MAX;
    Status status = picture_load(s->path, d->width, d->height, &picture, err);
    if (status != STATUS_OK) return status;
    status = detector_run(d, &s->arena, &picture, options, &fresh, &s->count, err);
    picture_clear(&picture);
    if (status == STATUS_OK && shared) found_cache_put(s->finder->cache, s->image_key, d->serial, fresh, s->count);
    s->found = fresh;
    return status;
}

/* ---- by a model that understands words ---- */

/* What a word names, in the order of the answer, and the shapes of those that will be in it: masks are large and go with the word. */
static void take_things(Search *s, int index, const Sam3Found *named, const EncodedImage *image, Detection *found, const Segmentation **seen) {
    for (size_t i = 0; i < named->count; i++) {
        const Sam3Thing *thing = &named->things[i];
        bool wanted = s->words[index].shape != SHAPE_BOX && thing->score >= s->threshold && i < (size_t)s->maximum;
        if (wanted) {
            Segmentation *shape = arena_new(&s->arena, Segmentation);
            sam3_outline(named, image, &s->arena, thing, shape);
            seen[s->count] = shape;
        }
        found[s->count++] = (Detection){.box = thing->box, .class_index = index, .confidence = thing->score};
    }
}

static Status ask_model(Search *s, Error *err) {
    OperatorModel *model = s->finder->model;
    const EncodedImage *image = NULL;
    const char *key = s->image_key ? s->image_key : s->path;
    Status status = operator_models_image(s->finder->prompter.models, model, key, s->path, &image, &s->cached, err);
    if (status != STATUS_OK) return status;
    Detection *found = arena_new_array(&s->arena, Detection, s->word_count * SAM3_QUERIES_MAX);
    const Segmentation **seen = arena_new_array(&s->arena, const Segmentation *, s->word_count * SAM3_QUERIES_MAX);
    for (size_t i = 0; status == STATUS_OK && i < s->word_count; i++) {
        Sam3Found named = {0};
        if (s->call->fd >= 0 && !worker_progress(s->call, "{}")) return error_set(err, STATUS_CANCELLED, "Cancelled");
        status = sam3_find(model->sam3, image, &s->arena, s->words[i].text, s->floor, &named, err);
        if (status == STATUS_OK) take_things(s, (int)i, &named, image, found, seen);
        sam3_found_clear(&named);
    }
    s->found = found;
    s->seen = seen;
    return status;
}

/* ---- shapes ---- */

static Polygon rectangle(Arena *arena, Box box) {
    Polygon polygon = {.rings = arena_new(arena, Ring), .count = 1};
    polygon.rings[0] = (Ring){.points = arena_new_array(arena, Point, 4), .count = 4};
    box_corners(box, polygon.rings[0].points);
    return polygon;
}

static Status segment(Search *s, Box box, Segmentation *out, Error *err) {
    const PromptPicture picture = {.path = s->path, .key = s->image_key ? s->image_key : s->path, .models = s->models};
    const char *engine = NULL;
    Status status = prompt_box(&s->finder->prompter, &picture, &s->arena, box, out, &engine, err);
    if (status == STATUS_OK && !s->segmenter) s->segmenter = arena_strdup(&s->arena, engine);
    return status;
}

/* What whoever found the thing, or the segmenter, sees of it; its box where that is nothing. */
static Status outline(Search *s, size_t thing, Segmentation *out, Error *err) {
    Box box = s->found[thing].box;
    Status status = STATUS_OK;
    if (s->seen) *out = *s->seen[thing];
    else status = segment(s, box, out, err);
    if (status != STATUS_OK || (out->found && out->shape_count)) return status;
    out->found = false;
    out->shapes = arena_new(&s->arena, TracedShape);
    out->shapes[0].polygon = rectangle(&s->arena, box);
    out->shape_count = 1;
    out->inside = (Point){box.x + box.w / 2, box.y + box.h / 2};
    return STATUS_OK;
}

static const Polygon *largest(const Segmentation *seen) {
    const TracedShape *best = &seen->shapes[0];
    for (size_t i = 1; i < seen->shape_count; i++)
        if (seen->shapes[i].pixels > best->pixels) best = &seen->shapes[i];
    return &best->polygon;
}

static void write_shape(Search *s, Shape shape, const Segmentation *seen) {
    JsonWriter *w = s->call->result;
    Ring line = {0};
    json_field_bool(w, "outlined", seen->found);
    if (shape == SHAPE_POINT) {
        json_key(w, "inside_point");
        wire_point(w, seen->inside);
    } else if (shape == SHAPE_LINE && centre_line(&s->arena, largest(seen), &line)) {
        json_key(w, "line");
        wire_points(w, &line);
    } else if (shape == SHAPE_POLYGON) {
        json_key(w, "polygons");
        json_begin_array(w);
        for (size_t i = 0; i < seen->shape_count; i++) wire_polygon(w, &seen->shapes[i].polygon);
        json_end_array(w);
    }
}

/* ---- the answer ---- */

static Status write_thing(Search *s, size_t word, size_t index, Error *err) {
    const Detection *thing = &s->found[index];
    JsonWriter *w = s->call->result;
    Segmentation seen = {0};
    Shape shape = s->words[word].shape;
    if (shape != SHAPE_BOX) {
        if (s->call->fd >= 0 && !worker_progress(s->call, "{}")) return error_set(err, STATUS_CANCELLED, "Cancelled");
        Status status = outline(s, index, &seen, err);
        if (status != STATUS_OK) return status;
    }
    json_begin_object(w);
    json_field_int(w, "word", (int64_t)word);
    wire_box_members(w, thing->box);
    json_field_number(w, "confidence", thing->confidence);
    if (shape != SHAPE_BOX) write_shape(s, shape, &seen);
    json_end_object(w);
    return STATUS_OK;
}

/* Detections of a class are sorted, surest first. */
static const Detection *best_of(const Search *s, int class_index) {
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].class_index == class_index) return &s->found[i];
    return NULL;
}

static const char *class_name(const Search *s, size_t word) {
    int index = s->words[word].class_index;
    if (!s->finder->detector) return s->words[word].text;
    return index < 0 ? NULL : s->finder->detector->class_names[index];
}

static void write_words(Search *s) {
    JsonWriter *w = s->call->result;
    json_key(w, "words");
    json_begin_array(w);
    for (size_t i = 0; i < s->word_count; i++) {
        const Detection *best = best_of(s, s->words[i].class_index);
        json_begin_object(w);
        json_field_string(w, "class", class_name(s, i));
        json_key(w, "best");
        if (best) json_number(w, best->confidence);
        else json_null(w);
        json_end_object(w);
    }
    json_end_array(w);
}

static Status write_found(Search *s, Error *err) {
    JsonWriter *w = s->call->result;
    Status status = STATUS_OK;
    json_key(w, "found");
    json_begin_array(w);
    for (size_t i = 0; status == STATUS_OK && i < s->word_count; i++) {
        size_t written = 0;
        for (size_t k = 0; status == STATUS_OK && k < s->count && written < (size_t)s->maximum; k++) {
            if (s->found[k].class_index != s->words[i].class_index || s->found[k].confidence < s->threshold) continue;
            written++;
            status = write_thing(s, i, k, err);
        }
    }
    json_end_array(w);
    return status;
}

static const char *engine_name(Search *s) {
    if (s->finder->model) return s->finder->model->engine;
    const char *architecture = s->finder->detector->architecture;
    return s->segmenter ? arena_printf(&s->arena, "%s+%s", architecture, s->segmenter) : architecture;
}

static bool any_known(const Search *s) {
    for (size_t i = 0; i < s->word_count; i++)
        if (s->words[i].class_index >= 0) return true;
    return false;
}

Status find_answer(Finder *finder, WorkerCall *call, Error *err) {
    Search s = {.finder = finder, .call = call};
    JsonWriter *w = call->result;
    double start = clock_monotonic();
    arena_init(&s.arena, SIZE_MAX);
    Status status = read_search(&s, err);
    if (status == STATUS_OK && any_known(&s)) status = finder->model ? ask_model(&s, err) : detect(&s, err);
    if (status == STATUS_OK) {
        json_begin_object(w);
        write_words(&s);
        status = write_found(&s, err);
        json_field_bool(w, "cached", s.cached);
        json_field_number(w, "seconds", clock_monotonic() - start);
        json_field_string(w, "engine", engine_name(&s));
        json_end_object(w);
    }
    arena_clear(&s.arena);
    return status;
}
