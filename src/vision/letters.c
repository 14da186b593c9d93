#include "vision/letters.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/banned.h"

typedef struct Range {
    uint32_t first, last;
    LetterKind kind;
} Range;

/* Sorted; what is in none is a letter. */
static const Range RANGES[] = {
    {0x0000, 0x0008, LETTER_OTHER},   {0x0009, 0x000D, LETTER_SPACE},   {0x000E, 0x001F, LETTER_OTHER},   {0x0020, 0x0020, LETTER_SPACE},
    {0x0021, 0x002F, LETTER_OTHER},   {0x0030, 0x0039, LETTER_DIGIT},   {0x003A, 0x0040, LETTER_OTHER},   {0x005B, 0x0060, LETTER_OTHER},
    {0x007B, 0x0084, LETTER_OTHER},   {0x0085, 0x0085, LETTER_SPACE},   {0x0086, 0x009F, LETTER_OTHER},   {0x00A0, 0x00A0, LETTER_SPACE},
    {0x00A1, 0x00A9, LETTER_OTHER},   {0x00AB, 0x00B1, LETTER_OTHER},   {0x00B2, 0x00B3, LETTER_DIGIT},   {0x00B4, 0x00B4, LETTER_OTHER},
    {0x00B6, 0x00B8, LETTER_OTHER},   {0x00B9, 0x00B9, LETTER_DIGIT},   {0x00BB, 0x00BB, LETTER_OTHER},   {0x00BC, 0x00BE, LETTER_DIGIT},
    {0x00BF, 0x00BF, LETTER_OTHER},   {0x00D7, 0x00D7, LETTER_OTHER},   {0x00F7, 0x00F7, LETTER_OTHER},   {0x02C2, 0x02C5, LETTER_OTHER},
    {0x02D2, 0x02DF, LETTER_OTHER},   {0x0300, 0x036F, LETTER_OTHER},   {0x0375, 0x0375, LETTER_OTHER},   {0x037E, 0x037E, LETTER_OTHER},
    {0x0384, 0x0385, LETTER_OTHER},   {0x0387, 0x0387, LETTER_OTHER},   {0x0482, 0x0489, LETTER_OTHER},   {0x0660, 0x0669, LETTER_DIGIT},
    {0x06F0, 0x06F9, LETTER_DIGIT},   {0x0966, 0x096F, LETTER_DIGIT},   {0x1680, 0x1680, LETTER_SPACE},   {0x2000, 0x200A, LETTER_SPACE},
    {0x200B, 0x2027, LETTER_OTHER},   {0x2028, 0x2029, LETTER_SPACE},   {0x202A, 0x202E, LETTER_OTHER},   {0x202F, 0x202F, LETTER_SPACE},
    {0x2030, 0x205E, LETTER_OTHER},   {0x205F, 0x205F, LETTER_SPACE},   {0x2060, 0x206F, LETTER_OTHER},   {0x2070, 0x2070, LETTER_DIGIT},
    {0x2074, 0x2079, LETTER_DIGIT},   {0x207A, 0x207E, LETTER_OTHER},   {0x2080, 0x2089, LETTER_DIGIT},   {0x208A, 0x208E, LETTER_OTHER},
    {0x20A0, 0x20F0, LETTER_OTHER},   {0x2150, 0x2182, LETTER_DIGIT},   {0x2190, 0x245F, LETTER_OTHER},   {0x2460, 0x249B, LETTER_DIGIT},
    {0x249C, 0x24E9, LETTER_OTHER},   {0x24EA, 0x24FF, LETTER_DIGIT},   {0x2500, 0x2775, LETTER_OTHER},   {0x2776, 0x2793, LETTER_DIGIT},
    {0x2794, 0x2BFF, LETTER_OTHER},   {0x2E00, 0x2E2E, LETTER_OTHER},   {0x2E30, 0x2FFF, LETTER_OTHER},   {0x3000, 0x3000, LETTER_SPACE},
    {0x3001, 0x3004, LETTER_OTHER},   {0x3008, 0x3020, LETTER_OTHER},   {0x3030, 0x3030, LETTER_OTHER},   {0xE000, 0xF8FF, LETTER_OTHER},
    {0xFE00, 0xFE6F, LETTER_OTHER},   {0xFF01, 0xFF0F, LETTER_OTHER},   {0xFF10, 0xFF19, LETTER_DIGIT},   {0xFF1A, 0xFF20, LETTER_OTHER},
    {0xFFF0, 0xFFFF, LETTER_OTHER},   {0x1F000, 0x1FAFF, LETTER_OTHER}, {0xE0000, 0x10FFFF, LETTER_OTHER},
};

LetterKind letter_kind(uint32_t code) {
    size_t low = 0, high = sizeof RANGES / sizeof *RANGES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > RANGES[middle].last) low = middle + 1;
        else high = middle;
    }
    return low < sizeof RANGES / sizeof *RANGES && code >= RANGES[low].first ? RANGES[low].kind : LETTER_LETTER;
}

/* Capitals at every other place of a range, or `distance` before their small letters. */
static const struct {
    uint32_t first, last;
    uint32_t step, distance;
} CAPITALS[] = {
    {0x0041, 0x005A, 1, 32}, {0x00C0, 0x00D6, 1, 32}, {0x00D8, 0x00DE, 1, 32}, {0x0100, 0x012E, 2, 1}, {0x0132, 0x0136, 2, 1}, {0x0139, 0x0147, 2, 1},
    {0x014A, 0x0176, 2, 1},  {0x0179, 0x017D, 2, 1},  {0x01CD, 0x01DB, 2, 1},  {0x01DE, 0x01EE, 2, 1},  {0x01F8, 0x021E, 2, 1},
    {0x0222, 0x0232, 2, 1},  {0x0388, 0x038A, 1, 37}, {0x0391, 0x03A1, 1, 32}, {0x03A3, 0x03AB, 1, 32}, {0x0400, 0x040F, 1, 80},
    {0x0410, 0x042F, 1, 32}, {0x0460, 0x0480, 2, 1},  {0x048A, 0x04BE, 2, 1},  {0x04C1, 0x04CD, 2, 1}, {0x04D0, 0x052E, 2, 1},  {0x1E00, 0x1E94, 2, 1},
    {0x1EA0, 0x1EFE, 2, 1},  {0x1F08, 0x1F0F, 1, -8u}, {0x1F18, 0x1F1D, 1, -8u}, {0x1F28, 0x1F2F, 1, -8u}, {0x1F38, 0x1F3F, 1, -8u},
    {0x1F48, 0x1F4D, 1, -8u}, {0x1F68, 0x1F6F, 1, -8u}, {0xFF21, 0xFF3A, 1, 32},
};

uint32_t letter_small(uint32_t code) {
    static const uint32_t ALONE[][2] = {{0x0178, 0x00FF}, {0x01C4, 0x01C6}, {0x01C7, 0x01C9}, {0x01CA, 0x01CC}, {0x01F1, 0x01F3}, {0x0386, 0x03AC}, {0x038C, 0x03CC}, {0x038E, 0x03CD}, {0x038F, 0x03CE}, {0x04C0, 0x04CF}, {0x1E9E, 0x00DF}};
    for (size_t i = 0; i < sizeof CAPITALS / sizeof *CAPITALS; i++)
        if (code >= CAPITALS[i].first && code <= CAPITALS[i].last) return (code - CAPITALS[i].first) % CAPITALS[i].step ? code : code + CAPITALS[i].distance;
    for (size_t i = 0; i < sizeof ALONE / sizeof *ALONE; i++)
        if (code == ALONE[i][0]) return ALONE[i][1];
    return code;
}

uint32_t letter_next(const char **p) {
    const unsigned char *s = (const unsigned char *)*p;
    int more = *s < 0x80 ? 0 : *s >= 0xC2 && *s < 0xE0 ? 1 : *s >= 0xE0 && *s < 0xF0 ? 2 : *s >= 0xF0 && *s < 0xF5 ? 3 : -1;
    uint32_t code = more <= 0 ? *s : *s & (0x3Fu >> more);
    bool good = more >= 0;
    for (int i = 1; good && i <= more; i++) {
        good = (s[i] & 0xC0) == 0x80; /* the NUL at the end is none */
        code = code << 6 | (s[i] & 0x3F);
    }
    *p += good ? more + 1 : 1;
    return good && code <= 0x10FFFF ? code : 0xFFFD;
}
