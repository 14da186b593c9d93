/* The commands that work on a data folder. All but serve may run beside a server: SQLite lets two processes write in turn, and the server notices. */
#include "server/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "server/api_keys/api_keys.h"
#include "server/credits/credits.h"
#include "server/http/http.h"
#include "server/objects/objects.h"
#include "server/organizations/organizations.h"
#include "server/store/db.h"
#include "server/maintenance/maintenance.h"
#include "server/model_report.h"
#include "server/training/training.h"

#include "base/banned.h"

static const char *database_path(const char *data, Arena *arena) { return arena_printf(arena, "%s/pictograph.db", data); }

/* A folder of another user's is not taken for one that is missing: `init` would be the wrong remedy. */
static Status need_data_folder(const Options *options, Arena *arena, Error *err) {
    if (access(database_path(options->data, arena), F_OK) == 0) return STATUS_OK;
    if (errno == EACCES) return error_set(err, STATUS_CONFIGURATION, "%s may not be opened by this user: run pictographd as the user that the folder belongs to", options->data);
    return error_set(err, STATUS_CONFIGURATION, "%s is no data folder yet: run 'pictographd init --data %s --org NAME --email ADDRESS'", options->data, options->data);
}

static Status open_initialised(Store **out, const Options *options, Arena *arena, Error *err) {
    Status status = need_data_folder(options, arena, err);
    return status == STATUS_OK ? store_open(out, database_path(options->data, arena), err) : status;
}

/* --- organizations --- */

typedef struct Founding {
    NewOrganization organization;
    KeySecret secret;
    bool only_first; /* init: there may be no other yet */
    const char *data;
} Founding;

static Status insert_owner_key(DbSession *tx, Founding *f, Error *err) {
    NewApiKey key = {.organization_id = f->organization.id, .user_id = f->organization.user_id, .name = "owner", .role = "owner",
                     .created_by = f->organization.user_id, .created_at = clock_now_ms(), .secret = &f->secret};
    return api_key_insert(tx, &key, err);
}

static Status found(DbSession *tx, void *context, Error *err) {
    Founding *f = context;
    int64_t others;
    Status status = db_read_int(tx, err, &others, 0, "SELECT 1 FROM organizations LIMIT 1");
    if (status == STATUS_OK && f->only_first && others)
        return error_set(err, STATUS_ALREADY_EXISTS, "%s is initialised already; 'pictographd org create' adds an organization", f->data);
    if (status == STATUS_OK) status = organization_create(tx, &f->organization, err);
    return status == STATUS_OK ? insert_owner_key(tx, f, err) : status;
}

static Status check_names(const Options *options, Error *err) {
    if (text_is_blank(options->org) || text_length(options->org) > 200) return error_set(err, STATUS_CONFIGURATION, "--org needs a name of 1 to 200 characters");
    const char *at = strchr(options->email, '@');
    if (!at || at == options->email || !at[1] || strlen(options->email) > 254) return error_set(err, STATUS_CONFIGURATION, "--email needs an e-mail address");
    return STATUS_OK;
}

/* Makes the key, in the transaction of `write`, and prints it, alone. */
static Status add_key(Store *store, DbFunction write, Founding *f, Error *err) {
    Status status = key_secret_make(&f->secret, err);
    if (status == STATUS_OK) status = db_write(store, write, f, err);
    if (status == STATUS_OK) printf("%s\n", f->secret.text);
    return status;
}

static Status make_organization(Store *store, const Options *options, bool only_first, Error *err) {
    Founding f = {.organization = {.name = options->org, .email = options->email}, .only_first = only_first, .data = options->data};
    return add_key(store, found, &f, err);
}

Status command_init(const Options *options, Arena *arena, Error *err) {
    Status status = check_names(options, err);
    if (status == STATUS_OK) status = file_make_directories(options->data, 0700, err);
    Store *store = NULL;
    if (status == STATUS_OK) status = store_open(&store, database_path(options->data, arena), err);
    Objects *objects = NULL;
    if (status == STATUS_OK) status = objects_open(&objects, options->data, err); /* makes its folders and the secret of signed addresses */
    if (status == STATUS_OK) status = make_organization(store, options, true, err);
    objects_close(objects);
    store_close(store);
    return status;
}

Status command_org_create(const Options *options, Arena *arena, Error *err) {
    Store *store = NULL;
    Status status = check_names(options, err);
    if (status == STATUS_OK) status = open_initialised(&store, options, arena, err);
    if (status == STATUS_OK) status = make_organization(store, options, false, err);
    store_close(store);
    return status;
}

/* Where every key of an owner is lost: another one, of the first owner. The others go on. */
static Status add_owner_key(DbSession *tx, void *context, Error *err) {
    Founding *f = context;
    Status status = organization_find(tx, f->organization.name, f->organization.id, err);
    if (status != STATUS_OK) return status;
    DbRows rows = db_query(tx, err, "SELECT user_id FROM members WHERE organization_id = $1 AND role = 'owner' ORDER BY created_at LIMIT 1", DB_TEXT(f->organization.id));
    if (db_next(&rows)) snprintf(f->organization.user_id, sizeof f->organization.user_id, "%s", db_text_borrowed(&rows, 0));
    status = db_finish(&rows);
    return status == STATUS_OK ? insert_owner_key(tx, f, err) : status;
}

Status command_org_key(const Options *options, Arena *arena, Error *err) {
    Store *store = NULL;
    Founding f = {.organization = {.name = options->org}};
    Status status = open_initialised(&store, options, arena, err);
    if (status == STATUS_OK) status = add_key(store, add_owner_key, &f, err);
    store_close(store);
    return status;
}

typedef struct OrganizationChange {
    const Options *options;
    int64_t amount, booked, balance;
} OrganizationChange;

static Status set_tier(DbSession *tx, void *context, Error *err) {
    const OrganizationChange *change = context;
    char id[37];
    Status status = organization_find(tx, change->options->org, id, err);
    return status == STATUS_OK ? organization_set_tier(tx, id, change->options->tier, err) : status;
}

Status command_org_set_tier(const Options *options, Arena *arena, Error *err) {
    Store *store = NULL;
    Status status = open_initialised(&store, options, arena, err);
    if (status == STATUS_OK) status = db_write(store, set_tier, &(OrganizationChange){.options = options}, err);
    if (status == STATUS_OK) printf("%s: tier %s\n", options->org, options->tier);
    store_close(store);
    return status;
}

static Status grant(DbSession *tx, void *context, Error *err) {
    OrganizationChange *change = context;
    char id[37];
    Status status = organization_find(tx, change->options->org, id, err);
    if (status == STATUS_OK) status = credits_adjust(tx, id, change->amount, "By the operator", &change->booked, err);
    return status == STATUS_OK ? credits_balance(tx, id, &change->balance, err) : status;
}

Status command_credits_grant(const Options *options, Arena *arena, Error *err) {
    OrganizationChange change = {.options = options};
    if (!text_to_int(options->amount, &change.amount) || change.amount == 0) return error_set(err, STATUS_CONFIGURATION, "--amount needs a whole number other than 0");
    Store *store = NULL;
    Status status = open_initialised(&store, options, arena, err);
    if (status == STATUS_OK) status = db_write(store, grant, &change, err);
    if (status == STATUS_OK) printf("%s: %+lld credits, balance %lld\n", options->org, (long long)change.booked, (long long)change.balance);
    store_close(store);
    return status;
}

/* --- models --- */

typedef struct Showing {
    const char *model, *visibility;
} Showing;

static Status show_model(DbSession *tx, void *context, Error *err) {
    const Showing *s = context;
    Status status = db_exec(tx, err, "UPDATE models SET visibility = $1, updated_at = $2 WHERE id = $3", DB_TEXT(s->visibility), DB_INT(clock_now_ms()), DB_TEXT(s->model));
    return status == STATUS_OK && db_changes(tx) == 0 ? error_set(err, STATUS_NOT_FOUND, "There is no model '%s'", s->model) : status;
}

static Status make_visible(const Options *options, const char *visibility, Arena *arena, Error *err) {
    Store *store = NULL;
    Status status = open_initialised(&store, options, arena, err);
    if (status == STATUS_OK) status = db_write(store, show_model, &(Showing){options->model, visibility}, err);
    if (status == STATUS_OK) printf("%s: %s\n", options->model, visibility);
    store_close(store);
    return status;
}

Status command_model_publish(const Options *options, Arena *arena, Error *err) { return make_visible(options, "public", arena, err); }

Status command_model_withdraw(const Options *options, Arena *arena, Error *err) { return make_visible(options, "private", arena, err); }

/* --- serve --- */

/* Held while a server runs on the folder; the kernel lets go of it whatever happens to the process. */
static Status lock_folder(const char *data, int *out, Arena *arena, Error *err) {
    const char *path = arena_printf(arena, "%s/serve.lock", data);
    *out = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*out < 0) return error_set_errno(err, errno, "%s", path);
    if (flock(*out, LOCK_EX | LOCK_NB) == 0) return STATUS_OK;
    if (errno != EWOULDBLOCK) return error_set_errno(err, errno, "%s", path);
    return error_set(err, STATUS_CONFIGURATION, "Another pictographd serves %s", data);
}

/* SIGTERM and SIGINT are blocked before any thread starts, so that only this waits for them. */
static void block_signals(sigset_t *out) {
    sigemptyset(out);
    sigaddset(out, SIGTERM);
    sigaddset(out, SIGINT);
    pthread_sigmask(SIG_BLOCK, out, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Keys of other services lie in memory, which a core dump would write to the disk. The limit 1 is Linux's word for none at all: 0 does not keep one from a
 * program that core_pattern names (fs/coredump.c). */
static void forbid_core_dumps(void) {
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1}) != 0) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

Status command_serve(const Options *options, Arena *arena, Error *err) {
    Config config;
    Server server = {0};
    sigset_t signals;
    int lock = -1, got = 0;
    Status status = config_load(&config, options->data, options->settings, options->setting_count, arena, err);
    if (status == STATUS_OK) status = need_data_folder(options, arena, err);
    if (status == STATUS_OK) status = lock_folder(options->data, &lock, arena, err);
    if (status == STATUS_OK) {
        forbid_core_dumps();
        block_signals(&signals);
        status = server_open(&server, &config, err);
    }
    if (status == STATUS_OK) {
        log_event(LOG_INFO, "serving", "version", PICTOGRAPH_VERSION, "host", config.listen_host, "port", log_text("%d", http_port(server.http)), "data", options->data,
                  "ready_ms", log_text("%lld", (long long)(clock_now_ms() - server.started_at)), NULL);
        sigwait(&signals, &got);
        log_event(LOG_INFO, "stopping", "signal", strsignal(got), NULL);
        server_close(&server);
        log_event(LOG_INFO, "stopped", NULL);
    }
    if (lock >= 0) close(lock);
    return status;
}

/* --- maintenance --- */

Status command_backup(const Options *options, Arena *arena, Error *err) {
    Status status = need_data_folder(options, arena, err);
    return status == STATUS_OK ? backup_make(options->data, options->output, stdout, err) : status;
}

Status command_restore(const Options *options, Arena *arena, Error *err) {
    (void)arena;
    return backup_restore(options->data, options->from, stdout, err);
}

Status command_check(const Options *options, Arena *arena, Error *err) {
    Status status = need_data_folder(options, arena, err);
    return status == STATUS_OK ? check_data(options->data, stdout, err) : status;
}

/* --- doctor --- */

static void say(bool good, const char *what, const char *fine, const char *remedy) { printf("%-9s %-18s %s\n", good ? "ok" : "MISSING", what, good ? fine : remedy); }

static bool has_program(const Config *config, const char *name, Arena *arena) {
    return access(arena_printf(arena, "%s/%s", config->program_directory, name), X_OK) == 0;
}

static void say_prompts(const char *what, const char *answer) { printf("%-9s %-18s %s\n", "prompts", what, answer); }

static void examine_text(const ModelReport *r, Arena *arena) {
    const char *engine = r->engines[REPORT_TEXT];
    bool built_in = text_equal(engine, "nanodet");
    say_prompts("text, classes", built_in ? "built-in detector (NanoDet): COCO's 80 classes and their synonyms"
                                 : engine             ? arena_printf(arena, "%s: any word", engine)
                                 : r->runtime_problem ? "none without ONNX Runtime"
                                                      : "none: install the built-in detector with 'tools/setup models'");
    if (built_in || !engine)
        say_prompts("any other word", "no_detection: a SAM 3 of yours with its manifest answers any word (docs/models.md), a model trained on your classes a batch that names it as model_id (docs/training.md)");
}

static void examine_models(const Config *config, bool vision, Arena *arena) {
    ModelReport report;
    Error failure;
    if (!vision || model_report_load(&report, config, arena, &failure) != STATUS_OK) {
        const char *why = vision ? failure.message : "pictograph-vision is missing";
        say(false, "search", "", arena_printf(arena, "no search by likeness or tags: %s", why));
        say(false, "prompts", "", arena_printf(arena, "none are answered: %s", why));
        return;
    }
    const char *search = report.engines[REPORT_SEARCH], *point = report.engines[REPORT_POINT], *box = report.engines[REPORT_BOX];
    const char *fails = "none: they fail until the model below is mended";
    if (report.runtime_problem)
        say(false, "ONNX Runtime", "", arena_printf(arena, "no model is run: %s; 'tools/setup build' installs it, PICTOGRAPH_ONNXRUNTIME names another", report.runtime_problem));
    say(search != NULL, "search", arena_printf(arena, "images are found by likeness and by tags (%s)", search ? search : ""),
        report.runtime_problem                                  ? "no search by likeness or tags without ONNX Runtime"
        : builtin_model_path(config, "efficientnet_lite0", arena) ? "no search by likeness or tags until the model below is mended"
                                                                  : "no search by likeness or tags: install the model with 'tools/setup models'");
    say_prompts("point", point ? point : fails);
    say_prompts("box", box ? box : fails);
    examine_text(&report, arena);
    for (int i = 0; i < report.count; i++)
        if (report.models[i].problem && !text_equal(report.models[i].role, "built-in"))
            printf("%-9s %-18s %s\n", "BROKEN", arena_printf(arena, "model %s", report.models[i].name), report.models[i].problem);
}

static void examine_weights(const Config *config, Arena *arena) {
    DIR *folder = opendir(arena_printf(arena, "%s/models/weights", config->data_directory));
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (training_weights_path(config, entry->d_name, arena)) printf("%-9s %-18s %s\n", "ok", "weights to train", entry->d_name);
    if (folder) closedir(folder);
}

static void examine_programs(const Config *config, Arena *arena) {
    bool media = has_program(config, "pictograph-media", arena), vision = has_program(config, "pictograph-vision", arena),
         train = has_program(config, "pictograph-train", arena);
    say(media, "pictograph-media", "images can be uploaded and looked at", "no image can be registered: build it with 'make build'");
    say(has_program(config, "pictograph-import", arena), "pictograph-import", "archives become projects", "no imports of archives: build it with 'make build'");
    say(vision, "pictograph-vision", "batches with a trained model_id; see the prompts below", "no automatic annotation: build it with 'make build'");
    say(train, "pictograph-train", "YOLOX can be trained", "no training: build it with 'make build'");
    if (train) examine_weights(config, arena);
    examine_models(config, vision, arena);
}

static Status examine_database(Store *store, Error *err) {
    DbSession *session = db_session(store);
    DbRows rows = db_query(session, err, "PRAGMA quick_check(1)");
    bool sound = db_next(&rows) && text_equal(db_text_borrowed(&rows, 0), "ok");
    Status status = db_finish(&rows);
    int64_t organizations, images;
    if (status == STATUS_OK)
        status = db_read_int(session, err, &organizations, 0, "SELECT count(*) FROM organizations WHERE slug <> '.imports'"); /* not the one of imports that run */
    if (status == STATUS_OK) status = db_read_int(session, err, &images, 0, "SELECT count(*) FROM images");
    if (status == STATUS_OK) {
        printf("%-9s %-18s %lld organizations, %lld images\n", sound ? "ok" : "DAMAGED", "database", (long long)organizations, (long long)images);
        if (!sound) status = error_set(err, STATUS_CONFIGURATION, "the database is damaged: put a backup of pictograph.db in its place");
    }
    db_session_release(store, session);
    return status;
}

static void examine_space(const char *data) {
    enum { ENOUGH = 1 << 30 };
    struct statvfs facts;
    if (statvfs(data, &facts) != 0) return;
    double bytes = (double)facts.f_bavail * (double)facts.f_frsize;
    printf("%-9s %-18s %.1f GB free\n", bytes > ENOUGH ? "ok" : "LOW", "disk", bytes / 1e9);
}

Status command_models(const Options *options, Arena *arena, Error *err) {
    Config config;
    ModelReport report;
    Status status = config_load(&config, options->data, NULL, 0, arena, err);
    if (status == STATUS_OK) status = need_data_folder(options, arena, err);
    if (status == STATUS_OK) status = model_report_load(&report, &config, arena, err);
    if (status == STATUS_OK) model_report_print(&report);
    return status;
}

Status command_doctor(const Options *options, Arena *arena, Error *err) {
    Config config;
    Store *store = NULL;
    Status status = config_load(&config, options->data, NULL, 0, arena, err);
    if (status == STATUS_OK) status = open_initialised(&store, options, arena, err);
    if (status == STATUS_OK) status = examine_database(store, err);
    if (status == STATUS_OK) {
        examine_space(options->data);
        examine_programs(&config, arena);
        printf("%-9s %-18s %s:%d\n", "ok", "configuration", config.listen_host, config.listen_port);
    }
    store_close(store);
    return status;
}
