/* Found: what a user wants to be found, as pictograph-vision's "find" takes it, and its answer as annotations. Private to this feature.
 *
 * A bbox is the detected box. The other shapes come from the mask that the segmenter sees in that box: its contours with holes, its centre line,
 * the point inside nearest to its centre.
 */
#pragma once
#include "annotation/annotation.h"
#include "base/json.h"

typedef struct Wanted {
    const char *label; /* the word that is looked for, and the label of what is found */
    AnnotationType type;
} Wanted;

/* The member "words". */
void wanted_write(JsonWriter *w, const Wanted *wanted, size_t count);
/* Every thing of the answer becomes an annotation in the arena; its label is that of its word. The labels are borrowed. */
void found_append(AnnotationList *list, Arena *arena, yyjson_val *result, const Wanted *wanted, size_t count, const char *created_by);
