/* The index on a store without HTTP: it agrees with brute force through thousands of random changes that nobody told it of. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "server/search/index.h"
#include "server/store/db.h"
#include "base/banned.h"

enum { DIMENSIONS = 40, IMAGES = 400, ROUNDS = 120, FOLDERS = 4 };
static const char *const FOLDER_NAMES[FOLDERS] = {"/", "/a", "/a/b", "/ab"};

typedef struct Picture {
    bool there, described, archived;
    int folder, project;
    float vector[DIMENSIONS];
} Picture;

typedef struct Fixture {
    Store *store;
    VectorIndexes *indexes;
    char directory[64];
    Arena arena;
    Error err;
    uint32_t seed;
    Picture pictures[IMAGES];
} Fixture;

static uint32_t dice(Fixture *f, uint32_t sides) {
    f->seed = f->seed * 1664525u + 1013904223u;
    return (f->seed >> 8) % sides;
}

static Status run_sql(DbSession *tx, void *context, Error *err) { return db_exec(tx, err, context); }

static void sql(Fixture *f, const char *text) {
    if (db_write(f->store, run_sql, (void *)(uintptr_t)text, &f->err) != STATUS_OK) fail_msg("%s: %s", text, f->err.message);
}

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    f->seed = 5;
    arena_init(&f->arena, SIZE_MAX);
    f->indexes = indexes_new(1 << 30);
    snprintf(f->directory, sizeof f->directory, "/tmp/index_test_XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(store_open(&f->store, arena_printf(&f->arena, "%s/pictograph.db", f->directory), &f->err), STATUS_OK);
    sql(f, "INSERT INTO organizations (id, name, slug, monthly_allowance, created_at, updated_at) VALUES ('o', 'O', 'o', 0, 0, 0)");
    sql(f, "INSERT INTO projects (id, organization_id, name, annotation_types, classes, created_at, updated_at) VALUES ('p0', 'o', 'P', '[]', '[]', 0, 0), "
           "('p1', 'o', 'Q', '[]', '[]', 0, 0)");
    sql(f, "INSERT INTO objects (sha256, md5, size, created_at) VALUES ('x', '', 3, 0)");
    return 0;
}

static int tear_down(void **state) {
    Fixture *f = *state;
    indexes_free(f->indexes);
    store_close(f->store);
    file_remove_tree(f->directory, NULL);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

/* ---- changes ---- */

static void add(Fixture *f, int i) {
    Picture *p = &f->pictures[i];
    *p = (Picture){.there = true, .folder = (int)dice(f, FOLDERS), .project = dice(f, 10) == 0};
    sql(f, arena_printf(&f->arena, "INSERT INTO images (id, project_id, folder, filename, object, file_size, md5, mime_type, created_at, updated_at) "
                        "VALUES ('%d', 'p%d', '%s', '%d', 'x', 3, '', 'image/jpeg', 0, 0)", i, p->project, FOLDER_NAMES[p->folder], i));
}

typedef struct NewVector {
    int image, project;
    const float *vector;
} NewVector;

static Status insert_vector(DbSession *tx, void *context, Error *err) {
    const NewVector *v = context;
    char image[16], project[4];
    snprintf(image, sizeof image, "%d", v->image);
    snprintf(project, sizeof project, "p%d", v->project);
    Status status = db_exec(tx, err, "DELETE FROM image_vectors WHERE image_id = $1", DB_TEXT(image));
    return status != STATUS_OK ? status : db_exec(tx, err, "INSERT INTO image_vectors (image_id, project_id, model, vector) VALUES ($1, $2, 'm', $3)", DB_TEXT(image),
                                                  DB_TEXT(project), DB_BLOB(v->vector, DIMENSIONS * sizeof(float)));
}

static void describe(Fixture *f, int i) {
    Picture *p = &f->pictures[i];
    double squares = 0;
    for (int k = 0; k < DIMENSIONS; k++) {
        p->vector[k] = (float)dice(f, 1000) - 300;
        squares += (double)p->vector[k] * p->vector[k];
    }
    for (int k = 0; k < DIMENSIONS; k++) p->vector[k] = (float)(p->vector[k] / sqrt(squares));
    p->described = true;
    assert_int_equal(db_write(f->store, insert_vector, &(NewVector){i, p->project, p->vector}, &f->err), STATUS_OK);
}

static void change(Fixture *f) {
    int i = (int)dice(f, IMAGES);
    Picture *p = &f->pictures[i];
    if (!p->there) {
        add(f, i);
        if (dice(f, 4)) describe(f, i);
        return;
    }
    switch (dice(f, 4)) {
    case 0: describe(f, i); break;
    case 1: p->folder = (int)dice(f, FOLDERS); break;
    case 2: p->archived = !p->archived; break;
    default:
        p->there = false;
        sql(f, arena_printf(&f->arena, "DELETE FROM images WHERE id = '%d'", i));
        return;
    }
    sql(f, arena_printf(&f->arena, "UPDATE images SET folder = '%s', is_archived = %d WHERE id = '%d'", FOLDER_NAMES[p->folder], p->archived, i));
}

/* ---- searching ---- */

static bool in_scope(int folder, int scope) {
    static const bool INSIDE[FOLDERS][FOLDERS] = {{1, 0, 0, 0}, {1, 1, 0, 0}, {1, 1, 1, 0}, {1, 0, 0, 1}}; /* [folder][scope] */
    return INSIDE[folder][scope];
}

static double cosine(const float *a, const float *b) {
    double sum = 0;
    for (int k = 0; k < DIMENSIONS; k++) sum += (double)a[k] * b[k];
    return sum;
}

static void compare(Fixture *f) {
    int reference = (int)dice(f, IMAGES), scope = (int)dice(f, FOLDERS), expected = 0;
    const Picture *q = &f->pictures[reference];
    if (!q->there || !q->described) return;
    double threshold = dice(f, 2) ? 0 : 0.5;
    char id[16];
    snprintf(id, sizeof id, "%d", reference);
    DbSession *session = db_session(f->store);
    IndexQuery query = {.project_id = q->project ? "p1" : "p0", .model = "m", .vector = q->vector, .dimensions = DIMENSIONS, .folder = FOLDER_NAMES[scope],
                        .not_image_id = id, .threshold = threshold, .limit = 500};
    IndexHit *hits;
    size_t count;
    assert_int_equal(indexes_search(f->indexes, session, &f->arena, &query, &hits, &count, &f->err), STATUS_OK);
    db_session_release(f->store, session);
    for (int i = 0; i < IMAGES; i++) {
        const Picture *p = &f->pictures[i];
        bool wanted = p->there && p->described && !p->archived && i != reference && p->project == q->project && in_scope(p->folder, scope) &&
                      cosine(p->vector, q->vector) >= threshold, found = false;
        for (size_t k = 0; k < count; k++)
            if (atoi(hits[k].image_id) == i) {
                found = true;
                assert_float_equal(hits[k].similarity, cosine(p->vector, q->vector), 1e-6);
            }
        assert_int_equal(found, wanted);
        expected += wanted;
    }
    assert_int_equal(count, expected);
    for (size_t k = 1; k < count; k++) assert_true(hits[k - 1].similarity >= hits[k].similarity);
}

static void agrees_through_changes(void **state) {
    Fixture *f = *state;
    sql(f, "PRAGMA foreign_keys");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 8; i++) change(f);
        compare(f);
        if (round % 30 == 29) assert_int_equal(indexes_trim(f->indexes, f->store, &f->err), STATUS_OK);
        if (round % 50 == 49) { /* a new process knows nothing but the store */
            indexes_free(f->indexes);
            f->indexes = indexes_new(1 << 30);
        }
    }
    assert_true(indexes_bytes(f->indexes) > 0);
}

/* A bound of nothing keeps no index, and every search still answers. */
static void a_small_bound_forgets_and_still_answers(void **state) {
    Fixture *f = *state;
    indexes_free(f->indexes);
    f->indexes = indexes_new(0);
    for (int i = 0; i < 100; i++) {
        add(f, i);
        describe(f, i);
    }
    for (int round = 0; round < 40; round++) compare(f);
}

/* What could not be read while the notes were trimmed is read from them later. */
static void notes_outlive_a_failure(void **state) {
    Fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        add(f, i);
        describe(f, i);
    }
    for (int round = 0; round < 10; round++) compare(f);
    for (int i = 20; i < 80; i++) {
        add(f, i);
        describe(f, i);
    }
    sql(f, "ALTER TABLE image_vectors RENAME COLUMN vector TO hidden");
    assert_int_not_equal(indexes_trim(f->indexes, f->store, &f->err), STATUS_OK);
    sql(f, "ALTER TABLE image_vectors RENAME COLUMN hidden TO vector");
    for (int round = 0; round < 40; round++) compare(f);
}

static void notes_are_forgotten(void **state) {
    Fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        add(f, i);
        describe(f, i);
    }
    compare(f);
    sql(f, "DELETE FROM images WHERE id IN ('3', '4')");
    f->pictures[3].there = f->pictures[4].there = false;
    assert_int_equal(indexes_trim(f->indexes, f->store, &f->err), STATUS_OK);
    DbSession *session = db_session(f->store);
    assert_int_equal(db_get_int(session, &f->err, -1, "SELECT count(*) FROM search_changes"), 0);
    db_session_release(f->store, session);
    for (int round = 0; round < 40; round++) compare(f);
    add(f, 3);
    describe(f, 3);
    for (int round = 0; round < 40; round++) compare(f);
}

/* Of a project whose images are gone nothing stays; one without any counts, too. */
static void a_project_takes_its_index_along(void **state) {
    Fixture *f = *state;
    IndexHit *hits;
    size_t count;
    DbSession *session = db_session(f->store);
    IndexQuery query = {.project_id = "p1", .model = "m", .vector = (float[DIMENSIONS]){1}, .dimensions = DIMENSIONS, .folder = "/", .limit = 5};
    assert_int_equal(indexes_search(f->indexes, session, &f->arena, &query, &hits, &count, &f->err), STATUS_OK);
    db_session_release(f->store, session);
    assert_true(indexes_bytes(f->indexes) > 0);
    for (int i = 0; i < 40; i++) {
        add(f, i);
        describe(f, i);
    }
    for (int round = 0; round < 40; round++) compare(f);
    sql(f, "DELETE FROM images");
    assert_int_equal(indexes_trim(f->indexes, f->store, &f->err), STATUS_OK);
    assert_int_equal(indexes_bytes(f->indexes), 0);
}

/* Folders that images were moved through do not stay for ever. */
static void forgets_folders(void **state) {
    Fixture *f = *state;
    for (int i = 0; i < 100; i++) {
        add(f, i);
        describe(f, i);
    }
    for (int round = 0; round < 40; round++) compare(f);
    for (int round = 0; round < 60; round++) {
        sql(f, arena_printf(&f->arena, "UPDATE images SET folder = '/%0100d/' || id", round));
        assert_int_equal(indexes_trim(f->indexes, f->store, &f->err), STATUS_OK);
        assert_true(indexes_bytes(f->indexes) < 1 << 20);
    }
}

/* An index that is made for a single vector, or a few, has room for exactly those. */
static void grows_from_one(void **state) {
    Fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        add(f, i);
        describe(f, i);
        for (int round = 0; round < 60; round++) compare(f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_through_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_small_bound_forgets_and_still_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notes_are_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notes_outlive_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_project_takes_its_index_along, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgets_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(grows_from_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
