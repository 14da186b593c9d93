/* Search: every image is described once it is there (by pictograph-vision, in the background), and found by likeness and by tags.
 * What other features may use.
 */
#pragma once
#include "server/api/api_types.h"
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
