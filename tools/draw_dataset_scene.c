/* Draws scenes. A fruit is a body of revolution: its outline is a profile along its axis, and the outline gives the normal of each pixel,
 * which light, bumps and highlights are worked out from. An id per pixel says which thing is seen there; the labels come from the ids. */
#include "draw_dataset_scene.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/banned.h"

typedef struct Colour {
    float r, g, b;
} Colour;

/* ---- chance ---- */

static uint64_t next_random(uint64_t *state) /* splitmix64, Steele et al. 2014 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static float between(uint64_t *state, float low, float high) {
    return low + (high - low) * (float)(next_random(state) >> 40) / (float)(1 << 24);
}

static float lattice(int x, int y, uint32_t salt) {
    uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u + salt * 2246822519u;
    h = (h ^ (h >> 13)) * 1274126177u;
    return (float)((h ^ (h >> 16)) & 0xFFFF) / 65535.0f;
}

/* Value noise in 0..1: smooth between random values at whole coordinates. */
static float noise(float x, float y, uint32_t salt) {
    float fx = floorf(x), fy = floorf(y), u = x - fx, v = y - fy;
    int ix = (int)fx, iy = (int)fy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    float top = lattice(ix, iy, salt) * (1 - u) + lattice(ix + 1, iy, salt) * u;
    float bottom = lattice(ix, iy + 1, salt) * (1 - u) + lattice(ix + 1, iy + 1, salt) * u;
    return top * (1 - v) + bottom * v;
}

static float cloudy(float x, float y, uint32_t salt) {
    return 0.5f * noise(x, y, salt) + 0.3f * noise(2 * x, 2 * y, salt + 1) + 0.2f * noise(4.1f * x, 4.1f * y, salt + 2);
}

static Colour mix(Colour a, Colour b, float t) {
    return (Colour){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

/* ---- kinds of things ---- */

/* Half width of the outline at u in -1..1 along the axis. */
static float ball(float u) {
    return sqrtf(fmaxf(0, 1 - u * u));
}
static float apple_outline(float u) {
    return ball(u) * (1.02f - 0.10f * u) * (u < -0.78f ? 1 - (u + 0.78f) * -0.9f : 1);
}
static float lemon_outline(float u) {
    float tips = expf(-powf((fabsf(u) - 0.98f) / 0.10f, 2)) * 0.10f;
    return fmaxf(0.70f * powf(fmaxf(0, 1 - u * u), 0.62f), fabsf(u) < 1 ? tips : 0);
}
static float pear_outline(float u) {
    return ball(u) * (0.60f + 0.30f * tanhf(2.4f * (u - 0.05f)));
}
static float stone_outline(float u) {
    return 0.72f * ball(u);
}

typedef struct Kind {
    float (*outline)(float u);
    Colour unripe, ripe;  /* the colour lies between them */
    Colour spots;
    float bump;           /* roughness of the skin */
    float shine;
    bool stem;
} Kind;

enum { STONE = SCENE_CLASSES };
const char *const scene_class_names[SCENE_CLASSES] = {"apple", "orange", "lemon", "pear"};
static const Kind kinds[] = {
    {apple_outline, {0.55f, 0.68f, 0.20f}, {0.72f, 0.08f, 0.10f}, {0.86f, 0.62f, 0.28f}, 0.03f, 0.55f, true},
    {ball, {0.90f, 0.66f, 0.18f}, {0.93f, 0.42f, 0.05f}, {0.80f, 0.36f, 0.04f}, 0.16f, 0.35f, false},
    {lemon_outline, {0.74f, 0.78f, 0.22f}, {0.95f, 0.80f, 0.12f}, {0.86f, 0.70f, 0.10f}, 0.12f, 0.40f, false},
    {pear_outline, {0.56f, 0.70f, 0.24f}, {0.82f, 0.72f, 0.26f}, {0.52f, 0.40f, 0.16f}, 0.05f, 0.25f, true},
    {stone_outline, {0.40f, 0.38f, 0.36f}, {0.62f, 0.58f, 0.52f}, {0.30f, 0.28f, 0.27f}, 0.22f, 0.05f, false},
};

typedef struct Thing {
    int kind;
    float x, y, size, turn; /* centre, half length in pixels, angle of the axis */
    float squeeze;          /* of the width */
    Colour skin;
    uint32_t salt;
} Thing;

typedef struct Canvas {
    Colour pixels[SCENE_HEIGHT][SCENE_WIDTH];
    uint8_t owner[SCENE_HEIGHT][SCENE_WIDTH]; /* thing + 1; 0: table */
    float light[3];                           /* direction to the light, length 1 */
} Canvas;

/* ---- drawing ---- */

static void draw_table(Canvas *canvas, uint64_t *random) {
    static const Colour tables[] = {{0.55f, 0.38f, 0.24f}, {0.82f, 0.80f, 0.76f}, {0.24f, 0.30f, 0.38f}, {0.42f, 0.48f, 0.38f}, {0.66f, 0.34f, 0.30f}};
    Colour base = tables[next_random(random) % 5], other = mix(base, (Colour){between(random, 0, 1), between(random, 0, 1), between(random, 0, 1)}, 0.35f);
    int pattern = (int)(next_random(random) % 3); /* wood, checked cloth, stone slab */
    float angle = between(random, 0, 3.14f), scale = between(random, 18, 60);
    float c = cosf(angle), s = sinf(angle), slope = between(random, -0.25f, 0.25f);
    uint32_t salt = (uint32_t)next_random(random);
    for (int y = 0; y < SCENE_HEIGHT; y++)
        for (int x = 0; x < SCENE_WIDTH; x++) {
            float u = ((float)x * c + (float)y * s) / scale, v = ((float)y * c - (float)x * s) / scale, t;
            float rough = cloudy(u, v, salt);
            if (pattern == 0) t = 0.5f + 0.5f * sinf(9 * (v * 0.35f + 0.6f * noise(u * 0.12f, v * 0.9f, salt)));
            else if (pattern == 1) t = ((int)floorf(u) + (int)floorf(v)) & 1 ? 0.9f : 0.1f;
            else t = rough;
            Colour colour = mix(base, other, 0.75f * t + 0.25f * rough);
            float shade = 0.88f + 0.24f * rough + slope * ((float)x / SCENE_WIDTH - 0.5f);
            canvas->pixels[y][x] = (Colour){colour.r * shade, colour.g * shade, colour.b * shade};
        }
}

/* A soft dark ellipse on the far side of the light. */
static void draw_shadow(Canvas *canvas, const Thing *thing) {
    float cx = thing->x - canvas->light[0] * thing->size * 0.5f, cy = thing->y - canvas->light[1] * thing->size * 0.5f, r = thing->size * 1.15f;
    for (int y = (int)fmaxf(0, cy - r); y < SCENE_HEIGHT && (float)y < cy + r; y++)
        for (int x = (int)fmaxf(0, cx - r); x < SCENE_WIDTH && (float)x < cx + r; x++) {
            float d = hypotf((float)x - cx, (float)y - cy) / r;
            float dark = d < 1 ? 1 - 0.55f * (1 - d) * (1 - d) * 1.6f : 1;
            Colour *pixel = &canvas->pixels[y][x];
            if (dark < 1) *pixel = mix((Colour){0, 0, 0}, *pixel, fmaxf(0.35f, dark));
        }
}

/* Light on a point of the skin at (u, v); n is the normal in the picture's axes. */
static Colour shade(const Canvas *canvas, const Thing *thing, const Kind *kind, float u, float v, const float n[3]) {
    float spots = noise(u * 9 + 40, v * 9 + 40, thing->salt);
    Colour skin = mix(thing->skin, kind->spots, spots > 0.66f ? 0.45f : 0.18f * cloudy(u * 2 + 9, v * 2 + 9, thing->salt + 7));
    if (kind->stem && u < -0.86f && fabsf(v) < 0.12f) skin = (Colour){0.25f, 0.17f, 0.09f};
    float grain = kind->bump * (noise(u * 26 + 99, v * 26 + 99, thing->salt + 3) - 0.5f);
    float lit = n[0] * canvas->light[0] + n[1] * canvas->light[1] + n[2] * canvas->light[2] + grain;
    float half = canvas->light[2] + 1, gloss = n[0] * canvas->light[0] + n[1] * canvas->light[1] + n[2] * half;
    gloss /= sqrtf(canvas->light[0] * canvas->light[0] + canvas->light[1] * canvas->light[1] + half * half);
    float bright = 0.30f + 0.80f * fmaxf(0, lit), white = kind->shine * powf(fmaxf(0, gloss), 38);
    return (Colour){skin.r * bright + white, skin.g * bright + white, skin.b * bright + white};
}

static void draw_thing(Canvas *canvas, const Thing *thing, int id) {
    const Kind *kind = &kinds[thing->kind];
    float c = cosf(thing->turn), s = sinf(thing->turn), reach = thing->size * 1.1f;
    for (int y = (int)fmaxf(0, thing->y - reach); y < SCENE_HEIGHT && (float)y <= thing->y + reach; y++)
        for (int x = (int)fmaxf(0, thing->x - reach); x < SCENE_WIDTH && (float)x <= thing->x + reach; x++) {
            float dx = ((float)x - thing->x) / thing->size, dy = ((float)y - thing->y) / thing->size;
            float u = dx * c + dy * s, v = (dy * c - dx * s) / thing->squeeze;
            float h = fabsf(u) < 1 ? kind->outline(u) : 0;
            if (h <= 0.001f || fabsf(v) >= h) continue;
            /* Around the axis the normal turns with v / h; along it, it leans by the slope of the outline. */
            float across = v / h, up = sqrtf(1 - across * across), lean = -(kind->outline(fminf(u + 0.02f, 1)) - kind->outline(fmaxf(u - 0.02f, -1))) / 0.04f;
            float length = sqrtf(1 + lean * lean), nu = lean / length, nv = across / length, nz = up / length;
            float n[3] = {nu * c - nv * s, nu * s + nv * c, nz};
            Colour colour = shade(canvas, thing, kind, u, v, n);
            float edge = fminf(1, (h - fabsf(v)) * thing->size * 0.8f); /* soft outline */
            canvas->pixels[y][x] = mix(canvas->pixels[y][x], colour, edge);
            canvas->owner[y][x] = (uint8_t)(id + 1);
        }
}

static Thing make_thing(uint64_t *random, int kind) {
    Thing thing = {.kind = kind, .x = between(random, 20, SCENE_WIDTH - 20), .y = between(random, 20, SCENE_HEIGHT - 20),
                   .size = between(random, 30, 76), .turn = between(random, 0, 6.28f), .squeeze = between(random, 0.9f, 1.06f),
                   .salt = (uint32_t)next_random(random)};
    thing.skin = mix(kinds[kind].unripe, kinds[kind].ripe, between(random, 0, 1));
    if (kind == STONE) thing.size *= 0.6f;
    return thing;
}

/* Keeps things from lying right on top of each other; overlaps at the rim stay. */
static bool has_room(const Thing *things, int count, const Thing *thing) {
    for (int i = 0; i < count; i++)
        if (hypotf(things[i].x - thing->x, things[i].y - thing->y) < 0.62f * (things[i].size + thing->size)) return false;
    return true;
}

static int place_things(Thing *things, uint64_t *random) {
    int wanted = 4 + (int)(next_random(random) % 9), count = 0;
    for (int tries = 0; count < wanted && tries < 200; tries++) {
        int kind = (int)(next_random(random) % 9);
        Thing thing = make_thing(random, kind < 8 ? kind % SCENE_CLASSES : STONE);
        if (has_room(things, count, &thing)) things[count++] = thing;
    }
    return count;
}

/* The rectangle of what is seen of each fruit. One that is nearly hidden or cut off gets no label: nobody could find it. */
static void read_labels(Scene *scene, const Canvas *canvas, const Thing *things, int count) {
    for (int i = 0; i < count; i++) {
        SceneLabel label = {things[i].kind, SCENE_WIDTH, SCENE_HEIGHT, -1, -1};
        int seen = 0;
        for (int y = 0; y < SCENE_HEIGHT; y++)
            for (int x = 0; x < SCENE_WIDTH; x++)
                if (canvas->owner[y][x] == i + 1) {
                    seen++;
                    label.left = x < label.left ? x : label.left;
                    label.right = x > label.right ? x : label.right;
                    label.top = y < label.top ? y : label.top;
                    label.bottom = y;
                }
        if (things[i].kind < SCENE_CLASSES && (float)seen > 0.6f * things[i].size * things[i].size) scene->labels[scene->label_count++] = label;
    }
}

/* What a camera adds: exposure, a little blur, grain. */
static void photograph(Scene *scene, const Canvas *canvas, uint64_t *random) {
    float exposure = between(random, 0.75f, 1.15f), warm = between(random, -0.06f, 0.06f), grain = between(random, 2, 12), blur = between(random, 0, 0.6f);
    for (int y = 0; y < SCENE_HEIGHT; y++)
        for (int x = 0; x < SCENE_WIDTH; x++) {
            const Colour *at = &canvas->pixels[y][x], *left = &canvas->pixels[y][x ? x - 1 : x], *above = &canvas->pixels[y ? y - 1 : y][x];
            Colour soft = mix(*at, mix(*left, *above, 0.5f), blur);
            float channels[3] = {soft.r * (1 + warm), soft.g, soft.b * (1 - warm)};
            for (int k = 0; k < 3; k++) {
                float value = 255 * exposure * channels[k] + grain * (between(random, 0, 1) + between(random, 0, 1) - 1);
                scene->pixels[y][x][k] = (uint8_t)fminf(255, fmaxf(0, value));
            }
        }
}

void scene_draw(Scene *scene, uint64_t seed) {
    Canvas *canvas = xcalloc(1, sizeof *canvas); /* 4 MB: too much for a stack */
    Thing things[SCENE_THINGS_MAX];
    uint64_t random = seed;
    float angle = between(&random, 0, 6.28f), height = between(&random, 0.5f, 0.85f), flat = sqrtf(1 - height * height);
    canvas->light[0] = flat * cosf(angle);
    canvas->light[1] = flat * sinf(angle);
    canvas->light[2] = height;
    scene->label_count = 0;
    draw_table(canvas, &random);
    int count = place_things(things, &random);
    for (int i = 0; i < count; i++) draw_shadow(canvas, &things[i]);
    for (int i = 0; i < count; i++) draw_thing(canvas, &things[i], i);
    read_labels(scene, canvas, things, count);
    photograph(scene, canvas, &random);
    free(canvas);
}
