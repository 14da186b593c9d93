/* Lists a dataset and looks images up. */
#include "cli/server_images.h"

#include <pictograph/datasets.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"

#include "base/banned.h"

static int compare_places(const void *a, const void *b) {
    return strcmp(((const ServerImage *)a)->place, ((const ServerImage *)b)->place);
}

static const char *or_empty(const char *text) {
    return text ? text : "";
}

static void index_names(ServerImages *images) {
    string_map_init(&images->by_name, &images->memory);
    for (size_t i = images->count; i-- > 0;) {
        const char *name = file_base_name(images->images[i].place);
        images->images[i].next_of_name = string_map_get(&images->by_name, name);
        string_map_set(&images->by_name, name, i);
    }
}

PictographStatus server_images_read(ServerImages *images, PictographClient *client, const char *dataset_name, PictographError *error) {
    *images = (ServerImages){0};
    arena_init(&images->memory, SIZE_MAX);
    PictographPager *pager = pictograph_datasets_images(client, dataset_name, NULL, error);
    if (!pager) return error->status;
    for (const PictographResult *item; (item = pictograph_pager_next(pager, error));) {
        if (images->count == images->capacity) {
            images->capacity = images->capacity ? 2 * images->capacity : 1024;
            images->images = xrealloc(images->images, images->capacity * sizeof *images->images);
        }
        const char *folder = or_empty(pictograph_text(item, "/virtual_folder_path"));
        images->images[images->count++] = (ServerImage){
            .id = arena_strdup(&images->memory, or_empty(pictograph_text(item, "/id"))),
            .place = arena_printf(&images->memory, "%s/%s", text_equal(folder, "/") ? "" : folder, or_empty(pictograph_text(item, "/filename"))),
            .stage = arena_strdup(&images->memory, or_empty(pictograph_text(item, "/status"))),
            .annotation_count = pictograph_integer(item, "/annotation_count", 0),
            .file_size = pictograph_integer(item, "/file_size", -1),
            .width = pictograph_integer(item, "/width", -1),
            .height = pictograph_integer(item, "/height", -1),
        };
    }
    pictograph_pager_free(pager);
    if (images->count > 0) qsort(images->images, images->count, sizeof *images->images, compare_places);
    index_names(images);
    return error->status;
}

void server_images_clear(ServerImages *images) {
    free(images->images);
    arena_clear(&images->memory);
    *images = (ServerImages){0};
}

void server_place(Buffer *out, const char *folder, const char *name) {
    buffer_init(out, 1 << 14);
    buffer_printf(out, "%s/%s", text_equal(folder, "/") ? "" : folder, name);
}

static ServerImage *find_place(const ServerImages *images, const char *place) {
    ServerImage key = {.place = place};
    return images->count ? bsearch(&key, images->images, images->count, sizeof key, compare_places) : NULL;
}

ServerImage *server_images_find(const ServerImages *images, const char *folder, const char *name) {
    Buffer place;
    server_place(&place, folder, name);
    ServerImage *found = place.failed ? NULL : find_place(images, place.data);
    const char *extension = file_extension(name);
    if (!found && !place.failed && (text_equal_ignoring_case(extension, ".heic") || text_equal_ignoring_case(extension, ".heif"))) {
        place.size -= strlen(extension);
        buffer_append_text(&place, ".png");
        found = find_place(images, place.data);
    }
    buffer_clear(&place);
    return found;
}

ServerImage *server_images_find_elsewhere(const ServerImages *images, const char *folder, const char *name, int64_t size) {
    ServerImage *found = NULL;
    Buffer place;
    size_t count = 0;
    server_place(&place, folder, name);
    for (size_t i = string_map_get(&images->by_name, name); i != STRING_MAP_NONE; i = images->images[i].next_of_name) {
        ServerImage *image = &images->images[i];
        bool is_it = size >= 0 && image->file_size >= 0 ? size == image->file_size
                                                        : text_ends_with(image->place, buffer_text(&place)) || text_ends_with(buffer_text(&place), image->place);
        if (!is_it) continue;
        found = image;
        count++;
    }
    buffer_clear(&place);
    return count == 1 ? found : NULL;
}
