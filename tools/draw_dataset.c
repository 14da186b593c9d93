/* draw-dataset OUT N SEED: N scenes with exact labels as a Pascal VOC folder (JPEGImages, Annotations, ImageSets/Main), the demo's own data.
 *
 * Seven of ten scenes are for training, the rest halves into val and test. The same seed gives the same files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "picture/jpeg_file.h"
#include "draw_dataset_scene.h"
#include "base/banned.h"

enum { QUALITY = 90, PATH_SIZE = 4096, SPLITS = 4 };

/* Pascal VOC counts pixels from 1, the last one included. */
static bool write_labels(const char *path, const char *name, const Scene *scene) {
    FILE *file = fopen(path, "w");
    if (!file) return false;
    fprintf(file, "<annotation>\n  <folder>JPEGImages</folder>\n  <filename>%s.jpg</filename>\n"
            "  <size><width>%d</width><height>%d</height><depth>3</depth></size>\n  <segmented>0</segmented>\n", name, SCENE_WIDTH, SCENE_HEIGHT);
    for (int i = 0; i < scene->label_count; i++) {
        const SceneLabel *label = &scene->labels[i];
        fprintf(file, "  <object>\n    <name>%s</name>\n    <difficult>0</difficult>\n    <bndbox><xmin>%d</xmin><ymin>%d</ymin>"
                "<xmax>%d</xmax><ymax>%d</ymax></bndbox>\n  </object>\n", scene_class_names[label->class_index], label->left + 1, label->top + 1,
                label->right + 1, label->bottom + 1);
    }
    fputs("</annotation>\n", file);
    return fclose(file) == 0;
}

static bool make_folders(const char *out) {
    static const char *const folders[] = {"JPEGImages", "Annotations", "ImageSets/Main"};
    char path[PATH_SIZE];
    Error err = {0};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/%s", out, folders[i]);
        if (file_make_directories(path, 0777, &err)) {
            fprintf(stderr, "draw-dataset: %s\n", err.message);
            return false;
        }
    }
    return true;
}

/* Opens ImageSets/Main/{train,val,test,trainval}.txt. */
static bool open_splits(const char *out, FILE *lists[SPLITS]) {
    static const char *const names[SPLITS] = {"train", "val", "test", "trainval"};
    char path[PATH_SIZE];
    for (int i = 0; i < SPLITS; i++) {
        snprintf(path, sizeof path, "%s/ImageSets/Main/%s.txt", out, names[i]);
        if (!(lists[i] = fopen(path, "w"))) return false;
    }
    return true;
}

static bool draw_one(const char *out, int64_t index, uint64_t seed, Scene *scene, FILE *lists[SPLITS]) {
    char name[32], path[PATH_SIZE];
    int split = index % 20 < 14 ? 0 : index % 20 < 17 ? 1 : 2;
    snprintf(name, sizeof name, "scene_%05lld", (long long)index);
    scene_draw(scene, seed * 1000003 + (uint64_t)index);
    snprintf(path, sizeof path, "%s/JPEGImages/%s.jpg", out, name);
    Raster raster = {SCENE_WIDTH, SCENE_HEIGHT, &scene->pixels[0][0][0]};
    if (jpeg_file_write(path, &raster, JPEG_RGB, QUALITY, NULL) != STATUS_OK) return false;
    snprintf(path, sizeof path, "%s/Annotations/%s.xml", out, name);
    if (!write_labels(path, name, scene)) return false;
    fprintf(lists[split], "%s\n", name);
    if (split < 2) fprintf(lists[3], "%s\n", name);
    return true;
}

int main(int argc, char **argv) {
    int64_t count, seed;
    if (argc != 4 || !text_to_int(argv[2], &count) || !text_to_int(argv[3], &seed) || count < 1 || count > 99999) {
        fputs("usage: draw-dataset OUT N SEED\n", stderr);
        return 2;
    }
    FILE *lists[SPLITS] = {NULL};
    Scene *scene = malloc(sizeof *scene);
    bool good = scene && make_folders(argv[1]) && open_splits(argv[1], lists);
    for (int64_t i = 0; i < count && good; i++) good = draw_one(argv[1], i, (uint64_t)seed, scene, lists);
    int cause = errno;
    for (int i = 0; i < SPLITS; i++)
        if (lists[i] && fclose(lists[i])) good = false;
    free(scene);
    if (!good) fprintf(stderr, "draw-dataset: %s: %s\n", argv[1], strerror(cause));
    return good ? 0 : 1;
}
