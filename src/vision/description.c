#include "vision/description.h"

#include <math.h>

#include "base/banned.h"

Status description_embed(const float *features, int count, Arena *arena, Description *out, Error *err) {
    double squares = 0;
    for (int i = 0; i < count; i++) squares += (double)features[i] * features[i];
    if (!isfinite(squares) || squares <= 0) return error_set(err, STATUS_UNDECODABLE_MEDIA, "The model sees nothing in this picture");
    float *unit = arena_new_array(arena, float, (size_t)count);
    double scale = 1 / sqrt(squares);
    for (int i = 0; i < count; i++) unit[i] = (float)(features[i] * scale);
    out->embedding = unit;
    out->dimensions = count;
    return STATUS_OK;
}

size_t description_pick(const SureWord *words, size_t count, double least, const char **out, size_t most) {
    double sureness[OBJECTS_MAX];
    size_t kept = 0;
    if (most > OBJECTS_MAX) most = OBJECTS_MAX;
    for (size_t i = 0; i < count; i++) {
        double p = words[i].sureness;
        if (!(p >= least)) continue;
        size_t at = kept < most ? kept++ : most;
        while (at > 0 && sureness[at - 1] < p) {
            if (at < most) sureness[at] = sureness[at - 1], out[at] = out[at - 1];
            at--;
        }
        if (at < most) sureness[at] = p, out[at] = words[i].word;
    }
    return kept;
}
