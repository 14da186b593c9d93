/* Hashes, random bytes and the spellings of bytes as text. OpenSSL's libcrypto does the arithmetic. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 65, MD5_SIZE = 16, MD5_HEX_SIZE = 33, UUID_SIZE = 37 };

void hash_sha256(const void *data, size_t size, unsigned char out[SHA256_SIZE]);
void hash_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, unsigned char out[SHA256_SIZE]);

/* SHA-256 and MD5 of one stream in one pass, or only one of them: the other must be NULL at the end. */
typedef struct Hasher Hasher;
Hasher *hasher_new(void);
Hasher *hasher_new_sha256(void);
Hasher *hasher_new_md5(void);
void hasher_update(Hasher *hasher, const void *data, size_t size);
/* Lower-case hex, NUL-terminated; either may be NULL. The hasher is spent: free it. */
void hasher_finish(Hasher *hasher, char sha256_hex[SHA256_HEX_SIZE], char md5_hex[MD5_HEX_SIZE]);
void hasher_free(Hasher *hasher);
/* Of a file, what is not NULL. */
Status hash_file(const char *path, char sha256_hex[SHA256_HEX_SIZE], char md5_hex[MD5_HEX_SIZE], Error *err);

/* out needs 2 * size + 1 bytes */
void hash_hex(const void *bytes, size_t size, char *out);
/* Unpadded base64url; out needs HASH_BASE64_SIZE(size) bytes. */
#define HASH_BASE64_SIZE(size) (((size) * 4 + 2) / 3 + 1)
void hash_base64url(const void *bytes, size_t size, char *out);
/* Reads unpadded base64url; returns the number of bytes, -1 when malformed or longer than capacity. */
long hash_from_base64url(const char *text, unsigned char *out, size_t capacity);
/* Standard padded base64; out needs 4 * ((size + 2) / 3) + 1 bytes. */
void hash_base64(const void *bytes, size_t size, char *out);

/* Unpredictable bytes; ends the process when the system has none. */
void random_bytes(void *out, size_t size);
/* A fresh UUID of version 7 (RFC 9562: the milliseconds since 1970, then 74 random bits) in lower-case text. Returns out. Ids of one
 * time lie together in an index, which a batch of thousands would else touch all over. */
char *uuid_new(char out[UUID_SIZE]);
bool uuid_is_valid(const char *text);

/* Compares secrets in a time that depends only on size. */
bool hash_equal(const void *a, const void *b, size_t size);
