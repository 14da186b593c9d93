/* The list of keys. It is short: one entry for each import that runs or waits. */
#include "server/connectors/keys.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/banned.h"

typedef struct Entry {
    struct Entry *next;
    char import_id[UUID_SIZE];
    char *key;
} Entry;

struct Connectors {
    pthread_mutex_t mutex;
    Entry *entries;
};

Connectors *connectors_open(void) {
    Connectors *connectors = xcalloc(1, sizeof *connectors);
    pthread_mutex_init(&connectors->mutex, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return connectors;
}

void key_wipe(char *key) {
    if (!key) return;
    explicit_bzero(key, strlen(key));
    free(key);
}

void connectors_close(Connectors *connectors) {
    if (!connectors) return;
    for (Entry *entry = connectors->entries, *next; entry; entry = next) {
        next = entry->next;
        key_wipe(entry->key);
        free(entry);
    }
    curl_global_cleanup();
    pthread_mutex_destroy(&connectors->mutex);
    free(connectors);
}

void keys_put(Connectors *connectors, const char *import_id, const char *key) {
    Entry *entry = xcalloc(1, sizeof *entry);
    memcpy(entry->import_id, import_id, UUID_SIZE);
    entry->key = xstrdup(key);
    pthread_mutex_lock(&connectors->mutex);
    entry->next = connectors->entries;
    connectors->entries = entry;
    pthread_mutex_unlock(&connectors->mutex);
}

char *keys_get(Connectors *connectors, const char *import_id) {
    char *copy = NULL;
    pthread_mutex_lock(&connectors->mutex);
    for (Entry *entry = connectors->entries; entry && !copy; entry = entry->next)
        if (strcmp(entry->import_id, import_id) == 0) copy = xstrdup(entry->key);
    pthread_mutex_unlock(&connectors->mutex);
    return copy;
}

void keys_drop(Connectors *connectors, const char *import_id) {
    pthread_mutex_lock(&connectors->mutex);
    for (Entry **at = &connectors->entries; *at;) {
        Entry *entry = *at;
        if (strcmp(entry->import_id, import_id) != 0) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        key_wipe(entry->key);
        free(entry);
    }
    pthread_mutex_unlock(&connectors->mutex);
}
