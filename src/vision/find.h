/* Find: things by what they are called: with a detector and, for shapes, whoever answers box prompts (prompt.h) inside the detected boxes; or with an
 * operator's model that understands words and sees the shapes itself (sam3.h).
 *
 * Each word is looked up among the detector's classes (words.h). Its answer says the class, null for a word that means none (a model that
 * understands words knows every word as itself), and the best
 * probability that any place of the picture has, null when none reaches FIND_FLOOR, the score from which the published evaluations count. Then
 * come the things found with at least the wanted probability, word by word, surest first, at most max_detections a word.
 *
 * floor (FIND_FLOOR when absent, and at most) is the least score that is looked at; a trained model's owner may want less.
 *
 * shape "box" (or none) asks for x, y, w, h alone; "polygon" adds the outline as polygons (as in segment_box), "line" the centre line of its
 * largest part, "point" a point inside near its centre. Where the segmenter finds nothing in a box, outlined is false and the shape is worked out from
 * the box itself: its four corners, its longer axis, its middle.
 *
 * engine is the detector's architecture, and where shapes were worked out the segmenter's name after a plus: "nanodet_g+graph_cut"; or the
 * operator's model: "sam3:mine".
 *
 * What a detector said of an image_key is kept (found_cache.h), and so is the segmenter's scene: the next word costs no model run.
 */
#pragma once
#include "vision/detector.h"
#include "vision/found_cache.h"
#include "vision/prompt.h"
#include "worker/channel.h"

#define FIND_FLOOR 0.05
enum { FIND_WORDS_MAX = 200, FIND_DETECTIONS_MAX = 1000 };

typedef struct Finder {
    OperatorModel *model; /* that understands words; NULL: the detector */
    Detector *detector;
    Prompter prompter;
    FoundCache *cache;
} Finder;

/* Answers the method "find" of vision.h. */
Status find_answer(Finder *finder, WorkerCall *call, Error *err);
