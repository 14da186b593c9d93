#include "vision/words.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

typedef struct Phrase {
    char text[WORDS_MAX + 8]; /* some room for another ending */
} Phrase;

/* What people call COCO's classes besides their names. Singular; plurals come by rule. */
static const struct {
    const char *word, *class_name;
} SYNONYMS[] = {
    {"human", "person"}, {"human being", "person"}, {"people", "person"}, {"man", "person"}, {"men", "person"}, {"woman", "person"}, {"women", "person"},
    {"child", "person"}, {"children", "person"}, {"boy", "person"}, {"girl", "person"}, {"kid", "person"}, {"adult", "person"}, {"pedestrian", "person"},
    {"bike", "bicycle"}, {"pushbike", "bicycle"}, {"cycle", "bicycle"}, {"automobile", "car"}, {"auto", "car"}, {"motorcar", "car"},
    {"motorbike", "motorcycle"}, {"motor cycle", "motorcycle"}, {"moped", "motorcycle"}, {"scooter", "motorcycle"}, {"aeroplane", "airplane"},
    {"plane", "airplane"}, {"aircraft", "airplane"}, {"jet", "airplane"}, {"coach", "bus"}, {"lorry", "truck"}, {"ship", "boat"}, {"vessel", "boat"},
    {"stoplight", "traffic light"}, {"traffic signal", "traffic light"}, {"hydrant", "fire hydrant"}, {"kitty", "cat"}, {"kitten", "cat"},
    {"puppy", "dog"}, {"pony", "horse"}, {"lamb", "sheep"}, {"cattle", "cow"}, {"rucksack", "backpack"}, {"parasol", "umbrella"}, {"purse", "handbag"},
    {"hand bag", "handbag"}, {"necktie", "tie"}, {"neck tie", "tie"}, {"luggage", "suitcase"}, {"ski", "skis"}, {"ball", "sports ball"},
    {"sport ball", "sports ball"}, {"skate board", "skateboard"}, {"surf board", "surfboard"}, {"tennis racquet", "tennis racket"},
    {"racket", "tennis racket"}, {"racquet", "tennis racket"}, {"wineglass", "wine glass"}, {"mug", "cup"}, {"doughnut", "donut"}, {"hotdog", "hot dog"},
    {"sofa", "couch"}, {"settee", "couch"}, {"plant", "potted plant"}, {"pot plant", "potted plant"}, {"houseplant", "potted plant"},
    {"house plant", "potted plant"}, {"table", "dining table"}, {"television", "tv"}, {"tv set", "tv"}, {"tv monitor", "tv"}, {"tvmonitor", "tv"},
    {"computer mouse", "mouse"}, {"remote control", "remote"}, {"computer keyboard", "keyboard"}, {"laptop computer", "laptop"}, {"notebook computer", "laptop"},
    {"phone", "cell phone"}, {"cellphone", "cell phone"}, {"mobile phone", "cell phone"}, {"mobile", "cell phone"}, {"smartphone", "cell phone"},
    {"microwave oven", "microwave"}, {"fridge", "refrigerator"}, {"scissor", "scissors"}, {"pair of scissors", "scissors"}, {"teddy", "teddy bear"},
    {"hairdryer", "hair drier"}, {"hair dryer", "hair drier"}, {"hairdrier", "hair drier"}, {"tooth brush", "toothbrush"}, {"diningtable", "dining table"},
    {"pottedplant", "potted plant"},
};

static const char *const ARTICLES[] = {"all the ", "all ", "any ", "every ", "each ", "the ", "an ", "a ", "some "};

/* Plurals that no rule forms. */
static const struct {
    const char *plural, *singular;
} IRREGULAR[] = {{"mice", "mouse"}, {"geese", "goose"}, {"oxen", "ox"}};

static bool is_gap(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '_' || c == '-'; }

/* Small letters (ASCII), one blank between words, no article and no full stop. */
static bool normalise(const char *phrase, Phrase *out) {
    size_t length = 0;
    if (strlen(phrase) > WORDS_MAX) return false;
    for (const char *p = phrase; *p; p++) {
        if (!is_gap(*p)) out->text[length++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 'a' - 'A') : *p;
        else if (length && out->text[length - 1] != ' ') out->text[length++] = ' ';
    }
    while (length && strchr(" .,;!?", out->text[length - 1])) length--;
    out->text[length] = '\0';
    for (size_t i = 0; i < sizeof ARTICLES / sizeof *ARTICLES; i++) {
        if (!text_starts_with(out->text, ARTICLES[i])) continue;
        size_t skip = strlen(ARTICLES[i]);
        memmove(out->text, out->text + skip, strlen(out->text + skip) + 1);
        break;
    }
    return out->text[0] != '\0';
}

static int find_name(const char *const *class_names, int count, const char *name) {
    Phrase own;
    for (int i = 0; i < count; i++)
        if (normalise(class_names[i], &own) && strcmp(own.text, name) == 0) return i;
    return -1;
}

/* By name, then by synonym. */
static int find_plain(const char *const *class_names, int count, const char *word) {
    int found = find_name(class_names, count, word);
    for (size_t i = 0; found < 0 && i < sizeof SYNONYMS / sizeof *SYNONYMS; i++)
        if (strcmp(SYNONYMS[i].word, word) == 0) found = find_name(class_names, count, SYNONYMS[i].class_name);
    return found;
}

/* Endings of plurals and what the singular has instead; each that fits is tried. */
static const struct {
    const char *plural, *singular;
} ENDINGS[] = {{"s", ""}, {"es", ""}, {"ies", "y"}, {"ves", "f"}, {"ves", "fe"}};

static bool with_ending(const Phrase *word, const char *ending, const char *instead, Phrase *out) {
    size_t length = strlen(word->text), cut = strlen(ending);
    if (length <= cut + 1 || !text_ends_with(word->text, ending)) return false;
    *out = *word;
    memcpy(out->text + length - cut, instead, strlen(instead) + 1);
    return true;
}

int words_find(const char *const *class_names, int count, const char *phrase) {
    Phrase word, singular;
    for (int i = 0; i < count; i++) /* two classes may differ in their case alone */
        if (strcmp(class_names[i], phrase) == 0) return i;
    if (!normalise(phrase, &word)) return -1;
    int found = find_plain(class_names, count, word.text);
    for (size_t i = 0; found < 0 && i < sizeof IRREGULAR / sizeof *IRREGULAR; i++)
        if (strcmp(word.text, IRREGULAR[i].plural) == 0) found = find_plain(class_names, count, IRREGULAR[i].singular);
    for (size_t i = 0; found < 0 && i < sizeof ENDINGS / sizeof *ENDINGS; i++)
        if (with_ending(&word, ENDINGS[i].plural, ENDINGS[i].singular, &singular)) found = find_plain(class_names, count, singular.text);
    return found;
}
