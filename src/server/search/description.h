/* Describing one image: the call of pictograph-vision and what is kept of its answer. Private to the feature. */
#pragma once
#include "server/images/images.h"
#include "server/search/search.h"

enum { DESCRIPTION_ATTEMPTS = 3 };

typedef struct StoredVector {
    const float *numbers; /* of length 1; NULL when there is none */
    int dimensions;
} StoredVector;

/* The vector of an image by a model; numbers is NULL when it was not described by that one. */
Status description_vector(DbSession *session, Arena *arena, const char *image_id, const char *model, StoredVector *out, Error *err);

/* The name of the model that describes now, which its vectors bear: an operator's, or else the built-in one, installed or not. May wait for a worker
 * that looks at the operator's. STATUS_MODEL_UNAVAILABLE: an operator's is meant to and cannot. */
Status description_model(Server *server, Arena *arena, const char **name, Error *err);
/* STATUS_MODEL_UNAVAILABLE, with what mends it, where nothing can describe. May wait likewise. */
Status description_possible(Server *server, Arena *arena, Error *err);
/* Both without waiting: *known is false where a worker would have to be asked. *ready: it is possible. */
void description_model_known(Server *server, Arena *arena, const char **name, bool *known, bool *ready);

/* Describes an image and stores that. An image with the same bytes that is described already lends its description. patient: the call lets all
 * others go first. Failures are those of the worker; an image that was deleted meanwhile is none. */
Status description_make(Server *server, Arena *arena, const ImageRecord *image, bool patient, bool (*stop)(void *), void *context, Error *err);
