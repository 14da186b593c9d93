/* The parts of a running import that its two ways share: image by image from the source's lists, or out of the archive of a version. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "server/connectors/import_rows.h"
#include "server/connectors/provider.h"
#include "server/jobs/jobs.h"

typedef struct Import {
    Job *job;
    ImportRecord record;
    const Provider *provider;
    const char *key;
    Remote *remote; /* of the job's own thread */
} Import;

typedef struct SetImport { /* one dataset of it */
    Import *import;
    ImportDataset *dataset;
    Source source;
} SetImport;

/* Where an image is on its way into the project; everything in an arena of its own. */
typedef struct Incoming {
    SetImport *set;
    Arena *arena;
    const char *remote_id, *name, *folder, *content_type;
    ObjectInfo object;
    Conversion conversion; /* made once the size is known */
    void (*convert)(struct Incoming *incoming, int64_t width, int64_t height);
    void *context;
} Incoming;

/* Decodes, converts, writes. A failure that concerns this image alone is of a status that import_is_images_own names. */
Status import_take(Incoming *incoming, Error *err);
bool import_is_images_own(Status status);
Status import_report_failure(SetImport *set, const char *name, const char *reason, Error *err);

/* A version of a Roboflow project: its export as a COCO archive. */
Status import_version(SetImport *set, Error *err);
