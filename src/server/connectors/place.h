/* Where an image of a source goes: names and folders by our rules, whatever the source calls them. */
#pragma once
#include "base/arena.h"

/* A base name with an extension that we read: from the name, else by the announced type ("image/png"). NULL when neither tells one. */
const char *place_filename(Arena *arena, const char *name, const char *content_type);
/* The same name with something of the remote id in it, for a second image of that name. */
const char *place_other_filename(Arena *arena, const char *filename, const char *remote_id);
/* "/" or "/a/b". */
const char *place_folder(Arena *arena, const char *path);
