/* The contract's patterns; see the header. */
#include "server/api/patterns.h"

#include <stddef.h>
#include <string.h>

#include "base/css_color.h"
#include "base/text.h"

#include "base/banned.h"

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

static bool non_blank(const char *text) { return !text_is_blank(text); }

static bool unpadded(const char *text) {
    size_t size;
    return text_trimmed(text, &size) == text && text[size] == '\0' && size > 0;
}

static bool export_name(const char *text) { return lacks(text, "/\\?#%") && !is_dots(text, strlen(text)); }
static bool project_name(const char *text) { return export_name(text) && unpadded(text); }
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
const Pattern PATTERN_UNPADDED = {"^[^\\s\\u001c-\\u001f\\u0085\\ufeff](?![\\s\\S]*[\\s\\u001c-\\u001f\\u0085\\ufeff]$)", unpadded, false,
    "not be blank and have no blank at its ends"};
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
const Pattern PATTERN_COLOR = {"format: color", css_color_is_valid, false,
    "be a CSS colour, as in #00aaff, teal or rgb(0 170 255)"};
