/* One row a kind of path. $1 and $2 are the organization and the first path parameter, $3 the second one. */
#include "server/api/resources.h"

#include <string.h>

#include "base/text.h"
#include "server/api/route.h"

#include "base/banned.h"

typedef struct Resource {
    const char *path; /* start of the template, or all of it */
    const char *noun; /* "%s" stands for the name */
    const char *sql;  /* a row, when it exists */
} Resource;

#define DEVELOPER "/api/v1/developer/"
#define PROJECT_BY_NAME "SELECT 1 FROM projects WHERE organization_id = $1 AND name = $2"
#define IMAGE "SELECT 1 FROM images i JOIN projects p ON p.id = i.project_id WHERE p.organization_id = $1 AND i.id = $2"

static const Resource RESOURCES[] = {
    {DEVELOPER "projects/{name}", "Project '%s'", PROJECT_BY_NAME},
    {DEVELOPER "datasets/by-name/{name}", "Project '%s'", PROJECT_BY_NAME},
    {DEVELOPER "datasets/{dataset_id}", "Project '%s'", "SELECT 1 FROM projects WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "images/{image_id}", "Image", IMAGE},
    {DEVELOPER "annotations/{image_id}", "Image", IMAGE},
    {DEVELOPER "auto-annotate/batch/{job_id}", "Job", "SELECT 1 FROM annotation_batches WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "exports/{dataset_name}/{export_name}", "Export",
     "SELECT 1 FROM exports e JOIN projects p ON p.id = e.project_id WHERE e.organization_id = $1 AND p.name = $2 AND e.name = $3"},
    {DEVELOPER "imports/{import_id}", "Import", "SELECT 1 FROM zip_imports WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "connectors/import/status/{import_id}", "Import", "SELECT 1 FROM imports WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "connectors/import/cancel/{import_id}", "Import", "SELECT 1 FROM imports WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "training/{run_id}", "Training run", "SELECT 1 FROM training_runs WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "video/extract-frames/{job_id}", "Extraction", "SELECT 1 FROM frame_extractions WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "models/{model_id}/download", "Model", "SELECT 1 FROM models WHERE (organization_id = $1 OR visibility = 'public') AND id = $2"},
    {DEVELOPER "models/{model_id}", "Model", "SELECT 1 FROM models WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "organizations/members/{member_id}", "Member", "SELECT 1 FROM members WHERE organization_id = $1 AND id = $2"},
    {DEVELOPER "organizations/invites/{invite_id}", "Invite", "SELECT 1 FROM invites WHERE organization_id = $1 AND id = $2"},
    {"/api/v1/api-keys/{key_id}", "API key", "SELECT 1 FROM api_keys WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL"},
};

bool resource_is_missing(Request *rq) {
    const char *first = rq->path_parameters[0], *second = rq->path_parameters[1];
    if (!first || !rq->principal.organization_id[0]) return false;
    for (size_t i = 0; i < sizeof RESOURCES / sizeof RESOURCES[0]; i++) {
        const Resource *r = &RESOURCES[i];
        if (!text_starts_with(rq->route->path, r->path)) continue;
        int64_t found;
        DbValue values[] = {DB_TEXT(rq->principal.organization_id), DB_TEXT(first), strstr(r->sql, "$3") ? DB_TEXT(second) : (DbValue){.type = DB_TYPE_END}, (DbValue){.type = DB_TYPE_END}};
        if (db_read_int_values(request_db(rq), NULL, &found, 0, r->sql, values) != STATUS_OK || found) return false;
        const char *name = strstr(r->noun, "%s");
        if (name) request_fail(rq, STATUS_NOT_FOUND, "%.*s%s%s not found", (int)(name - r->noun), r->noun, first, name + 2);
        else request_not_found(rq, r->noun);
        return true;
    }
    return false;
}
