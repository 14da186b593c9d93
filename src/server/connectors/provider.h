/* Provider: what an import needs of a source, one row each for V7 and Roboflow. All that comes out lies in the arena that was passed. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "server/api/api_types.h"
#include "server/connectors/convert.h"
#include "server/connectors/remote.h"
#include "server/projects/projects.h"
#include "server/server.h"

typedef struct SourceSet { /* a dataset as the source lists it */
    const char *id, *name, *slug;
    int64_t image_count;
    bool has_version; /* Roboflow: import this version's export, not the project's own images */
    int64_t version;
} SourceSet;

typedef struct SourceSets {
    SourceSet *items;
    size_t count;
} SourceSets;

typedef struct Provider Provider;

typedef struct Source { /* a dataset that is being imported */
    const Provider *provider;
    const char *workspace; /* V7: team */
    SourceSet set;
    ClassList classes; /* of the dataset, where the source tells */
    const int64_t *class_ids; /* V7: number of each of all classes of the team, with its name; sorted by number */
    const char *const *class_names;
    size_t class_count;
} Source;

typedef struct SourceItem { /* an image */
    const char *remote_id, *name, *folder;
    const char *item_id, *slot, *url; /* slot: V7, when the item has several */
    const char *problem; /* why it cannot be imported; NULL: it can */
} SourceItem;

typedef struct SourcePage {
    SourceItem *items;
    size_t count;
    const char *next; /* cursor of the next page; NULL after the last */
} SourcePage;

struct Provider {
    const char *name;    /* as people call it */
    const char *default_url;
    RemoteKeyPlace key_place;
    /* What the key can reach. */
    Status (*list)(Remote *remote, Arena *arena, const char **workspace, SourceSets *out, Error *err);
    /* Fills classes. STATUS_NOT_FOUND when the set, or its version, is gone. */
    Status (*open)(Remote *remote, Arena *arena, Source *source, Error *err);
    Status (*page)(Remote *remote, Arena *arena, const Source *source, const char *cursor, SourcePage *out, Error *err);
    /* Fills the item's url and gives its annotations for convert. */
    Status (*details)(Remote *remote, Arena *arena, const Source *source, SourceItem *item, yyjson_val **out, Error *err);
    void (*convert)(Conversion *conversion, const Source *source, const SourceItem *item, yyjson_val *annotations);
};

extern const Provider V7, ROBOFLOW;

/* By the contract's name, "v7" or "roboflow"; NULL for none. */
const Provider *provider_find(const char *name);
const char *provider_url(const Provider *provider, const Config *config);
Status provider_connect(const Provider *provider, const Config *config, const char *key, double deadline, bool (*stop)(void *), void *context, Remote **out,
                        Error *err);
/* "2" of a JSON 2, "x" of "x"; NULL of anything else. In the arena. */
const char *provider_id_text(Arena *arena, yyjson_val *value);
int64_t provider_count(yyjson_val *object, const char *key);

/* Roboflow: has the export of a version made in COCO's form and says where it lies. */
Status roboflow_export_link(Remote *remote, Arena *arena, const Source *source, bool (*stop)(void *), void *context, const char **out, Error *err);
