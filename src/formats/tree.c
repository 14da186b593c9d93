/* See the header. */
#include "formats/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/names.h"
#include "base/banned.h"

enum { DEPTH_MAX = 64 };

void tree_add(Tree *tree, const char *path, int64_t at, size_t size) {
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity ? 2 * tree->capacity : 256;
        tree->files = xrealloc(tree->files, tree->capacity * sizeof *tree->files);
    }
    tree->files[tree->count++] = (TreeFile){.path = arena_strdup(&tree->arena, path), .at = at, .size = size};
}

void tree_pass_over(Tree *tree, const char *path, const char *why) {
    if (tree->passed_total++ >= TREE_PASSED_MAX) return;
    if (!tree->passed) tree->passed = arena_new_array(&tree->arena, struct TreePassed, TREE_PASSED_MAX);
    char *told = arena_strdup(&tree->arena, path);
    bool is_text = text_is_utf8(path, strlen(path));
    for (char *p = told; *p; p++)
        if ((unsigned char)*p < 0x20 || (!is_text && (unsigned char)*p > 0x7e)) *p = '?';
    tree->passed[tree->passed_count++] = (struct TreePassed){told, why};
}

/* name is the last part of path. */
static bool is_passed_over(Tree *tree, const char *path, const char *name, int depth) {
    if (text_equal(name, ".") || text_equal(name, "..")) return true;
    if (tree->is_ours ? depth == 0 && text_equal(name, "__MACOSX") : name[0] == '.' || text_equal(name, "__MACOSX")) return true;
    bool unsafe = !name_is_safe_path(name);
    if (unsafe) tree_pass_over(tree, path, "a name that cannot be used; passed over");
    return unsafe;
}

/* Lists an open directory, which it closes. */
static Status list(Tree *tree, int fd, const char *folder, int depth, uint64_t max_entries, Error *err) {
    DIR *directory = fdopendir(fd);
    if (!directory) {
        Status status = error_set_errno(err, errno, "%s", folder);
        close(fd);
        return status;
    }
    Status status = STATUS_OK;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(directory));) {
        const char *path = *folder ? arena_printf(&tree->arena, "%s/%s", folder, entry->d_name) : entry->d_name;
        if (is_passed_over(tree, path, entry->d_name, depth)) continue;
        struct stat info;
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISDIR(info.st_mode)) {
            int below = depth < DEPTH_MAX ? openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
            if (below < 0) tree_pass_over(tree, path, depth < DEPTH_MAX ? "a folder that cannot be opened; passed over" : "too many folders in one another; passed over");
            else status = list(tree, below, path, depth + 1, max_entries, err);
            continue;
        }
        bool is_link = S_ISLNK(info.st_mode);
        if (is_link && fstatat(fd, entry->d_name, &info, 0) != 0) {
            tree_pass_over(tree, path, "a link that leads nowhere; passed over");
            continue;
        }
        if (is_link && S_ISDIR(info.st_mode)) tree_pass_over(tree, path, "a link to a folder, which is not followed");
        if (!S_ISREG(info.st_mode)) continue;
        if (tree->count >= max_entries) status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s holds more than %zu files", tree->root, tree->count);
        else tree_add(tree, path, TREE_ON_DISK, 0);
    }
    closedir(directory);
    return status;
}

static int by_path(const void *a, const void *b) { return strcmp(((const TreeFile *)a)->path, ((const TreeFile *)b)->path); }

static void index_name(StringMap *map, const char *name, size_t index) {
    if (string_map_get_or_set(map, name, index) != index) string_map_set(map, name, TREE_SEVERAL);
}

static void init(Tree *tree, const char *root) {
    *tree = (Tree){.labels = -1};
    arena_init(&tree->arena, SIZE_MAX);
    tree->root = arena_strdup(&tree->arena, root);
    tree->opened = arena_new_array(&tree->arena, struct TreeOpened, 1);
    string_map_init(&tree->by_form, &tree->arena);
    string_map_init(&tree->by_name, &tree->arena);
    string_map_init(&tree->by_stem, &tree->arena);
    string_map_init(&tree->by_tail, &tree->arena);
}

static void sort(Tree *tree) {
    if (tree->count) qsort(tree->files, tree->count, sizeof *tree->files, by_path);
}

static void make_index(Tree *tree) {
    tree->composer = composer_new();
    for (size_t i = 0; i < tree->count; i++) {
        TreeFile *file = &tree->files[i];
        const char *form = composer_form(tree->composer, file->path);
        if (form != file->path) index_name(&tree->by_form, form, i);
        file->is_image = name_is_image(file->path);
        if (!file->is_image) continue;
        tree->image_count++;
        index_name(&tree->by_name, file_base_name(form), i);
        index_name(&tree->by_stem, name_without_extension(&tree->arena, file_base_name(form)), i);
    }
}

void tree_add_absent(Tree *tree, const NameList *absent) {
    for (size_t i = 0; i < tree->count; i++)
        if (name_is_image(tree->files[i].path)) return;
    for (size_t i = 0; absent && i < absent->count; i++) tree_add(tree, absent->items[i], TREE_NO_BYTES, 0);
}

Status tree_open(Tree *tree, const char *root, const NameList *absent, uint64_t max_entries, Error *err) {
    init(tree, root);
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", root);
    tree->is_ours = faccessat(fd, "MANIFEST.json", F_OK, 0) == 0;
    Status status = list(tree, fd, "", 0, max_entries, err);
    if (status != STATUS_OK) return status;
    tree_add_absent(tree, absent);
    sort(tree);
    make_index(tree);
    return STATUS_OK;
}

/* ---- of a zip ---- */

Status tree_begin(Tree *tree, const char *root, Error *err) {
    init(tree, root);
    char *path = arena_printf(&tree->arena, "%s/labels.XXXXXX", root);
    tree->labels = mkostemp(path, O_CLOEXEC);
    return tree->labels >= 0 && unlink(path) == 0 ? STATUS_OK : error_set_errno(err, errno, "%s", path);
}

/* As the listing of a folder meets its parts. */
static bool is_path_passed_over(Tree *tree, const char *path) {
    int depth = 0;
    for (const char *part = path, *end; *part; part = end + (*end == '/'), depth++) {
        char name[NAME_MAX + 1];
        end = strchrnul(part, '/');
        if (depth > DEPTH_MAX || end - part > NAME_MAX) return tree_pass_over(tree, path, "a name that cannot be used; passed over"), true;
        memcpy(name, part, (size_t)(end - part));
        name[end - part] = '\0';
        if (is_passed_over(tree, path, name, depth)) return true;
    }
    return false;
}

Status tree_finish(Tree *tree, Error *err) {
    size_t kept = 0;
    sort(tree);
    for (size_t i = 0; i < tree->count; i++) {
        const char *path = tree->files[i].path;
        if (i && text_equal(path, tree->files[i - 1].path)) return error_set(err, STATUS_BAD_REQUEST, "'%s' occurs twice", path);
        tree->is_ours |= text_equal(path, "MANIFEST.json");
    }
    for (size_t i = 0; i < tree->count; i++)
        if (!is_path_passed_over(tree, tree->files[i].path)) tree->files[kept++] = tree->files[i];
    tree->count = kept;
    make_index(tree);
    return STATUS_OK;
}

void tree_close(Tree *tree) {
    if (tree->labels >= 0) close(tree->labels);
    if (tree->opened && tree->opened->file) close(tree->opened->fd);
    composer_free(tree->composer);
    free(tree->files);
    arena_clear(&tree->arena);
    *tree = (Tree){.labels = -1};
}

TreeFile *tree_find(const Tree *tree, const char *path) {
    TreeFile key = {.path = path}, *file = tree->count ? bsearch(&key, tree->files, tree->count, sizeof key, by_path) : NULL;
    if (file || !tree->by_form.count) return file;
    size_t at = string_map_get(&tree->by_form, composer_form(tree->composer, path));
    return at == STRING_MAP_NONE || at == TREE_SEVERAL ? NULL : &tree->files[at];
}

TreeFile *tree_find_image_named(const Tree *tree, const char *base_name, bool is_stem) {
    base_name = composer_form(tree->composer, base_name);
    size_t at = is_stem ? string_map_get(&tree->by_stem, base_name) : STRING_MAP_NONE;
    if (at == STRING_MAP_NONE) at = string_map_get(&tree->by_name, base_name);
    if (at == STRING_MAP_NONE) {
        Arena scratch;
        arena_init(&scratch, SIZE_MAX);
        at = string_map_get(&tree->by_stem, name_without_extension(&scratch, base_name));
        if (at == STRING_MAP_NONE) at = string_map_get(&tree->by_stem, base_name); /* the label file named it without extension */
        arena_clear(&scratch);
    }
    return at == STRING_MAP_NONE || at == TREE_SEVERAL ? NULL : &tree->files[at];
}

TreeFile *tree_find_image_below(Tree *tree, const char *path) {
    if (!strchr(path, '/')) return NULL;
    for (size_t i = 0; i < tree->count && !tree->has_tails; i++) {
        const char *tail = tree->files[i].is_image ? composer_form(tree->composer, tree->files[i].path) : "";
        for (const char *slash; (slash = strchr(tail, '/')); tail = slash + 1) index_name(&tree->by_tail, tail, i);
    }
    tree->has_tails = true;
    size_t at = string_map_get(&tree->by_tail, composer_form(tree->composer, path));
    return at == STRING_MAP_NONE || at == TREE_SEVERAL ? NULL : &tree->files[at];
}

/* ---- reading ---- */

char *tree_full_path(const Tree *tree, Arena *arena, const TreeFile *file) {
    return file->at == TREE_ON_DISK ? arena_printf(arena, "%s/%s", tree->root, file->path) : NULL;
}

/* Where the bytes of a file lie; fd -1: they cannot be read. Until the next call. */
typedef struct Place {
    int fd;
    off_t start, size;
} Place;

static Place find_bytes(const Tree *tree, const TreeFile *file) {
    char path[PATH_MAX];
    struct stat info = {0};
    struct TreeOpened *opened = tree->opened;
    if (file->at >= 0) return (Place){tree->labels, file->at, (off_t)file->size};
    if (opened->file == file) return (Place){opened->fd, 0, (off_t)opened->size};
    bool usable = file->at == TREE_ON_DISK && snprintf(path, sizeof path, "%s/%s", tree->root, file->path) < PATH_MAX;
    errno = ENOENT;
    int fd = usable ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return (Place){-1, 0, 0};
    if (fstat(fd, &info) != 0) info.st_size = 0;
    if (opened->file) close(opened->fd);
    *opened = (struct TreeOpened){file, fd, info.st_size};
    return (Place){fd, 0, info.st_size};
}

ssize_t tree_bytes(const Tree *tree, const TreeFile *file, size_t offset, void *out, size_t size) {
    Place place = find_bytes(tree, file);
    size_t rest = (size_t)place.size > offset ? (size_t)place.size - offset : 0;
    ssize_t n = place.fd >= 0 ? pread(place.fd, out, size < rest ? size : rest, place.start + (off_t)offset) : -1;
    return n;
}

int64_t tree_size(const Tree *tree, const TreeFile *file) {
    Place place = find_bytes(tree, file);
    return place.fd >= 0 ? place.size : -1;
}

Status tree_text(const Tree *tree, const TreeFile *file, Buffer *out, Error *err) {
    Place place = find_bytes(tree, file);
    if (place.fd < 0) return error_set_errno(err, errno, "%s", file->path);
    size_t size = (size_t)place.size, done = 0;
    char *text = buffer_reserve(out, size);
    Status status = text ? STATUS_OK : error_set(err, STATUS_PAYLOAD_TOO_LARGE, "larger than %zu bytes", out->maximum);
    while (status == STATUS_OK && done < size) {
        ssize_t n = pread(place.fd, text + done, size - done, place.start + (off_t)done);
        if (n < 0 && errno != EINTR) status = error_set_errno(err, errno, "%s", file->path);
        if (n == 0) break; /* somebody made it shorter */
        done += n > 0 ? (size_t)n : 0;
    }
    out->size += done;
    if (text) text[done] = '\0';
    return status;
}
