/* Fuzz target: the manifest of an operator's model. What is accepted must keep the manifest's promises. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vision/manifest.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool good) {
    if (!good) abort();
}

static void check(const Manifest *m) {
    demand(m->role < MODEL_ROLE_COUNT && model_role_name(m->role));
    demand(m->width >= MODEL_SIDE_MIN && m->width <= MODEL_SIDE_MAX && m->height >= MODEL_SIDE_MIN && m->height <= MODEL_SIDE_MAX);
    for (int c = 0; c < 3; c++) demand(isfinite(m->mean[c]) && isfinite(m->std[c]) && m->std[c] > 0);
    demand(m->threshold >= 0 && m->threshold <= 1 && (m->role != MODEL_SIGLIP2 || m->threshold > 0));
    for (int part = 0; part < PART_COUNT; part++)
        if (m->files[part]) demand(*m->files[part] && m->files[part][0] != '.' && !strpbrk(m->files[part], "/\\"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena arena;
    Manifest manifest;
    Error err;
    arena_init(&arena, 1 << 20);
    if (manifest_parse(&manifest, &arena, (const char *)data, size, &err) == STATUS_OK) check(&manifest);
    arena_clear(&arena);
    return 0;
}
