/* bcrypt by libcrypt. */
#include "server/api/key_secret.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

#include "base/banned.h"

#define KEY_START "pk_live_"
enum { COST = 12, RANDOM_BYTES = 32, ENCODED = 43, START = sizeof KEY_START - 1 };

/* out needs KEY_HASH_SIZE bytes. The settings (salt and cost) of a new hash, or a whole old one. */
static bool bcrypt(const char *text, const char *settings, char *out) {
    struct crypt_data *work = xcalloc(1, sizeof *work); /* 32 KB: too much for a small stack */
    const char *hash = crypt_r(text, settings, work);
    bool good = hash && hash[0] == '$' && strlen(hash) < KEY_HASH_SIZE;
    if (good) memcpy(out, hash, strlen(hash) + 1);
    free(work);
    return good;
}

Status key_secret_make(KeySecret *out, Error *err) {
    unsigned char bytes[RANDOM_BYTES];
    random_bytes(bytes, sizeof bytes);
    memcpy(out->text, KEY_START, START);
    hash_base64url(bytes, sizeof bytes, out->text + START);
    memcpy(out->prefix, out->text, KEY_PREFIX_SIZE - 1);
    out->prefix[KEY_PREFIX_SIZE - 1] = '\0';

    unsigned char salt[16];
    random_bytes(salt, sizeof salt);
    char settings[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!crypt_gensalt_rn("$2b$", COST, (const char *)salt, sizeof salt, settings, sizeof settings) || !bcrypt(out->text, settings, out->hash))
        return error_set(err, STATUS_INTERNAL_ERROR, "This system's libcrypt has no bcrypt");
    return STATUS_OK;
}

bool key_secret_is_plausible(const char *text) {
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return strncmp(text, KEY_START, START) == 0 && strspn(text + START, LETTERS) == ENCODED && text[START + ENCODED] == '\0';
}

bool key_secret_matches(const char *text, const char *hash) {
    char made[KEY_HASH_SIZE] = "";
    size_t size = strlen(hash);
    return bcrypt(text, hash, made) && strlen(made) == size && hash_equal(made, hash, size);
}
