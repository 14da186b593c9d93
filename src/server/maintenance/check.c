/* The check of a data folder: bytes against their hashes, derived numbers against what they are derived from. */
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/annotations/annotations.h"
#include "server/objects/objects.h"
#include "server/maintenance/maintenance.h"
#include "server/system/system.h"

#include "base/banned.h"

enum { ROUND = 1000, OWNERS_SHOWN = 3, ARENA_MAXIMUM = 1 << 30 };

typedef struct Check {
    Store *store;
    Objects *objects;
    FILE *out;
    int64_t mended, damaged;
} Check;

/* --- objects --- */

static void show_owners(const Check *check, const char *sha256) {
    DbSession *session = db_session(check->store);
    DbRows rows = db_query(session, NULL,
                           "SELECT 'image ' || p.name || CASE i.folder WHEN '/' THEN '' ELSE i.folder END || '/' || i.filename FROM images i JOIN projects p ON p.id = i.project_id "
                           "WHERE i.object = $1 UNION ALL SELECT 'export ' || name FROM exports WHERE object = $1 UNION ALL SELECT 'model ' || name FROM models WHERE object = $1 "
                           "LIMIT $2", DB_TEXT(sha256), DB_INT(OWNERS_SHOWN));
    while (db_next(&rows)) fprintf(check->out, "          needed by %s\n", db_text_borrowed(&rows, 0));
    db_finish(&rows);
    db_session_release(check->store, session);
}

static void check_object(Check *check, const char *sha256) {
    Arena arena;
    Error err = {0};
    char found[SHA256_HEX_SIZE] = "";
    arena_init(&arena, 1 << 16);
    const char *path = objects_path(check->objects, sha256, &arena);
    bool there = hash_file(path, found, NULL, &err) == STATUS_OK;
    if (!there || !text_equal(found, sha256)) {
        check->damaged++;
        fprintf(check->out, "%-9s %s: %s\n", there ? "DAMAGED" : "MISSING", path, there ? "its bytes are not what was stored" : err.message);
        show_owners(check, sha256);
    }
    arena_clear(&arena);
}

#define SELECT_USED(table, column, condition) " UNION SELECT " column " FROM " table " WHERE " column " > $1 AND " condition

/* In rounds, so that a check of terabytes holds no state of the database while it reads. */
static Status check_objects(Check *check, Error *err) {
    char last[SHA256_HEX_SIZE] = "";
    int64_t total = 0;
    for (;;) {
        Arena arena;
        const char *names[ROUND];
        size_t count = 0;
        arena_init(&arena, 1 << 20);
        DbSession *session = db_session(check->store);
        DbRows rows = db_query(session, err, "SELECT NULL WHERE 0" OBJECT_USES(SELECT_USED) " ORDER BY 1 LIMIT $2", DB_TEXT(last), DB_INT(ROUND));
        while (count < ROUND && db_next(&rows)) names[count++] = db_text(&rows, 0, &arena);
        Status status = db_finish(&rows);
        db_session_release(check->store, session);
        for (size_t i = 0; i < count; i++) check_object(check, names[i]);
        if (count) snprintf(last, sizeof last, "%s", names[count - 1]);
        total += (int64_t)count;
        arena_clear(&arena);
        if (status != STATUS_OK) return status;
        if (count < ROUND) break;
        fprintf(check->out, "%lld objects checked\n", (long long)total);
    }
    fprintf(check->out, "%-9s %-14s %lld checked\n", check->damaged ? "DAMAGED" : "ok", "objects", (long long)total);
    return STATUS_OK;
}

/* --- documents: labels and counts of each image --- */

typedef struct MendRound {
    Check *check;
    char last[UUID_SIZE];
    int64_t images;
    bool more;
} MendRound;

static Status mend_images(DbSession *tx, void *context, Error *err) {
    MendRound *round = context;
    Arena names, arena;
    const char *ids[ROUND];
    size_t count = 0;
    arena_init(&names, 1 << 20);
    DbRows rows = db_query(tx, err, "SELECT id FROM images WHERE id > $1 ORDER BY id LIMIT $2", DB_TEXT(round->last), DB_INT(ROUND));
    while (count < ROUND && db_next(&rows)) ids[count++] = db_text(&rows, 0, &names);
    Status status = db_finish(&rows);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        bool mended = false;
        arena_init(&arena, ARENA_MAXIMUM);
        status = annotations_mend(tx, &arena, ids[i], &mended, err);
        if (mended) fprintf(round->check->out, "%-9s image %s: counts of its annotations\n", "MENDED", ids[i]);
        round->check->mended += mended;
        arena_clear(&arena);
    }
    if (count) snprintf(round->last, sizeof round->last, "%s", ids[count - 1]);
    round->images += (int64_t)count;
    round->more = count == ROUND;
    arena_clear(&names);
    return status;
}

static Status check_documents(Check *check, Error *err) {
    MendRound round = {.check = check, .more = true};
    while (round.more) {
        Status status = db_write(check->store, mend_images, &round, err);
        if (status != STATUS_OK) return status;
    }
    fprintf(check->out, "%-9s %-14s %lld checked\n", "ok", "annotations", (long long)round.images);
    return STATUS_OK;
}

/* --- sums --- */

/* A derived column: the rows in which it is wrong, and what mends them. */
typedef struct Sum {
    const char *what, *find, *mend;
} Sum;

#define SUM(table, label, column, truth)                                                                                                   \
    {table " " column, "SELECT " label " FROM " table " t WHERE " column " <> " truth,                                                    \
     "UPDATE " table " AS t SET " column " = " truth " WHERE " column " <> " truth}

#define OF_PROJECT "FROM images i WHERE i.project_id = t.id"
#define OF_ORGANIZATION "FROM images i JOIN projects p ON p.id = i.project_id WHERE p.organization_id = t.id"

#define RUNNING "WITH running AS (SELECT id, sum(amount) OVER (PARTITION BY organization_id ORDER BY sequence) AS balance FROM credit_ledger) "

/* An image is described, or waits for that; one that was given up is tried again. */
#define UNDESCRIBED "FROM images t WHERE NOT EXISTS (SELECT 1 FROM image_vectors WHERE image_id = t.id) AND " \
                    "NOT EXISTS (SELECT 1 FROM description_queue WHERE image_id = t.id AND attempts < 3)"

static const Sum SUMS[] = {
    {"description", "SELECT t.filename " UNDESCRIBED,
     "INSERT INTO description_queue (image_id, project_id, queued_at) SELECT t.id, t.project_id, 0 " UNDESCRIBED " ON CONFLICT (image_id) DO UPDATE SET attempts = 0"},
    SUM("projects", "name", "image_count", "(SELECT count(*) " OF_PROJECT " AND i.is_archived = 0)"),
    SUM("projects", "name", "completed_image_count", "(SELECT count(*) " OF_PROJECT " AND i.is_archived = 0 AND i.stage = 'complete')"),
    SUM("projects", "name", "total_size", "(SELECT coalesce(sum(i.file_size), 0) " OF_PROJECT " AND i.is_archived = 0)"),
    SUM("projects", "name", "archived_images", "(SELECT count(*) " OF_PROJECT " AND i.is_archived = 1)"),
    SUM("organizations", "name", "image_count", "(SELECT count(*) " OF_ORGANIZATION ")"),
    SUM("organizations", "name", "storage_bytes", "(SELECT coalesce(sum(i.file_size), 0) " OF_ORGANIZATION ")"),
    {"credit_ledger balance_after", RUNNING "SELECT t.id FROM credit_ledger t JOIN running r ON r.id = t.id WHERE t.balance_after <> r.balance",
     RUNNING "UPDATE credit_ledger SET balance_after = running.balance FROM running WHERE running.id = credit_ledger.id AND balance_after <> running.balance"},
};

static Status mend_sums(DbSession *tx, void *context, Error *err) {
    Check *check = context;
    for (size_t i = 0; i < sizeof SUMS / sizeof SUMS[0]; i++) {
        DbRows rows = db_query(tx, err, SUMS[i].find);
        int64_t wrong = 0;
        for (; db_next(&rows); wrong++) fprintf(check->out, "%-9s %s of %s\n", "MENDED", SUMS[i].what, db_text_borrowed(&rows, 0));
        Status status = db_finish(&rows);
        if (status == STATUS_OK && wrong) status = db_exec(tx, err, SUMS[i].mend);
        if (status != STATUS_OK) return status;
        check->mended += wrong;
    }
    return STATUS_OK;
}

static Status check_database(Check *check, Error *err) {
    DbSession *session = db_session(check->store);
    Status status = STATUS_OK;
    DbRows rows = db_query(session, err, "PRAGMA integrity_check(5)");
    while (db_next(&rows)) {
        const char *line = db_text_borrowed(&rows, 0);
        if (text_equal(line, "ok")) continue;
        check->damaged++;
        fprintf(check->out, "%-9s database: %s\n", "DAMAGED", line);
    }
    status = db_finish(&rows);
    db_session_release(check->store, session);
    if (status == STATUS_OK && check->damaged) status = error_set(err, STATUS_IO, "the database is damaged: restore a backup");
    return status;
}

Status check_data(const char *data, FILE *out, Error *err) {
    Check check = {.out = out};
    Arena arena;
    arena_init(&arena, 1 << 16);
    const char *path = arena_printf(&arena, "%s/pictograph.db", data);
    Status status = store_open(&check.store, path, err);
    if (status == STATUS_OK) status = objects_open(&check.objects, data, err);
    if (status == STATUS_OK) status = check_database(&check, err);
    if (status == STATUS_OK) status = check_documents(&check, err);
    if (status == STATUS_OK) status = db_write(check.store, mend_sums, &check, err);
    if (status == STATUS_OK) {
        fprintf(out, "%-9s %-14s %lld mended\n", check.mended ? "MENDED" : "ok", "counts", (long long)check.mended);
        status = check_objects(&check, err);
    }
    if (status == STATUS_OK && check.damaged) status = error_set(err, STATUS_IO, "%lld objects are missing or damaged", (long long)check.damaged);
    objects_close(check.objects);
    store_close(check.store);
    arena_clear(&arena);
    return status;
}
