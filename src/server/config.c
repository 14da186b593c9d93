/* The table of settings, and a strict reader for the part of TOML that it needs. */
#include "server/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "server/api/patterns.h"
#include "server/http/client_address.h"
#include "server/http/http.h"

#include "base/banned.h"

enum { FILE_MAXIMUM = 64 << 10, THREADS_MAXIMUM = 512 };

typedef struct Loading {
    Config *config;
    Arena *arena;
} Loading;

/* --- values --- */

static Status take_text(const char **out, Arena *arena, const char *value) {
    *out = value[0] ? arena_strdup(arena, value) : NULL;
    return STATUS_OK;
}

static Status take_count(int *out, const char *value, Error *err) {
    int64_t n;
    if (!text_to_int(value, &n) || n < 1 || n > THREADS_MAXIMUM) return error_set(err, STATUS_CONFIGURATION, "a number from 1 to %d is needed", THREADS_MAXIMUM);
    *out = (int)n;
    return STATUS_OK;
}

static Status take_bool(bool *out, const char *value, Error *err) {
    *out = strcmp(value, "true") == 0;
    return *out || strcmp(value, "false") == 0 ? STATUS_OK : error_set(err, STATUS_CONFIGURATION, "true or false is needed");
}

/* "127.0.0.1:8080", "[::1]:8080", ":8080" for all addresses */
static Status take_listen(Loading *l, const char *value, Error *err) {
    const char *colon = strrchr(value, ':');
    int64_t port;
    if (!colon || !text_to_int(colon + 1, &port) || port < 0 || port > 65535)
        return error_set(err, STATUS_CONFIGURATION, "an address such as 127.0.0.1:8080 is needed, not '%s'", value);
    const char *host = arena_strndup(l->arena, value, (size_t)(colon - value));
    if (host[0] == '[' && text_ends_with(host, "]")) host = arena_strndup(l->arena, host + 1, strlen(host) - 2);
    l->config->listen_host = host[0] ? host : "0.0.0.0";
    l->config->listen_port = (int)port;
    return STATUS_OK;
}

static Status take_url(const char **out, Loading *l, const char *value, Error *err) {
    if (!text_starts_with(value, "http://") && !text_starts_with(value, "https://")) return error_set(err, STATUS_CONFIGURATION, "an http address is needed");
    char *text = arena_strdup(l->arena, value);
    while (text_ends_with(text, "/")) text[strlen(text) - 1] = '\0';
    *out = text;
    return STATUS_OK;
}

static Status set_listen(Loading *l, const char *v, Error *err) { return take_listen(l, v, err); }
static Status set_public_url(Loading *l, const char *v, Error *err) { return take_url(&l->config->public_url, l, v, err); }
static Status set_upgrade_url(Loading *l, const char *v, Error *err) { return take_url(&l->config->upgrade_url, l, v, err); }
static Status take_smtp_url(const char **out, Loading *l, const char *value, Error *err) {
    if (!text_starts_with(value, "smtp://") && !text_starts_with(value, "smtps://"))
        return error_set(err, STATUS_CONFIGURATION, "an address such as smtp://mail.example.org:587 is needed");
    return take_text(out, l->arena, value);
}

/* The bare address: it goes into the envelope. */
static Status take_address(const char **out, Loading *l, const char *value, Error *err) {
    if (!PATTERN_EMAIL.matches(value)) return error_set(err, STATUS_CONFIGURATION, "an e-mail address is needed, not '%s'", value);
    return take_text(out, l->arena, value);
}

static Status set_smtp_url(Loading *l, const char *v, Error *err) { return take_smtp_url(&l->config->smtp_url, l, v, err); }
static Status set_smtp_from(Loading *l, const char *v, Error *err) { return take_address(&l->config->smtp_from, l, v, err); }
static Status set_smtp_user(Loading *l, const char *v, Error *err) { return (void)err, take_text(&l->config->smtp_user, l->arena, v); }
static Status set_smtp_password(Loading *l, const char *v, Error *err) { return (void)err, take_text(&l->config->smtp_password, l->arena, v); }
static Status set_v7_url(Loading *l, const char *v, Error *err) { return take_url(&l->config->v7_url, l, v, err); }
static Status set_roboflow_url(Loading *l, const char *v, Error *err) { return take_url(&l->config->roboflow_url, l, v, err); }
static Status set_programs(Loading *l, const char *v, Error *err) { return (void)err, take_text(&l->config->program_directory, l->arena, v); }
static Status set_builtin_models(Loading *l, const char *v, Error *err) { return (void)err, take_text(&l->config->builtin_models, l->arena, v); }
static Status set_http_threads(Loading *l, const char *v, Error *err) { return take_count(&l->config->http_threads, v, err); }
static Status set_handler_threads(Loading *l, const char *v, Error *err) { return take_count(&l->config->handler_threads, v, err); }
static Status set_body_timeout(Loading *l, const char *v, Error *err) { return take_count(&l->config->body_timeout, v, err); }
static Status set_trusted_proxies(Loading *l, const char *v, Error *err) { return proxy_list_parse(&l->config->trusted_proxies, v, l->arena, err); }
static Status set_access_log(Loading *l, const char *v, Error *err) { return take_bool(&l->config->access_log, v, err); }
static Status set_public_metrics(Loading *l, const char *v, Error *err) { return take_bool(&l->config->public_metrics, v, err); }

/* --- the table --- */

typedef struct Setting {
    const char *name; /* in the file; the flag has dashes for its underscores */
    const char *environment;
    Status (*set)(Loading *loading, const char *value, Error *err);
    const char *help;
} Setting;

static const Setting SETTINGS[] = {
    {"listen", "PICTOGRAPHD_LISTEN", set_listen, "address and port to listen on (127.0.0.1:8080)"},
    {"public_url", "PICTOGRAPHD_PUBLIC_URL", set_public_url, "base of addresses in replies, when a proxy stands in front (from the Host field)"},
    {"upgrade_url", "PICTOGRAPHD_UPGRADE_URL", set_upgrade_url, "where users get credits, shown when they lack them (none)"},
    {"programs", "PICTOGRAPHD_PROGRAMS", set_programs, "folder of pictograph-media and the other workers (that of pictographd)"},
    {"builtin_models", "PICTOGRAPHD_BUILTIN_MODELS", set_builtin_models, "folder of the built-in models (models beside that of the programs)"},
    {"http_threads", "PICTOGRAPHD_HTTP_THREADS", set_http_threads, "event loops (one a processor, at most 8)"},
    {"handler_threads", "PICTOGRAPHD_HANDLER_THREADS", set_handler_threads, "threads for requests that wait (32)"},
    {"body_timeout", "PICTOGRAPHD_BODY_TIMEOUT", set_body_timeout, "seconds that a request's body may take (60)"},
    {"trusted_proxies", "PICTOGRAPHD_TRUSTED_PROXIES", set_trusted_proxies, "addresses or networks whose X-Forwarded-For names the client (none)"},
    {"smtp.url", "PICTOGRAPHD_SMTP_URL", set_smtp_url, "server that sends invites, smtp://host:587 or smtps://host (none: the answer's address is all)"},
    {"smtp.from", "PICTOGRAPHD_SMTP_FROM", set_smtp_from, "address that invites come from (none)"},
    {"smtp.user", "PICTOGRAPHD_SMTP_USER", set_smtp_user, "name for the mail server, which is then spoken to over TLS alone (none)"},
    {"smtp.password", "PICTOGRAPHD_SMTP_PASSWORD", set_smtp_password, "password for the mail server (none)"},
    {"connectors.v7_url", "PICTOGRAPHD_CONNECTORS_V7_URL", set_v7_url, "where imports find V7 (https://darwin.v7labs.com/api)"},
    {"connectors.roboflow_url", "PICTOGRAPHD_CONNECTORS_ROBOFLOW_URL", set_roboflow_url, "where imports find Roboflow (https://api.roboflow.com)"},
    {"access_log", "PICTOGRAPHD_ACCESS_LOG", set_access_log, "a line a request on standard error (true)"},
    {"public_metrics", "PICTOGRAPHD_PUBLIC_METRICS", set_public_metrics, "/metrics for all addresses, not the loopback alone (false)"},
};
enum { SETTING_COUNT = sizeof SETTINGS / sizeof SETTINGS[0] };

static bool same_name(const char *setting, const char *given) {
    for (; *setting && *given; setting++, given++)
        if (*setting != *given && !(*setting == '_' && *given == '-')) return false;
    return *setting == *given;
}

static const Setting *find_setting(const char *name) {
    for (int i = 0; i < SETTING_COUNT; i++)
        if (same_name(SETTINGS[i].name, name)) return &SETTINGS[i];
    return NULL;
}

bool config_knows(const char *name) { return find_setting(name) != NULL; }

void config_print_settings(FILE *out) {
    for (int i = 0; i < SETTING_COUNT; i++) fprintf(out, "  %-23s %-35s %s\n", SETTINGS[i].name, SETTINGS[i].environment, SETTINGS[i].help);
}

static Status take_setting(void *context, const char *name, const char *value, Error *err) {
    const Setting *setting = find_setting(name);
    if (!setting) return error_set(err, STATUS_CONFIGURATION, "unknown setting '%s'", name);
    Status status = setting->set(context, value, err);
    return status == STATUS_OK ? status : error_prefix(err, "%s", name);
}

/* --- the file --- */

static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length && strchr(" \t\r", text[length - 1])) text[--length] = '\0';
    return text;
}

/* The value in place: a quoted text (escapes \" and \\), or a bare word; what follows may only be a comment. */
static Status read_value(char *text, char **out, Error *err) {
    char *end;
    if (*text == '"') {
        char *to = text;
        *out = text;
        for (end = text + 1; *end && *end != '"'; end++) {
            if (*end == '\\' && (end[1] == '"' || end[1] == '\\')) end++;
            *to++ = *end;
        }
        if (!*end++) return error_set(err, STATUS_CONFIGURATION, "a quote is missing");
        *to = '\0';
    } else {
        *out = text;
        end = text + strcspn(text, " \t#");
        if (end == text) return error_set(err, STATUS_CONFIGURATION, "a value is missing");
        char *rest = end;
        if (*end) rest = end + 1;
        bool comment = *end == '#';
        *end = '\0';
        if (comment) return STATUS_OK;
        end = rest;
    }
    end += strspn(end, " \t");
    return *end == '\0' || *end == '#' ? STATUS_OK : error_set(err, STATUS_CONFIGURATION, "'%s' does not belong here", end);
}

static Status read_line(char *line, Status (*take)(void *, const char *, const char *, Error *), void *context, Error *err) {
    line = trim(line);
    if (*line == '\0' || *line == '#') return STATUS_OK;
    char *equals = strchr(line, '='), *value;
    if (!equals) return error_set(err, STATUS_CONFIGURATION, "'name = value' is needed");
    *equals = '\0';
    Status status = read_value(trim(equals + 1), &value, err);
    return status == STATUS_OK ? take(context, trim(line), value, err) : status;
}

Status config_read_file(const char *path, Status (*take)(void *context, const char *key, const char *value, Error *err), void *context, Error *err) {
    Buffer text;
    buffer_init(&text, FILE_MAXIMUM);
    Status status = file_exists(path) ? file_read(path, &text, err) : STATUS_OK;
    int number = 1;
    for (char *line = text.data; line && status == STATUS_OK; number++) {
        char *end = strchr(line, '\n');
        if (end) *end = '\0';
        status = read_line(line, take, context, err);
        if (status != STATUS_OK) error_prefix(err, "%s:%d", path, number);
        line = end ? end + 1 : NULL;
    }
    buffer_clear(&text);
    return status;
}

/* --- all together --- */

static const char *program_folder(Arena *arena) {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return ".";
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (slash) *slash = '\0';
    return arena_strdup(arena, path);
}

/* Workers have working directories of their own, so every path that they are told must be absolute. */
static const char *absolute_path(const char *path, Arena *arena) {
    char here[4096];
    if (path[0] == '/' || !getcwd(here, sizeof here)) return path;
    return arena_printf(arena, "%s/%s", here, path);
}

Status config_load(Config *out, const char *data_directory, const ConfigFlag *flags, size_t flag_count, Arena *arena, Error *err) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *out = (Config){.data_directory = absolute_path(data_directory, arena), .listen_host = "127.0.0.1", .listen_port = 8080, .program_directory = program_folder(arena),
                    .http_threads = processors < 1 ? 1 : processors > 8 ? 8 : (int)processors, .handler_threads = 32, .body_timeout = HTTP_BODY_TIMEOUT, .access_log = true};
    Loading loading = {out, arena};
    Status status = config_read_file(arena_printf(arena, "%s/config.toml", data_directory), take_setting, &loading, err);
    for (int i = 0; i < SETTING_COUNT && status == STATUS_OK; i++) {
        const char *value = getenv(SETTINGS[i].environment);
        if (!value) continue;
        status = SETTINGS[i].set(&loading, value, err);
        if (status != STATUS_OK) error_prefix(err, "%s", SETTINGS[i].environment);
    }
    for (size_t i = 0; i < flag_count && status == STATUS_OK; i++) status = take_setting(&loading, flags[i].name, flags[i].value, err);
    if (status == STATUS_OK && !out->smtp_url != !out->smtp_from) status = error_set(err, STATUS_CONFIGURATION, "smtp.url and smtp.from belong together");
    if (!out->builtin_models) out->builtin_models = arena_printf(arena, "%s/../models", out->program_directory);
    out->builtin_models = absolute_path(out->builtin_models, arena);
    return status;
}

const char *builtin_model_path(const Config *config, const char *name, Arena *arena) {
    const char *path = arena_printf(arena, "%s/%s.onnx", config->builtin_models, name);
    return file_exists(path) ? path : NULL;
}
