/* Scenes of fruit on a table, drawn from a seed, with the exact visible rectangle of each fruit.
 *
 * Made to be learnt in minutes and yet not by colour alone: green apples lie beside green pears, ripe lemons beside pale oranges, stones
 * that are no fruit lie about, things overlap, light, cloth, blur and noise vary. The same seed gives the same pixels.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { SCENE_WIDTH = 640, SCENE_HEIGHT = 480, SCENE_THINGS_MAX = 16, SCENE_CLASSES = 4 };

extern const char *const scene_class_names[SCENE_CLASSES];

typedef struct SceneLabel {
    int class_index;
    int left, top, right, bottom; /* pixels from 0, the last ones included */
} SceneLabel;

typedef struct Scene {
    uint8_t pixels[SCENE_HEIGHT][SCENE_WIDTH][3]; /* RGB */
    SceneLabel labels[SCENE_THINGS_MAX];
    int label_count;
} Scene;

void scene_draw(Scene *scene, uint64_t seed);
