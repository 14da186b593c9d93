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

size_t description_pick(const SureWord *words, size_t count, double least, SureWord *out, size_t most) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(words[i].sureness >= least)) continue;
        size_t at = kept < most ? kept++ : most;
        for (; at > 0 && out[at - 1].sureness < words[i].sureness; at--)
            if (at < most) out[at] = out[at - 1];
        if (at < most) out[at] = words[i];
    }
    return kept;
}
