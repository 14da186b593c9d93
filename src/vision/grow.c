#include "vision/grow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    int dx, dy;
    float length;
} STEPS[8] = {{1, 0, 1}, {0, 1, 1}, {-1, 0, 1}, {0, -1, 1}, {1, 1, 1.4142f}, {-1, 1, 1.4142f}, {-1, -1, 1.4142f}, {1, -1, 1.4142f}};

enum { QUIET_STEP = 1, SMALLEST_REGION = 9 };
#define LARGEST_PART 0.7 /* of the image */
#define SIZE_EXPONENT 0.1 /* of regions that stand out alike the larger is meant */

/* ---- a queue by distance: a binary heap whose stale entries are skipped ---- */

typedef struct Item {
    float distance;
    int pixel;
} Item;

typedef struct Heap {
    Item *items;
    int count, room;
} Heap;

static void heap_push(Heap *h, Item item) {
    if (h->count == h->room) {
        h->room = h->room ? 2 * h->room : 1024;
        h->items = xrealloc(h->items, (size_t)h->room * sizeof *h->items);
    }
    int i = h->count++;
    for (; i > 0 && h->items[(i - 1) / 2].distance > item.distance; i = (i - 1) / 2) h->items[i] = h->items[(i - 1) / 2];
    h->items[i] = item;
}

static Item heap_pop(Heap *h) {
    Item top = h->items[0], last = h->items[--h->count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count && h->items[child + 1].distance < h->items[child].distance) child++;
        if (h->items[child].distance >= last.distance) break;
        h->items[i] = h->items[child];
    }
    h->items[i] = last;
    return top;
}

/* ---- spreading ---- */

enum { UNSEEN = 0, REGION = 1, HELD = 2 }; /* HELD: by a negative click */

typedef struct Front {
    const Level *level;
    float *distance;
    uint8_t *owner;  /* who reaches a pixel first, as far as known */
    uint8_t *done;   /* its distance is final */
    int *order;      /* pixels of the region in the order of their distance */
    int order_count;
    float noise;     /* colour distance between neighbours that means nothing */
    Heap heap;
} Front;

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median distance of neighbouring colours: half of all steps lie within surfaces. */
static float median_step(Arena *arena, const Level *level) {
    int count = level->width * level->height, n = 0;
    float *steps = arena_new_array(arena, float, (size_t)count + 1);
    for (int i = 0; i + 1 < count; i += 3)
        if ((i + 1) % level->width) steps[n++] = sqrtf((float)lab_distance(level->lab[i], level->lab[i + 1]));
    qsort(steps, (size_t)n, sizeof *steps, compare_floats);
    return n ? steps[n / 2] : 0;
}

static void relax(Front *f, int x, int y) {
    int w = f->level->width, from = y * w + x;
    for (int s = 0; s < 8; s++) {
        int x2 = x + STEPS[s].dx, y2 = y + STEPS[s].dy;
        if (x2 < 0 || y2 < 0 || x2 >= w || y2 >= f->level->height) continue;
        int to = y2 * w + x2;
        float edge = sqrtf((float)lab_distance(f->level->lab[from], f->level->lab[to])) - 1.5f * f->noise;
        float distance = f->distance[from] + STEPS[s].length * (QUIET_STEP * 0.1f + fmaxf(0, edge));
        if (f->done[to] || (f->owner[to] && f->distance[to] <= distance)) continue;
        f->distance[to] = distance;
        f->owner[to] = f->owner[from];
        heap_push(&f->heap, (Item){distance, to});
    }
}

static void spread(Front *f, const Seed *seeds, int count) {
    int w = f->level->width;
    for (int i = 0; i < count; i++) {
        int pixel = seeds[i].y * w + seeds[i].x;
        f->owner[pixel] = seeds[i].foreground ? REGION : HELD;
        heap_push(&f->heap, (Item){0, pixel});
    }
    while (f->heap.count) {
        int pixel = heap_pop(&f->heap).pixel;
        if (f->done[pixel]) continue;
        f->done[pixel] = 1;
        if (f->owner[pixel] == REGION) f->order[f->order_count++] = pixel;
        relax(f, pixel % w, pixel / w);
    }
    free(f->heap.items);
}

/* ---- the best moment ---- */

/* Contrast along the outline of the growing region, kept up to date pixel by pixel. */
typedef struct Outline {
    uint8_t *inside;
    double contrast, edges; /* sums over the pairs of neighbours that the outline parts */
} Outline;

static void take_in(Outline *o, const Level *level, int pixel) {
    int w = level->width, h = level->height, x = pixel % w, y = pixel / w;
    for (int s = 0; s < 4; s++) {
        int x2 = x + STEPS[s].dx, y2 = y + STEPS[s].dy;
        o->edges += x2 < 0 || y2 < 0 || x2 >= w || y2 >= h; /* what lies along the picture's rim stands out from nothing */
        if (x2 < 0 || y2 < 0 || x2 >= w || y2 >= h) continue;
        double sign = o->inside[y2 * w + x2] ? -1 : 1;
        o->contrast += sign * fmin(sqrt(lab_distance(level->lab[pixel], level->lab[y2 * w + x2])), 60); /* one glaring edge must not decide */
        o->edges += sign;
    }
    o->inside[pixel] = 1;
}

/* How long the front waits at n pixels before it has a quarter more, against how long it took to get there. A surface with an edge around
 * it makes the front wait; as a ratio, so that the first such wait counts most. */
static double wait_at(const Front *f, int n) {
    int more = n + n / 4 + 2;
    double now = f->distance[f->order[n - 1]], later = f->distance[f->order[more <= f->order_count ? more - 1 : f->order_count - 1]];
    return log((later + 1) / (now + 1));
}

/* How many pixels make the region, 0 when none stands out. */
static int best_moment(Arena *arena, const Front *f) {
    int pixels = f->level->width * f->level->height, best = 0, most = (int)(LARGEST_PART * pixels);
    Outline outline = {.inside = arena_alloc(arena, (size_t)pixels)};
    double best_value = 0;
    for (int n = 1; n <= f->order_count && n <= most; n++) {
        take_in(&outline, f->level, f->order[n - 1]);
        double contrast = outline.edges > 0 ? outline.contrast / outline.edges : 0;
        if (n < SMALLEST_REGION || contrast < 2 * f->noise + 2) continue; /* an outline must be more than noise */
        double compact = fmin(1, 20 * n / (outline.edges * outline.edges)); /* 1 for a disc */
        double value = wait_at(f, n) * sqrt(contrast) * compact * pow(n, SIZE_EXPONENT);
        if (value > best_value) best_value = value, best = n;
    }
    return best;
}

uint8_t *grow_region(Arena *arena, const Level *level, const Seed *seeds, int count) {
    size_t pixels = (size_t)level->width * (size_t)level->height;
    Front f = {.level = level, .noise = median_step(arena, level)};
    f.distance = arena_new_array(arena, float, pixels);
    f.owner = arena_alloc(arena, pixels);
    f.done = arena_alloc(arena, pixels);
    f.order = arena_new_array(arena, int, pixels);
    spread(&f, seeds, count);
    int size = best_moment(arena, &f);
    if (!size) return NULL;
    uint8_t *region = arena_alloc(arena, pixels);
    for (int i = 0; i < size; i++) region[f.order[i]] = 1;
    return region;
}
