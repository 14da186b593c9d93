/* Configuration of pictographd: flags > environment > DIR/config.toml > defaults. One table of settings in config.c. */
#pragma once
#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "server/server.h"

/* A flag as it was given, without its dashes: {"listen", "0.0.0.0:8080"}. */
typedef struct ConfigFlag {
    const char *name, *value;
} ConfigFlag;

/* Fills out for a data folder. Strings live in the arena. STATUS_CONFIGURATION names the setting and, for the file, the line. */
Status config_load(Config *out, const char *data_directory, const ConfigFlag *flags, size_t flag_count, Arena *arena, Error *err);
/* The file of a built-in model ("efficientnet_lite0" is <builtin_models>/efficientnet_lite0.onnx), in the arena; NULL when it is not installed:
 * `tools/setup models` mends that. */
const char *builtin_model_path(const Config *config, const char *name, Arena *arena);
/* True when a setting of that name exists, and so a flag. */
bool config_knows(const char *name);
/* The settings, a line each. */
void config_print_settings(FILE *out);

/* Reads `key = value` lines: values are "strings", integers, true and false; # starts a comment. Calls take for each; a failure of take is
 * prefixed with the file's name and the line. A missing file is an empty one. */
Status config_read_file(const char *path, Status (*take)(void *context, const char *key, const char *value, Error *err), void *context, Error *err);
