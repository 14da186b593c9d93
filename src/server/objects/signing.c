/* Signed addresses. A token is base64url of NUL-separated texts: action, subject, content type, file name. The signature is
 * HMAC-SHA-256 over the token as it is spelled, a NUL and the expiry in decimal, so that no second spelling of either passes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/objects/objects_internal.h"
#include "base/banned.h"

enum { SECRET_SIZE = 32, TOKEN_MAXIMUM = 512, SIGNATURE_SIZE = HASH_BASE64_SIZE(SHA256_SIZE), CLAIM_FIELDS = 4 };

/* Made under another name and linked, so that two processes that start at once agree on one. */
static Status create_secret(const char *path, Error *err) {
    unsigned char secret[SECRET_SIZE];
    char temporary[4096];
    random_bytes(secret, sizeof secret);
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    Status status = file_write_atomic(temporary, secret, sizeof secret, 0600, err);
    if (status != STATUS_OK) return status;
    if (link(temporary, path) != 0 && errno != EEXIST) status = error_set_errno(err, errno, "%s", path);
    unlink(temporary);
    return status == STATUS_OK ? file_sync_parent(path, err) : status;
}

Status signing_open(Objects *objects, const char *data_directory, Error *err) {
    char path[4000];
    snprintf(path, sizeof path, "%s/secret.key", data_directory);
    Buffer secret;
    buffer_init(&secret, SECRET_SIZE);
    struct stat st;
    Status status = file_exists(path) ? STATUS_OK : create_secret(path, err);
    if (status == STATUS_OK && stat(path, &st) == 0 && (st.st_mode & 077))
        status = error_set(err, STATUS_CONFIGURATION, "%s may be read by others: chmod 600 it", path);
    if (status == STATUS_OK) status = file_read(path, &secret, err);
    if (status == STATUS_OK && secret.size != SECRET_SIZE) status = error_set(err, STATUS_CONFIGURATION, "%s does not hold %d bytes", path, SECRET_SIZE);
    static const char PURPOSE[] = "pictograph signed object address 1";
    if (status == STATUS_OK) hash_hmac_sha256(secret.data, secret.size, PURPOSE, sizeof PURPOSE, objects->signing_key);
    buffer_clear(&secret);
    return status;
}

static void sign(const Objects *objects, const char *token, int64_t expires, char out[SIGNATURE_SIZE], Arena *arena) {
    unsigned char mac[SHA256_SIZE];
    char *text = arena_printf(arena, "%s %lld", token, (long long)expires);
    size_t size = strlen(text);
    text[strlen(token)] = '\0';
    hash_hmac_sha256(objects->signing_key, sizeof objects->signing_key, text, size, mac);
    hash_base64url(mac, sizeof mac, out);
}

/* Two steps, so that no purpose and subject can be spelled as a token and its expiry. */
void objects_derive_secret(const Objects *objects, const char *purpose, const char *subject, unsigned char out[SHA256_SIZE]) {
    unsigned char key[SHA256_SIZE];
    hash_hmac_sha256(objects->signing_key, sizeof objects->signing_key, purpose, strlen(purpose), key);
    hash_hmac_sha256(key, sizeof key, subject, strlen(subject), out);
}

static size_t claims_size(const char *const fields[CLAIM_FIELDS]) {
    size_t size = 0;
    for (int i = 0; i < CLAIM_FIELDS; i++) size += strlen(fields[i]) + 1;
    return size;
}

char *object_sign(const Objects *objects, const char *base_url, const ObjectClaim *claim, Arena *arena) {
    const char action[] = {(char)claim->action, '\0'};
    const char *fields[CLAIM_FIELDS] = {action, claim->subject, claim->content_type ? claim->content_type : "", claim->filename ? claim->filename : ""};
    if (HASH_BASE64_SIZE(claims_size(fields)) > TOKEN_MAXIMUM) fields[CLAIM_FIELDS - 1] = "";
    size_t size = claims_size(fields);
    char *claims = arena_alloc(arena, size), *at = claims;
    for (int i = 0; i < CLAIM_FIELDS; i++) at = stpcpy(at, fields[i]) + 1;
    char *token = arena_alloc(arena, HASH_BASE64_SIZE(size)), signature[SIGNATURE_SIZE];
    hash_base64url(claims, size, token);
    int64_t expires = (claim->expires_at + 999) / 1000;
    sign(objects, token, expires, signature, arena);
    return arena_printf(arena, "%s/storage/v1/objects/%s?expires=%lld&signature=%s", base_url, token, (long long)expires, signature);
}

/* False unless the token holds exactly the fields of a claim. */
static bool read_claim(const char *token, ObjectClaim *out, Arena *arena) {
    size_t capacity = strlen(token);
    char *claims = arena_alloc(arena, capacity + 1);
    long size = hash_from_base64url(token, (unsigned char *)claims, capacity);
    const char *fields[CLAIM_FIELDS + 1] = {0};
    int count = 0;
    for (char *at = claims; at < claims + size && count <= CLAIM_FIELDS; at += strlen(at) + 1) fields[count++] = at;
    if (count != CLAIM_FIELDS) return false;
    *out = (ObjectClaim){.action = (ObjectAction)fields[0][0], .subject = fields[1], .content_type = fields[2][0] ? fields[2] : NULL,
                         .filename = fields[3][0] ? fields[3] : NULL};
    return true;
}

Status object_verify(const Objects *objects, ObjectClaim *out, const char *token, int64_t expires, const char *signature, Arena *arena, Error *err) {
    char expected[SIGNATURE_SIZE];
    bool sound = strnlen(token, TOKEN_MAXIMUM + 1) <= TOKEN_MAXIMUM && strnlen(signature, SIGNATURE_SIZE) == SIGNATURE_SIZE - 1;
    if (sound) sign(objects, token, expires, expected, arena);
    if (!sound || !hash_equal(signature, expected, SIGNATURE_SIZE - 1) || !read_claim(token, out, arena))
        return error_set(err, STATUS_SIGNATURE_INVALID, "The signature of this address is not valid");
    if (clock_now_ms() / 1000 >= expires) return error_set(err, STATUS_SIGNATURE_EXPIRED, "This address has expired; ask for a fresh one");
    out->expires_at = expires * 1000;
    return STATUS_OK;
}
