/* What local.c and signing.c share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "server/objects/objects.h"

enum { FAN_OUT = 256 }; /* folders ab in objects/, and cd in each */

struct Objects {
    char *root; /* DATA/objects */
    char *work; /* DATA/work */
    unsigned char signing_key[SHA256_SIZE];
    pthread_mutex_t names; /* held while a name appears or disappears: a removal may not hit a file that was just written anew */
    /* Folders that this process synced into the one above: those of others may still be lost with the power. ab, then ab/cd. */
    atomic_bool durable[FAN_OUT + FAN_OUT * FAN_OUT];
};

/* Reads DATA/secret.key, or makes it, and derives the key of signed addresses from it. */
Status signing_open(Objects *objects, const char *data_directory, Error *err);
