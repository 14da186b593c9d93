/* Search: every image is described once it is there (by pictograph-vision, in the background), and found by likeness and by tags.
 * What other features may use.
 */
#pragma once
#include "server/api/api_types.h"
#include "server/images/images.h"
#include "server/jobs/jobs.h"
#include "server/server.h"
#include "server/store/db.h"

/* The feature's state: indexes in memory, and when to describe again after a failure. Before jobs_start. */
typedef struct Search Search;
Search *search_new(void);
void search_free(Search *search);

/* Describes what waits in description_queue: one job for all of the server, started by search_upkeep. */
extern const JobKind DESCRIPTION_JOB;
/* Upkeep, four times a second: starts the job when images wait, the model is installed and the last failure is long enough ago. */
void search_upkeep(Server *server);
/* Upkeep, each minute: forgets the notes of changes that every index has read. */
void search_trim(Server *server);

/* The automatic tags of an image; empty lists until it was described. */
Status search_tags(DbSession *session, Arena *arena, const char *image_id, AutoTags *out, Error *err);
/* The model that describes, as a user names it: "efficientnet_lite0", or an operator's "siglip2:mine". *name is set even where that one is not installed, but
 * for an operator's that is broken: STATUS_MODEL_UNAVAILABLE says which. May wait for a worker that looks at the operator's. */
Status search_classifier(Server *server, Arena *arena, const char **name, Error *err);
/* Describes an image, unless the present model has: what is added to its tags then stays. Failures are those of the worker. */
Status search_describe(Server *server, Arena *arena, const ImageRecord *image, bool (*stop)(void *), void *context, Error *err);
/* The parameter model_path of a call of pictograph-vision that describes. */
void search_write_model(JsonWriter *w, Server *server, Arena *arena);
/* Adds a tag ("objects", "scenes" or "attributes") to an image, in a write transaction; once more is no failure. */
Status search_add_tag(DbSession *tx, const char *image_id, const char *category, const char *tag, Error *err);
