/* Objects: names by content, limits, adoption, nothing half-written on a full disk, orphans, sweeps, and addresses that cannot be forged. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "server/objects/objects.h"
#include "base/banned.h"

static const char ABC_SHA256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* FIPS 180-2, B.1 */
static const char ABC_MD5[] = "900150983cd24fb0d6963f7d28e17f72";                                     /* RFC 1321, A.5 */

typedef struct Fixture {
    char directory[64];
    Objects *objects;
    Arena arena;
    Error err;
} Fixture;

static int set_up(void **state) {
    Fixture *f = xcalloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/objects_test_XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    arena_init(&f->arena, 1 << 20);
    *state = f;
    return objects_open(&f->objects, f->directory, &f->err);
}

static int tear_down(void **state) {
    Fixture *f = *state;
    objects_close(f->objects);
    file_remove_tree(f->directory, NULL);
    arena_clear(&f->arena);
    free(f);
    return 0;
}

/* Files in a folder of the data folder. */
static int count_files(const char *directory, const char *below) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, below);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static Status write_object(Fixture *f, const char *text, ObjectInfo *info) {
    ObjectWriter *writer;
    Status status = object_writer_begin(&writer, f->objects, 100, &f->err);
    assert_int_equal(status, STATUS_OK);
    for (const char *at = text; *at; at++) assert_int_equal(object_writer_write(writer, at, 1, &f->err), STATUS_OK);
    return object_writer_commit(writer, info, &f->err);
}

/* In libc's place: count what is synced, and fail when told. */
static int folders_synced, files_synced, syncs, failing_sync;
static bool folders_fail;
static ino_t failing_file;         /* the one that was not written */
static const char *unnamed_so_far; /* an object that has no name at the first syncfs */

int fsync(int fd) {
    struct stat st;
    bool folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    folders_synced += folder;
    files_synced += !folder;
    errno = EIO;
    return folder && folders_fail ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd) {
    if (++syncs == 1 && unnamed_so_far) assert_false(file_exists(unnamed_so_far));
    errno = EIO;
    return syncs == failing_sync ? -1 : (int)syscall(SYS_syncfs, fd);
}

int sync_file_range(int fd, off_t at, off_t size, unsigned flags) {
    struct stat st;
    if (fstat(fd, &st) == 0 && failing_file && st.st_ino == failing_file) return errno = EIO, -1;
    return (int)syscall(SYS_sync_file_range, fd, at, size, flags);
}

static void a_folder_is_durable_before_an_object_in_it_is_acknowledged(void **state) {
    Fixture *f = *state;
    folders_fail = true;
    assert_int_equal(write_object(f, "abc", NULL), STATUS_IO);
    folders_fail = false;
    folders_synced = 0;
    assert_int_equal(write_object(f, "abc", NULL), STATUS_OK);
    assert_int_equal(folders_synced, 3); /* objects/, where ba was made before; ba/, ba/78/ */
    folders_synced = 0;
    assert_int_equal(write_object(f, "abc", NULL), STATUS_OK);
    assert_int_equal(folders_synced, 1); /* ba/78/, for the name */
}

static void objects_are_named_by_their_content(void **state) {
    Fixture *f = *state;
    ObjectInfo info, again;
    assert_false(objects_exist(f->objects, ABC_SHA256));
    assert_int_equal(write_object(f, "abc", &info), STATUS_OK);
    assert_string_equal(info.sha256, ABC_SHA256);
    assert_string_equal(info.md5, ABC_MD5);
    assert_int_equal(info.size, 3);
    assert_true(objects_exist(f->objects, ABC_SHA256));
    char *path = objects_path(f->objects, info.sha256, &f->arena);
    assert_true(text_ends_with(path, arena_printf(&f->arena, "/objects/ba/78/%s", ABC_SHA256)));
    assert_int_equal(file_size(path), 3);
    assert_int_equal(write_object(f, "abc", &again), STATUS_OK);
    assert_int_equal(write_object(f, "", &again), STATUS_OK);
    assert_int_equal(again.size, 0);
    assert_int_equal(count_files(f->directory, "objects/tmp"), 0);
    assert_false(objects_exist(f->objects, "../../secret.key"));
    assert_int_equal(objects_remove(f->objects, "../../secret.key", &f->err), STATUS_INTERNAL_ERROR);
}

static void a_writer_has_a_limit_and_leaves_nothing(void **state) {
    Fixture *f = *state;
    ObjectWriter *writer;
    char many[101] = {0};
    assert_int_equal(object_writer_begin(&writer, f->objects, 100, &f->err), STATUS_OK);
    assert_int_equal(object_writer_write(writer, many, 100, &f->err), STATUS_OK);
    assert_int_equal(object_writer_write(writer, many, 1, &f->err), STATUS_PAYLOAD_TOO_LARGE);
    assert_int_equal(count_files(f->directory, "objects/tmp"), 1);
    object_writer_abort(writer);
    object_writer_abort(NULL);
    assert_int_equal(count_files(f->directory, "objects/tmp"), 0);
}

static char *loose_file(Fixture *f, const char *name, const char *text) {
    char *path = arena_printf(&f->arena, "%s/%s", f->directory, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, &f->err), STATUS_OK);
    return path;
}

static void finished_files_are_adopted(void **state) {
    Fixture *f = *state;
    ObjectInfo info;
    char *path = loose_file(f, "model.onnx", "abc");
    assert_int_equal(objects_adopt_file(f->objects, path, &info, &f->err), STATUS_OK);
    assert_string_equal(info.sha256, ABC_SHA256);
    assert_string_equal(info.md5, ABC_MD5);
    assert_false(file_exists(path));
    assert_true(objects_exist(f->objects, ABC_SHA256));
    char *target = loose_file(f, "target", "secret"), *link_path = arena_printf(&f->arena, "%s/link", f->directory);
    assert_int_equal(symlink(target, link_path), 0);
    assert_int_not_equal(objects_adopt_file(f->objects, link_path, &info, &f->err), STATUS_OK);
    assert_int_not_equal(objects_adopt_file(f->objects, f->directory, &info, &f->err), STATUS_OK);
    assert_int_not_equal(objects_adopt_file(f->objects, "/nowhere/at/all", &info, &f->err), STATUS_OK);
}

static void an_examined_file_is_durable_before_it_has_its_name(void **state) {
    Fixture *f = *state;
    ObjectInfo info;
    char *path = loose_file(f, "export.zip", "abc");
    files_synced = 0;
    assert_int_equal(objects_examine_file(path, &info, &f->err), STATUS_OK);
    assert_int_equal(files_synced, 1);
    assert_string_equal(info.sha256, ABC_SHA256);
    assert_string_equal(info.md5, ABC_MD5);
    assert_int_equal(info.size, 3);
    assert_true(file_exists(path));
    assert_false(objects_exist(f->objects, ABC_SHA256));
    assert_int_equal(objects_adopt_examined(f->objects, path, &info, &f->err), STATUS_OK);
    assert_false(file_exists(path));
    assert_true(objects_exist(f->objects, ABC_SHA256));
    assert_int_not_equal(objects_adopt_examined(f->objects, path, &info, &f->err), STATUS_OK);
    assert_int_not_equal(objects_examine_file(path, &info, &f->err), STATUS_OK);
}

enum { MANY = 8 };

/* Loose files "0", "1" … of which the last but one is like the first. */
static void loose_files(Fixture *f, Adoption files[MANY]) {
    for (int i = 0; i < MANY; i++) {
        char *text = arena_printf(&f->arena, "%d", i == MANY - 2 ? 0 : i);
        files[i] = (Adoption){.path = loose_file(f, arena_printf(&f->arena, "many-%d", i), text)};
    }
    folders_synced = files_synced = syncs = failing_sync = 0;
}

static char *path_of(Fixture *f, const char *text) {
    ObjectInfo info;
    Hasher *hasher = hasher_new();
    hasher_update(hasher, text, strlen(text));
    hasher_finish(hasher, info.sha256, info.md5);
    hasher_free(hasher);
    return objects_path(f->objects, info.sha256, &f->arena);
}

static void many_files_are_synced_together_and_before_they_have_names(void **state) {
    Fixture *f = *state;
    Adoption files[MANY];
    loose_files(f, files);
    unnamed_so_far = path_of(f, "0");
    objects_adopt_files(f->objects, files, MANY);
    unnamed_so_far = NULL;
    assert_int_equal(syncs, 2);
    assert_int_equal(files_synced + folders_synced, 0);
    for (int i = 0; i < MANY; i++) {
        struct stat st;
        assert_int_equal(files[i].error.status, STATUS_OK);
        assert_int_equal(files[i].object.size, 1);
        assert_string_equal(objects_path(f->objects, files[i].object.sha256, &f->arena), path_of(f, i == MANY - 2 ? "0" : arena_printf(&f->arena, "%d", i)));
        assert_false(file_exists(files[i].path));
        assert_int_equal(stat(objects_path(f->objects, files[i].object.sha256, &f->arena), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0440);
    }
    /* their folders are durable by now: one more object in them takes the name alone */
    assert_int_equal(write_object(f, "0", NULL), STATUS_OK);
    assert_int_equal(folders_synced, 1);
    files_synced = folders_synced = syncs = 0;
    files[0].path = loose_file(f, "one", "1");
    files_synced = folders_synced = 0;
    objects_adopt_files(f->objects, files, 1);
    assert_int_equal(files[0].error.status, STATUS_OK);
    assert_int_equal(syncs, 0); /* of which the whole file system would have to be written */
    assert_int_equal(files_synced, 1);
    assert_int_equal(folders_synced, 1);
    objects_adopt_files(f->objects, NULL, 0);
}

static void faults_of_one_file_leave_the_others(void **state) {
    Fixture *f = *state;
    Adoption files[MANY];
    struct stat st;
    loose_files(f, files);
    const char *link_path = arena_printf(&f->arena, "%s/link", f->directory);
    assert_int_equal(symlink(files[7].path, link_path), 0);
    files[1].path = "/nowhere/at/all";
    files[2].path = link_path;
    files[3].path = f->directory;
    assert_int_equal(stat(files[4].path, &st), 0);
    failing_file = st.st_ino;
    char *in_the_way = path_of(f, "5");
    assert_int_equal(file_make_directories(in_the_way, 0700, &f->err), STATUS_OK); /* a folder, which no file replaces */
    objects_adopt_files(f->objects, files, MANY);
    failing_file = 0;
    for (int i = 0; i < MANY; i++) {
        bool fails = i >= 1 && i <= 5;
        assert_int_equal(files[i].error.status, fails ? STATUS_IO : STATUS_OK);
        if (fails) assert_true(strlen(files[i].error.message) > 0);
        else assert_true(objects_exist(f->objects, files[i].object.sha256));
    }
    assert_false(file_exists(path_of(f, "4")));
    assert_true(file_exists(files[4].path));
    assert_true(file_exists(files[5].path));
}

static void what_is_not_durable_is_not_acknowledged(void **state) {
    Fixture *f = *state;
    for (int nth = 1; nth <= 2; nth++) {
        Adoption files[MANY];
        loose_files(f, files);
        files[1].path = "/nowhere/at/all";
        failing_sync = nth;
        objects_adopt_files(f->objects, files, MANY);
        failing_sync = 0;
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(files[i].error.status, STATUS_IO);
            assert_true((strstr(files[i].error.message, "nowhere") != NULL) == (i == 1));
            assert_true(file_exists(path_of(f, "3")) == (nth == 2)); /* no name before the bytes are durable */
        }
    }
    folders_synced = 0;
    assert_int_equal(write_object(f, "3", NULL), STATUS_OK);
    assert_int_equal(folders_synced, 3); /* a folder that may be lost is not taken for durable */
}

static void files_of_another_file_system_are_copied(void **state) {
    Fixture *f = *state;
    char path[] = "/dev/shm/objects_test_XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) skip();
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    Adoption files[2] = {{.path = path}, {.path = loose_file(f, "near", "near")}};
    objects_adopt_files(f->objects, files, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(files[i].error.status, STATUS_OK);
        assert_false(file_exists(files[i].path));
        assert_true(objects_exist(f->objects, files[i].object.sha256));
    }
    assert_string_equal(files[0].object.sha256, ABC_SHA256);
    assert_int_equal(count_files(f->directory, "objects/tmp"), 0);
}

static void make_old(Fixture *f, const char *sha256) {
    struct timespec long_ago[2] = {{.tv_sec = clock_now_ms() / 1000 - 90000}, {.tv_sec = clock_now_ms() / 1000 - 90000}};
    assert_int_equal(utimensat(AT_FDCWD, objects_path(f->objects, sha256, &f->arena), long_ago, 0), 0);
}

static bool is_not_abc(const char *sha256, void *context) {
    ++*(int *)context;
    return strcmp(sha256, ABC_SHA256) != 0;
}

static void the_sweep_takes_old_unused_objects_and_removal_spares_young_ones(void **state) {
    Fixture *f = *state;
    ObjectInfo abc, old, young;
    write_object(f, "abc", &abc);
    write_object(f, "old", &old);
    write_object(f, "young", &young);
    make_old(f, abc.sha256);
    make_old(f, old.sha256);
    int asked = 0;
    assert_int_equal(objects_sweep(f->objects, 86400, is_not_abc, &asked, &f->err), STATUS_OK);
    assert_int_equal(asked, 2);
    assert_true(objects_exist(f->objects, abc.sha256));
    assert_false(objects_exist(f->objects, old.sha256));
    assert_true(objects_exist(f->objects, young.sha256));

    assert_int_equal(objects_remove(f->objects, abc.sha256, &f->err), STATUS_OK);
    assert_false(objects_exist(f->objects, abc.sha256));
    assert_int_equal(objects_remove(f->objects, abc.sha256, &f->err), STATUS_OK);
    write_object(f, "abc", &abc);
    make_old(f, abc.sha256);
    write_object(f, "abc", &abc); /* uploaded again: someone is about to refer to it */
    assert_int_equal(objects_remove(f->objects, abc.sha256, &f->err), STATUS_OK);
    assert_true(objects_exist(f->objects, abc.sha256));
}

static void orphans_go_at_the_next_start_and_live_writers_stay(void **state) {
    Fixture *f = *state;
    ObjectWriter *writer;
    loose_file(f, "objects/tmp/of-a-dead-process", "half");
    assert_int_equal(object_writer_begin(&writer, f->objects, 100, &f->err), STATUS_OK);
    Objects *second;
    assert_int_equal(objects_open(&second, f->directory, &f->err), STATUS_OK);
    assert_int_equal(count_files(f->directory, "objects/tmp"), 1);
    ObjectInfo info;
    assert_int_equal(object_writer_commit(writer, &info, &f->err), STATUS_OK);
    objects_close(second);
}

static Status write_much(Objects *objects, Error *err) {
    static char block[65536];
    ObjectWriter *writer;
    Status status = object_writer_begin(&writer, objects, INT64_MAX, err);
    for (int i = 0; status == STATUS_OK && i < 32; i++) status = object_writer_write(writer, block, sizeof block, err);
    if (status == STATUS_OK) return object_writer_commit(writer, NULL, err);
    object_writer_abort(writer);
    return status;
}

/* In a child, because a file size limit and a mount belong to the whole process. 0: as expected; 77: not permitted here. */
static int with_a_file_size_limit(const char *directory) {
    Objects *objects;
    signal(SIGXFSZ, SIG_IGN);
    if (objects_open(&objects, directory, NULL) != STATUS_OK) return 1;
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, 100000}) != 0) return 77;
    if (write_much(objects, NULL) == STATUS_OK) return 2;
    return count_files(directory, "objects/tmp");
}

static int with_a_full_disk(const char *directory) {
    Objects *objects;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("tmpfs", directory, "tmpfs", 0, "size=1m") != 0) return 77;
    if (objects_open(&objects, directory, NULL) != STATUS_OK) return 1;
    if (write_much(objects, NULL) != STATUS_STORAGE_FULL) return 2;
    if (count_files(directory, "objects/tmp") != 0) return 3;
    ObjectWriter *writer; /* there is room again for something small */
    if (object_writer_begin(&writer, objects, 100, NULL) != STATUS_OK || object_writer_write(writer, "abc", 3, NULL) != STATUS_OK) return 4;
    return object_writer_commit(writer, NULL, NULL) == STATUS_OK ? 0 : 5;
}

static void in_a_child(Fixture *f, int (*function)(const char *directory)) {
    pid_t child = fork();
    if (child == 0) _exit(function(f->directory));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_size_limit_leaves_nothing(void **state) { in_a_child(*state, with_a_file_size_limit); }
static void a_full_disk_leaves_nothing_and_heals(void **state) { in_a_child(*state, with_a_full_disk); }

static void work_folders_are_fresh_or_kept(void **state) {
    Fixture *f = *state;
    char *path = objects_work_directory(f->objects, "job-1", &f->arena, &f->err);
    assert_non_null(path);
    loose_file(f, "work/job-1/checkpoint", "x");
    assert_string_equal(objects_work_path(f->objects, "job-1", &f->arena), path);
    assert_int_equal(count_files(f->directory, "work/job-1"), 1);
    assert_non_null(objects_work_directory(f->objects, "job-1", &f->arena, &f->err));
    assert_int_equal(count_files(f->directory, "work/job-1"), 0);
    assert_null(objects_work_path(f->objects, "../objects", &f->arena));
    assert_null(objects_work_directory(f->objects, "", &f->arena, &f->err));
}

static char *sign_for(Fixture *f, double seconds) {
    ObjectClaim claim = {OBJECT_GET, ABC_SHA256, "straße \"1\".jpg", "image/jpeg", clock_now_ms() + (int64_t)(seconds * 1000)};
    return object_sign(f->objects, "http://localhost:8080", &claim, &f->arena);
}

typedef struct Address {
    char *token, *signature;
    int64_t expires;
} Address;

static Address split(Fixture *f, const char *address) {
    static const char PREFIX[] = "http://localhost:8080/storage/v1/objects/";
    assert_true(text_starts_with(address, PREFIX));
    char *copy = arena_strdup(&f->arena, address + strlen(PREFIX));
    char *query = strchr(copy, '?'), *signature = strstr(copy, "&signature=");
    assert_true(query && signature && text_starts_with(query, "?expires="));
    *query = *signature = '\0';
    Address a = {.token = copy, .signature = signature + strlen("&signature=")};
    assert_true(text_to_int(query + strlen("?expires="), &a.expires));
    return a;
}

static Status verify(Fixture *f, const Address *a, ObjectClaim *claim) {
    return object_verify(f->objects, claim, a->token, a->expires, a->signature, &f->arena, &f->err);
}

static bool is_seven(const char *name, void *context) {
    (void)context;
    return text_equal(name, "job-7");
}

static void what_killed_processes_left_in_work_folders_goes(void **state) {
    Fixture *f = *state;
    for (int i = 5; i < 9; i++) {
        char *path = objects_work_directory(f->objects, arena_printf(&f->arena, "job-%d", i), &f->arena, &f->err);
        assert_int_equal(file_write_atomic(arena_printf(&f->arena, "%s/part", path), "x", 1, 0600, &f->err), STATUS_OK);
    }
    assert_int_equal(file_write_atomic(arena_printf(&f->arena, "%s/work/loose", f->directory), "x", 1, 0600, &f->err), STATUS_OK);
    assert_int_equal(objects_sweep_work(f->objects, is_seven, NULL, &f->err), STATUS_OK);
    assert_int_equal(count_files(f->directory, "work"), 1);
    assert_int_equal(count_files(f->directory, "work/job-7"), 1);
}

static void signed_addresses_say_what_was_signed(void **state) {
    Fixture *f = *state;
    Address a = split(f, sign_for(f, 60));
    ObjectClaim claim;
    assert_int_equal(verify(f, &a, &claim), STATUS_OK);
    assert_int_equal(claim.action, OBJECT_GET);
    assert_string_equal(claim.subject, ABC_SHA256);
    assert_string_equal(claim.filename, "straße \"1\".jpg");
    assert_string_equal(claim.content_type, "image/jpeg");
    assert_int_equal(claim.expires_at, a.expires * 1000);

    char *long_name = arena_alloc(&f->arena, 1001);
    memset(long_name, 'x', 1000);
    ObjectClaim bare = {.action = OBJECT_PUT, .subject = "id", .filename = long_name, .expires_at = clock_now_ms() + 10000};
    a = split(f, object_sign(f->objects, "http://localhost:8080", &bare, &f->arena));
    assert_int_equal(verify(f, &a, &claim), STATUS_OK);
    assert_int_equal(claim.action, OBJECT_PUT);
    assert_null(claim.filename);
    assert_null(claim.content_type);
}

static void refuse_every_changed_bit(Fixture *f, Address *a, char *text) {
    ObjectClaim claim;
    for (size_t i = 0, length = strlen(text); i < length; i++) {
        char kept = text[i];
        for (int bit = 0; bit < 7; bit++) {
            text[i] = (char)(kept ^ (1 << bit));
            assert_int_equal(verify(f, a, &claim), STATUS_SIGNATURE_INVALID);
        }
        text[i] = kept;
    }
}

static void any_change_of_an_address_is_refused(void **state) {
    Fixture *f = *state;
    Address a = split(f, sign_for(f, 60));
    ObjectClaim claim;
    refuse_every_changed_bit(f, &a, a.token);
    refuse_every_changed_bit(f, &a, a.signature);
    Address later = {a.token, a.signature, a.expires + 1};
    assert_int_equal(verify(f, &later, &claim), STATUS_SIGNATURE_INVALID);
    Address longer = {arena_printf(&f->arena, "%s%0*d", a.token, 10000, 0), a.signature, a.expires};
    assert_int_equal(verify(f, &longer, &claim), STATUS_SIGNATURE_INVALID);
    Address empty = {arena_strdup(&f->arena, ""), arena_strdup(&f->arena, ""), a.expires};
    assert_int_equal(verify(f, &empty, &claim), STATUS_SIGNATURE_INVALID);
    assert_int_equal(verify(f, &a, &claim), STATUS_OK);
}

static void addresses_expire_and_belong_to_one_secret(void **state) {
    Fixture *f = *state;
    ObjectClaim claim;
    Address expired = split(f, sign_for(f, -2)), good = split(f, sign_for(f, 60));
    assert_int_equal(verify(f, &expired, &claim), STATUS_SIGNATURE_EXPIRED);

    Objects *again;
    assert_int_equal(objects_open(&again, f->directory, &f->err), STATUS_OK); /* the secret outlives the process */
    assert_int_equal(object_verify(again, &claim, good.token, good.expires, good.signature, &f->arena, &f->err), STATUS_OK);
    objects_close(again);

    char *secret = arena_printf(&f->arena, "%s/secret.key", f->directory);
    struct stat st;
    assert_int_equal(stat(secret, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlink(secret), 0);
    assert_int_equal(objects_open(&again, f->directory, &f->err), STATUS_OK);
    assert_int_equal(object_verify(again, &claim, good.token, good.expires, good.signature, &f->arena, &f->err), STATUS_SIGNATURE_INVALID);
    objects_close(again);
    assert_int_equal(chmod(secret, 0644), 0);
    assert_int_equal(objects_open(&again, f->directory, &f->err), STATUS_CONFIGURATION);
    assert_int_equal(chmod(secret, 0600), 0);
    assert_int_equal(truncate(secret, 31), 0);
    assert_int_equal(objects_open(&again, f->directory, &f->err), STATUS_CONFIGURATION);
}

int main(void) {
#define OBJECTS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        OBJECTS_TEST(objects_are_named_by_their_content),
        OBJECTS_TEST(a_folder_is_durable_before_an_object_in_it_is_acknowledged),
        OBJECTS_TEST(a_writer_has_a_limit_and_leaves_nothing),
        OBJECTS_TEST(finished_files_are_adopted),
        OBJECTS_TEST(an_examined_file_is_durable_before_it_has_its_name),
        OBJECTS_TEST(many_files_are_synced_together_and_before_they_have_names),
        OBJECTS_TEST(faults_of_one_file_leave_the_others),
        OBJECTS_TEST(what_is_not_durable_is_not_acknowledged),
        OBJECTS_TEST(files_of_another_file_system_are_copied),
        OBJECTS_TEST(the_sweep_takes_old_unused_objects_and_removal_spares_young_ones),
        OBJECTS_TEST(orphans_go_at_the_next_start_and_live_writers_stay),
        OBJECTS_TEST(a_file_size_limit_leaves_nothing),
        OBJECTS_TEST(a_full_disk_leaves_nothing_and_heals),
        OBJECTS_TEST(work_folders_are_fresh_or_kept),
        OBJECTS_TEST(what_killed_processes_left_in_work_folders_goes),
        OBJECTS_TEST(signed_addresses_say_what_was_signed),
        OBJECTS_TEST(any_change_of_an_address_is_refused),
        OBJECTS_TEST(addresses_expire_and_belong_to_one_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
