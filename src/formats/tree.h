/* Tree: the files of a dataset's folder, listed once. Whatever a label file names is looked up here, so that no name in it can reach a
 * file outside the folder. Hidden files, directory links and names that no archive could hold are passed over; beside a MANIFEST.json, which all
 * our archives have, hidden files are images like others, if somebody called them so. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "formats/composer.h"
#include "formats/names.h"

typedef struct TreeFile {
    const char *path; /* relative, "a/b/photo.jpg" */
    bool is_image;
    bool claimed, seen; /* marks of the reader: a label file belongs to it by its place; it was delivered */
} TreeFile;

typedef struct Tree {
    Arena arena;
    const char *root;
    TreeFile *files; /* by path, as strcmp orders */
    size_t count, capacity;
    size_t image_count;
    bool is_ours;      /* has a MANIFEST.json */
    size_t skipped;    /* names passed over for what they are */
    Composer *composer;
    StringMap by_form; /* composed form of a path beyond ASCII -> its index, TREE_SEVERAL when files share it */
    StringMap by_name; /* composed form of the base name of an image -> its index, TREE_SEVERAL when images share it */
    StringMap by_stem; /* the same without the extension */
} Tree;
#define TREE_SEVERAL ((size_t)-2)

/* Lists root, and names of files beside it that need not be there (NULL: none), which live as long as the tree. Only links to files are followed. STATUS_PAYLOAD_TOO_LARGE past max_entries. */
Status tree_open(Tree *tree, const char *root, const NameList *more, uint64_t max_entries, Error *err);
void tree_close(Tree *tree);
/* The file of that path, else the one whose path is the same when both are composed; NULL when there is none. */
TreeFile *tree_find(const Tree *tree, const char *path);
/* The one image of that base name, else the one image of that stem; NULL when there is none or several. */
TreeFile *tree_find_image_named(const Tree *tree, const char *base_name);
/* Path to open; in arena. */
char *tree_full_path(const Tree *tree, Arena *arena, const TreeFile *file);
