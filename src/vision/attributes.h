/* Attributes: what can be said of a picture by measuring its pixels, without any model: shape, light, contrast, colours, sharpness.
 *
 * Measured on the picture scaled to at most ATTRIBUTES_SIDE pixels, so that "blurry" means blurry even at that size. Each rule is a row of
 * the table in attributes.c, with its threshold; the words are those of VOCABULARY_ATTRIBUTES.
 */
#pragma once
#include <stddef.h>

#include "vision/picture.h"

enum { ATTRIBUTES_SIDE = 384, ATTRIBUTES_MAX = 16 };

/* Words that hold for the picture, at most ATTRIBUTES_MAX, in the order of the vocabulary; they are literals. Returns how many. */
size_t attributes_measure(const Picture *picture, const char *out[ATTRIBUTES_MAX]);

/* What the rules look at; for tests and for choosing thresholds. */
typedef struct Measures {
    double aspect;         /* width / height */
    double megapixels;     /* of the file */
    double lightness;      /* mean luma, 0 to 1 */
    double contrast;       /* standard deviation of luma, 0 to 0.5 */
    double grey_part;      /* part of the pixels whose channels differ by less than 5 % */
    double colourfulness;  /* Hasler and Süsstrunk, "Measuring Colourfulness in Natural Images" (2003); 0 to about 150 */
    double blur;           /* Crété and others, "The Blur Effect" (2007), 0 sharp to 1; 0 where there is too little structure to tell */
    double border_spread;  /* standard deviation of the colours along the frame, 0 to 255 */
    double hue_part[12];   /* part of the pixels of each colour word, from "red" to "white" */
} Measures;
void attributes_numbers(const Picture *picture, Measures *out);
