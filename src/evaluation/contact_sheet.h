/* Contact sheet: one JPEG that shows up to twelve pictures with the true boxes on the left and the predicted ones on the right.
 *
 * Only JPEG sources are read here (libjpeg); others must be turned into JPEG by their owner. One colour a class; a predicted box
 * carries the first letters of its class and its score in percent.
 */
#pragma once
#include <stddef.h>

#include "base/error.h"
#include "evaluation/evaluation.h"

enum { CONTACT_SHEET_MAXIMUM = 12 };

typedef struct ContactSheetImage {
    const char *path;                /* JPEG file */
    const char *title;               /* shown above, may be NULL */
    const EvaluationBox *truth;      /* in pixels of the file; `image` is not looked at */
    size_t truth_count;
    const EvaluationBox *detections;
    size_t detection_count;
} ContactSheetImage;

typedef struct ContactSheetOptions {
    int cell_width;       /* pixels of one picture on the sheet */
    int columns;          /* pairs of pictures side by side */
    double minimum_score; /* detections below it are not drawn */
    int quality;          /* of the JPEG, 1–100 */
} ContactSheetOptions;

#define CONTACT_SHEET_DEFAULTS { .cell_width = 420, .columns = 2, .minimum_score = 0.3, .quality = 88 }

/* Draws the sheet into path (written whole or not at all). A picture that cannot be read becomes a grey cell with its title. Past
 * CONTACT_SHEET_MAXIMUM pictures the rest is left out. class_names may be NULL. */
Status contact_sheet_write(const char *path, const ContactSheetImage *images, size_t image_count, const char *const *class_names,
                           size_t class_count, const ContactSheetOptions *options, Error *err);
