/* The plain SHA-256 calls, a tenth of the cost of EVP's for a short text: every request with a key computes an HMAC. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/banned.h"

struct Hasher {
    EVP_MD_CTX *sha256;
    EVP_MD_CTX *md5;
};

void hash_sha256(const void *data, size_t size, unsigned char out[SHA256_SIZE]) {
    EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL);
}

void hash_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, unsigned char out[SHA256_SIZE]) {
    unsigned char block[SHA256_CBLOCK] = {0}, inner[SHA256_SIZE];
    if (key_size > sizeof block) hash_sha256(key, key_size, block);
    else if (key_size) memcpy(block, key, key_size);
    SHA256_CTX context;
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36;
    SHA256_Init(&context);
    SHA256_Update(&context, block, sizeof block);
    SHA256_Update(&context, data, size);
    SHA256_Final(inner, &context);
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&context);
    SHA256_Update(&context, block, sizeof block);
    SHA256_Update(&context, inner, sizeof inner);
    SHA256_Final(out, &context);
    OPENSSL_cleanse(block, sizeof block);
}

static EVP_MD_CTX *digest_new(const EVP_MD *type) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestInit_ex(context, type, NULL) != 1) abort();
    return context;
}

static Hasher *hasher_of(bool sha256, bool md5) {
    Hasher *hasher = xmalloc(sizeof *hasher);
    *hasher = (Hasher){.sha256 = sha256 ? digest_new(EVP_sha256()) : NULL, .md5 = md5 ? digest_new(EVP_md5()) : NULL};
    return hasher;
}

Hasher *hasher_new(void) { return hasher_of(true, true); }
Hasher *hasher_new_sha256(void) { return hasher_of(true, false); }
Hasher *hasher_new_md5(void) { return hasher_of(false, true); }

void hasher_update(Hasher *hasher, const void *data, size_t size) {
    if (hasher->sha256) EVP_DigestUpdate(hasher->sha256, data, size);
    if (hasher->md5) EVP_DigestUpdate(hasher->md5, data, size);
}

static void finish(EVP_MD_CTX *digest, char *hex) {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!hex) return;
    EVP_DigestFinal_ex(digest, bytes, &size);
    hash_hex(bytes, size, hex);
}

void hasher_finish(Hasher *hasher, char sha256_hex[SHA256_HEX_SIZE], char md5_hex[MD5_HEX_SIZE]) {
    finish(hasher->sha256, sha256_hex);
    finish(hasher->md5, md5_hex);
}

void hasher_free(Hasher *hasher) {
    if (!hasher) return;
    EVP_MD_CTX_free(hasher->sha256);
    EVP_MD_CTX_free(hasher->md5);
    free(hasher);
}

Status hash_file(const char *path, char sha256_hex[SHA256_HEX_SIZE], char md5_hex[MD5_HEX_SIZE], Error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set_errno(err, errno, "%s", path);
    Hasher *hasher = hasher_of(sha256_hex, md5_hex);
    char *chunk = xmalloc(1 << 18);
    Status status = STATUS_OK;
    for (;;) {
        ssize_t n = read(fd, chunk, 1 << 18);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = error_set_errno(err, errno, "%s", path);
        if (n <= 0) break;
        hasher_update(hasher, chunk, (size_t)n);
    }
    hasher_finish(hasher, sha256_hex, md5_hex);
    hasher_free(hasher);
    free(chunk);
    close(fd);
    return status;
}

void hash_hex(const void *bytes, size_t size, char *out) {
    static const char DIGITS[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = DIGITS[p[i] >> 4];
        out[2 * i + 1] = DIGITS[p[i] & 15];
    }
    out[2 * size] = '\0';
}

void hash_base64(const void *bytes, size_t size, char *out) {
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);
}

static const char BASE64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hash_base64url(const void *bytes, size_t size, char *out) {
    const unsigned char *p = bytes;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | p[i];
        for (held += 8; held >= 6; held -= 6) *out++ = BASE64URL[bits >> (held - 6) & 63];
    }
    if (held) *out++ = BASE64URL[bits << (6 - held) & 63];
    *out = '\0';
}

long hash_from_base64url(const char *text, unsigned char *out, size_t capacity) {
    unsigned bits = 0, held = 0;
    size_t n = 0;
    for (; *text; text++) {
        const char *digit = strchr(BASE64URL, *text);
        if (!digit) return -1;
        bits = bits << 6 | (unsigned)(digit - BASE64URL);
        held += 6;
        if (held < 8) continue;
        if (n == capacity) return -1;
        held -= 8;
        out[n++] = (unsigned char)(bits >> held);
        bits &= (1u << held) - 1;
    }
    return held >= 6 || bits ? -1 : (long)n;
}

void random_bytes(void *out, size_t size) {
    char *at = out;
    while (size) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) abort();
        at += n;
        size -= (size_t)n;
    }
}

char *uuid_new(char out[UUID_SIZE]) {
    unsigned char b[16];
    char hex[33];
    random_bytes(b, sizeof b);
    uint64_t now = (uint64_t)clock_now_ms();
    for (int i = 0; i < 6; i++) b[i] = (unsigned char)(now >> (40 - 8 * i));
    b[6] = (unsigned char)((b[6] & 0x0F) | 0x70);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    hash_hex(b, sizeof b, hex);
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return out;
}

bool uuid_is_valid(const char *text) {
    if (!text || strlen(text) != UUID_SIZE - 1) return false;
    for (int i = 0; i < UUID_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i])) return false;
    }
    return true;
}

bool hash_equal(const void *a, const void *b, size_t size) { return CRYPTO_memcmp(a, b, size) == 0; }
