/* The contract's patterns; see the header. */
#include "server/api/patterns.h"

#include <stddef.h>
#include <string.h>

#include "base/banned.h"

/* White space of ECMA-262 at p: its length in bytes, 0 for anything else. */
static size_t space_at(const char *p) {
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] == ' ' || (u[0] >= '\t' && u[0] <= '\r')) return 1;
    if (u[0] == 0xC2) return u[1] == 0xA0 ? 2 : 0;                          /* no-break space */
    if (u[0] == 0xE1) return u[1] == 0x9A && u[2] == 0x80 ? 3 : 0;          /* ogham space mark */
    if (u[0] == 0xE3) return u[1] == 0x80 && u[2] == 0x80 ? 3 : 0;          /* ideographic space */
    if (u[0] == 0xEF) return u[1] == 0xBB && u[2] == 0xBF ? 3 : 0;          /* byte order mark */
    if (u[0] != 0xE2) return 0;
    if (u[1] == 0x81) return u[2] == 0x9F ? 3 : 0;                          /* medium mathematical space */
    if (u[1] != 0x80) return 0;
    return (u[2] >= 0x80 && u[2] <= 0x8A) || u[2] == 0xA8 || u[2] == 0xA9 || u[2] == 0xAF ? 3 : 0;
}

static bool ends_with_space(const char *text) {
    size_t n = strlen(text);
    for (size_t length = 1; length <= 3 && length <= n; length++) {
        if (space_at(text + n - length) == length) return true;
    }
    return false;
}

/* Not empty, no control character, none of the forbidden ones. */
static bool lacks(const char *text, const char *forbidden) {
    if (!*text) return false;
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || strchr(forbidden, *p)) return false;
    }
    return true;
}

static bool is_dots(const char *text, size_t size) {
    return (size == 1 && text[0] == '.') || (size == 2 && text[0] == '.' && text[1] == '.');
}

static bool is_base64url(const char *text, size_t minimum, size_t maximum) {
    size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return text[n] == '\0' && n >= minimum && n <= maximum;
}

static bool non_blank(const char *text) {
    for (size_t n; (n = space_at(text)) > 0;) text += n;
    return *text != '\0';
}

static bool export_name(const char *text) { return lacks(text, "/\\?#%") && !is_dots(text, strlen(text)); }
static bool project_name(const char *text) { return export_name(text) && !space_at(text) && !ends_with_space(text); }
static bool file_name(const char *text) { return lacks(text, "/\\"); }
static bool folder_name(const char *text) { return lacks(text, "/"); }
static bool token_43(const char *text) { return is_base64url(text, 43, 43); }
static bool object_token(const char *text) { return is_base64url(text, 16, 512); }

static bool virtual_path(const char *text) {
    if (*text != '/' || !lacks(text, "")) return false;
    for (const char *segment = text + 1; *segment;) {
        size_t n = strcspn(segment, "/");
        if (n == 0 || is_dots(segment, n)) return false;
        segment += n;
        if (*segment == '/') segment++;
    }
    return true;
}

static bool idempotency_key(const char *text) {
    for (const char *p = text; *p; p++) {
        if (*p < 0x21 || *p > 0x7e) return false;
    }
    return *text != '\0';
}

/* One @ with something before it and, after it, a domain of dot-separated labels; the mail server judges the rest. */
static bool email(const char *text) {
    const char *at = strrchr(text, '@');
    if (!at || at == text || !lacks(text, " \"(),:;<>[\\]") || strchr(text, '@') != at) return false;
    const char *dot = strchr(at, '.');
    return dot && dot > at + 1 && at[strlen(at) - 1] != '.' && !strstr(text, "..");
}

/* tools/apigen.py reads these rows: one a line, the text in JSON's spelling. */
const Pattern PATTERN_NON_BLANK = {"\\S", non_blank, false,
    "not be blank"};
const Pattern PATTERN_PROJECT_NAME = {"^(?!\\.{1,2}$)(?!\\s)[^/\\\\?#%\\u0000-\\u001f]+(?<!\\s)$", project_name, false,
    "have none of / \\ ? # %, no control characters, no blank at its ends, and not be '.' or '..'"};
const Pattern PATTERN_EXPORT_NAME = {"^(?!\\.{1,2}$)[^/\\\\?#%\\u0000-\\u001f]+$", export_name, false,
    "have none of / \\ ? # %, no control characters, and not be '.' or '..'"};
const Pattern PATTERN_VIRTUAL_PATH = {"^/(?:[^/\\u0000-\\u001f]+(?:/[^/\\u0000-\\u001f]+)*/?)?$", virtual_path, true,
    "begin with /, as in /day-1/left, and have no empty part, none that is '.' or '..', and no control characters"};
const Pattern PATTERN_FILE_NAME = {"^[^/\\\\\\u0000-\\u001f]+$", file_name, false,
    "be a file's name alone: none of / \\ and no control characters"};
const Pattern PATTERN_FOLDER_NAME = {"^[^/\\u0000-\\u001f]+$", folder_name, false,
    "be one folder's name: no / and no control characters"};
const Pattern PATTERN_TOKEN_43 = {"^[A-Za-z0-9_-]{43}$", token_43, false,
    "be 43 letters, digits, - or _"};
const Pattern PATTERN_OBJECT_TOKEN = {"^[A-Za-z0-9_-]{16,512}$", object_token, false,
    "be 16 to 512 letters, digits, - or _"};
const Pattern PATTERN_IDEMPOTENCY_KEY = {"^[\\x21-\\x7e]+$", idempotency_key, false,
    "be printable ASCII without blanks"};
const Pattern PATTERN_EMAIL = {"format: email", email, false,
    "be an e-mail address, as in kim@example.org"};
