/* Annotations of images: the one way in which a document gets into the store. Saving, batch annotation, import and copies all use it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "annotation/annotation.h"
#include "base/arena.h"
#include "base/error.h"
#include "server/store/db.h"

typedef struct AnnotationsSaved {
    int64_t previous_count, new_count;
    const char *stage; /* after the save */
} AnnotationsSaved;

/* Replaces the document of an image, inside a transaction. Labels are not checked here. stage NULL follows the rule of decisions.md (b) 9;
 * otherwise it is set. Counts of image, labels and project follow. STATUS_NOT_FOUND when the image is gone. */
Status annotations_replace(DbSession *tx, Arena *arena, const char *image_id, const AnnotationList *list, const char *stage,
                           AnnotationsSaved *out, Error *err);

/* Gives an image that has none the document and the labels' counts of another of its project. The image's own count, its stage and the project's counts are
 * the caller's. */
Status annotations_copy(DbSession *tx, const char *from_image_id, const char *to_image_id, Error *err);

/* The stored document as JSON text in the arena, "[]" when there is none. */
Status annotations_document(DbSession *session, Arena *arena, const char *image_id, char **out, Error *err);

/* Takes every annotation with one of the labels out of all images of a project, archived ones too; *removed counts annotations. */
Status annotations_remove_labels(DbSession *tx, Arena *arena, const char *project_id, const char *const *labels, size_t count, int64_t *removed, Error *err);

/* For a check of the data folder: does what is derived from an image's document (its count, its labels' counts) say what the document says? When it does
 * not, it is mended, inside the transaction; *mended tells. */
Status annotations_mend(DbSession *tx, Arena *arena, const char *image_id, bool *mended, Error *err);
