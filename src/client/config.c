/* Settings from four sources, and the small TOML file among them. */
#include "client/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"

#include "base/banned.h"

#define DEFAULT_BASE_URL "http://localhost:8080"
enum { DEFAULT_TIMEOUT = 30, DEFAULT_RETRIES = 3, CONFIG_MAXIMUM = 1 << 16 };

/* A trimmed copy; NULL when text is missing or blank. */
static char *trimmed(const char *text) {
    if (!text || text_is_blank(text)) return NULL;
    text += strspn(text, " \t\r\n");
    char *copy = xstrdup(text);
    size_t length = strlen(copy);
    while (length > 0 && strchr(" \t\r\n", copy[length - 1])) copy[--length] = '\0';
    return copy;
}

char *config_path(void) {
    const char *home = getenv("HOME");
    if (!home || text_is_blank(home)) return NULL;
    Buffer path;
    buffer_init(&path, 4096);
    buffer_printf(&path, "%s/.pictograph/config.toml", home);
    return buffer_take(&path);
}

/* One escape of a basic TOML string; the character it stands for, or 0. */
static char unescape(char letter) {
    static const char from[] = "\"\\btnfr", to[] = "\"\\\b\t\n\f\r";
    const char *at = strchr(from, letter);
    return letter && at ? to[at - from] : '\0';
}

/* The string after "key =": "basic" or 'literal', owned; NULL when it is neither. */
static char *parse_string(const char *text) {
    text += strspn(text, " \t");
    char quote = *text;
    if (quote != '"' && quote != '\'') return NULL;
    Buffer value;
    buffer_init(&value, CONFIG_MAXIMUM);
    for (text++; *text && *text != quote; text++) {
        char letter = *text;
        if (quote == '"' && letter == '\\' && !(letter = unescape(*++text))) break;
        buffer_append_byte(&value, letter);
    }
    if (*text == quote) return buffer_take(&value);
    buffer_clear(&value);
    return NULL;
}

char *config_read(const char *path, const char *key) {
    Buffer file;
    buffer_init(&file, CONFIG_MAXIMUM);
    char *found = NULL, *rest = NULL;
    bool inside = false;
    if (!path || file_read(path, &file, NULL) || !file.data) goto out;
    for (char *line = strtok_r(file.data, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest)) {
        line += strspn(line, " \t");
        size_t length = strlen(key);
        if (*line == '[') {
            inside = text_starts_with(line, "[default]");
        } else if (inside && !strncmp(line, key, length)) {
            line += length + strspn(line + length, " \t");
            if (*line == '=') found = parse_string(line + 1);
        }
    }
out:
    buffer_clear(&file);
    return found;
}

static void append_string(Buffer *out, const char *key, const char *value) {
    buffer_printf(out, "%s = \"", key);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\') buffer_append_byte(out, '\\');
        buffer_append_byte(out, *value);
    }
    buffer_append_text(out, "\"\n");
}

Status config_write(const char *path, const char *api_key, const char *base_url, Error *err) {
    Buffer text;
    buffer_init(&text, CONFIG_MAXIMUM);
    char *directory = xstrdup(path);
    Status status = STATUS_OK;
    char *slash = strrchr(directory, '/');
    if (slash && slash != directory) {
        *slash = '\0';
        if ((status = file_make_directories(directory, 0700, err))) goto out;
        if (chmod(directory, 0700)) goto out_errno;
    }
    buffer_append_text(&text, "[default]\n");
    append_string(&text, "api_key", api_key);
    if (base_url) append_string(&text, "base_url", base_url);
    status = file_write_atomic(path, buffer_text(&text), text.size, 0600, err);
    goto out;
out_errno:
    status = error_set(err, STATUS_IO, "%s: its access rights could not be set", directory);
out:
    buffer_clear(&text);
    free(directory);
    return status;
}

/* First of argument, environment and file that is not blank; owned, NULL when there is none. */
static char *pick(const char *argument, const char *variable, const char *file, const char *key) {
    char *value = trimmed(argument);
    if (!value) value = trimmed(getenv(variable));
    if (!value && file) {
        char *stored = config_read(file, key);
        value = trimmed(stored);
        free(stored);
    }
    return value;
}

static Status resolve_timeout(Settings *out, double argument, Error *err) {
    const char *text = getenv("PICTOGRAPH_TIMEOUT");
    out->timeout = DEFAULT_TIMEOUT;
    if (argument != 0) out->timeout = argument;
    else if (text && !text_is_blank(text) && !text_to_number(text, &out->timeout)) out->timeout = -1;
    return out->timeout > 0 ? STATUS_OK : error_set(err, STATUS_CONFIGURATION, "PICTOGRAPH_TIMEOUT must be a number of seconds above 0");
}

static Status resolve_retries(Settings *out, int argument, Error *err) {
    const char *text = getenv("PICTOGRAPH_MAX_RETRIES");
    int64_t value = DEFAULT_RETRIES;
    if (argument >= 0) value = argument;
    else if (text && !text_is_blank(text) && !text_to_int(text, &value)) value = -1;
    if (value < 0 || value > 1000) return error_set(err, STATUS_CONFIGURATION, "PICTOGRAPH_MAX_RETRIES must be a whole number from 0");
    out->max_retries = (int)value;
    return STATUS_OK;
}

/* A key travels in a header: visible ASCII only. */
static bool fits_a_header(const char *text) {
    for (; *text; text++)
        if (*text < 0x21 || *text > 0x7e) return false;
    return true;
}

Status settings_resolve(Settings *out, const PictographOptions *options, Error *err) {
    *out = (Settings){0};
    Status status = STATUS_OK;
    char *file = options->read_config_file ? config_path() : NULL;
    out->api_key = pick(options->api_key, "PICTOGRAPH_API_KEY", file, "api_key");
    out->base_url = pick(options->base_url, "PICTOGRAPH_BASE_URL", file, "base_url");
    if (!out->base_url) out->base_url = xstrdup(DEFAULT_BASE_URL);
    for (size_t length = strlen(out->base_url); length > 0 && out->base_url[length - 1] == '/'; length--) out->base_url[length - 1] = '\0';
    if (!out->api_key)
        status = error_set(err, STATUS_CONFIGURATION, "No API key: set PICTOGRAPH_API_KEY%s",
                           file ? ", pass --api-key or run `pictograph login`" : " or pass one");
    else if (!fits_a_header(out->api_key))
        status = error_set(err, STATUS_CONFIGURATION, "The API key holds characters that no key has");
    else if (!text_starts_with(out->base_url, "http://") && !text_starts_with(out->base_url, "https://"))
        status = error_set(err, STATUS_CONFIGURATION, "The base URL must start with http:// or https://, not '%s'", out->base_url);
    else if (!(status = resolve_timeout(out, options->timeout_seconds, err)))
        status = resolve_retries(out, options->max_retries, err);
    free(file);
    return status;
}

void settings_clear(Settings *settings) {
    if (settings->api_key) explicit_bzero(settings->api_key, strlen(settings->api_key));
    free(settings->api_key);
    free(settings->base_url);
    *settings = (Settings){0};
}
