/* See the header. */
#include "formats/long_text.h"

#include "base/banned.h"

/* A jump may be one of many, as to annotations that lie strewn over a file. */
enum { PIECE_SIZE = 1 << 17, JUMP_SIZE = 1 << 12 };

void long_text_of_file(LongText *text, const Tree *tree, const TreeFile *file, size_t start, bool (*stop)(void *context), void *context) {
    int64_t size = tree_size(tree, file);
    *text = (LongText){.size = size > (int64_t)start ? (size_t)size - start : 0, .tree = tree, .file = file, .start = start, .stop = stop, .context = context, .piece = ""};
    buffer_init(&text->memory, SIZE_MAX / 2);
}

void long_text_of_bytes(LongText *text, const char *bytes, size_t size) {
    *text = (LongText){.size = size, .piece = bytes, .length = size};
    buffer_init(&text->memory, SIZE_MAX / 2);
}

LongText long_text_again(const LongText *text) {
    LongText again = *text;
    buffer_init(&again.memory, SIZE_MAX / 2);
    if (text->file) again.length = 0;
    return again;
}

static void load(LongText *t, size_t at, size_t size) {
    buffer_reset(&t->memory);
    if (t->stop && t->stop(t->context)) t->size = size = 0;
    char *to = buffer_reserve(&t->memory, size);
    t->length = 0;
    while (to && t->length < size) {
        ssize_t n = tree_bytes(t->tree, t->file, t->start + at + t->length, to + t->length, size - t->length);
        if (n <= 0) break; /* somebody made it shorter */
        t->length += (size_t)n;
    }
    t->piece = to ? to : "";
    t->at = at;
}

const char *long_text_at(LongText *t, size_t at, size_t least, size_t *length) {
    size_t rest = at < t->size ? t->size - at : 0;
    if (least > rest) least = rest;
    bool goes_on = at >= t->at && at - t->at <= t->length, is_there = goes_on && t->length - (at - t->at) >= least;
    size_t most = goes_on ? PIECE_SIZE : JUMP_SIZE;
    if (!is_there && rest && t->file) load(t, at, least > most ? least : rest < most ? rest : most);
    is_there = at >= t->at && at - t->at <= t->length;
    *length = is_there ? t->length - (at - t->at) : 0;
    return is_there ? t->piece + (at - t->at) : "";
}

void long_text_close(LongText *t) { buffer_clear(&t->memory); }
