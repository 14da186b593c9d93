/* See the header. */
#include "formats/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "formats/names.h"
#include "base/banned.h"

enum { DEPTH_MAX = 64 };

static void add(Tree *tree, const char *path) {
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity ? 2 * tree->capacity : 256;
        tree->files = xrealloc(tree->files, tree->capacity * sizeof *tree->files);
    }
    bool is_image = name_is_image(path);
    tree->files[tree->count++] = (TreeFile){.path = path, .is_image = is_image};
    tree->image_count += is_image;
}

static bool is_passed_over(Tree *tree, const char *name, int depth) {
    if (text_equal(name, ".") || text_equal(name, "..")) return true;
    if (tree->is_ours ? depth == 0 && text_equal(name, "__MACOSX") : name[0] == '.' || text_equal(name, "__MACOSX")) return true;
    bool unsafe = !name_is_safe_path(name);
    tree->skipped += unsafe;
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
        if (is_passed_over(tree, entry->d_name, depth)) continue;
        char *path = *folder ? arena_printf(&tree->arena, "%s/%s", folder, entry->d_name) : arena_strdup(&tree->arena, entry->d_name);
        struct stat info;
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISDIR(info.st_mode)) {
            int below = depth < DEPTH_MAX ? openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
            if (below < 0) tree->skipped++;
            else status = list(tree, below, path, depth + 1, max_entries, err);
            continue;
        }
        if (S_ISLNK(info.st_mode) && fstatat(fd, entry->d_name, &info, 0) != 0) continue;
        if (!S_ISREG(info.st_mode)) continue;
        if (tree->count >= max_entries) status = error_set(err, STATUS_PAYLOAD_TOO_LARGE, "%s holds more than %zu files", tree->root, tree->count);
        else add(tree, path);
    }
    closedir(directory);
    return status;
}

static int by_path(const void *a, const void *b) { return strcmp(((const TreeFile *)a)->path, ((const TreeFile *)b)->path); }

static void index_name(StringMap *map, const char *name, size_t index) {
    if (string_map_get_or_set(map, name, index) != index) string_map_set(map, name, TREE_SEVERAL);
}

Status tree_open(Tree *tree, const char *root, const NameList *more, uint64_t max_entries, Error *err) {
    *tree = (Tree){0};
    arena_init(&tree->arena, SIZE_MAX);
    tree->root = arena_strdup(&tree->arena, root);
    string_map_init(&tree->by_form, &tree->arena);
    string_map_init(&tree->by_name, &tree->arena);
    string_map_init(&tree->by_stem, &tree->arena);
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", root);
    tree->is_ours = faccessat(fd, "MANIFEST.json", F_OK, 0) == 0;
    Status status = list(tree, fd, "", 0, max_entries, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; more && i < more->count; i++) add(tree, more->items[i]);
    if (tree->count) qsort(tree->files, tree->count, sizeof *tree->files, by_path);
    tree->composer = composer_new();
    for (size_t i = 0; i < tree->count; i++) {
        const char *form = composer_form(tree->composer, tree->files[i].path);
        if (form != tree->files[i].path) index_name(&tree->by_form, form, i);
        if (!tree->files[i].is_image) continue;
        index_name(&tree->by_name, file_base_name(form), i);
        index_name(&tree->by_stem, name_without_extension(&tree->arena, file_base_name(form)), i);
    }
    return STATUS_OK;
}

void tree_close(Tree *tree) {
    composer_free(tree->composer);
    free(tree->files);
    arena_clear(&tree->arena);
    *tree = (Tree){0};
}

TreeFile *tree_find(const Tree *tree, const char *path) {
    TreeFile key = {.path = path}, *file = tree->count ? bsearch(&key, tree->files, tree->count, sizeof key, by_path) : NULL;
    if (file || !tree->by_form.count) return file;
    size_t at = string_map_get(&tree->by_form, composer_form(tree->composer, path));
    return at == STRING_MAP_NONE || at == TREE_SEVERAL ? NULL : &tree->files[at];
}

TreeFile *tree_find_image_named(const Tree *tree, const char *base_name) {
    base_name = composer_form(tree->composer, base_name);
    size_t at = string_map_get(&tree->by_name, base_name);
    if (at == STRING_MAP_NONE) {
        Arena scratch;
        arena_init(&scratch, SIZE_MAX);
        at = string_map_get(&tree->by_stem, name_without_extension(&scratch, base_name));
        if (at == STRING_MAP_NONE) at = string_map_get(&tree->by_stem, base_name); /* the label file named it without extension */
        arena_clear(&scratch);
    }
    return at == STRING_MAP_NONE || at == TREE_SEVERAL ? NULL : &tree->files[at];
}

char *tree_full_path(const Tree *tree, Arena *arena, const TreeFile *file) { return arena_printf(arena, "%s/%s", tree->root, file->path); }
