/* The job of an import: archive → pictograph-import → images, made durable by the slice, decoded two at a time → a project that appears at once.
 *
 * The archive and the labels in it are read by pictograph-import in its sandbox, the pictures by pictograph-media in its own. What comes from
 * there is one line of JSON an image, whose names, paths and annotations are checked here as if a stranger had sent them.
 * A killed server starts an import over: what the earlier attempt wrote belonged to nobody and is removed first.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/css_color.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/text.h"
#include "formats/dataset.h"
#include "formats/names.h"
#include "server/imports/import_rows.h"
#include "server/imports/imports.h"
#include "server/jobs/workers.h"
#include "server/objects/objects.h"
#include "server/organizations/organizations.h"
#include "server/server.h"
#include "base/banned.h"

enum { SLICE = 64, SLICE_BYTES = 64 << 20, LANES = 2, DROP_SLICE = 2000, LINE_MAXIMUM = 65 << 20, READ_TIMEOUT_SECONDS = 3600 };
enum { DESCRIPTION_CHARACTERS = 4000 }; /* limits.yaml, the contract */
#define ROUND_SECONDS 0.5

/* A line of images.jsonl whose image is not written yet. */
typedef struct Waiting {
    const char *place; /* folder and name; NULL: never to be taken */
    const char *path;  /* of its file; NULL: none that can be read */
    size_t annotations; /* that the line has */
} Waiting;

/* The worker looks at the image of one lane while the server prepares that of the other. */
typedef struct Lane {
    struct Run *run;
    Arena arena; /* as long as slice_arena */
} Lane;

typedef struct Run {
    Job *job;
    ZipImportRecord record;
    const char *folder;
    yyjson_val *summary; /* what pictograph-import said */
    int64_t total, done; /* lines of images */
    ClassList classes;
    const char **class_kinds; /* of each class, of its first annotation; NULL while there is none */
    StringMap class_index;
    bool kinds[ANNOTATION_TYPE_COUNT]; /* that occur */
    StringMap places;                  /* folder and name of the images taken */
    ZipImportItem items[SLICE];
    Waiting waiting[SLICE]; /* beside them */
    size_t item_count, written;
    size_t bytes;     /* of the slice's lines and files */
    int64_t sequence; /* lines of the report that are written */
    int64_t images;   /* taken */
    Arena slice_arena;
    Lane lanes[LANES];
    pthread_mutex_t lock; /* of the next two, while lanes run */
    size_t next;          /* item */
    Error failure;        /* of the import: ends the lanes */
    double round_end;
    const char *types, *description; /* for the last step */
    int64_t removed;
} Run;

/* ---- writing ---- */

static Status begin(DbSession *tx, void *context, Error *err) { return zip_import_begin(tx, &((Run *)context)->record, err); }

static Status add_items(DbSession *tx, void *context, Error *err) {
    Run *r = context;
    int64_t progress = r->total ? 10 + 89 * r->done / r->total : 10;
    return zip_import_add(tx, &r->slice_arena, &r->record, r->items + r->written, r->next - r->written, r->sequence, progress, err);
}

/* The items before next. */
static Status write_items(Run *r, Error *err) {
    Status status = r->next > r->written ? db_write(r->job->server->store, add_items, r, err) : STATUS_OK;
    r->sequence += (int64_t)(r->next - r->written);
    r->written = r->next;
    return status;
}

static void clear_slice(Run *r) {
    r->item_count = r->written = r->next = r->bytes = 0;
    arena_reset(&r->slice_arena);
    for (size_t i = 0; i < LANES; i++) arena_reset(&r->lanes[i].arena);
}

static Status flush(Run *r, Error *err) {
    r->next = r->item_count;
    Status status = write_items(r, err);
    clear_slice(r);
    return status;
}

/* The item's texts live in slice_arena. */
static Status add(Run *r, ZipImportItem item, Error *err) {
    r->items[r->item_count++] = item;
    return r->item_count == SLICE ? flush(r, err) : STATUS_OK;
}

static Status drop_slice(DbSession *tx, void *context, Error *err) {
    Run *r = context;
    return zip_import_drop(tx, r->record.id, DROP_SLICE, &r->removed, err);
}

static Status drop(Run *r, Error *err) {
    Status status;
    do status = db_write(r->job->server->store, drop_slice, r, err);
    while (status == STATUS_OK && r->removed == DROP_SLICE);
    return status;
}

/* ---- step 1: what the archive holds ---- */

static Status open_archive(Run *r, yyjson_doc **reply, Error *err) {
    Server *server = r->job->server;
    Buffer params;
    JsonWriter w;
    buffer_init(&params, 65536);
    json_writer_init(&w, &params);
    json_begin_object(&w);
    json_field_string(&w, "path", objects_path(server->objects, r->record.object, r->job->arena));
    json_field_string(&w, "folder", r->folder);
    json_field_string(&w, "format", r->record.wanted_format);
    json_end_object(&w);
    Status status = workers_call(server->importer, reply, "read", buffer_text(&params), READ_TIMEOUT_SECONDS, job_stop, r->job, err);
    buffer_clear(&params);
    return status;
}

/* Classes as the contract lets them be; annotations of others are left out, image by image. */
static void take_classes(Run *r) {
    Arena *arena = r->job->arena;
    yyjson_val *list = yyjson_obj_get(r->summary, "classes"), *class;
    size_t index, count;
    string_map_init(&r->class_index, arena);
    r->class_kinds = arena_new_array(arena, const char *, yyjson_arr_size(list));
    yyjson_arr_foreach(list, index, count, class) {
        const char *name = json_get_string(class, "name", NULL), *type = json_get_string(class, "type", NULL), *color = json_get_string(class, "color", NULL);
        AnnotationType known;
        if (!name || text_is_blank(name) || text_trim(arena, name) != name || text_length(name) > CLASS_NAME_CHARACTERS || string_map_get(&r->class_index, name) != STRING_MAP_NONE) continue;
        if (!type || !annotation_type_from_name(type, &known)) type = NULL;
        else r->kinds[known] = true;
        string_map_set(&r->class_index, name, r->classes.count);
        class_list_add(arena, &r->classes, name, type, css_color_is_valid(color) ? color : NULL, NULL);
    }
}

static Status take_notes(Run *r, Error *err) {
    yyjson_val *list = yyjson_obj_get(r->summary, "notes"), *note;
    size_t index, count;
    Status status = STATUS_OK;
    yyjson_arr_foreach(list, index, count, note) {
        if (status != STATUS_OK) break;
        bool left_out = json_get_bool(note, "left_out", false);
        status = add(r, (ZipImportItem){.file = json_get_string(note, "file", "."), .message = json_get_string(note, "text", ""),
                                     .outcome = left_out ? ZIP_IMPORT_OUTCOME_LEFT_OUT : ZIP_IMPORT_OUTCOME_MENDED}, err);
    }
    int64_t more = json_get_int(r->summary, "note_total", 0) - (int64_t)count;
    if (status == STATUS_OK && more > 0)
        status = add(r, (ZipImportItem){.file = ".", .message = arena_printf(r->job->arena, "%lld more notes like these", (long long)more),
                                     .outcome = ZIP_IMPORT_OUTCOME_MENDED}, err);
    return status == STATUS_OK ? flush(r, err) : status;
}

static Status set_format(DbSession *tx, void *context, Error *err) {
    Run *r = context;
    return db_exec(tx, err, "UPDATE zip_imports SET format = $1, progress = 10 WHERE id = $2", DB_TEXT(json_get_string(r->summary, "format", NULL)), DB_TEXT(r->record.id));
}

static Status take_summary(Run *r, Error *err) {
    Store *store = r->job->server->store;
    r->total = json_get_int(r->summary, "images", 0);
    DbSession *db = db_session(store);
    Status status = organization_check_room(db, r->record.organization_id, r->total, 0, err); /* the end checks again, with the bytes */
    db_session_release(store, db);
    if (status == STATUS_OK) status = db_write(store, set_format, r, err);
    take_classes(r);
    return status == STATUS_OK ? take_notes(r, err) : status;
}

/* ---- step 2: slice by slice ---- */

static bool has_control(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20) return true;
    return false;
}

/* Why an image cannot have this name in a project; NULL when it can. */
static const char *name_fault(const char *folder, const char *filename) {
    if (!filename || !*filename || strpbrk(filename, "/\\") || has_control(filename) || text_length(filename) > IMAGE_FILENAME_CHARACTERS) return "its name cannot be used";
    if (!name_is_image(filename)) return "no image type that is known";
    bool usable = folder[0] == '/' && (!folder[1] || name_is_safe_path(folder + 1)) && text_length(folder) <= IMAGE_FOLDER_CHARACTERS;
    return usable ? NULL : "the name of its folder cannot be used";
}

static const char *stage_of(yyjson_val *line) {
    static const char *const STAGES[] = {"new", "annotate", "review", "complete"};
    const char *stage = json_get_string(line, "status", "");
    for (size_t i = 0; i < sizeof STAGES / sizeof *STAGES; i++)
        if (text_equal(STAGES[i], stage)) return STAGES[i];
    return NULL;
}

static void parse_annotations(Run *r, yyjson_val *line, ZipImportItem *item, Waiting *waiting) {
    FieldErrors errors;
    field_errors_init(&errors, &r->slice_arena);
    yyjson_val *list = yyjson_obj_get(line, "annotations");
    waiting->annotations = yyjson_arr_size(list);
    if (!annotation_list_read(&r->slice_arena, list, NULL, NULL, &errors, &item->annotations)) item->annotations = (AnnotationList){0};
}

/* Those of classes that are taken; their first ones tell the kinds of the classes. */
static void keep_annotations(Run *r, AnnotationList *list) {
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        const Annotation *a = &list->items[i];
        size_t class = string_map_get(&r->class_index, a->name);
        if (class == STRING_MAP_NONE) continue;
        if (!r->class_kinds[class]) r->class_kinds[class] = annotation_type_name(a->type);
        r->kinds[a->type] = true;
        list->items[kept++] = *a;
    }
    list->count = kept;
}

/* Why the file cannot be taken; NULL when it can, then *out_path is its path. */
static const char *file_fault(Run *r, const char *file, const char **out_path) {
    static const char UNREADABLE[] = "its file cannot be read";
    const char *path = arena_printf(&r->slice_arena, "%s/files/%s", r->folder, file);
    struct stat info;
    if (!name_is_safe_path(file) || lstat(path, &info) != 0 || !S_ISREG(info.st_mode)) return UNREADABLE;
    for (size_t i = 0; i < r->item_count; i++)
        if (r->waiting[i].path && text_equal(r->waiting[i].path, path)) return UNREADABLE; /* it is moved away for that one */
    if (info.st_size > IMAGE_MAXIMUM_BYTES) return "larger than 50 MB";
    r->bytes += (size_t)info.st_size;
    *out_path = path;
    return NULL;
}

/* NULL where the contract does not let it be. */
static const char *display_name_of(Arena *arena, yyjson_val *line) {
    const char *name = json_get_string(line, "display_name", NULL);
    return name && *name && text_length(name) <= IMAGE_FILENAME_CHARACTERS ? arena_strdup(arena, name) : NULL;
}

static const char NAME_TAKEN[] = "another image of this name was taken";

static bool place_is_taken(const Run *r, const char *place) { return string_map_get(&r->places, place) != STRING_MAP_NONE; }

static void read_image(Run *r, yyjson_val *line) {
    Arena *arena = &r->slice_arena;
    const char *folder = arena_strdup(arena, json_get_string(line, "folder", "/")), *filename = arena_strdup(arena, json_get_string(line, "filename", ""));
    const char *file = json_get_string(line, "file", NULL), *fault = name_fault(folder, filename), *id = json_get_string(line, "id", NULL);
    ZipImportItem item = {.file = name_join(arena, folder, filename), .outcome = ZIP_IMPORT_OUTCOME_LEFT_OUT, .stage = stage_of(line)};
    Waiting waiting = {0};
    item.image = (NewImage){.project_id = r->record.id, .folder = folder, .sent_name = filename, .display_name = display_name_of(arena, line),
                           .created_by = r->record.created_by};
    item.wanted_id = id && uuid_is_valid(id) ? arena_strdup(arena, id) : NULL;
    if (!fault && !file) fault = "the archive does not hold its pixels";
    if (!fault) {
        waiting.place = arena_printf(arena, "%s\n%s", folder, image_stored_name(arena, filename));
        fault = place_is_taken(r, waiting.place) ? NAME_TAKEN : file_fault(r, file, &waiting.path);
    }
    if (!fault) parse_annotations(r, line, &item, &waiting);
    item.message = fault;
    r->waiting[r->item_count] = waiting;
    r->items[r->item_count++] = item;
}

/* A failure that is the file's own fault: the image is left out, the import goes on. */
static bool leave_out(Arena *arena, ZipImportItem *item, const Error *why) {
    if (why->status == STATUS_CANCELLED || status_info(why->status)->http >= 500) return false;
    item->message = arena_strdup(arena, why->message);
    return true;
}

static Status adopt(Run *r, Error *err) {
    Adoption *files = arena_new_array(&r->slice_arena, Adoption, r->item_count), *file = files;
    for (size_t i = 0; i < r->item_count; i++)
        if (r->waiting[i].path) file++->path = r->waiting[i].path;
    objects_adopt_files(r->job->server->objects, files, (size_t)(file - files));
    file = files;
    for (size_t i = 0; i < r->item_count; i++) {
        if (!r->waiting[i].path) continue;
        const Error *failure = &file->error;
        r->items[i].image.object = file++->object;
        if (failure->status == STATUS_OK || leave_out(&r->slice_arena, &r->items[i], failure)) continue;
        *err = *failure;
        return err->status;
    }
    return STATUS_OK;
}

/* SIZE_MAX when there is nothing to do any more in this round. */
static size_t next_item(Run *r) {
    pthread_mutex_lock(&r->lock);
    size_t at = r->next < r->item_count && r->failure.status == STATUS_OK && clock_monotonic() < r->round_end ? r->next++ : SIZE_MAX;
    pthread_mutex_unlock(&r->lock);
    return at;
}

static void *run_lane(void *context) {
    Lane *lane = context;
    Run *r = lane->run;
    for (size_t i; (i = next_item(r)) != SIZE_MAX;) {
        ZipImportItem *item = &r->items[i];
        Error err = {0};
        if (item->message || image_inspect(r->job->server, &lane->arena, &item->image, job_stop, r->job, &err) == STATUS_OK || leave_out(&lane->arena, item, &err)) continue;
        pthread_mutex_lock(&r->lock);
        if (r->failure.status == STATUS_OK) r->failure = err;
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

/* Has the next items looked at, for as long as the progress may stand still. */
static Status inspect(Run *r, Error *err) {
    pthread_t threads[LANES];
    size_t started = 1;
    if (job_cancelled(r->job)) return error_set(err, STATUS_CANCELLED, "Cancelled");
    r->round_end = clock_monotonic() + ROUND_SECONDS;
    while (started < LANES && pthread_create(&threads[started], NULL, run_lane, &r->lanes[started]) == 0) started++;
    run_lane(&r->lanes[0]);
    while (--started) pthread_join(threads[started], NULL);
    if (r->failure.status != STATUS_OK) *err = r->failure;
    return r->failure.status;
}

/* What is known of an item once its image was looked at and those before it are settled. */
static void settle(Run *r, ZipImportItem *item, const Waiting *waiting) {
    if (waiting->place && place_is_taken(r, waiting->place)) item->message = NAME_TAKEN;
    if (item->message) {
        item->image.id = NULL;
        return;
    }
    string_map_set(&r->places, waiting->place, 1);
    keep_annotations(r, &item->annotations);
    size_t lost = waiting->annotations - item->annotations.count;
    item->outcome = lost ? ZIP_IMPORT_OUTCOME_MENDED : ZIP_IMPORT_OUTCOME_TAKEN;
    if (lost) item->message = arena_printf(&r->slice_arena, "%zu annotations have a class name that cannot be used; left out", lost);
    r->images++;
}

static Status take_slice(Run *r, Error *err) {
    Status status = adopt(r, err);
    while (status == STATUS_OK && r->written < r->item_count) {
        status = inspect(r, err);
        if (status != STATUS_OK) break;
        for (size_t i = r->written; i < r->next; i++) settle(r, &r->items[i], &r->waiting[i]);
        r->done += (int64_t)(r->next - r->written);
        status = write_items(r, err);
    }
    clear_slice(r);
    return status;
}

static Status take_line(Run *r, const char *text, size_t size, Error *err) {
    yyjson_doc *doc = json_parse(text, size, err);
    if (!doc) return err->status;
    read_image(r, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    r->bytes += size;
    return r->item_count == SLICE || r->bytes >= SLICE_BYTES ? take_slice(r, err) : STATUS_OK;
}

/* The next line with its end, or as much of it as the buffer takes, which has failed then; false at the end of the file. */
static bool read_line(FILE *file, Buffer *line) {
    buffer_reset(line);
    for (int c = 0; c != '\n' && !line->failed && (c = getc_unlocked(file)) != EOF;) buffer_append_byte(line, (char)c);
    return line->size > 0;
}

/* Lines of a file that a sandboxed process wrote: none may be larger than that process makes them. */
static Status take_lines(Run *r, FILE *file, Error *err) {
    Buffer line;
    Status status = STATUS_OK;
    buffer_init(&line, LINE_MAXIMUM);
    while (status == STATUS_OK && read_line(file, &line)) {
        if (job_cancelled(r->job)) status = error_set(err, STATUS_CANCELLED, "Cancelled");
        else if (line.failed) status = error_set(err, STATUS_BAD_REQUEST, "One image has more annotations than can be taken");
        else status = take_line(r, line.data, line.size, err);
    }
    if (status == STATUS_OK && ferror(file)) status = error_set_errno(err, errno, "images.jsonl");
    buffer_clear(&line);
    return status == STATUS_OK ? take_slice(r, err) : status;
}

static Status take_images(Run *r, Error *err) {
    const char *path = arena_printf(r->job->arena, "%s/images.jsonl", r->folder);
    FILE *file = fopen(path, "re");
    if (!file) return error_set_errno(err, errno, "%s", path);
    string_map_init(&r->places, r->job->arena);
    Status status = take_lines(r, file, err);
    fclose(file);
    if (status == STATUS_OK && r->images == 0) return error_set(err, STATUS_BAD_REQUEST, "The archive holds no image that could be taken");
    return status;
}

/* ---- step 3: the project appears ---- */

static Status publish(DbSession *tx, void *context, Error *err) {
    Run *r = context;
    return zip_import_publish(tx, &r->slice_arena, &r->record, r->description, r->types, &r->classes, err);
}

/* What the archive left open: the kind of a class is that of its first annotation, and the kinds of the project are those that occur. */
static void complete_project(Run *r) {
    const char *types = "", *description = json_get_string(r->summary, "description", NULL);
    if (description && text_length(description) <= DESCRIPTION_CHARACTERS) r->description = description;
    DatasetKinds kinds = dataset_kinds_read(yyjson_obj_get(r->summary, "annotation_types"));
    bool told = kinds.count > 0;
    for (size_t t = 0; t < ANNOTATION_TYPE_COUNT && !told; t++)
        if (r->kinds[t]) kinds.items[kinds.count++] = (AnnotationType)t;
    for (size_t i = 0; i < kinds.count; i++) types = arena_printf(r->job->arena, "%s%s\"%s\"", types, *types ? "," : "", annotation_type_name(kinds.items[i]));
    r->types = arena_printf(r->job->arena, "[%s]", *types ? types : "\"bbox\"");
    for (size_t i = 0; i < r->classes.count; i++)
        if (!r->classes.items[i].type) r->classes.items[i].type = r->class_kinds[i] ? r->class_kinds[i] : "bbox";
}

static Status build(Run *r, Error *err) {
    Store *store = r->job->server->store;
    yyjson_doc *reply = NULL;
    Status status = db_write(store, begin, r, err);
    if (status == STATUS_OK) status = open_archive(r, &reply, err);
    r->summary = yyjson_obj_get(yyjson_doc_get_root(reply), "result");
    if (status == STATUS_OK) status = take_summary(r, err);
    if (status == STATUS_OK) status = take_images(r, err);
    if (status == STATUS_OK) {
        complete_project(r);
        status = db_write(store, publish, r, err);
    }
    yyjson_doc_free(reply);
    return status;
}

static bool is_final(ZipImportStatus status) { return status == ZIP_IMPORT_STATUS_COMPLETED || status == ZIP_IMPORT_STATUS_FAILED || status == ZIP_IMPORT_STATUS_CANCELLED; }

static Status run_import(Job *job, Error *err) {
    Server *server = job->server;
    Run *r = arena_new(job->arena, Run);
    DbSession *db = db_session(server->store);
    Error ignored = {0};
    r->job = job;
    Status status = zip_import_load(db, job->arena, NULL, job->id, &r->record, err);
    db_session_release(server->store, db);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && is_final(r->record.status))) return STATUS_OK;
    if (status == STATUS_OK) status = drop(r, err); /* what an attempt that was killed left */
    if (status != STATUS_OK) return status;
    arena_init(&r->slice_arena, SIZE_MAX);
    pthread_mutex_init(&r->lock, NULL);
    for (size_t i = 0; i < LANES; i++) {
        r->lanes[i].run = r;
        arena_init(&r->lanes[i].arena, SIZE_MAX);
    }
    r->folder = objects_work_directory(server->objects, job->id, job->arena, err);
    status = r->folder ? build(r, err) : err->status;
    if (r->folder) file_remove_tree(r->folder, NULL);
    if (status != STATUS_OK) drop(r, &ignored); /* in slices, here; ended() sees to what is left */
    arena_clear(&r->slice_arena);
    for (size_t i = 0; i < LANES; i++) arena_clear(&r->lanes[i].arena);
    pthread_mutex_destroy(&r->lock);
    return status;
}

static Status zip_import_ended(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    int64_t removed;
    bool cancelled = why == STATUS_CANCELLED;
    Status status = zip_import_drop(tx, job->id, INT64_MAX / 2, &removed, err);
    if (status == STATUS_OK) status = zip_import_discard_archive(tx, job->id, err);
    if (status != STATUS_OK) return status;
    return db_exec(tx, err,
                   "UPDATE zip_imports SET status = $1, error_message = $2, image_count = 0, annotation_count = 0, completed_at = $3 "
                   "WHERE id = $4 AND status IN ('pending', 'processing')",
                   DB_TEXT(cancelled ? "cancelled" : "failed"), DB_TEXT(cancelled ? NULL : message), DB_INT(clock_now_ms()), DB_TEXT(job->id));
}

const JobKind ZIP_IMPORT_JOB = {.name = "zip_import", .queue = "zip_import", .parallel = 1, .max_attempts = 3, .run = run_import, .ended = zip_import_ended};
