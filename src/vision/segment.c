#include "vision/segment.h"

#include <math.h>
#include <string.h>

#include "vision/grow.h"
#include "vision/outline.h"
#include "vision/view.h"
#include "base/banned.h"

enum {
    GROW_SIDE = 170,  /* longer side of the whole picture while a region grows */
    MODEL_SIDE = 200, /* longer side of the window while colour models and cuts alternate */
    ROUNDS = 4,       /* of that */
    BAND = 3,         /* half width of the band that is cut anew on a finer level */
    WIDE_BAND = 8,    /* … in later rounds on the same level, and when the answer is shaken for its score */
    SAMPLE_REACH = 24, /* colours of a finer level are learned so far from the outline */
    SAMPLE_MAX = 4000, /* colours a model is fitted to */
    SMALLEST_AREA = 12, /* pixels of the model level */
};

typedef struct Models {
    Gmm foreground, background;
} Models;

/* ---- colours ---- */

typedef struct Colours {
    Lab *lab;
    size_t count;
} Colours;

/* Which pixels a sample takes. */
typedef bool (*Chooser)(const View *view, int i, const void *context);

/* About SAMPLE_MAX of the chosen pixels, evenly spread. */
static Colours sample(Arena *arena, const View *view, Chooser chosen, const void *context) {
    size_t count = (size_t)view->patch.width * (size_t)view->patch.height, all = 0;
    Colours c = {.lab = arena_alloc(arena, (count + 1) * sizeof(Lab))};
    for (size_t i = 0; i < count; i++)
        if (chosen(view, (int)i, context)) c.lab[all++] = view->patch.lab[i];
    size_t stride = all / SAMPLE_MAX + 1;
    for (size_t i = 0; i < all; i += stride) c.lab[c.count++] = c.lab[i];
    return c;
}

/* Positive where the models hold a colour for foreground. */
static double lean_of(const Models *m, Lab c) { return gmm_cost(&m->background, c) - gmm_cost(&m->foreground, c); }

typedef struct Reach {
    int distance; /* from the outline */
    const Models *models;
} Reach;

static bool is_inside(const View *v, int i, const void *context) {
    const Reach *reach = context;
    return cut_is_foreground(v->patch.labels[i]) && v->distance[i] <= reach->distance;
}

static bool is_outside(const View *v, int i, const void *context) {
    const Reach *reach = context;
    return !cut_is_foreground(v->patch.labels[i]) && v->distance[i] <= reach->distance;
}

/* What must be background but looks like foreground is another thing of the same kind: it must not teach what background looks like. */
static bool is_outside_and_other(const View *v, int i, const void *context) {
    const Reach *reach = context;
    return is_outside(v, i, context) && (v->patch.labels[i] != CUT_BACKGROUND || lean_of(reach->models, v->patch.lab[i]) < 0);
}

static void models_refit(Arena *arena, Models *m, const View *view, int distance) {
    Models old = *m;
    Reach reach = {.distance = distance, .models = &old};
    Colours inside = sample(arena, view, is_inside, &reach), outside = sample(arena, view, is_outside_and_other, &reach);
    if (outside.count < 16) outside = sample(arena, view, is_outside, &reach);
    if (inside.count) gmm_refit(&m->foreground, inside.lab, inside.count);
    if (outside.count) gmm_refit(&m->background, outside.lab, outside.count);
}

/* ---- what the prompt says for certain ---- */

typedef struct Demands {
    const PromptPoint *points;
    size_t point_count;
    const Box *within; /* NULL: anywhere */
    const Box *without;
    size_t without_count;
} Demands;

/* Pixels of the window whose centres lie in a box: columns left to right - 1, rows top to bottom - 1. */
typedef struct Cells {
    int left, top, right, bottom;
} Cells;

static Cells cells_of(const View *view, Box box) {
    Cells c;
    view_from_full(view, (Point){box.x, box.y}, &c.left, &c.top);
    view_from_full(view, (Point){box.x + box.w, box.y + box.h}, &c.right, &c.bottom);
    /* the clipping of view_from_full leaves one pixel of boxes that end before the window or begin behind it */
    Point near = view_to_full(view, c.left + 0.5, c.top + 0.5), far = view_to_full(view, c.right + 0.5, c.bottom + 0.5);
    c.left += near.x < box.x, c.top += near.y < box.y;
    c.right += far.x < box.x + box.w, c.bottom += far.y < box.y + box.h;
    return c;
}

static void label_cells(View *view, Cells c, uint8_t label) {
    for (int y = c.top; y < c.bottom; y++)
        for (int x = c.left; x < c.right; x++) view->patch.labels[y * view->patch.width + x] = label;
}

static void label_outside(View *view, Cells c) {
    for (int y = 0; y < view->patch.height; y++)
        for (int x = 0; x < view->patch.width; x++)
            if (x < c.left || y < c.top || x >= c.right || y >= c.bottom) view->patch.labels[y * view->patch.width + x] = CUT_BACKGROUND;
}

/* Clicks, the outside of a box and negative boxes are certain, whatever a cut or a band made of them. */
static void demand(View *view, const Demands *d) {
    if (d->within) label_outside(view, cells_of(view, *d->within));
    for (size_t i = 0; i < d->without_count; i++) label_cells(view, cells_of(view, d->without[i]), CUT_BACKGROUND);
    for (size_t i = 0; i < d->point_count; i++) {
        int x, y;
        view_from_full(view, (Point){d->points[i].x, d->points[i].y}, &x, &y);
        view->patch.labels[y * view->patch.width + x] = d->points[i].foreground ? CUT_FOREGROUND : CUT_BACKGROUND;
    }
}

/* ---- alternation and refinement ---- */

/* Only a band around the outline stays open. */
static void open_band(View *view, int band) {
    for (int i = 0; i < view->patch.width * view->patch.height; i++) {
        bool foreground = cut_is_foreground(view->patch.labels[i]);
        if (view->distance[i] <= band) view->patch.labels[i] = foreground ? CUT_MAYBE_FOREGROUND : CUT_MAYBE_BACKGROUND;
        else view->patch.labels[i] = foreground ? CUT_FOREGROUND : CUT_BACKGROUND;
    }
}

static void alternate(Arena *arena, View *view, Cut *cut, Models *m, const Demands *demands) {
    for (int round = 0; round < ROUNDS; round++) {
        int changed = cut_solve(cut, view->patch.labels, &m->foreground, &m->background, 0);
        if (round > 0 && changed * 500 < view->patch.width * view->patch.height) break;
        if (view_area(view) < SMALLEST_AREA) break;
        view_measure(view);
        models_refit(arena, m, view, 255);
        open_band(view, WIDE_BAND);
        demand(view, demands);
    }
}

static Box foreground_box(const View *view, double margin) {
    int left = view->patch.width, top = view->patch.height, right = 0, bottom = 0;
    for (int y = 0; y < view->patch.height; y++)
        for (int x = 0; x < view->patch.width; x++)
            if (cut_is_foreground(view->patch.labels[y * view->patch.width + x])) {
                left = x < left ? x : left, right = x + 1 > right ? x + 1 : right;
                top = y < top ? y : top, bottom = y + 1;
            }
    Point a = view_to_full(view, left - margin, top - margin), b = view_to_full(view, right + margin, bottom + margin);
    Box full = {0, 0, view->scene->full_width, view->scene->full_height};
    return box_intersection((Box){a.x, a.y, b.x - a.x, b.y - a.y}, full);
}

/* Down to the finest level, in a window no larger than needed. */
static View refine(Arena *arena, View view, Models *m, const Demands *demands) {
    Box window = foreground_box(&view, 6);
    while (view.level > 0) {
        view = view_finer(arena, &view, window);
        view_measure(&view);
        models_refit(arena, m, &view, SAMPLE_REACH);
        open_band(&view, BAND);
        demand(&view, demands);
        Cut *cut = cut_new(&view.patch, cut_beta(&view.patch));
        cut_solve(cut, view.patch.labels, &m->foreground, &m->background, 0);
        cut_free(cut);
    }
    return view;
}

/* ---- score ---- */

/* Mean strength of the links that the outline breaks, 0 (nothing to see) to 1. */
static double outline_contrast(const View *view, double beta) {
    const Patch *p = &view->patch;
    double sum = 0;
    long count = 0;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            for (int n = 0; n < 2; n++) {
                int i = y * p->width + x, i2 = n ? i + p->width : i + 1;
                if (n ? y + 1 >= p->height : x + 1 >= p->width) continue;
                if (cut_is_foreground(p->labels[i]) == cut_is_foreground(p->labels[i2])) continue;
                sum += 1 - cut_link(beta, p->lab[i], p->lab[i2], false);
                count++;
            }
    return count ? sum / (double)count : 0;
}

/* Mean certainty with which colours near the outline speak for the side they are on, 0..1. */
static double colour_separation(const View *view, const Models *m, int reach) {
    double sum[2] = {0};
    long count[2] = {0};
    for (int i = 0; i < view->patch.width * view->patch.height; i++) {
        if (view->distance[i] > reach) continue;
        bool foreground = cut_is_foreground(view->patch.labels[i]);
        double lean = lean_of(m, view->patch.lab[i]);
        sum[foreground] += 1 / (1 + exp(foreground ? -lean : lean));
        count[foreground]++;
    }
    if (!count[0] || !count[1]) return 0;
    return 0.5 * (sum[0] / (double)count[0] + sum[1] / (double)count[1]);
}

/* Overlap of the answers when either side is favoured a little; 1 where nothing moves. */
static double stability(Arena *arena, View *view, Cut *cut, const Models *m, const Demands *demands) {
    enum { BIAS = 1 };
    open_band(view, WIDE_BAND);
    demand(view, demands);
    size_t count = (size_t)view->patch.width * (size_t)view->patch.height;
    uint8_t *less = memcpy(arena_alloc(arena, count), view->patch.labels, count);
    uint8_t *more = memcpy(arena_alloc(arena, count), view->patch.labels, count);
    cut_solve(cut, less, &m->foreground, &m->background, BIAS);
    cut_solve(cut, more, &m->foreground, &m->background, -BIAS);
    long both = 0, either = 0;
    for (size_t i = 0; i < count; i++) {
        both += cut_is_foreground(less[i]) && cut_is_foreground(more[i]);
        either += cut_is_foreground(less[i]) || cut_is_foreground(more[i]);
    }
    return either ? (double)both / (double)either : 0;
}

static double score_of(Arena *arena, View *view, Cut *cut, double beta, const Models *m, const Demands *demands) {
    int reach = 12;
    view_measure(view);
    double contrast = outline_contrast(view, beta), separation = colour_separation(view, m, reach), steady = stability(arena, view, cut, m, demands);
    /* the root puts answers that are more often wrong than right, on pictures of blood cells, below the contract's 0.75 */
    return sqrt(contrast * separation * steady);
}

/* ---- result ---- */

static void write_shapes(Arena *arena, const View *view, Segmentation *out) {
    size_t count = (size_t)view->patch.width * (size_t)view->patch.height;
    Mask mask = {.width = (uint32_t)view->patch.width, .height = (uint32_t)view->patch.height, .pixels = arena_alloc(arena, count)};
    for (size_t i = 0; i < count; i++) mask.pixels[i] = cut_is_foreground(view->patch.labels[i]);
    Point one = view_to_full(view, 1 - view->x, 1 - view->y); /* a pixel of the level, in the full picture */
    outline_mask(arena, &mask, (Point){view->x, view->y}, one.x, one.y, out);
}

/* From first models to the answer. Parts of the foreground below `part` of the largest go. */
static void solve(Arena *arena, View *view, Models *m, const Demands *demands, double part, Segmentation *out) {
    double beta = cut_beta(&view->patch);
    Cut *cut = cut_new(&view->patch, beta);
    alternate(arena, view, cut, m, demands);
    view_keep_parts(arena, view, part);
    bool enough = view_area(view) >= SMALLEST_AREA;
    if (enough) out->score = score_of(arena, view, cut, beta, m, demands);
    cut_free(cut);
    if (!enough) return;
    View fine = refine(arena, *view, m, demands);
    write_shapes(arena, &fine, out);
}

/* ---- box ---- */

static Box box_grow(Box box, double by) { return (Box){box.x - by, box.y - by, box.w + 2 * by, box.h + 2 * by}; }

static bool is_certain_background(const View *v, int i, const void *context) { return (void)context, v->patch.labels[i] == CUT_BACKGROUND; }
static bool is_open(const View *v, int i, const void *context) { return (void)context, cut_is_open(v->patch.labels[i]); }

/* Where the box leaves no background, the rim of the picture stands in for it. */
static void open_rim(View *view) {
    int rim = (view->patch.width < view->patch.height ? view->patch.width : view->patch.height) / 20 + 1;
    for (int y = 0; y < view->patch.height; y++)
        for (int x = 0; x < view->patch.width; x++)
            if (x < rim || y < rim || x >= view->patch.width - rim || y >= view->patch.height - rim)
                view->patch.labels[y * view->patch.width + x] = CUT_BACKGROUND;
}

/* First guess: all of the inside against all of the outside. As densities the two already tell paper from ink: what is commoner inside
 * than outside is foreground. */
static void models_from_box(Arena *arena, View *view, Models *m) {
    Colours outside = sample(arena, view, is_certain_background, NULL), inside = sample(arena, view, is_open, NULL);
    gmm_fit(&m->background, outside.lab, outside.count);
    gmm_fit(&m->foreground, inside.lab, inside.count);
    for (int i = 0; i < view->patch.width * view->patch.height; i++)
        if (cut_is_open(view->patch.labels[i]))
            view->patch.labels[i] = lean_of(m, view->patch.lab[i]) > 0 ? CUT_MAYBE_FOREGROUND : CUT_MAYBE_BACKGROUND;
    models_refit(arena, m, view, 255);
}

void segment_box(Arena *arena, const Scene *scene, Box box, const Box *negative, size_t negative_count, Segmentation *out) {
    Models m;
    Demands demands = {.within = &box, .without = negative, .without_count = negative_count};
    *out = (Segmentation){0};
    Box full = {0, 0, scene->full_width, scene->full_height};
    box = box_intersection(box, full);
    if (box_area(box) <= 0) return;
    Box window = box_intersection(box_grow(box, 0.25 * fmax(box.w, box.h) + 4), full);
    View view = view_open(arena, scene, view_level_for(scene, window, MODEL_SIDE), window);
    label_cells(&view, cells_of(&view, box), CUT_MAYBE_FOREGROUND);
    demand(&view, &demands);
    Colours outside = sample(arena, &view, is_certain_background, NULL);
    if (outside.count * 20 < (size_t)view.patch.width * (size_t)view.patch.height) open_rim(&view);
    models_from_box(arena, &view, &m);
    solve(arena, &view, &m, &demands, 0.05, out);
}

/* ---- points ---- */

static Seed *seeds_on(Arena *arena, const View *view, const PromptPoint *points, size_t count) {
    Seed *seeds = arena_new_array(arena, Seed, count + 1);
    for (size_t i = 0; i < count; i++) {
        view_from_full(view, (Point){points[i].x, points[i].y}, &seeds[i].x, &seeds[i].y);
        seeds[i].foreground = points[i].foreground;
    }
    return seeds;
}

/* Everything within reach of the region is open, what lies further off is background. */
static void open_around(View *view, int reach) {
    view_measure(view);
    for (int i = 0; i < view->patch.width * view->patch.height; i++) {
        bool foreground = cut_is_foreground(view->patch.labels[i]);
        view->patch.labels[i] = foreground                    ? CUT_MAYBE_FOREGROUND
                                : view->distance[i] <= reach ? CUT_MAYBE_BACKGROUND
                                                             : CUT_BACKGROUND;
    }
}

typedef struct Surroundings {
    Reach reach;
    float limit; /* of the foreground's cost */
} Surroundings;

static bool is_ring_and_unlike(const View *v, int i, const void *context) {
    const Surroundings *ring = context;
    return is_outside(v, i, &ring->reach) && gmm_cost(&ring->reach.models->foreground, v->patch.lab[i]) > ring->limit;
}

static float mean_cost(const Gmm *model, Colours colours) {
    double sum = 0;
    for (size_t i = 0; i < colours.count; i++) sum += gmm_cost(model, colours.lab[i]);
    return colours.count ? (float)(sum / (double)colours.count) : 0;
}

/* Background is learned from a ring around the region, without neighbours of the region's colours. */
static void models_from_region(Arena *arena, const View *view, Models *m, int reach) {
    Reach everywhere = {.distance = 255};
    Surroundings ring = {.reach = {.distance = reach, .models = m}};
    Colours inside = sample(arena, view, is_inside, &everywhere), around = sample(arena, view, is_outside, &ring.reach);
    gmm_fit(&m->foreground, inside.lab, inside.count);
    ring.limit = mean_cost(&m->foreground, inside) + 3;
    Colours outside = sample(arena, view, is_ring_and_unlike, &ring);
    if (outside.count * 5 < around.count) outside = around;
    gmm_fit(&m->background, outside.lab, outside.count);
}

/* Takes a region of a level over into a window. */
static void label_region(View *view, const View *whole, const uint8_t *region) {
    for (int y = 0; y < view->patch.height; y++)
        for (int x = 0; x < view->patch.width; x++) {
            int wx, wy;
            view_from_full(whole, view_to_full(view, x + 0.5, y + 0.5), &wx, &wy);
            view->patch.labels[y * view->patch.width + x] = region[wy * whole->patch.width + wx] ? CUT_FOREGROUND : CUT_BACKGROUND;
        }
}

void segment_points(Arena *arena, const Scene *scene, const PromptPoint *points, size_t count, Segmentation *out) {
    Models m;
    Demands demands = {.points = points, .point_count = count};
    *out = (Segmentation){0};
    Box full = {0, 0, scene->full_width, scene->full_height};
    View whole = view_open(arena, scene, view_level_for(scene, full, GROW_SIDE), full);
    uint8_t *region = grow_region(arena, &scene->levels[whole.level], seeds_on(arena, &whole, points, count), (int)count);
    if (!region) return;
    memcpy(whole.patch.labels, region, (size_t)whole.patch.width * (size_t)whole.patch.height);
    Box around = foreground_box(&whole, 2), window = box_intersection(box_grow(around, 0.3 * fmax(around.w, around.h)), full);
    View view = view_open(arena, scene, view_level_for(scene, window, MODEL_SIDE), window);
    label_region(&view, &whole, region);
    int reach = 3 + (int)(0.2 * sqrt((double)view_area(&view)));
    open_around(&view, reach);
    models_from_region(arena, &view, &m, reach);
    demand(&view, &demands);
    solve(arena, &view, &m, &demands, 1, out);
}
