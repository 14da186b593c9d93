/* V7 (Darwin): its HTTP interface 2.0. Source: docs.v7labs.com, "API Reference" (Users, Datasets, Annotation Classes, Items). Only reads. */
#include <stdlib.h>
#include <string.h>

#include "base/css_color.h"
#include "base/text.h"
#include "server/connectors/provider.h"
#include "base/banned.h"

enum { PAGE_SIZE = 500, SLOTS_MAXIMUM = 100 };

/* --- team and datasets ----------------------------------------------------------------------------------------------------- */

static Status unexpected(Error *err, const char *what) { return error_set(err, STATUS_UPSTREAM_ERROR, "V7 answered without %s", what); }

static Status read_team(Remote *remote, Arena *arena, const char **out, Error *err) {
    yyjson_doc *doc;
    Status status = remote_call(remote, arena, "/users/token_info", NULL, &doc, err);
    if (status != STATUS_OK) return status;
    *out = json_get_string(yyjson_obj_get(yyjson_doc_get_root(doc), "selected_team"), "slug", NULL);
    return *out && **out ? STATUS_OK : unexpected(err, "the team of the key");
}

static Status list(Remote *remote, Arena *arena, const char **workspace, SourceSets *out, Error *err) {
    yyjson_doc *doc = NULL;
    Status status = read_team(remote, arena, workspace, err);
    if (status == STATUS_OK) status = remote_call(remote, arena, "/datasets", NULL, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *sets = yyjson_doc_get_root(doc), *set;
    size_t index, count;
    if (!yyjson_is_arr(sets)) return unexpected(err, "a list of datasets");
    *out = (SourceSets){.items = arena_new_array(arena, SourceSet, yyjson_arr_size(sets))};
    yyjson_arr_foreach(sets, index, count, set) {
        const char *id = provider_id_text(arena, yyjson_obj_get(set, "id")), *name = json_get_string(set, "name", NULL);
        if (!id || !name) continue;
        bool in_items = yyjson_is_int(yyjson_obj_get(set, "num_items"));
        int64_t images = in_items ? provider_count(set, "num_items") : provider_count(set, "num_images") + provider_count(set, "num_videos");
        out->items[out->count++] = (SourceSet){.id = id, .name = name, .slug = json_get_string(set, "slug", name), .image_count = images};
    }
    return STATUS_OK;
}

/* --- classes --------------------------------------------------------------------------------------------------------------- */

/* Our kind for the first of V7's that we hold; NULL when there is none. */
static const char *kind_of(yyjson_val *types) {
    static const char *const KINDS[][2] = {{"polygon", "polygon"}, {"bounding_box", "bbox"}, {"line", "polyline"}, {"keypoint", "keypoint"},
                                           {"skeleton", "keypoint"}, {"cuboid", "bbox"}};
    size_t index, count;
    yyjson_val *type;
    yyjson_arr_foreach(types, index, count, type)
        for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
            if (text_equal(yyjson_get_str(type), KINDS[i][0])) return KINDS[i][1];
    return NULL;
}

static bool belongs_to(yyjson_val *class, Arena *arena, const char *set_id) {
    yyjson_val *sets = yyjson_obj_get(class, "datasets"), *set;
    size_t index, count;
    yyjson_arr_foreach(sets, index, count, set)
        if (text_equal(provider_id_text(arena, yyjson_obj_get(set, "id")), set_id)) return true;
    return false;
}

/* "rgba(255,46,0,1.0)" and the like; whatever else a stranger calls a colour is replaced by one of ours. */
static const char *color_of(Arena *arena, yyjson_val *class) {
    const char *color = json_get_string(yyjson_obj_get(class, "metadata"), "_color", NULL);
    return css_color_is_valid(color) ? arena_strdup(arena, color) : NULL;
}

typedef struct Numbered {
    int64_t id;
    const char *name;
} Numbered;

static int by_number(const void *a, const void *b) {
    int64_t x = ((const Numbered *)a)->id, y = ((const Numbered *)b)->id;
    return (x > y) - (x < y);
}

static Status open_set(Remote *remote, Arena *arena, Source *source, Error *err) {
    yyjson_doc *doc;
    const char *path = arena_printf(arena, "/teams/%s/annotation_classes?include_tags=true", remote_escape(arena, source->workspace));
    Status status = remote_call(remote, arena, path, NULL, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *classes = yyjson_obj_get(yyjson_doc_get_root(doc), "annotation_classes"), *class;
    size_t index, count = yyjson_arr_size(classes);
    Numbered *numbered = arena_new_array(arena, Numbered, count);
    source->class_count = 0;
    yyjson_arr_foreach(classes, index, count, class) {
        const char *name = json_get_string(class, "name", NULL), *kind = kind_of(yyjson_obj_get(class, "annotation_types"));
        if (!name) continue;
        const char *label = label_of(arena, name);
        if (yyjson_is_int(yyjson_obj_get(class, "id"))) numbered[source->class_count++] = (Numbered){json_get_int(class, "id", 0), label};
        if (kind && belongs_to(class, arena, source->set.id) && !class_list_find(&source->classes, label))
            class_list_add(arena, &source->classes, label, kind, color_of(arena, class), "bbox");
    }
    qsort(numbered, source->class_count, sizeof *numbered, by_number);
    int64_t *ids = arena_new_array(arena, int64_t, source->class_count);
    const char **names = arena_new_array(arena, const char *, source->class_count);
    for (size_t i = 0; i < source->class_count; i++) {
        ids[i] = numbered[i].id;
        names[i] = numbered[i].name;
    }
    source->class_ids = ids;
    source->class_names = names;
    return STATUS_OK;
}

static const char *class_name(void *context, int64_t id) {
    const Source *source = context;
    size_t low = 0, high = source->class_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (source->class_ids[middle] < id) low = middle + 1;
        else high = middle;
    }
    return low < source->class_count && source->class_ids[low] == id ? source->class_names[low] : NULL;
}

/* --- items ----------------------------------------------------------------------------------------------------------------- */

static const char *upload_path(Arena *arena, const Source *source, yyjson_val *slot) {
    const char *id = json_get_string(slot, "upload_id", NULL);
    return id ? arena_printf(arena, "/v2/teams/%s/uploads/%s", remote_escape(arena, source->workspace), remote_escape(arena, id)) : NULL;
}

static void add_slot(Arena *arena, const Source *source, yyjson_val *item, yyjson_val *slot, bool several, SourcePage *out) {
    const char *id = json_get_string(item, "id", NULL), *name = json_get_string(item, "name", "unnamed"), *path = json_get_string(item, "path", "/");
    const char *type = json_get_string(slot, "type", "image"), *slot_name = json_get_string(slot, "slot_name", "0");
    SourceItem *to = &out->items[out->count++];
    *to = (SourceItem){.remote_id = id, .item_id = id, .name = name, .folder = path, .url = upload_path(arena, source, slot)};
    if (several) { /* an item of several files becomes a folder of its own */
        to->remote_id = arena_printf(arena, "%s/%s", id, slot_name);
        to->slot = slot_name;
        to->folder = arena_printf(arena, "%s/%s", path, name);
        to->name = json_get_string(slot, "file_name", slot_name);
    }
    if (!text_equal(type, "image")) to->problem = text_mend_utf8(arena_printf(arena, "V7 holds it as %.40s; only images are imported", type));
    else if (!to->url) to->problem = "V7 names no file for it";
}

static void add_item(Arena *arena, const Source *source, yyjson_val *item, SourcePage *out) {
    yyjson_val *slots = yyjson_obj_get(item, "slots"), *slot;
    size_t index, count = yyjson_arr_size(slots);
    const char *id = json_get_string(item, "id", NULL), *state = json_get_string(item, "processing_status", "complete");
    if (!id || !*id || json_get_bool(item, "archived", false)) return;
    if (count == 0 || count > SLOTS_MAXIMUM || !text_equal(state, "complete")) {
        out->items[out->count++] = (SourceItem){.remote_id = id, .item_id = id, .name = json_get_string(item, "name", "unnamed"), .folder = json_get_string(item, "path", "/"),
                                                .problem = "V7 has not finished processing it"};
        return;
    }
    yyjson_arr_foreach(slots, index, count, slot) add_slot(arena, source, item, slot, count > 1, out);
}

static Status page(Remote *remote, Arena *arena, const Source *source, const char *cursor, SourcePage *out, Error *err) {
    yyjson_doc *doc;
    const char *path = arena_printf(arena, "/v2/teams/%s/items?dataset_ids%%5B%%5D=%s&page%%5Bsize%%5D=%d%s%s", remote_escape(arena, source->workspace),
                                    remote_escape(arena, source->set.id), PAGE_SIZE, cursor ? "&page%5Bfrom%5D=" : "", cursor ? remote_escape(arena, cursor) : "");
    Status status = remote_call(remote, arena, path, NULL, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *root = yyjson_doc_get_root(doc), *items = yyjson_obj_get(root, "items"), *item;
    size_t index, count, most = 0;
    if (!yyjson_is_arr(items)) return unexpected(err, "a list of items");
    yyjson_arr_foreach(items, index, count, item) {
        size_t slots = yyjson_arr_size(yyjson_obj_get(item, "slots"));
        most += slots > 1 && slots <= SLOTS_MAXIMUM ? slots : 1;
    }
    *out = (SourcePage){.items = arena_new_array(arena, SourceItem, most)};
    yyjson_arr_foreach(items, index, count, item) add_item(arena, source, item, out);
    out->next = json_get_string(yyjson_obj_get(root, "page"), "next", NULL);
    if (out->next && text_equal(out->next, cursor)) return unexpected(err, "a next page: it names the same one again");
    return STATUS_OK;
}

static Status details(Remote *remote, Arena *arena, const Source *source, SourceItem *item, yyjson_val **out, Error *err) {
    yyjson_doc *doc;
    const char *path = arena_printf(arena, "/v2/teams/%s/items/%s/annotations", remote_escape(arena, source->workspace), remote_escape(arena, item->item_id));
    Status status = remote_call(remote, arena, path, NULL, &doc, err);
    if (status != STATUS_OK) return status;
    *out = yyjson_doc_get_root(doc);
    if (yyjson_is_obj(*out)) *out = yyjson_obj_get(*out, "annotations");
    return STATUS_OK;
}

static void convert(Conversion *conversion, const Source *source, const SourceItem *item, yyjson_val *annotations) {
    conversion->class_name = class_name;
    conversion->context = (void *)(uintptr_t)source;
    conversion->slot = item->slot;
    v7_convert(conversion, annotations);
}

const Provider V7 = {.name = "V7", .default_url = "https://darwin.v7labs.com/api", .key_place = REMOTE_KEY_IN_HEADER, .list = list, .open = open_set,
                     .page = page, .details = details, .convert = convert};
