/* Bpe: a phrase as the tokens of CLIP's text encoder, by the operator's tokenizer.json (byte pair encoding over the bytes of words; Sennrich, Haddow, Birch,
 * "Neural Machine Translation of Rare Words with Subword Units", ACL 2016; Radford et al., CLIP, 2021).
 *
 * The file is the one that the tokenizers library writes: "model" of the type BPE with "vocab", "merges" and the end_of_word_suffix "</w>". Everything in it
 * is bounded and checked: a merge names tokens of the vocabulary, a token has a number below BPE_TOKENS_MAX. How text is cut into words is CLIP's way and
 * fixed here, so another kind of tokenizer is refused.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { BPE_FILE_BYTES_MAX = 32 << 20, BPE_TOKENS_MAX = 1 << 20, BPE_TEXT_BYTES_MAX = 4096 };

typedef struct Bpe Bpe;

/* STATUS_MODEL_UNAVAILABLE says what is wrong, without the file's name. */
Status bpe_parse(Bpe **out, const char *text, size_t size, Error *err);
Status bpe_open(Bpe **out, const char *path, Error *err);
void bpe_free(Bpe *bpe);

/* The token at the start, those of the phrase, the token at the end: at most `most` (at least 2), the phrase cut off where it has more. Returns how many. */
size_t bpe_encode(const Bpe *bpe, const char *phrase, int32_t *tokens, size_t most);
int32_t bpe_end(const Bpe *bpe); /* also what fills up */
