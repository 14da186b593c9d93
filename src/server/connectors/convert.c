/* What both conversions share: sound shapes, unique ids, labels, counting. */
#include "server/connectors/convert.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/hash.h"
#include "base/text.h"
#include "base/banned.h"

enum { ID_MAXIMUM = 200 };
static const double FARTHEST = 1e7; /* pixels from the origin: no image is as large */

void conversion_init(Conversion *conversion, Arena *arena, const char *created_by) {
    *conversion = (Conversion){.arena = arena, .created_by = created_by, .scale_x = 1, .scale_y = 1};
    string_map_init(&conversion->ids, arena);
}

void conversion_leave_out(Conversion *c, const char *kind) {
    size_t i = 0;
    while (i < c->left_out_count && strcmp(c->left_out[i].kind, kind) != 0) i++;
    if (i == c->left_out_count && c->left_out_count < LEFT_OUT_KINDS) c->left_out[c->left_out_count++] = (LeftOut){kind, 0};
    if (i < LEFT_OUT_KINDS) c->left_out[i].count++;
}

/* --- values ---------------------------------------------------------------------------------------------------------------- */

bool conversion_number(yyjson_val *value, double *out) {
    if (yyjson_is_num(value)) *out = yyjson_get_num(value);
    else if (!yyjson_is_str(value) || !text_to_number(yyjson_get_str(value), out)) return false;
    return isfinite(*out) && fabs(*out) <= FARTHEST;
}

bool conversion_point(yyjson_val *value, Point *out) {
    if (yyjson_is_arr(value)) return yyjson_arr_size(value) >= 2 && conversion_number(yyjson_arr_get(value, 0), &out->x) && conversion_number(yyjson_arr_get(value, 1), &out->y);
    return conversion_number(yyjson_obj_get(value, "x"), &out->x) && conversion_number(yyjson_obj_get(value, "y"), &out->y);
}

bool conversion_ring(Conversion *c, yyjson_val *array, Ring *out) {
    size_t index, count = yyjson_arr_size(array);
    yyjson_val *value;
    *out = (Ring){0};
    if (count == 0 || count > CONVERTED_POINTS_MAXIMUM - c->points) return false;
    c->points += count;
    out->points = arena_new_array(c->arena, Point, count);
    yyjson_arr_foreach(array, index, count, value) {
        Point *point = &out->points[out->count];
        if (!conversion_point(value, point)) return false;
        point->x *= c->scale_x;
        point->y *= c->scale_y;
        out->count++;
    }
    return true;
}

const char *label_of(Arena *arena, const char *text) {
    if (!text || text_is_blank(text)) return "unnamed";
    char *label = arena_strdup(arena, text);
    size_t characters = 0;
    for (char *p = label; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = ' ';
        if (((unsigned char)*p & 0xC0) == 0x80) continue;
        if (characters++ == CLASS_NAME_CHARACTERS) {
            *p = '\0';
            break;
        }
    }
    return text_is_blank(label) ? "unnamed" : text_trim(arena, label);
}

const char *attributes_of(Arena *arena, ...) {
    Buffer out;
    JsonWriter w;
    va_list args;
    buffer_init(&out, 1 << 16);
    json_writer_init(&w, &out);
    json_begin_array(&w);
    json_begin_object(&w);
    va_start(args, arena);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        if (value && strlen(value) <= ID_MAXIMUM) json_field_string(&w, key, value);
    }
    va_end(args);
    json_end_object(&w);
    json_end_array(&w);
    const char *text = out.failed ? NULL : arena_strndup(arena, buffer_text(&out), out.size);
    buffer_clear(&out);
    return text;
}

/* --- annotations ----------------------------------------------------------------------------------------------------------- */

static bool in_reach(double v) { return isfinite(v) && fabs(v) <= 4 * FARTHEST; }

static bool is_sound(const Annotation *a) {
    switch (a->type) {
    case ANNOTATION_BBOX: return a->bounding_box.w >= 0 && a->bounding_box.h >= 0 && in_reach(a->bounding_box.x) && in_reach(a->bounding_box.y) && in_reach(a->bounding_box.w) && in_reach(a->bounding_box.h);
    case ANNOTATION_POLYGON:
        for (size_t i = 0; i < a->polygon.count; i++)
            if (a->polygon.rings[i].count < 3) return false;
        return a->polygon.count > 0;
    case ANNOTATION_POLYLINE: return a->path.count >= 2;
    case ANNOTATION_KEYPOINT: return in_reach(a->keypoint.x) && in_reach(a->keypoint.y);
    }
    return false;
}

void conversion_add(Conversion *c, Annotation annotation, const char *id) {
    if (!is_sound(&annotation) || c->list.count >= CONVERTED_ANNOTATIONS_MAXIMUM || arena_exceeded(c->arena)) {
        conversion_leave_out(c, "broken");
        return;
    }
    bool usable = id && !text_is_blank(id) && strlen(id) <= ID_MAXIMUM && string_map_get_or_set(&c->ids, id, c->list.count) == c->list.count;
    annotation.id = usable ? arena_strdup(c->arena, id) : uuid_new(arena_alloc(c->arena, UUID_SIZE));
    annotation.created_by = c->created_by;
    if (!(annotation.confidence > 0 && annotation.confidence <= 1)) annotation.confidence = 1;
    annotation_fit_box(&annotation);
    annotation_list_append(c->arena, &c->list, &annotation);
}
