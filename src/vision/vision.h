/* pictograph-vision: runs models and answers prompts. ONNX Runtime by dlopen, sandboxed, one request at a time on a channel.
 *
 * Pictures come as image_path where the file is a JPEG; everything else (and JPEG with four inks) is decoded by pictograph-media's
 * `decode` first and comes as pixels_path. The worker answers unsupported_media_type when it got the wrong one.
 *
 * Methods (worker/channel.h; coordinates are pixels of the upright picture):
 *
 *   detect         {model_path, image_path | pixels_path, confidence_threshold = 0.5, nms_threshold,
 *                   max_detections = 100}
 *               -> {detections: [{class, name, x, y, w, h, confidence}], width, height, seconds, engine}
 *     class is the index of name in the model. Surest first, clipped to the picture. Models stay loaded, four at most.
 *   find           {model_path, any_word = false, models_path, image_key, image_path | pixels_path, words: [{word, shape}], confidence_threshold = 0.3,
 *                   max_detections = 50, threads}
 *               -> {words: [{class, best}], found: [{word, x, y, w, h, confidence, outlined, polygons | line | inside_point}], seconds, cached, engine}
 *     Things by what they are called: see find.h. any_word: true lets a model of the operator's answer that understands words (then there may be no
 *     model_path), where one is there. threads: how many compute the detector, 1 or 2; when absent 2, where there are as many cores.
 *   model_info     {model_path} -> {class_names, image_size: [height, width], architecture, layout}
 *   segment_point  {image_key, image_path | pixels_path, points: [{x, y, label: 1 | 0}], threshold = 0, models_path}
 *   segment_box    {image_key, image_path | pixels_path, box: {x, y, w, h}, negative_boxes: [{x, y, w, h}] = [],
 *                   threshold = 0, models_path}
 *               -> {found, score, polygons, bbox: {x, y, w, h}, area, inside_point: [x, y], cached, seconds, engine}
 *     polygons: [polygon: [ring: [[x, y], …], …], …], a polygon's first ring its outline, the others its holes. found is false when
 *     nothing stands out or its score is below threshold; polygons, bbox, area and inside_point are then absent. image_key names the
 *     content (its hash): the next prompt on the same key reads no file. cached says whether that was so. models_path is
 *     the folder of the operator's models (operator_models.h): one that answers such prompts takes the place of the built-in engine, and engine says
 *     which it was.
 *   models         {models_path} -> {models: [{name, role, engine, state: "ready" | "off" | "incomplete" | "broken", problem, kinds}]}
 *     Every model of that folder, loaded to see whether it works.
 *   answerers      {models_path} -> {text: {engine, model, problem}, search: {…}}
 *     Which model of that folder answers what the server decides for itself, none of them loaded: all null where none does, and problem says why one
 *     that should cannot. model (search only): as describe says it.
 *   describe       {model_path, models_path, image_path | pixels_path}
 *               -> {embedding, objects: [word], scenes: [word], attributes: [word], model, seconds, engine}
 *     embedding: 32-bit floats, little-endian, of length 1, in base64url. Words are surest first. By an operator's model where one is there for it
 *     (siglip.h), else by the built-in one at model_path, whose words are those of vocabulary.h. Only embeddings of the same model can be compared.
 *   classify       {model_path, models_path, image_path | pixels_path, words: [{word}] = all, confidence_threshold = 0.5, top_k = 1}
 *               -> {words: [{class}], found: [{category, class, confidence}], model, seconds, engine}
 *     By the model of describe, which of its words the picture shows: see classify.h.
 *   tokens         {tokenizer_path, phrase} -> {tokens: [number]}, see bpe.h
 *   vocabulary     {} -> {objects: [word], scenes: [word], attributes: [word]}
 *   status         {} -> {engines: {point, box, text, batch}, runtime: {available, version, reason}, models_loaded, images_cached,
 *                         image_bytes, images_encoded, encoded_bytes}
 *     An engine is its name, or null where nothing answers.
 *
 * Failures: model_unavailable (no runtime, no or unknown model), undecodable_media, payload_too_large, unsupported_media_type,
 * validation_error. The scores of the built-in engine are those of segment.h.
 *
 * Command line: `pictograph-vision [--read DIR]...` serves on file descriptor 3. It writes nothing anywhere.
 */
#pragma once
#include "worker/channel.h"

typedef struct Vision Vision;

/* Opens ONNX Runtime if there is one; without it only the methods that need it fail. Starts no thread. */
Vision *vision_new(void);
void vision_free(Vision *vision);

/* The methods above, ended by a row of NULL; context is the Vision. */
extern const WorkerMethod VISION_METHODS[];
