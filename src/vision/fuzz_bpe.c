/* Fuzz target: a tokenizer of the operator's, and a phrase for it. The first line is the phrase, the rest the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "vision/bpe.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool good) {
    if (!good) abort();
}

static void encode(const Bpe *bpe, const char *phrase) {
    int32_t tokens[32];
    for (size_t most = 2; most <= 32; most += 15) {
        size_t count = bpe_encode(bpe, phrase, tokens, most);
        demand(count >= 2 && count <= most && tokens[count - 1] == bpe_end(bpe));
        for (size_t i = 0; i < count; i++) demand(tokens[i] >= 0 && tokens[i] < BPE_TOKENS_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t length = line ? (size_t)(line - data) : 0;
    Bpe *bpe = NULL;
    Error err;
    if (!line) return 0;
    char *phrase = xcalloc(length + 1, 1);
    memcpy(phrase, data, length);
    if (bpe_parse(&bpe, (const char *)line + 1, size - length - 1, &err) == STATUS_OK) encode(bpe, phrase);
    bpe_free(bpe);
    free(phrase);
    return 0;
}
