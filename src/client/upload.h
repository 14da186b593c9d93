/* Upload: the three steps that bring one file into a dataset: signed address, PUT, registration. images.c performs them one after the other,
 * workflow_upload.c lets many files overlap. */
#pragma once
#include <pictograph/client.h>

#include "client/exchange.h"

typedef struct Upload {
    const char *dataset_id, *folder_path, *filename, *path; /* borrowed */
    const char *content_type; /* static */
    int64_t size;
    FILE *file;
    PictographResult *target; /* answer to step one */
    char idempotency_key[EXCHANGE_KEY_SIZE]; /* "" takes fresh ones */
    PictographProgress progress;
    void *context;
} Upload;

/* Checks name and file and opens it. Close it in either case. folder_path and idempotency_key may be NULL. */
PictographStatus upload_open(Upload *upload, const char *path, const char *filename, const char *folder_path, const char *idempotency_key,
                             PictographError *error);
void upload_close(Upload *upload);

/* Each describes one step in a fresh exchange. upload_describe_put reads the answer of the first step out of `previous`. */
void upload_describe_address(const Upload *upload, PictographClient *client, Exchange *exchange);
PictographStatus upload_keep_target(Upload *upload, Exchange *previous, PictographError *error);
void upload_describe_put(const Upload *upload, PictographClient *client, Exchange *exchange);
void upload_describe_register(const Upload *upload, PictographClient *client, Exchange *exchange);

/* image/jpeg for "a.JPG"; NULL when the name is no image's. */
const char *upload_content_type(const char *filename);
