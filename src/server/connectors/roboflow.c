/* Roboflow: its REST interface. Source: docs.roboflow.com, "REST API" (root, workspace, project, version, search, image details, export). Only reads. */
#include <string.h>

#include "base/clock.h"
#include "base/css_color.h"
#include "base/text.h"
#include "server/connectors/provider.h"
#include "base/banned.h"

enum { PAGE_SIZE = 250, EXPORT_WAIT_SECONDS = 1800 };

static Status unexpected(Error *err, const char *what) { return error_set(err, STATUS_UPSTREAM_ERROR, "Roboflow answered without %s", what); }

/* The last part of "workspace/project". */
static const char *last_part(const char *id) {
    const char *slash = strrchr(id, '/');
    return slash ? slash + 1 : id;
}

static const char *project_path(Arena *arena, const Source *source, const char *rest) {
    return arena_printf(arena, "/%s/%s%s", remote_escape(arena, source->workspace), remote_escape(arena, last_part(source->set.id)), rest);
}

static Status list(Remote *remote, Arena *arena, const char **workspace, SourceSets *out, Error *err) {
    yyjson_doc *doc;
    Status status = remote_call(remote, arena, "/", NULL, &doc, err);
    if (status != STATUS_OK) return status;
    *workspace = json_get_string(yyjson_doc_get_root(doc), "workspace", NULL);
    if (!*workspace || !**workspace) return unexpected(err, "the workspace of the key");
    status = remote_call(remote, arena, arena_printf(arena, "/%s", remote_escape(arena, *workspace)), NULL, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *projects = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "workspace"), "projects"), *project;
    size_t index, count;
    if (!yyjson_is_arr(projects)) return unexpected(err, "a list of projects");
    *out = (SourceSets){.items = arena_new_array(arena, SourceSet, yyjson_arr_size(projects))};
    yyjson_arr_foreach(projects, index, count, project) {
        const char *id = provider_id_text(arena, yyjson_obj_get(project, "id"));
        if (!id || !*last_part(id)) continue;
        out->items[out->count++] = (SourceSet){.id = id, .name = json_get_string(project, "name", last_part(id)), .slug = last_part(id),
                                               .image_count = provider_count(project, "images")};
    }
    return STATUS_OK;
}

static const char *kind_of(const char *project_type) {
    static const char *const KINDS[][2] = {{"instance-segmentation", "polygon"}, {"semantic-segmentation", "polygon"}, {"object-detection", "bbox"},
                                           {"keypoint-detection", "bbox"}, {"classification", "bbox"}};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (text_equal(project_type, KINDS[i][0])) return KINDS[i][1];
    return "bbox";
}

static const char *color_of(Arena *arena, yyjson_val *colors, const char *name) {
    const char *color = json_get_string(colors, name, NULL);
    return css_color_is_valid(color) ? arena_strdup(arena, color) : NULL;
}

static Status open_set(Remote *remote, Arena *arena, Source *source, Error *err) {
    yyjson_doc *doc;
    Status status = remote_call(remote, arena, project_path(arena, source, ""), NULL, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *project = yyjson_obj_get(yyjson_doc_get_root(doc), "project"), *classes = yyjson_obj_get(project, "classes"), *name, *count_of;
    const char *kind = kind_of(json_get_string(project, "type", NULL));
    size_t index, count;
    yyjson_obj_foreach(classes, index, count, name, count_of) {
        const char *label = label_of(arena, yyjson_get_str(name));
        if (!class_list_find(&source->classes, label))
            class_list_add(arena, &source->classes, label, kind, color_of(arena, yyjson_obj_get(project, "colors"), yyjson_get_str(name)), "bbox");
    }
    if (!source->set.has_version) return STATUS_OK;
    status = remote_call(remote, arena, project_path(arena, source, arena_printf(arena, "/%lld", (long long)source->set.version)), NULL, &doc, err);
    int64_t images = provider_count(yyjson_obj_get(yyjson_doc_get_root(doc), "version"), "images");
    if (status == STATUS_OK && images > 0) source->set.image_count = images;
    return status;
}

/* The cursor is the offset. in_dataset keeps out what is still in upload batches and annotation jobs. */
static Status page(Remote *remote, Arena *arena, const Source *source, const char *cursor, SourcePage *out, Error *err) {
    yyjson_doc *doc;
    int64_t offset = 0;
    if (cursor) text_to_int(cursor, &offset);
    const char *body = arena_printf(arena, "{\"in_dataset\":true,\"offset\":%lld,\"limit\":%d,\"fields\":[\"id\",\"name\"]}", (long long)offset, PAGE_SIZE);
    Status status = remote_call(remote, arena, project_path(arena, source, "/search"), body, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *root = yyjson_doc_get_root(doc), *results = yyjson_obj_get(root, "results"), *image;
    size_t index, count;
    if (!yyjson_is_arr(results)) return unexpected(err, "a list of images");
    *out = (SourcePage){.items = arena_new_array(arena, SourceItem, yyjson_arr_size(results))};
    yyjson_arr_foreach(results, index, count, image) {
        const char *id = json_get_string(image, "id", NULL);
        if (id && *id) out->items[out->count++] = (SourceItem){.remote_id = id, .item_id = id, .name = json_get_string(image, "name", id), .folder = "/"};
    }
    int64_t next = offset + (int64_t)yyjson_arr_size(results), total = json_get_int(root, "total", -1);
    bool more = total >= 0 ? next < total : yyjson_arr_size(results) == PAGE_SIZE;
    if (yyjson_arr_size(results) > 0 && more) out->next = arena_printf(arena, "%lld", (long long)next);
    return STATUS_OK;
}

static Status details(Remote *remote, Arena *arena, const Source *source, SourceItem *item, yyjson_val **out, Error *err) {
    yyjson_doc *doc;
    Status status = remote_call(remote, arena, project_path(arena, source, arena_printf(arena, "/images/%s", remote_escape(arena, item->item_id))), NULL, &doc, err);
    if (status != STATUS_OK) return status;
    yyjson_val *image = yyjson_obj_get(yyjson_doc_get_root(doc), "image");
    const char *url = json_get_string(yyjson_obj_get(image, "urls"), "original", NULL);
    *out = yyjson_obj_get(image, "annotation");
    if (!url || (!text_starts_with(url, "http://") && !text_starts_with(url, "https://"))) return unexpected(err, "the address of the image");
    item->url = url;
    return STATUS_OK;
}

static void convert(Conversion *conversion, const Source *source, const SourceItem *item, yyjson_val *annotation) {
    (void)source, (void)item;
    roboflow_convert(conversion, annotation);
}

Status roboflow_export_link(Remote *remote, Arena *arena, const Source *source, bool (*stop)(void *), void *context, const char **out, Error *err) {
    const char *path = project_path(arena, source, arena_printf(arena, "/%lld/coco", (long long)source->set.version));
    double begun = clock_monotonic();
    for (;;) {
        yyjson_doc *doc;
        Status status = remote_call(remote, arena, path, NULL, &doc, err);
        if (status != STATUS_OK) return status;
        *out = json_get_string(yyjson_obj_get(yyjson_doc_get_root(doc), "export"), "link", NULL);
        if (*out) return text_starts_with(*out, "http") ? STATUS_OK : unexpected(err, "the address of the export");
        if (clock_monotonic() - begun > EXPORT_WAIT_SECONDS) return error_set(err, STATUS_UPSTREAM_TIMEOUT, "Roboflow did not finish the export in time");
        for (double until = clock_monotonic() + 2; clock_monotonic() < until; clock_sleep(0.1))
            if (stop && stop(context)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    }
}

const Provider ROBOFLOW = {.name = "Roboflow", .default_url = "https://api.roboflow.com", .key_place = REMOTE_KEY_IN_QUERY, .list = list, .open = open_set,
                           .page = page, .details = details, .convert = convert};
