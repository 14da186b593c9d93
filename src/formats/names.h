/* Names of images and files in archives: which are safe, how virtual folders become paths, which are images. Pure functions.
 *
 * A virtual folder is "/" or "/a/b"; the path of an image in an archive is "a/b/photo.jpg".
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* Grows by name_list_add, which copies; starts as {.arena}. */
typedef struct NameList {
    Arena *arena;
    const char **items;
    size_t count, capacity;
} NameList;
void name_list_add(NameList *list, const char *name);

/* Relative, no empty, "." or ".." part whether "/" or a backslash parts them, no control character, well-formed UTF-8. */
bool name_is_safe_path(const char *path);
/* Absolute or with a ".." part, whatever else it holds: what no archive has by accident. */
bool name_leads_out(const char *path);
/* Path of an image in an archive: name_join, but parts that are too long for a file system (the contract counts characters, file systems
 * bytes) or that not every archive and label file holds are cut and get a hash. NULL when it is not a safe path. */
const char *name_in_archive(Arena *arena, const char *folder, const char *filename);
/* One of the extensions that the contract takes, case ignored. */
bool name_is_image(const char *name);
/* "a/b/photo.jpg" from "/a/b" and "photo.jpg"; in the arena. */
char *name_join(Arena *arena, const char *folder, const char *filename);
/* The other way: folder of "a/b/photo.jpg" is "/a/b", of "photo.jpg" is "/". */
char *name_folder(Arena *arena, const char *path);
/* "a/b/photo" of "a/b/photo.jpg"; a leading dot starts no extension. */
char *name_without_extension(Arena *arena, const char *path);
/* "train", "val" or "test" for the usual spellings of a folder or list (train, training, val, valid, validation, test, testing), else NULL. */
const char *name_split(const char *word, size_t length);
/* The split that some folder of a path names; NULL when none does. */
const char *name_split_of_path(const char *path);
