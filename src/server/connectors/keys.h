/* Keys of sources, by import, in memory only. All functions are thread-safe. */
#pragma once
#include <stddef.h>

#include "server/connectors/connectors.h"

void keys_put(Connectors *connectors, const char *import_id, const char *key);
/* A copy to be given to key_wipe; NULL when this process does not have it. */
char *keys_get(Connectors *connectors, const char *import_id);
void keys_drop(Connectors *connectors, const char *import_id);
/* Overwrites and frees. NULL is fine. */
void key_wipe(char *key);
