/* Key secrets: pk_live_ and 32 random bytes in base64url; kept as their first 12 characters and a bcrypt hash (cost 12). */
#pragma once
#include <stdbool.h>

#include "base/error.h"

enum { KEY_TEXT_SIZE = 52, KEY_PREFIX_SIZE = 13, KEY_HASH_SIZE = 64 };

typedef struct KeySecret {
    char text[KEY_TEXT_SIZE];     /* shown once, never stored */
    char prefix[KEY_PREFIX_SIZE]; /* stored, indexed */
    char hash[KEY_HASH_SIZE];     /* stored */
} KeySecret;

/* A fresh one. Takes a fifth of a second: not inside a transaction. */
Status key_secret_make(KeySecret *out, Error *err);
/* The form of a key, nothing more. */
bool key_secret_is_plausible(const char *text);
/* Compares with a stored hash; takes a fifth of a second. */
bool key_secret_matches(const char *text, const char *hash);
