/* The store: parameters and rows, savepoints, group commit, threads, migrations, backup, and acknowledged writes after kill -9. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "base/file.h"
#include "server/store/db.h"
#include "server/store/migrations.h"
#include "base/banned.h"

typedef struct Fixture {
    char directory[64];
    char path[96];
    Store *store;
    Arena arena;
    Error err;
} Fixture;

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/store_test_XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof f->path, "%s/pictograph.db", f->directory);
    arena_init(&f->arena, 1 << 20);
    *state = f;
    return store_open(&f->store, f->path, &f->err);
}

static int tear_down(void **state) {
    Fixture *f = *state;
    store_close(f->store);
    file_remove_tree(f->directory, NULL);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

typedef struct Setting {
    const char *name, *value;
    Status then; /* what the function returns after its write */
} Setting;

static Status put_setting(DbSession *tx, void *context, Error *err) {
    const Setting *s = context;
    Status status = db_exec(tx, err, "INSERT INTO settings (name, value) VALUES ($1, $2)", DB_TEXT(s->name), DB_TEXT(s->value));
    if (status == STATUS_OK && s->then != STATUS_OK) return error_set(err, s->then, "as told");
    return status;
}

static Status put(Fixture *f, const char *name, const char *value, Status then) {
    return db_write(f->store, put_setting, &(Setting){name, value, then}, &f->err);
}

static int64_t count_settings(Store *store, const char *name) {
    DbSession *db = db_session(store);
    int64_t n = db_get_int(db, NULL, -1, "SELECT count(*) FROM settings WHERE name LIKE $1", DB_TEXT(name));
    db_session_release(store, db);
    return n;
}

static void parameters_go_by_number_and_rows_come_back(void **state) {
    Fixture *f = *state;
    DbSession *db = db_session(f->store);
    DbRows rows = db_query(db, &f->err, "SELECT $2, $1, $2, $3, $4, $5", DB_TEXT("one"), DB_INT(-2), DB_REAL(0.5), DB_BLOB("\0x", 2), DB_TEXT(NULL));
    assert_true(db_next(&rows));
    assert_int_equal(db_int(&rows, 0), -2);
    assert_string_equal(db_text(&rows, 1, &f->arena), "one");
    assert_int_equal(db_int(&rows, 2), -2);
    assert_float_equal(db_real(&rows, 3), 0.5, 0);
    size_t size;
    assert_memory_equal(db_blob_borrowed(&rows, 4, &size), "\0x", 2);
    assert_int_equal(size, 2);
    assert_true(db_is_null(&rows, 5));
    assert_null(db_text(&rows, 5, &f->arena));
    assert_false(db_next(&rows));
    assert_false(db_next(&rows));
    assert_int_equal(db_finish(&rows), STATUS_OK);

    assert_int_equal(db_exec(db, &f->err, "SELECT $1, $2", DB_INT(1)), STATUS_INTERNAL_ERROR);
    assert_int_equal(db_exec(db, &f->err, "SELECT $1", DB_INT(1), DB_INT(2)), STATUS_INTERNAL_ERROR);
    assert_int_equal(db_exec(db, &f->err, "SELECT nonsense"), STATUS_INTERNAL_ERROR);
    assert_int_not_equal(db_exec(db, &f->err, "DELETE FROM settings"), STATUS_OK); /* reading sessions do not write */
    assert_int_equal(db_get_int(db, NULL, 7, "SELECT max(sequence) FROM credit_ledger"), 7);
    int64_t n;
    assert_int_equal(db_read_int(db, &f->err, &n, 7, "SELECT max(sequence) FROM credit_ledger"), STATUS_OK);
    assert_int_equal(n, 7);
    assert_int_equal(db_read_int(db, &f->err, &n, 8, "SELECT count(*) FROM nowhere"), STATUS_INTERNAL_ERROR); /* a failure is no empty answer */
    assert_int_equal(n, 8);
    db_session_release(f->store, db);
}

static void one_text_can_run_inside_itself_and_forgotten_rows_are_ended(void **state) {
    Fixture *f = *state;
    put(f, "a", "1", STATUS_OK);
    put(f, "b", "2", STATUS_OK);
    DbSession *db = db_session(f->store);
    static const char SQL[] = "SELECT name FROM settings ORDER BY name";
    DbRows outer = db_query(db, &f->err, SQL);
    int pairs = 0;
    while (db_next(&outer)) {
        DbRows inner = db_query(db, &f->err, SQL);
        while (db_next(&inner)) pairs++;
        assert_int_equal(db_finish(&inner), STATUS_OK);
    }
    assert_int_equal(db_finish(&outer), STATUS_OK);
    assert_int_equal(pairs, 4);

    DbRows forgotten = db_query(db, &f->err, SQL);
    assert_true(db_next(&forgotten));
    db_session_release(f->store, db);
    put(f, "c", "3", STATUS_OK);
    assert_ptr_equal(db_session(f->store), db); /* last in, first out */
    assert_int_equal(db_get_int(db, NULL, -1, "SELECT count(*) FROM settings"), 3);
    db_session_release(f->store, db);
}

static void many_texts_share_the_statement_table(void **state) {
    Fixture *f = *state;
    DbSession *db = db_session(f->store);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 300; i++)
            assert_int_equal(db_get_int(db, NULL, -1, arena_printf(&f->arena, "SELECT %d + $1", i), DB_INT(1)), i + 1);
    db_session_release(f->store, db);
}

static void a_failing_function_leaves_nothing_and_harms_no_neighbour(void **state) {
    Fixture *f = *state;
    assert_int_equal(put(f, "kept", "1", STATUS_OK), STATUS_OK);
    assert_int_equal(put(f, "undone", "1", STATUS_VALIDATION_ERROR), STATUS_VALIDATION_ERROR);
    assert_string_equal(f->err.message, "as told");
    assert_int_equal(put(f, "kept", "2", STATUS_OK), STATUS_ALREADY_EXISTS);
    assert_int_equal(put(f, "null", NULL, STATUS_OK), STATUS_CONFLICT);
    assert_int_equal(count_settings(f->store, "kept"), 1);
    assert_int_equal(count_settings(f->store, "undone"), 0);
}

typedef struct Crowd {
    Store *store;
    int number;
    int failures;
} Crowd;

enum { CROWD = 16, CROWD_WRITES = 50 };

static void *write_in_a_crowd(void *context) {
    Crowd *c = context;
    for (int i = 0; i < CROWD_WRITES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s-%d-%d", i % 5 == 4 ? "bad" : "good", c->number, i);
        Status wanted = i % 5 == 4 ? STATUS_CONFLICT : STATUS_OK;
        if (db_write(c->store, put_setting, &(Setting){name, "x", wanted}, NULL) != wanted) c->failures++;
        if (wanted == STATUS_OK && count_settings(c->store, name) != 1) c->failures++; /* one reads one's own writes */
    }
    return NULL;
}

static void a_crowd_of_writers_and_readers(void **state) {
    Fixture *f = *state;
    pthread_t threads[CROWD];
    Crowd crowd[CROWD];
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (Crowd){f->store, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_in_a_crowd, &crowd[i]), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(crowd[i].failures, 0);
    }
    assert_int_equal(count_settings(f->store, "good%"), CROWD * CROWD_WRITES / 5 * 4);
    assert_int_equal(count_settings(f->store, "bad%"), 0);
}

static Status nested_write(DbSession *tx, void *context, Error *err) {
    (void)tx;
    return db_write(context, put_setting, &(Setting){"nested", "1", STATUS_OK}, err);
}

static void a_write_inside_a_write_is_refused(void **state) {
    Fixture *f = *state;
    assert_int_equal(db_write(f->store, nested_write, f->store, &f->err), STATUS_INTERNAL_ERROR);
}

static Status put_later(DbSession *tx, void *context, Error *err) {
    return db_exec(tx, err, "INSERT INTO settings (name, value) VALUES ($1, 'later')", DB_TEXT(context));
}

static void later_writes_are_done_before_the_store_closes(void **state) {
    Fixture *f = *state;
    for (int i = 0; i < 20; i++) db_write_later(f->store, put_later, xstrdup(arena_printf(&f->arena, "later-%d", i)));
    store_close(f->store);
    assert_int_equal(store_open(&f->store, f->path, &f->err), STATUS_OK);
    assert_int_equal(count_settings(f->store, "later%"), 20);
}

/* SQLite may give up the whole transaction, as it does on a full disk: then nobody of the batch may be told that all is well. */
static Status lose_the_transaction(DbSession *tx, void *context, Error *err) {
    (void)context;
    Status status = db_exec(tx, err, "INSERT INTO settings (name, value) VALUES ('lost', '1')");
    if (status == STATUS_OK) status = db_exec(tx, err, "ROLLBACK");
    return status;
}

static void a_lost_transaction_fails_and_the_next_one_works(void **state) {
    Fixture *f = *state;
    assert_int_not_equal(db_write(f->store, lose_the_transaction, NULL, &f->err), STATUS_OK);
    assert_int_equal(count_settings(f->store, "lost"), 0);
    assert_int_equal(put(f, "after", "1", STATUS_OK), STATUS_OK);
}

static Status fill_the_disk(DbSession *tx, void *context, Error *err) {
    int64_t pages = db_get_int(tx, err, 0, "PRAGMA page_count");
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", context ? 1073741823LL : (long long)pages + 2);
    return db_exec(tx, err, sql);
}

static void a_full_disk_is_said_so_and_heals(void **state) {
    Fixture *f = *state;
    assert_int_equal(put(f, "before", "1", STATUS_OK), STATUS_OK);
    assert_int_equal(db_write(f->store, fill_the_disk, NULL, &f->err), STATUS_OK);
    char *large = memset(xcalloc(1, 100001), 'x', 100000);
    assert_int_equal(put(f, "large", large, STATUS_OK), STATUS_STORAGE_FULL);
    assert_int_equal(count_settings(f->store, "large"), 0);
    assert_int_equal(count_settings(f->store, "before"), 1);
    assert_int_equal(db_write(f->store, fill_the_disk, f, &f->err), STATUS_OK);
    assert_int_equal(put(f, "large", large, STATUS_OK), STATUS_OK);
    free(large);
}

/* One statement that has megabytes to undo, should it fail at its last row. */
static Status rename_many(DbSession *tx, void *context, Error *err) {
    (void)context;
    Status status = db_exec(tx, err, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
                                     "INSERT INTO settings (name, value) SELECT 'many ' || i, hex(zeroblob(1000)) FROM n");
    return status == STATUS_OK ? db_exec(tx, err, "UPDATE settings SET name = 'more' || substr(name, 5) WHERE name LIKE 'many %'") : status;
}

static void a_statement_may_change_much(void **state) {
    Fixture *f = *state;
    if (db_write(f->store, rename_many, NULL, &f->err) != STATUS_OK) fail_msg("%s", f->err.message);
    assert_int_equal(count_settings(f->store, "more 2000"), 1);
    assert_int_equal(count_settings(f->store, "many 2000"), 0);
}

static Status put_bulk(DbSession *tx, void *context, Error *err) {
    (void)context;
    return db_exec(tx, err, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO settings (name, value) SELECT 'bulk ' || i, hex(zeroblob(3000)) FROM n");
}

/* However large the database and however many read it at once. */
static void the_cache_has_a_bound(void **state) {
    Fixture *f = *state;
    enum { READERS = 20, BOUND = (8 + 8) << 20, OVERHEAD = BOUND / 8 };
    DbSession *sessions[READERS];
    assert_int_equal(db_write(f->store, put_bulk, NULL, &f->err), STATUS_OK);
    for (int i = 0; i < READERS; i++) sessions[i] = db_session(f->store);
    for (int i = 0; i < READERS; i++) db_get_int(sessions[i], NULL, 0, "SELECT sum(length(value)) FROM settings");
    for (int i = 0; i < READERS; i++) db_session_release(f->store, sessions[i]);
    assert_in_range(store_cache_bytes(f->store), BOUND / 2, BOUND + OVERHEAD);
}

static void a_backup_is_a_whole_store(void **state) {
    Fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/it's a backup.db", f->directory);
    put(f, "x", "1", STATUS_OK);
    assert_int_equal(store_backup(f->store, path, &f->err), STATUS_OK);
    assert_int_equal(store_backup(f->store, path, &f->err), STATUS_ALREADY_EXISTS);
    put(f, "y", "1", STATUS_OK);
    Store *copy;
    assert_int_equal(store_open(&copy, path, &f->err), STATUS_OK);
    assert_int_equal(count_settings(copy, "x"), 1);
    assert_int_equal(count_settings(copy, "y"), 0);
    store_close(copy);
}

static Status claim_a_newer_version(DbSession *tx, void *context, Error *err) {
    (void)context;
    return db_exec(tx, err, "PRAGMA user_version = 9999");
}

static void a_newer_database_is_refused(void **state) {
    Fixture *f = *state;
    DbSession *db = db_session(f->store);
    assert_int_equal(db_get_int(db, NULL, -1, "PRAGMA user_version"), MIGRATION_COUNT);
    db_session_release(f->store, db);
    assert_int_equal(db_write(f->store, claim_a_newer_version, NULL, &f->err), STATUS_OK);
    Store *second;
    assert_int_equal(store_open(&second, f->path, &f->err), STATUS_CONFIGURATION);
    char absent[128];
    snprintf(absent, sizeof absent, "%s/no/such/folder.db", f->directory);
    assert_int_equal(store_open(&second, absent, &f->err), STATUS_IO);
}

/* --- kill -9 ---------------------------------------------------------------------------------------------------------------- */

typedef struct Acknowledger {
    Store *store;
    int pipe;
    int thread;
} Acknowledger;

static void *write_and_acknowledge(void *context) {
    Acknowledger *a = context;
    for (int i = 0;; i++) {
        char name[16] = {0};
        snprintf(name, sizeof name, "%d-%d", a->thread, i);
        if (db_write(a->store, put_setting, &(Setting){name, "x", STATUS_OK}, NULL) != STATUS_OK) _exit(3);
        if (write(a->pipe, name, sizeof name) != sizeof name) _exit(4);
    }
    return NULL;
}

static void run_until_killed(const char *path, int pipe) {
    Store *store;
    if (store_open(&store, path, NULL) != STATUS_OK) _exit(2);
    Acknowledger a[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        a[i] = (Acknowledger){store, pipe, i};
        if (pthread_create(&threads[i], NULL, write_and_acknowledge, &a[i]) != 0) _exit(5);
    }
    for (;;) pause();
}

static void acknowledged_writes_survive_kill_9(void **state) {
    Fixture *f = *state;
    store_close(f->store);
    f->store = NULL;
    for (int round = 0; round < 3; round++) {
        char path[128];
        snprintf(path, sizeof path, "%s/killed-%d.db", f->directory, round);
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) run_until_killed(path, ends[1]);
        close(ends[1]);
        Buffer names;
        buffer_init(&names, 16 << 20);
        char name[16];
        for (int n = 0; read(ends[0], name, sizeof name) == sizeof name; n++) {
            buffer_append(&names, name, sizeof name);
            if (n == 100 + 37 * round) kill(child, SIGKILL); /* what was acknowledged until it died is still read from the pipe */
        }
        close(ends[0]);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(store_open(&f->store, path, &f->err), STATUS_OK);
        for (size_t at = 0; at < names.size; at += sizeof name) assert_int_equal(count_settings(f->store, names.data + at), 1);
        DbSession *db = db_session(f->store);
        assert_int_equal(db_get_int(db, NULL, 0, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
        db_session_release(f->store, db);
        store_close(f->store);
        f->store = NULL;
        buffer_clear(&names);
    }
}

int main(void) {
#define STORE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORE_TEST(parameters_go_by_number_and_rows_come_back),
        STORE_TEST(one_text_can_run_inside_itself_and_forgotten_rows_are_ended),
        STORE_TEST(many_texts_share_the_statement_table),
        STORE_TEST(a_failing_function_leaves_nothing_and_harms_no_neighbour),
        STORE_TEST(a_crowd_of_writers_and_readers),
        STORE_TEST(a_write_inside_a_write_is_refused),
        STORE_TEST(later_writes_are_done_before_the_store_closes),
        STORE_TEST(a_lost_transaction_fails_and_the_next_one_works),
        STORE_TEST(a_full_disk_is_said_so_and_heals),
        STORE_TEST(a_statement_may_change_much),
        STORE_TEST(the_cache_has_a_bound),
        STORE_TEST(a_backup_is_a_whole_store),
        STORE_TEST(a_newer_database_is_refused),
        STORE_TEST(acknowledged_writes_survive_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
