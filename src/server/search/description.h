/* Describing one image: the call of pictograph-vision and what is kept of its answer. Private to the feature. */
#pragma once
#include "server/images/images.h"
#include "server/search/search.h"

#define DESCRIPTION_MODEL "efficientnet_lite0"
enum { DESCRIPTION_ATTEMPTS = 3 };

typedef struct StoredVector {
    const float *numbers; /* of length 1; NULL when there is none */
    int dimensions;
} StoredVector;

/* The vector of an image by the present model; numbers is NULL when it was not described yet. */
Status description_vector(DbSession *session, Arena *arena, const char *image_id, StoredVector *out, Error *err);

/* STATUS_MODEL_UNAVAILABLE, with the command that mends it, unless the built-in model is there. */
Status description_model(Server *server, Arena *arena, const char **path, Error *err);

/* Describes an image and stores that. An image with the same bytes that is described already lends its description. patient: the call lets all
 * others go first. Failures are those of the worker; an image that was deleted meanwhile is none. */
Status description_make(Server *server, Arena *arena, const ImageRecord *image, bool patient, bool (*stop)(void *), void *context, Error *err);
