/* Config: where key, address and limits of a client come from: argument, then environment, then (command line only) the file
 * ~/.pictograph/config.toml, then the defaults of limits.yaml.
 *
 * Of TOML the file needs one table of strings; that much is read, any other line is skipped.
 */
#pragma once
#include <pictograph/client.h>

#include "base/error.h"

typedef struct Settings {
    char *api_key, *base_url; /* owned */
    double timeout;
    int max_retries;
} Settings;

/* Fills out from all sources; STATUS_CONFIGURATION names the setting that is missing or wrong. Clear it in either case. */
Status settings_resolve(Settings *out, const PictographOptions *options, Error *err);
void settings_clear(Settings *settings);

/* Path of the file, owned; NULL without a home. */
char *config_path(void);
/* A string of the file's [default] table, owned; NULL when the file or the key is missing. */
char *config_read(const char *path, const char *key);
/* Writes the file anew (0600, its directory 0700). base_url may be NULL. */
Status config_write(const char *path, const char *api_key, const char *base_url, Error *err);
