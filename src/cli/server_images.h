/* The images of a dataset at the server, found by their place. */
#pragma once
#include <pictograph/client.h>

#include "base/buffer.h"
#include "base/map.h"

typedef struct ServerImage {
    const char *id;
    const char *place; /* "/a/b/name.jpg" */
    const char *stage;
    int64_t annotation_count, file_size, width, height; /* -1: the server did not say */
    size_t next_of_name;                 /* index of another of the same file name; STRING_MAP_NONE at the end */
} ServerImage;

typedef struct ServerImages {
    Arena memory;
    ServerImage *images; /* in order of place */
    size_t count, capacity;
    StringMap by_name; /* file name -> index of the first */
} ServerImages;

/* Lists all that are not archived. Clear it in either case. */
PictographStatus server_images_read(ServerImages *images, PictographClient *client, const char *dataset_name, PictographError *error);
void server_images_clear(ServerImages *images);
/* What ServerImage's place is for a folder and a name; clear the buffer. */
void server_place(Buffer *out, const char *folder, const char *name);
/* NULL when there is none. An image that the server turned into PNG is found by the name of its .heic file too. */
ServerImage *server_images_find(const ServerImages *images, const char *folder, const char *name);
/* The only one of that name with as many bytes; without a size (-1 on either side), in a folder that ends as ours does or the other way round. */
ServerImage *server_images_find_elsewhere(const ServerImages *images, const char *folder, const char *name, int64_t size);
