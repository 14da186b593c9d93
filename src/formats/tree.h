/* Tree: the files of a dataset's folder or zip, listed once. Whatever a label file names is looked up here, so that no name in it can reach a
 * file outside. Hidden files, directory links and names that no archive could hold are passed over; beside a MANIFEST.json, which all our archives
 * have, hidden files are images like others, if somebody called them so.
 *
 * The images of a zip are unpacked below the root, or have names alone. Its labels lie one after the other in one file without a name: thousands of
 * small files would take longer to make and to remove than all the rest. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/map.h"
#include "formats/composer.h"
#include "formats/names.h"

typedef struct TreeFile {
    const char *path; /* relative, "a/b/photo.jpg" */
    int64_t at;       /* where its bytes begin in Tree.labels, TREE_ON_DISK or TREE_NO_BYTES */
    size_t size;      /* of what begins there */
    bool is_image;
    bool claimed, seen; /* marks of the reader: a label file belongs to it by its place; it was delivered */
} TreeFile;
enum { TREE_ON_DISK = -1, TREE_NO_BYTES = -2 };

typedef struct Tree {
    Arena arena;
    const char *root;
    int labels;      /* descriptor, of a zip; else -1 */
    struct TreeOpened { /* the file on disk that was read last: long texts are read in pieces */
        const TreeFile *file; /* NULL before the first */
        int fd;
        int64_t size;
    } *opened;
    TreeFile *files; /* by path, as strcmp orders */
    size_t count, capacity;
    size_t image_count;
    bool is_ours;      /* has a MANIFEST.json */
    struct TreePassed { /* what is there and is not looked at: the first TREE_PASSED_MAX */
        const char *path, *why;
    } *passed;
    size_t passed_count, passed_total;
    Composer *composer;
    StringMap by_form; /* composed form of a path beyond ASCII -> its index, TREE_SEVERAL when files share it */
    StringMap by_name; /* composed form of the base name of an image -> its index, TREE_SEVERAL when images share it */
    StringMap by_stem; /* the same without the extension */
    StringMap by_tail; /* composed end of an image's path, from some folder on -> its index, TREE_SEVERAL; made when it is first asked for */
    bool has_tails;
} Tree;
#define TREE_SEVERAL ((size_t)-2)
#define TREE_PASSED_MAX 200

/* Lists root, with absent (NULL: none) as tree_add_absent. Only links to files are followed. STATUS_PAYLOAD_TOO_LARGE past max_entries. */
Status tree_open(Tree *tree, const char *root, const NameList *absent, uint64_t max_entries, Error *err);
/* The tree of a zip that is unpacked into the folder root: begin, add each file, finish. STATUS_BAD_REQUEST when a name occurs twice. */
Status tree_begin(Tree *tree, const char *root, Error *err);
void tree_add(Tree *tree, const char *path, int64_t at, size_t size);
/* Images that are elsewhere, where the tree has none of its own: names without bytes, borrowed. Before finish. */
void tree_add_absent(Tree *tree, const NameList *absent);
/* Notes what is left where it is; why is static. */
void tree_pass_over(Tree *tree, const char *path, const char *why);
Status tree_finish(Tree *tree, Error *err);
void tree_close(Tree *tree);
/* The file of that path, else the one whose path is the same when both are composed; NULL when there is none. */
TreeFile *tree_find(const Tree *tree, const char *path);
/* The one image of that base name, else the one image of that stem (of a stem the other way round); NULL when there is none or several. */
TreeFile *tree_find_image_named(const Tree *tree, const char *base_name, bool is_stem);
/* The one image whose path ends with this one of folder and name; NULL when there is none or several. */
TreeFile *tree_find_image_below(Tree *tree, const char *path);
/* Path to open, in arena; NULL when it is not on disk. */
char *tree_full_path(const Tree *tree, Arena *arena, const TreeFile *file);
/* Appends all of a file to out; STATUS_PAYLOAD_TOO_LARGE past out->maximum. */
Status tree_text(const Tree *tree, const TreeFile *file, Buffer *out, Error *err);
/* At most size bytes of a file from offset on; returns how many, -1 when it cannot be read. */
ssize_t tree_bytes(const Tree *tree, const TreeFile *file, size_t offset, void *out, size_t size);
/* Bytes of a file, -1 when it cannot be told. */
int64_t tree_size(const Tree *tree, const TreeFile *file);
