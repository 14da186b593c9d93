/* The table of providers. */
#include "server/connectors/provider.h"

#include <string.h>

#include "base/text.h"
#include "base/banned.h"

const Provider *provider_find(const char *name) { return text_equal(name, "v7") ? &V7 : text_equal(name, "roboflow") ? &ROBOFLOW : NULL; }

const char *provider_url(const Provider *provider, const Config *config) {
    const char *own = provider == &V7 ? config->v7_url : config->roboflow_url;
    return own ? own : provider->default_url;
}

Status provider_connect(const Provider *provider, const Config *config, const char *key, double deadline, bool (*stop)(void *), void *context, Remote **out,
                        Error *err) {
    RemoteOptions options = {.service = provider->name, .base_url = provider_url(provider, config), .key = key, .key_place = provider->key_place,
                             .deadline = deadline, .stop = stop, .context = context};
    return remote_open(out, &options, err);
}

const char *provider_id_text(Arena *arena, yyjson_val *value) {
    if (yyjson_is_str(value)) return yyjson_get_len(value) ? arena_strdup(arena, yyjson_get_str(value)) : NULL;
    return yyjson_is_int(value) ? arena_printf(arena, "%lld", (long long)yyjson_get_sint(value)) : NULL;
}

int64_t provider_count(yyjson_val *object, const char *key) {
    int64_t n = json_get_int(object, key, 0);
    return n < 0 ? 0 : n > 1000000000 ? 1000000000 : n;
}
