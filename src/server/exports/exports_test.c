/* The job of exports on a store without HTTP: the snapshot keeps what saves, deletions and label removals change; filters, deletion, crash. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "base/file.h"
#include "formats/test_damage.h"
#include "server/exports/export_rows.h"
#include "server/exports/exports.h"
#include "server/objects/objects.h"
#include "server/server.h"
#include "base/banned.h"

#define BOX(id_, name_) "{\"id\":\"" id_ "\",\"name\":\"" name_ "\",\"type\":\"bbox\",\"bounding_box\":{\"x\":1,\"y\":2,\"w\":3,\"h\":4}}"
static const char TWO[] = "[" BOX("a", "cell") "," BOX("b", "nucleus") "]";

typedef struct Fixture {
    Server server;
    char directory[64];
    char object[SHA256_HEX_SIZE];
    Arena arena;
    Error err;
} Fixture;

static Status run_sql(DbSession *tx, void *context, Error *err) { return db_exec(tx, err, context); }

static void sql(Fixture *f, const char *text) {
    if (db_write(f->server.store, run_sql, (void *)(uintptr_t)text, &f->err) != STATUS_OK) fail_msg("%s: %s", text, f->err.message);
}

static void add_image(Fixture *f, const char *id, const char *stage, const char *document) {
    sql(f, arena_printf(&f->arena,
                        "INSERT INTO images (id, project_id, folder, filename, stage, object, file_size, md5, mime_type, width, height, created_at, updated_at) "
                        "VALUES ('%s', 'p', '/f', '%s.jpg', '%s', '%s', 3, '', 'image/jpeg', 64, 48, 0, 0)",
                        id, id, stage, f->object));
    if (document) sql(f, arena_printf(&f->arena, "INSERT INTO annotation_documents (image_id, document, updated_at) VALUES ('%s', '%s', 0)", id, document));
}

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    arena_init(&f->arena, SIZE_MAX);
    snprintf(f->directory, sizeof f->directory, "/tmp/exports_test_XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(store_open(&f->server.store, arena_printf(&f->arena, "%s/pictograph.db", f->directory), &f->err), STATUS_OK);
    assert_int_equal(objects_open(&f->server.objects, f->directory, &f->err), STATUS_OK);
    ObjectWriter *writer;
    ObjectInfo info;
    assert_int_equal(object_writer_begin(&writer, f->server.objects, 100, &f->err), STATUS_OK);
    assert_int_equal(object_writer_write(writer, "abc", 3, &f->err), STATUS_OK);
    assert_int_equal(object_writer_commit(writer, &info, &f->err), STATUS_OK);
    memcpy(f->object, info.sha256, sizeof f->object);
    sql(f, "INSERT INTO organizations (id, name, slug, monthly_allowance, created_at, updated_at) VALUES ('o', 'O', 'o', 0, 0, 0)");
    sql(f, "INSERT INTO projects (id, organization_id, name, annotation_types, classes, created_at, updated_at) VALUES ('p', 'o', 'P', '[\"bbox\"]', "
           "'[{\"name\":\"cell\",\"type\":\"bbox\",\"color\":\"#fff\"},{\"name\":\"nucleus\",\"type\":\"bbox\",\"color\":\"#000\"}]', 0, 0)");
    sql(f, arena_printf(&f->arena, "INSERT INTO objects (sha256, md5, size, created_at) VALUES ('%s', '', 3, 0)", f->object));
    add_image(f, "i0", "complete", TWO);
    add_image(f, "i1", "complete", TWO);
    add_image(f, "i2", "complete", NULL);
    add_image(f, "i3", "review", TWO);
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    jobs_close(f->server.jobs);
    store_close(f->server.store);
    objects_close(f->server.objects);
    file_remove_tree(f->directory, NULL);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

typedef struct Order {
    Fixture *fixture;
    const char *id, *format, *status_filter;
    const StringArray *class_filter;
} Order;

static Status start_export(DbSession *tx, void *context, Error *err) {
    Order *o = context;
    Arena *arena = &o->fixture->arena;
    ProjectRecord project;
    Status status = project_load(tx, arena, "o", "P", &project, err);
    if (status == STATUS_OK)
        status = db_exec(tx, err, "INSERT INTO exports (id, organization_id, project_id, name, format, include_images, status_filter, created_at) VALUES ($1, 'o', 'p', $1, $2, 1, $3, 0)",
                         DB_TEXT(o->id), DB_TEXT(o->format), DB_TEXT(o->status_filter));
    if (status == STATUS_OK) status = export_require_images(tx, arena, "p", o->status_filter, err);
    if (status == STATUS_OK) status = job_enqueue(tx, o->id, EXPORT_JOB.name, "o", "p", export_payload(arena, o->id, &project, o->class_filter), err);
    return status;
}

static Status order(Fixture *f, const char *id, const char *format, const char *status_filter, const StringArray *class_filter) {
    Order o = {f, id, format, status_filter, class_filter};
    return db_write(f->server.store, start_export, &o, &f->err);
}

static void start_jobs(Fixture *f) {
    f->server.jobs = jobs_new(&f->server);
    jobs_register(f->server.jobs, &EXPORT_JOB);
    assert_int_equal(jobs_start(f->server.jobs, &f->err), STATUS_OK);
}

static int64_t number(Fixture *f, const char *query) {
    DbSession *db = db_session(f->server.store);
    int64_t n = db_get_int(db, &f->err, -1, query);
    db_session_release(f->server.store, db);
    return n;
}

static ExportRecord finished(Fixture *f, const char *id) {
    ExportRecord row = {0};
    for (double start = clock_monotonic(); clock_monotonic() - start < 60; clock_sleep(0.02)) {
        if (number(f, "SELECT count(*) FROM jobs") > 0) continue;
        DbSession *db = db_session(f->server.store);
        assert_int_equal(export_load_by_id(db, &f->arena, id, &row, &f->err), STATUS_OK);
        db_session_release(f->server.store, db);
        return row;
    }
    fail_msg("export %s did not end", id);
    return row;
}

static void a_snapshot_keeps_what_changes_after_it(void **state) {
    Fixture *f = *state;
    sql(f, "UPDATE images SET display_name = 'old'");
    assert_int_equal(order(f, "before", "coco", NULL, NULL), STATUS_OK);
    sql(f, "INSERT INTO annotation_documents (image_id, document, updated_at) VALUES ('i0', '[]', 1) "
           "ON CONFLICT (image_id) DO UPDATE SET document = excluded.document");                                     /* a save over a document */
    sql(f, arena_printf(&f->arena, "INSERT INTO annotation_documents (image_id, document, updated_at) VALUES ('i2', '%s', 1)", TWO)); /* a first save */
    sql(f, "UPDATE annotation_documents SET document = '[]' WHERE image_id = 'i2'");                              /* and a second */
    sql(f, "UPDATE images SET filename = 'moved.jpg', stage = 'new' WHERE id = 'i1'");
    add_image(f, "i4", "complete", TWO); /* too late for this export */
    sql(f, "UPDATE images SET filename = 'renamed.jpg' WHERE id = 'i4'");
    sql(f, "DELETE FROM images WHERE id = 'i3'"); /* its document goes by the foreign key */
    sql(f, "UPDATE images SET display_name = 'new'");
    assert_int_equal(number(f, "SELECT count(*) FROM export_snapshots WHERE is_member = 1 AND display_name = 'old'"), 4);
    sql(f, "UPDATE projects SET classes = '[]'");
    start_jobs(f);
    ExportRecord row = finished(f, "before");
    assert_int_equal(row.status, EXPORT_STATUS_COMPLETED);
    assert_int_equal(row.image_count, 4);
    assert_int_equal(row.annotation_count, 6);
    assert_int_equal(number(f, "SELECT annotated_image_count FROM exports"), 3);
    assert_int_equal(number(f, "SELECT count(*) FROM export_snapshots"), 0);
    assert_true(objects_exist(f->server.objects, row.object));
    assert_int_equal(file_size(objects_path(f->server.objects, row.object, &f->arena)), row.file_size);
    assert_false(file_exists(arena_printf(&f->arena, "%s/work/before", f->directory)));
}

static void equal_data_gives_equal_objects_in_every_format(void **state) {
    Fixture *f = *state;
    static const char *const FORMATS[] = {"pictograph", "coco", "yolo", "pascal_voc", "cvat", "labelme", "csv"};
    start_jobs(f);
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) {
        const char *first = arena_printf(&f->arena, "%s-1", FORMATS[i]), *second = arena_printf(&f->arena, "%s-2", FORMATS[i]);
        assert_int_equal(order(f, first, FORMATS[i], NULL, NULL), STATUS_OK);
        jobs_wake(f->server.jobs);
        ExportRecord a = finished(f, first);
        if (a.status != EXPORT_STATUS_COMPLETED) fail_msg("%s: %s", FORMATS[i], a.error_message);
        assert_int_equal(order(f, second, FORMATS[i], NULL, NULL), STATUS_OK);
        jobs_wake(f->server.jobs);
        assert_string_equal(finished(f, second).object, a.object);
    }
}

static void filters_of_status_and_class(void **state) {
    Fixture *f = *state;
    const char *wanted[] = {"nucleus"};
    assert_int_equal(order(f, "some", "yolo", "complete", &(StringArray){.items = wanted, .count = 1}), STATUS_OK);
    assert_int_equal(order(f, "none", "yolo", "annotate", NULL), STATUS_NOT_FOUND);
    start_jobs(f);
    ExportRecord row = finished(f, "some");
    assert_int_equal(row.image_count, 3);
    assert_int_equal(row.annotation_count, 2);
    assert_int_equal(number(f, "SELECT count(*) FROM exports"), 1);
}

static void an_export_without_its_pixels_fails_and_says_so(void **state) {
    Fixture *f = *state;
    assert_int_equal(unlink(objects_path(f->server.objects, f->object, &f->arena)), 0);
    assert_int_equal(order(f, "e", "coco", NULL, NULL), STATUS_OK);
    start_jobs(f);
    ExportRecord row = finished(f, "e");
    assert_int_equal(row.status, EXPORT_STATUS_FAILED);
    assert_non_null(row.error_message);
    assert_int_equal(number(f, "SELECT count(*) FROM export_snapshots"), 0);
    assert_false(file_exists(arena_printf(&f->arena, "%s/work/e", f->directory)));
}

static void a_finished_or_deleted_export_is_not_built_again(void **state) {
    Fixture *f = *state;
    assert_int_equal(order(f, "done", "coco", NULL, NULL), STATUS_OK);
    assert_int_equal(order(f, "gone", "coco", NULL, NULL), STATUS_OK);
    sql(f, "UPDATE exports SET status = 'completed' WHERE id = 'done'"); /* the server died before it dropped the snapshot */
    sql(f, "DELETE FROM exports WHERE id = 'gone'");
    start_jobs(f);
    ExportRecord row = finished(f, "done");
    assert_int_equal(row.status, EXPORT_STATUS_COMPLETED);
    assert_null(row.object);
    assert_int_equal(number(f, "SELECT count(*) FROM export_snapshots"), 0);
}

/* --- a reader whose images move under its hands ------------------------------------------------------------------------------ */

enum { MANY = 600 };

static void write_many(Fixture *f) {
    for (int i = 0; i < MANY; i++) add_image(f, arena_printf(&f->arena, "m%03d", i), "new", TWO);
}

static void move_many(Fixture *f) {
    sql(f, "UPDATE images SET folder = '/z' WHERE id = 'm010'");  /* read already, goes where the reader has yet to be */
    sql(f, "UPDATE images SET folder = '/a' WHERE id = 'm590'");  /* the other way */
    sql(f, "DELETE FROM images WHERE id IN ('m020', 'm500')");
    sql(f, "UPDATE annotation_documents SET document = '[]' WHERE image_id IN ('m030', 'm510')");
    sql(f, "UPDATE images SET is_archived = 1 WHERE id = 'm520'");
    sql(f, "UPDATE images SET stage = 'complete' WHERE id = 'm530'");
    add_image(f, "m999", "new", TWO);
}

static Status probe(Job *job, Error *err) {
    Fixture *f = (Fixture *)job->server;
    ExportRecord record;
    DatasetInfo info = export_info(job->arena, job->payload, false);
    DbSession *db = db_session(f->server.store);
    Status status = export_load_by_id(db, job->arena, job->id, &record, err);
    db_session_release(f->server.store, db);
    SnapshotReader *reader = snapshot_reader_new(job, &record, &info);
    DatasetSource source = snapshot_reader_source(reader);
    int images = 0, annotations = 0;
    for (int pass = 0; pass < 2 && status == STATUS_OK; pass++) {
        DatasetImage image;
        bool more = true;
        char last[64] = "";
        images = annotations = 0;
        while (status == STATUS_OK && (status = source.next(source.context, true, &image, &more, err)) == STATUS_OK && more) {
            if (strcmp(image.filename, last) <= 0) fail_msg("%s after %s", image.filename, last);
            snprintf(last, sizeof last, "%s", image.filename);
            annotations += (int)image.annotations.count;
            if (++images == 300 && pass == 0) move_many(f);
        }
        if (images != MANY || annotations != 2 * MANY) fail_msg("pass %d: %d images, %d annotations", pass, images, annotations);
        if (status == STATUS_OK) status = source.rewind(source.context, err);
    }
    snapshot_reader_free(reader);
    sql(f, "UPDATE exports SET status = 'completed'");
    return status;
}

/* --- archives that were not written as they should be -------------------------------------------------------------------------- */

/* Stands before the job's writer and damages the archive of the export "damaged". */
Status __real_dataset_write(const DatasetFormat *format, const DatasetInfo *info, const DatasetSource *source, const char *path, DatasetWritten *out, Error *err);
Status __wrap_dataset_write(const DatasetFormat *format, const DatasetInfo *info, const DatasetSource *source, const char *path, DatasetWritten *out, Error *err);
Status __wrap_dataset_write(const DatasetFormat *format, const DatasetInfo *info, const DatasetSource *source, const char *path, DatasetWritten *out, Error *err) {
    Status status = __real_dataset_write(format, info, source, path, out, err);
    if (status == STATUS_OK && strstr(path, "/work/damaged/")) test_damage_zip(path);
    return status;
}

static void an_export_that_cannot_be_read_back_fails(void **state) {
    Fixture *f = *state;
    assert_int_equal(order(f, "damaged", "yolo", NULL, NULL), STATUS_OK);
    start_jobs(f);
    ExportRecord row = finished(f, "damaged");
    assert_int_equal(row.status, EXPORT_STATUS_FAILED);
    assert_non_null(strstr(row.error_message, "the archive cannot be read back"));
    assert_null(row.object);
}

static Status probe_ended(DbSession *tx, const Job *job, Status why, const char *message, Error *err) {
    (void)tx, (void)job, (void)why, (void)message, (void)err;
    return STATUS_OK;
}

static void pages_hold_still_while_images_move(void **state) {
    Fixture *f = *state;
    static const JobKind PROBE = {"export", "export", 1, 1, probe, probe_ended};
    write_many(f);
    assert_int_equal(order(f, "e", "coco", "new", NULL), STATUS_OK);
    f->server.jobs = jobs_new(&f->server);
    jobs_register(f->server.jobs, &PROBE);
    assert_int_equal(jobs_start(f->server.jobs, &f->err), STATUS_OK);
    assert_int_equal(finished(f, "e").status, EXPORT_STATUS_COMPLETED);
    assert_int_equal(number(f, "SELECT count(*) FROM export_snapshots"), 8 + 1); /* nine images were touched, each once */
}

int main(void) {
#define EXPORTS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EXPORTS_TEST(a_snapshot_keeps_what_changes_after_it),
        EXPORTS_TEST(pages_hold_still_while_images_move),
        EXPORTS_TEST(an_export_that_cannot_be_read_back_fails),
        EXPORTS_TEST(equal_data_gives_equal_objects_in_every_format),
        EXPORTS_TEST(filters_of_status_and_class),
        EXPORTS_TEST(an_export_without_its_pixels_fails_and_says_so),
        EXPORTS_TEST(a_finished_or_deleted_export_is_not_built_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
