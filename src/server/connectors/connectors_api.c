/* Handlers of connectors: what a key reaches, what the plan allows, start, state, cancel. */
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/api/tiers.h"
#include "server/connectors/import_rows.h"
#include "server/connectors/keys.h"
#include "server/connectors/provider.h"
#include "server/organizations/organizations.h"
#include "base/banned.h"

enum { SOURCE_SECONDS = 20, FAILURES_SHOWN = 1000 }; /* clients wait 30 s for an answer */

/* --- validate -------------------------------------------------------------------------------------------------------------- */

static Status ask_source(Request *rq, ConnectorProvider which, const char *key, const char **workspace, SourceSets *sets) {
    const Provider *provider = provider_find(connector_provider_name(which));
    Remote *remote;
    Status status = provider_connect(provider, &rq->server->config, key, clock_monotonic() + SOURCE_SECONDS, NULL, NULL, &remote, &rq->error);
    if (status == STATUS_OK) status = provider->list(remote, &rq->arena, workspace, sets, &rq->error);
    remote_close(remote);
    /* What the source lacks or refuses there, with a good key, is its misbehaviour. */
    if (status == STATUS_NOT_FOUND || status == STATUS_BAD_REQUEST || status == STATUS_PAYLOAD_TOO_LARGE) return rq->error.status = STATUS_UPSTREAM_ERROR;
    return status;
}

Status validate_connector(Request *rq, const ValidateConnectorInput *in, ConnectorValidation *out) {
    SourceSets sets = {0};
    const char *workspace = "";
    Status status = ask_source(rq, in->body->provider, in->body->api_key, &workspace, &sets);
    *out = (ConnectorValidation){.valid = status == STATUS_OK, .workspace = ""};
    if (status == STATUS_PROVIDER_AUTH_FAILED) {
        out->error = arena_strdup(&rq->arena, rq->error.message);
        rq->error = (Error){0};
        return STATUS_OK;
    }
    if (status != STATUS_OK) return status;
    out->workspace = workspace;
    out->datasets = (RemoteDatasetArray){.items = arena_new_array(&rq->arena, RemoteDataset, sets.count), .count = sets.count};
    for (size_t i = 0; i < sets.count; i++)
        out->datasets.items[i] = (RemoteDataset){.id = sets.items[i].id, .name = sets.items[i].name, .slug = sets.items[i].slug, .image_count = sets.items[i].image_count};
    return STATUS_OK;
}

/* --- limits ---------------------------------------------------------------------------------------------------------------- */

static int64_t sum(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

Status check_connector_limits(Request *rq, const CheckConnectorLimitsInput *in, ConnectorLimits *out) {
    const ConnectorLimitsRequest *body = in->body;
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT tier, image_count, storage_bytes FROM organizations WHERE id = $1", DB_TEXT(rq->principal.organization_id));
    if (db_next(&rows)) {
        const Tier *tier = tier_find(db_text_borrowed(&rows, 0));
        *out = (ConnectorLimits){.current_images = db_int(&rows, 1), .image_limit = tier->max_images, .current_storage_bytes = db_int(&rows, 2),
                                 .storage_limit_bytes = tier->max_storage_bytes};
    }
    Status status = db_finish(&rows);
    out->images_after_import = sum(out->current_images, body->total_images);
    out->storage_after_import_bytes = sum(out->current_storage_bytes, body->estimated_size_bytes);
    bool images = out->images_after_import > out->image_limit, storage = out->storage_after_import_bytes > out->storage_limit_bytes;
    out->exceeded = images && storage ? CONNECTOR_LIMITS_EXCEEDED_BOTH : images ? CONNECTOR_LIMITS_EXCEEDED_IMAGES : storage ? CONNECTOR_LIMITS_EXCEEDED_STORAGE : 0;
    out->allowed = !out->exceeded;
    return status;
}

/* --- state ----------------------------------------------------------------------------------------------------------------- */

static ImportDatasetProgressArray progress_rows(Arena *arena, const ImportRecord *record) {
    ImportDatasetProgressArray rows = {.items = arena_new_array(arena, ImportDatasetProgress, record->count), .count = record->count};
    for (size_t i = 0; i < record->count; i++) {
        const ImportDataset *d = &record->datasets[i];
        rows.items[i] = (ImportDatasetProgress){.name = d->name, .dataset_name = d->name, .project_id = d->project_id ? d->project_id : "",
                                                .status = import_dataset_progress_status_from_name(d->status), .imported = d->imported,
                                                .images_imported = d->imported, .failed = d->failed, .total_images = d->total_images};
    }
    return rows;
}

static Status read_failures(Request *rq, const char *import_id, ImportFailureArray *out) {
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT d.name, f.filename, f.reason FROM import_failures f JOIN import_datasets d ON d.import_id = f.import_id AND d.position = f.position "
                           "WHERE f.import_id = $1 ORDER BY f.sequence LIMIT $2", DB_TEXT(import_id), DB_INT(FAILURES_SHOWN));
    out->items = arena_new_array(&rq->arena, ImportFailure, FAILURES_SHOWN);
    while (out->count < FAILURES_SHOWN && db_next(&rows))
        out->items[out->count++] = (ImportFailure){.dataset_name = db_text(&rows, 0, &rq->arena), .filename = db_text(&rows, 1, &rq->arena), .reason = db_text(&rows, 2, &rq->arena)};
    return db_finish(&rows);
}

static Status read_left_out(Request *rq, const char *import_id, ImportLeftOutArray *out) {
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT kind, annotation_count FROM import_left_out WHERE import_id = $1 ORDER BY kind", DB_TEXT(import_id));
    out->items = arena_new_array(&rq->arena, ImportLeftOut, LEFT_OUT_KINDS);
    while (out->count < LEFT_OUT_KINDS && db_next(&rows)) out->items[out->count++] = (ImportLeftOut){.kind = db_text(&rows, 0, &rq->arena), .count = db_int(&rows, 1)};
    return db_finish(&rows);
}

/* 100 only once it is final. */
static double percent_of(const ImportRecord *record, const ImportJob *job) {
    if (text_equal(record->status, "completed")) return 100;
    double part = job->total_images > 0 ? 100.0 * (double)(job->imported_images + job->failed_images) / (double)job->total_images : 0;
    return part < 99 ? part : 99;
}

static Status load_job(Request *rq, const char *import_id, ImportJob *out) {
    ImportRecord record;
    Status status = import_load(request_db(rq), &rq->arena, rq->principal.organization_id, import_id, &record, &rq->error);
    if (status != STATUS_OK) return status;
    *out = (ImportJob){.import_id = record.id, .provider = connector_provider_from_name(record.provider), .status = import_job_status_from_name(record.status),
                       .current_dataset = "", .datasets = progress_rows(&rq->arena, &record), .error_message = record.error_message, .created_at = record.created_at,
                       .has_created_at = true, .completed_at = record.completed_at, .has_completed_at = record.has_completed_at, .has_failures = true, .has_left_out = true};
    for (size_t i = 0; i < record.count; i++) {
        out->total_images += record.datasets[i].total_images;
        out->imported_images += record.datasets[i].imported;
        out->failed_images += record.datasets[i].failed;
        if (text_equal(record.datasets[i].status, "processing")) out->current_dataset = record.datasets[i].name;
    }
    out->progress = percent_of(&record, out);
    status = read_failures(rq, record.id, &out->failures);
    return status == STATUS_OK ? read_left_out(rq, record.id, &out->left_out) : status;
}

Status get_import(Request *rq, const GetImportInput *in, ImportJob *out) { return load_job(rq, in->import_id, out); }

/* --- start ----------------------------------------------------------------------------------------------------------------- */

typedef struct NewImport {
    Request *rq;
    ImportRecord record;
} NewImport;

static const SourceSet *find_set(const SourceSets *sets, const RemoteDatasetInput *wanted) {
    for (size_t i = 0; i < sets->count; i++)
        if (text_equal(sets->items[i].id, wanted->id)) return &sets->items[i];
    return NULL;
}

static Status refuse_repeats(Request *rq, const RemoteDatasetInputArray *sets) {
    StringMap seen;
    string_map_init(&seen, &rq->arena);
    for (size_t i = 0; i < sets->count; i++)
        if (string_map_get_or_set(&seen, sets->items[i].id, i) != i)
            request_field_error(rq, "value_error", arena_printf(&rq->arena, "Dataset '%s' is listed twice", sets->items[i].id), "body", "datasets",
                                arena_printf(&rq->arena, "%zu", i), "id", NULL);
    return rq->errors.count ? request_fail(rq, STATUS_VALIDATION_ERROR, "A dataset can be imported once in one import") : STATUS_OK;
}

/* What the source says of a dataset counts, not what the request says of it; of that, id and version. */
static Status choose_sets(NewImport *new, const RemoteDatasetInputArray *wanted, const char *workspace, const SourceSets *sets) {
    Request *rq = new->rq;
    ImportRecord *record = &new->record;
    bool versions = text_equal(record->provider, "roboflow");
    record->datasets = arena_new_array(&rq->arena, ImportDataset, wanted->count);
    for (size_t i = 0; i < wanted->count; i++) {
        const RemoteDatasetInput *w = &wanted->items[i];
        const SourceSet *set = find_set(sets, w);
        if (!set) return request_fail(rq, STATUS_NOT_FOUND, "Dataset '%s' does not exist at the source", w->name);
        record->datasets[record->count++] = (ImportDataset){.position = (int64_t)i, .remote_id = set->id, .remote_name = set->name, .workspace = workspace, .name = set->name,
                                                            .has_version = versions && w->has_version, .version = w->version, .total_images = set->image_count};
    }
    return STATUS_OK;
}

static Status insert_import(DbSession *tx, void *context, Error *err) {
    NewImport *new = context;
    Arena *arena = &new->rq->arena;
    ImportRecord *r = &new->record;
    Status status = STATUS_OK;
    int64_t images = 0, projects = 0;
    for (size_t i = 0; status == STATUS_OK && i < r->count; i++) {
        const char *name;
        int64_t there = 0;
        status = import_find_unfinished(tx, arena, r->organization_id, r->provider, &r->datasets[i], &r->datasets[i].project_id, &name, err);
        if (name) r->datasets[i].name = name;
        if (status == STATUS_OK)
            status = db_read_int(tx, err, &there, 0, "SELECT count(*) FROM imported_images WHERE project_id = $1", DB_TEXT(r->datasets[i].project_id));
        if (r->datasets[i].total_images > there) images += r->datasets[i].total_images - there;
        projects += !r->datasets[i].project_id;
    }
    if (status == STATUS_OK) status = organization_require_projects(new->rq, tx, projects, err);
    if (status == STATUS_OK) status = organization_require_room(new->rq, tx, images, 0, err);
    if (status == STATUS_OK) status = import_insert(tx, r, err);
    return status == STATUS_OK ? job_enqueue(tx, r->id, IMPORT_JOB.name, r->organization_id, NULL, "{}", err) : status;
}

Status start_import(Request *rq, const StartImportInput *in, ImportStartResponse *out) {
    const ImportStartRequest *body = in->body;
    NewImport new = {.rq = rq};
    SourceSets sets = {0};
    const char *workspace = "";
    Status status = refuse_repeats(rq, &body->datasets);
    if (status == STATUS_OK) status = ask_source(rq, body->provider, body->api_key, &workspace, &sets);
    if (status != STATUS_OK) return status;
    char *id = arena_alloc(&rq->arena, UUID_SIZE);
    new.record = (ImportRecord){.id = uuid_new(id), .organization_id = rq->principal.organization_id, .provider = connector_provider_name(body->provider),
                                .created_by = request_creator(rq), .created_at = clock_now_ms()};
    status = choose_sets(&new, &body->datasets, workspace, &sets);
    if (status != STATUS_OK) return status;
    keys_put(rq->server->connectors, id, body->api_key);
    status = request_write(rq, insert_import, &new);
    if (status != STATUS_OK) {
        keys_drop(rq->server->connectors, id);
        return status;
    }
    for (size_t i = 0; i < new.record.count; i++) new.record.datasets[i].status = "pending";
    jobs_wake(rq->server->jobs);
    *out = (ImportStartResponse){.import_id = id, .datasets = progress_rows(&rq->arena, &new.record)};
    return STATUS_OK;
}

/* --- cancel ---------------------------------------------------------------------------------------------------------------- */

Status cancel_import(Request *rq, const CancelImportInput *in, ImportJob *out) {
    Status status = load_job(rq, in->import_id, out);
    if (status == STATUS_OK) status = request_cancel_job(rq, in->import_id);
    return status == STATUS_OK ? load_job(rq, in->import_id, out) : status;
}
