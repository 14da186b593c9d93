/* The job of an import: dataset after dataset, page after page, a few images at a time.
 *
 * An image's row, its annotations, its mark in imported_images and the counts are one transaction: whatever ends the job, what is there is whole, and who
 * goes on later knows what is there. An image that cannot be imported is reported and passed over; a dataset that cannot is reported and the next one
 * begins; a rejected key, a full plan or disk ends the import.
 */
#include "server/connectors/import_job.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "server/connectors/keys.h"
#include "server/connectors/place.h"
#include "base/banned.h"

enum { THREADS = 4, ARENA_BYTES = 512 << 20, TROUBLES_IN_A_ROW = 12 };

/* --- writing --------------------------------------------------------------------------------------------------------------- */

typedef struct SetWrite {
    SetImport *set;
    const char *status, *text, *name;
    int64_t total;
} SetWrite;

static Status write_begin(DbSession *tx, void *context, Error *err) {
    SetWrite *w = context;
    SetImport *set = w->set;
    Status status = STATUS_OK;
    if (!set->dataset->project_id)
        status = import_make_project(tx, set->import->job->arena, &set->import->record, set->dataset, &set->source.classes, err);
    return status == STATUS_OK ? import_begin_dataset(tx, &set->import->record, set->dataset, err) : status;
}

static Status write_end(DbSession *tx, void *context, Error *err) {
    const SetWrite *w = context;
    return import_end_dataset(tx, &w->set->import->record, w->set->dataset, w->status, w->text, err);
}

static Status write_total(DbSession *tx, void *context, Error *err) {
    const SetWrite *w = context;
    return import_set_total(tx, &w->set->import->record, w->set->dataset, w->total, err);
}

static Status write_failure(DbSession *tx, void *context, Error *err) {
    const SetWrite *w = context;
    return import_insert_failure(tx, &w->set->import->record, w->set->dataset, w->name, w->text, err);
}

static Status write_image(DbSession *tx, void *context, Error *err) { return import_insert_image(tx, context, err); }

static Status write_import_end(DbSession *tx, void *context, Error *err) {
    const SetWrite *w = context;
    return import_end(tx, w->set->import->record.id, w->status, w->text, err);
}

static Status set_write(SetImport *set, DbFunction function, SetWrite *write, Error *err) {
    write->set = set;
    return db_write(set->import->job->server->store, function, write, err);
}

Status import_report_failure(SetImport *set, const char *name, const char *reason, Error *err) {
    return set_write(set, write_failure, &(SetWrite){.name = name, .text = reason}, err);
}

/* --- one image ------------------------------------------------------------------------------------------------------------- */

bool import_is_images_own(Status status) {
    switch (status) {
    case STATUS_BAD_REQUEST: case STATUS_NOT_FOUND: case STATUS_ALREADY_EXISTS: case STATUS_PAYLOAD_TOO_LARGE: case STATUS_IMAGE_TOO_LARGE:
    case STATUS_UNSUPPORTED_MEDIA_TYPE: case STATUS_UNDECODABLE_MEDIA: case STATUS_UPSTREAM_ERROR: case STATUS_UPSTREAM_TIMEOUT: return true;
    default: return false;
    }
}

Status import_take(Incoming *in, Error *err) {
    SetImport *set = in->set;
    Import *import = set->import;
    Server *server = import->job->server;
    const char *filename = place_filename(in->arena, in->name, in->content_type);
    if (!filename) return error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "Neither its name nor its type says that it is an image");
    ImportedImage imported = {.record = &import->record, .dataset = set->dataset, .remote_id = in->remote_id, .conversion = &in->conversion, .arena = in->arena};
    imported.image = (NewImage){.project_id = set->dataset->project_id, .folder = place_folder(in->arena, in->folder), .sent_name = filename,
                                .created_by = import->record.created_by, .object = in->object};
    Status status = image_inspect(server, in->arena, &imported.image, job_stop, import->job, err);
    if (status != STATUS_OK) return status;
    in->convert(in, imported.image.width, imported.image.height);
    status = db_write(server->store, write_image, &imported, err);
    if (status == STATUS_ALREADY_EXISTS) {
        imported.image.filename = place_other_filename(in->arena, imported.image.filename, in->remote_id);
        status = db_write(server->store, write_image, &imported, err);
    }
    if (status == STATUS_NOT_FOUND) return error_set(err, STATUS_CONFLICT, "The project was deleted");
    return status;
}

/* --- a page, a few images at a time ---------------------------------------------------------------------------------------- */

typedef struct PageImport {
    SetImport *set;
    const SourcePage *page;
    atomic_size_t next;
    atomic_int troubles; /* failures of the source in a row */
    pthread_mutex_t mutex;
    atomic_bool over;
    Error error; /* the first that concerns more than one image */
} PageImport;

typedef struct Fetched {
    const SourceItem *item;
    yyjson_val *annotations;
} Fetched;

static void convert_item(Incoming *in, int64_t width, int64_t height) {
    const Fetched *fetched = in->context;
    const Source *source = &in->set->source;
    conversion_init(&in->conversion, in->arena, in->set->import->record.created_by);
    in->conversion.width = (double)width;
    in->conversion.height = (double)height;
    source->provider->convert(&in->conversion, source, fetched->item, fetched->annotations);
}

static Status is_there(const SetImport *set, const char *remote_id, int64_t *out, Error *err) {
    Store *store = set->import->job->server->store;
    DbSession *db = db_session(store);
    Status status = import_has_image(db, set->dataset->project_id, remote_id, out, err);
    db_session_release(store, db);
    return status;
}

static Status import_item(PageImport *p, Remote *remote, Arena *arena, SourceItem *item, Error *err) {
    SetImport *set = p->set;
    RemoteFile file;
    Fetched fetched = {.item = item};
    if (item->problem) return error_set(err, STATUS_UNSUPPORTED_MEDIA_TYPE, "%s", item->problem);
    Status status = set->source.provider->details(remote, arena, &set->source, item, &fetched.annotations, err);
    if (status == STATUS_OK) status = remote_download(remote, set->import->job->server->objects, item->url, IMAGE_MAXIMUM_BYTES, &file, err);
    if (status != STATUS_OK) return status;
    Incoming in = {.set = set, .arena = arena, .remote_id = item->remote_id, .name = item->name, .folder = item->folder, .content_type = file.content_type,
                   .object = file.object, .convert = convert_item, .context = &fetched};
    return import_take(&in, err);
}

static void end_page(PageImport *p, const Error *why) {
    pthread_mutex_lock(&p->mutex);
    if (p->error.status == STATUS_OK) p->error = *why;
    pthread_mutex_unlock(&p->mutex);
    atomic_store(&p->over, true);
}

/* Reports it, or ends the page. A source that fails again and again is down: it is not asked for each of the other images. */
static void note_failure(PageImport *p, const SourceItem *item, Status status, Error *failure) {
    bool of_source = status == STATUS_UPSTREAM_ERROR || status == STATUS_UPSTREAM_TIMEOUT;
    bool down = of_source && atomic_fetch_add(&p->troubles, 1) + 1 >= TROUBLES_IN_A_ROW;
    if (import_is_images_own(status) && !down) {
        Error err = {0};
        if (import_report_failure(p->set, item->name, failure->message, &err) == STATUS_OK) return;
        *failure = err;
    }
    end_page(p, failure);
}

static void *import_items(void *context) {
    PageImport *p = context;
    Import *import = p->set->import;
    Remote *remote;
    Arena arena;
    Error err = {0};
    Status status = provider_connect(import->provider, &import->job->server->config, import->key, 0, job_stop, import->job, &remote, &err);
    if (status != STATUS_OK) end_page(p, &err);
    arena_init(&arena, ARENA_BYTES);
    for (size_t i; status == STATUS_OK && !atomic_load(&p->over) && (i = atomic_fetch_add(&p->next, 1)) < p->page->count;) {
        SourceItem item = p->page->items[i];
        Error failure = {0};
        int64_t there = 0;
        Status outcome = job_cancelled(import->job) ? error_set(&failure, STATUS_CANCELLED, "Cancelled") : is_there(p->set, item.remote_id, &there, &failure);
        if (there) continue;
        if (outcome == STATUS_OK) outcome = import_item(p, remote, &arena, &item, &failure);
        if (outcome == STATUS_OK) atomic_store(&p->troubles, 0);
        else note_failure(p, &item, outcome, &failure);
        arena_reset(&arena);
    }
    arena_clear(&arena);
    remote_close(remote);
    return NULL;
}

static Status import_page(SetImport *set, const SourcePage *page, Error *err) {
    PageImport p = {.set = set, .page = page};
    pthread_t threads[THREADS];
    size_t started = 0;
    pthread_mutex_init(&p.mutex, NULL);
    while (started < THREADS && started < page->count && pthread_create(&threads[started], NULL, import_items, &p) == 0) started++;
    if (!started) import_items(&p);
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&p.mutex);
    if (p.error.status != STATUS_OK) *err = p.error;
    return p.error.status;
}

/* --- a dataset ------------------------------------------------------------------------------------------------------------- */

static Status import_pages(SetImport *set, Error *err) {
    Arena arenas[2]; /* the cursor of a page lives until the next page is there */
    const char *cursor = NULL;
    int64_t seen = 0;
    Status status = STATUS_OK;
    for (int i = 0; i < 2; i++) arena_init(&arenas[i], ARENA_BYTES);
    for (int turn = 0; status == STATUS_OK; turn ^= 1) {
        SourcePage page = {0};
        arena_reset(&arenas[turn]);
        status = set->source.provider->page(set->import->remote, &arenas[turn], &set->source, cursor, &page, err);
        seen += (int64_t)page.count;
        if (status == STATUS_OK) status = set_write(set, write_total, &(SetWrite){.total = seen}, err);
        if (status == STATUS_OK) status = import_page(set, &page, err);
        cursor = page.next;
        if (!cursor) break;
    }
    for (int i = 0; i < 2; i++) arena_clear(&arenas[i]);
    return status;
}

static Status import_set(Import *import, ImportDataset *dataset, Error *err) {
    SetImport set = {.import = import, .dataset = dataset};
    set.source = (Source){.provider = import->provider, .workspace = dataset->workspace,
                          .set = {.id = dataset->remote_id, .name = dataset->remote_name, .slug = dataset->remote_name, .has_version = dataset->has_version, .version = dataset->version}};
    Status status = import->provider->open(import->remote, import->job->arena, &set.source, err);
    if (status == STATUS_OK) status = set_write(&set, write_begin, &(SetWrite){0}, err);
    if (status == STATUS_OK && set.source.set.image_count) status = set_write(&set, write_total, &(SetWrite){.total = set.source.set.image_count}, err);
    if (status == STATUS_OK) status = dataset->has_version ? import_version(&set, err) : import_pages(&set, err);
    if (status == STATUS_OK) return set_write(&set, write_end, &(SetWrite){.status = "completed"}, err);
    if (!import_is_images_own(status) && status != STATUS_CONFLICT) return status;
    log_event(LOG_WARNING, "import_dataset_failed", "import", import->record.id, "dataset", dataset->remote_id, "reason", err->message, NULL);
    Error message = *err;
    return set_write(&set, write_end, &(SetWrite){.status = "error", .text = message.message}, err);
}

/* --- the whole ------------------------------------------------------------------------------------------------------------- */

/* The first dataset that failed says why; the others have their own rows. */
static Status finish(Import *import, Error *err) {
    Server *server = import->job->server;
    ImportRecord now;
    DbSession *db = db_session(server->store);
    Status status = import_load(db, import->job->arena, NULL, import->record.id, &now, err);
    db_session_release(server->store, db);
    if (status != STATUS_OK) return status;
    const char *message = NULL;
    for (size_t i = 0; i < now.count && !message; i++)
        if (text_equal(now.datasets[i].status, "error"))
            message = arena_printf(import->job->arena, "%s: %s", now.datasets[i].remote_name, now.datasets[i].error ? now.datasets[i].error : "could not be imported");
    SetImport set = {.import = import};
    return set_write(&set, write_import_end, &(SetWrite){.status = message ? "error" : "completed", .text = message}, err);
}

static Status run_sets(Import *import, Error *err) {
    Status status = provider_connect(import->provider, &import->job->server->config, import->key, 0, job_stop, import->job, &import->remote, err);
    for (size_t i = 0; status == STATUS_OK && i < import->record.count; i++) {
        ImportDataset *dataset = &import->record.datasets[i];
        if (text_equal(dataset->status, "completed") || text_equal(dataset->status, "error")) continue;
        status = job_cancelled(import->job) ? error_set(err, STATUS_CANCELLED, "Cancelled") : import_set(import, dataset, err);
    }
    remote_close(import->remote);
    return status == STATUS_OK ? finish(import, err) : status;
}

static Status run_import(Job *job, Error *err) {
    Import import = {.job = job};
    DbSession *db = db_session(job->server->store);
    Status status = import_load(db, job->arena, NULL, job->id, &import.record, err);
    db_session_release(job->server->store, db);
    if (status == STATUS_NOT_FOUND) return STATUS_OK; /* its organization is gone */
    if (status != STATUS_OK || import_is_final(&import.record)) return status;
    import.provider = provider_find(import.record.provider);
    char *key = keys_get(job->server->connectors, job->id);
    if (!key)
        return error_set(err, STATUS_CONFLICT, "The server was restarted and keeps no key of %s. Start the import again with the key: it goes on where it stopped",
                         import.provider->name);
    import.key = key;
    status = run_sets(&import, err);
    key_wipe(key);
    if (status == STATUS_OK) keys_drop(job->server->connectors, job->id);
    return status;
}

static Status import_ended(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    bool cancelled = why == STATUS_CANCELLED;
    keys_drop(job->server->connectors, job->id);
    char more[sizeof err->message];
    if (why == STATUS_INTERNAL_ERROR) {
        snprintf(more, sizeof more, "%s. Start the import again with the key: it goes on where it stopped", message);
        message = more;
    }
    return import_end(tx, job->id, cancelled ? "cancelled" : "error", cancelled ? NULL : message, err);
}

const JobKind IMPORT_JOB = {.name = "import", .queue = "import", .parallel = 4, .max_attempts = 3, .run = run_import, .ended = import_ended};
