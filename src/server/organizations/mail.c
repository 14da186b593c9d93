/* One message by libcurl. Subject and text are encoded (RFC 2047, base64), so that nothing in them can become a header or a line of the protocol. */
#include "server/organizations/mail.h"

#include <curl/curl.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/banned.h"

enum { SECONDS = 10, MESSAGE_MAXIMUM = 1 << 20, LINE_BYTES = 57, WORD_BYTES = 42 };

bool mail_is_configured(const Config *config) { return config->smtp_url && config->smtp_from; }

/* Encoded words of whole characters, one a line. */
static void write_subject(Buffer *out, const char *subject) {
    char encoded[4 * ((WORD_BYTES + 2) / 3) + 1];
    buffer_append_text(out, "Subject:");
    for (const char *p = subject; *p;) {
        size_t size = strnlen(p, WORD_BYTES);
        while (size && ((unsigned char)p[size] & 0xC0) == 0x80) size--;
        if (!size) size = strnlen(p, WORD_BYTES); /* no UTF-8 */
        hash_base64(p, size, encoded);
        buffer_printf(out, " =?UTF-8?B?%s?=\r\n", encoded);
        p += size;
    }
}

static void write_text(Buffer *out, Arena *arena, const char *text) {
    char encoded[4 * ((LINE_BYTES + 2) / 3) + 1];
    size_t size = 0;
    char *lines = arena_alloc(arena, 2 * strlen(text) + 1);
    for (const char *p = text; *p; p++) {
        if (*p == '\n') lines[size++] = '\r';
        lines[size++] = *p;
    }
    for (size_t at = 0; at < size; at += LINE_BYTES) {
        hash_base64(lines + at, size - at < LINE_BYTES ? size - at : LINE_BYTES, encoded);
        buffer_printf(out, "%s\r\n", encoded);
    }
}

static void write_message(Buffer *out, Arena *arena, const char *from, const Mail *mail) {
    char date[64], id[UUID_SIZE];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &utc);
    const char *at = strchr(from, '@');
    buffer_printf(out, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s%s>\r\n", from, mail->to, date, uuid_new(id), at ? at : "@pictograph");
    write_subject(out, mail->subject);
    buffer_append_text(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    write_text(out, arena, mail->text);
}

typedef struct Reading {
    const Buffer *message;
    size_t at;
} Reading;

static size_t read_message(char *to, size_t one, size_t count, void *context) {
    Reading *reading = context;
    size_t size = reading->message->size - reading->at;
    if (size > one * count) size = one * count;
    memcpy(to, reading->message->data + reading->at, size);
    reading->at += size;
    return size;
}

static CURLcode hand_over(const Config *config, Arena *arena, const char *to, Reading *reading, long *answer) {
    CURL *curl = curl_easy_init();
    if (!curl) return CURLE_FAILED_INIT;
    struct curl_slist *recipients = curl_slist_append(NULL, arena_printf(arena, "<%s>", to));
    curl_easy_setopt(curl, CURLOPT_URL, config->smtp_url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SECONDS);
    curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)(config->smtp_user ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (config->smtp_user) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, config->smtp_user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, config->smtp_password ? config->smtp_password : "");
    }
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, arena_printf(arena, "<%s>", config->smtp_from));
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_message);
    curl_easy_setopt(curl, CURLOPT_READDATA, reading);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, answer);
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    return code;
}

Status mail_send(const Config *config, Arena *arena, const Mail *mail, Error *err) {
    Buffer message;
    long answer = 0;
    buffer_init(&message, MESSAGE_MAXIMUM);
    write_message(&message, arena, config->smtp_from, mail);
    CURLcode code = message.failed ? CURLE_OUT_OF_MEMORY : hand_over(config, arena, mail->to, &(Reading){&message, 0}, &answer);
    buffer_clear(&message);
    if (code == CURLE_OK) return STATUS_OK;
    return error_set(err, STATUS_UPSTREAM_ERROR, "The mail server did not take the message: %s (last answer %ld)", curl_easy_strerror(code), answer);
}
