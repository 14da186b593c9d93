/* Cut: the energy of GrabCut (Rother, Kolmogorov, Blake 2004) on one patch of an image, minimised by flow.h.
 *
 * Every pixel has a label. Certain pixels stay as they are; the others go to foreground or background so that the sum of colour costs
 * (gmm.h) and of broken links between neighbours is smallest. A link costs GAMMA * exp(-beta * colour distance²) / distance over the eight
 * neighbours, beta from the mean contrast of the patch (Boykov and Jolly 2001).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "vision/gmm.h"

typedef enum CutLabel {
    CUT_BACKGROUND = 0,
    CUT_FOREGROUND = 1,
    CUT_MAYBE_BACKGROUND = 2,
    CUT_MAYBE_FOREGROUND = 3,
} CutLabel;

/* True for both kinds of foreground. */
static inline bool cut_is_foreground(uint8_t label) { return label & 1; }
static inline bool cut_is_open(uint8_t label) { return label & 2; }

typedef struct Patch {
    int width, height;
    const Lab *lab;  /* width * height */
    uint8_t *labels; /* CutLabel each */
} Patch;

/* 1 / (2 * mean squared colour distance of neighbours), the beta of the links. */
double cut_beta(const Patch *patch);
/* Cost of the link between two neighbours, before scaling, 0..1. */
double cut_link(double beta, Lab p, Lab q, bool diagonal);

/* The energy of one patch. It keeps its links and the flow of the last answer, so that further answers on the same patch, with other labels
 * open or other colour models, cost little. */
typedef struct Cut Cut;
/* The patch and its colours must outlive the cut. */
Cut *cut_new(const Patch *patch, double beta);
void cut_free(Cut *cut);
/* Relabels the open ones of these labels (of the patch or a copy), MAYBE_FOREGROUND or MAYBE_BACKGROUND, for the least energy. bias is added
 * to the cost of being foreground. Returns how many changed. */
int cut_solve(Cut *cut, uint8_t *labels, const Gmm *foreground, const Gmm *background, double bias);
