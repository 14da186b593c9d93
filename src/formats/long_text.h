/* LongText: the text of a label file, of which only a piece is in memory at a time. */
#pragma once
#include "formats/tree.h"

typedef struct LongText {
    size_t size;
    const Tree *tree;
    const TreeFile *file; /* NULL: all of the text is in memory */
    size_t start;         /* of the text in its file, behind a byte order mark */
    bool (*stop)(void *context); /* NULL, or true when nobody wants the text any more, which then has no more bytes */
    void *context;
    const char *piece;
    size_t at, length; /* of the piece in the text */
    Buffer memory;     /* of the piece; of a text in memory, when it is the text's own */
} LongText;

void long_text_of_file(LongText *text, const Tree *tree, const TreeFile *file, size_t start, bool (*stop)(void *context), void *context);
/* bytes must stay as long as the text. */
void long_text_of_bytes(LongText *text, const char *bytes, size_t size);
/* The same text with a piece of its own. Each is closed. */
LongText long_text_again(const LongText *text);
/* The bytes from at on, *length of them: as many as asked for or more, fewer where the text ends. They stay until the next call. */
const char *long_text_at(LongText *text, size_t at, size_t least, size_t *length);
void long_text_close(LongText *text);
