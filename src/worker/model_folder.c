#include "worker/model_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/banned.h"

enum { SCRATCH_BYTES = 1 << 20, READ_BYTES = 1 << 20 };

int model_folder_list(Arena *arena, const char *folder, const char **names, int most) {
    DIR *dir = opendir(folder);
    int count = 0;
    if (!dir) return 0;
    for (struct dirent *entry; count < most && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') names[count++] = arena_strdup(arena, entry->d_name);
    closedir(dir);
    qsort(names, (size_t)count, sizeof *names, text_compare);
    return count;
}

bool model_folder_has_models(const char *folder) {
    const char *names[MODEL_FOLDERS_MAX];
    Arena scratch;
    bool found = false;
    arena_init(&scratch, SCRATCH_BYTES);
    int count = model_folder_list(&scratch, folder, names, MODEL_FOLDERS_MAX);
    for (int i = 0; i < count && !found; i++) found = file_exists(arena_printf(&scratch, "%s/%s/" MODEL_MANIFEST, folder, names[i]));
    arena_clear(&scratch);
    return found;
}

/* ---- state ---- */

/* FNV-1a over names, sizes and times. */
static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t mix_file(uint64_t hash, const char *path) {
    struct stat s;
    if (stat(path, &s) != 0) return hash;
    hash = mix(hash, path, strlen(path));
    const int64_t facts[] = {(int64_t)s.st_ino, (int64_t)s.st_size, (int64_t)s.st_mtim.tv_sec, (int64_t)s.st_mtim.tv_nsec};
    return mix(hash, facts, sizeof facts);
}

uint64_t model_folder_state(const char *folder) {
    const char *models[MODEL_FOLDERS_MAX], *files[MODEL_FILES_MAX];
    uint64_t hash = UINT64_C(14695981039346656037);
    Arena scratch;
    arena_init(&scratch, SCRATCH_BYTES);
    int count = model_folder_list(&scratch, folder, models, MODEL_FOLDERS_MAX);
    for (int i = 0; i < count; i++) {
        const char *path = arena_printf(&scratch, "%s/%s", folder, models[i]);
        hash = mix_file(hash, path);
        int file_count = model_folder_list(&scratch, path, files, MODEL_FILES_MAX);
        for (int k = 0; k < file_count; k++) hash = mix_file(hash, arena_printf(&scratch, "%s/%s", path, files[k]));
    }
    arena_clear(&scratch);
    return hash;
}

/* ---- identity ---- */

static Status hash_contents(Hasher *hasher, const char *path, Error *err) {
    FILE *file = fopen(path, "rbe");
    if (!file) return error_set_errno(err, errno, "%s", file_base_name(path));
    unsigned char *bytes = xmalloc(READ_BYTES);
    for (size_t n; (n = fread(bytes, 1, READ_BYTES, file)) > 0;) hasher_update(hasher, bytes, n);
    Status status = ferror(file) ? error_set_errno(err, errno, "%s", file_base_name(path)) : STATUS_OK;
    free(bytes);
    fclose(file);
    return status;
}

Status model_folder_identity(const char *folder, char out[MODEL_IDENTITY_SIZE], Error *err) {
    const char *files[MODEL_FILES_MAX];
    char hex[SHA256_HEX_SIZE];
    Arena scratch;
    Status status = STATUS_OK;
    Hasher *hasher = hasher_new_sha256();
    arena_init(&scratch, SCRATCH_BYTES);
    int count = model_folder_list(&scratch, folder, files, MODEL_FILES_MAX);
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        const char *path = arena_printf(&scratch, "%s/%s", folder, files[i]);
        int64_t size = file_size(path);
        if (size < 0) continue; /* no plain file */
        hasher_update(hasher, files[i], strlen(files[i]) + 1);
        hasher_update(hasher, &size, sizeof size);
        status = hash_contents(hasher, path, err);
    }
    hasher_finish(hasher, hex, NULL);
    hasher_free(hasher);
    arena_clear(&scratch);
    snprintf(out, MODEL_IDENTITY_SIZE, "%.12s", hex);
    return status;
}
