/* Model folders: DATA/models holds a folder for each model that an operator brings (vision/operator_models.h reads them). What server and worker must
 * agree on: which files there are, whether anything changed, and when two models are the same one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

#define MODEL_MANIFEST "manifest.json"
enum { MODEL_FOLDERS_MAX = 32, MODEL_FILES_MAX = 64, MODEL_IDENTITY_SIZE = 13 };

/* Names in a folder in alphabetical order, in the arena; at most `most`, none that begins with a dot. */
int model_folder_list(Arena *arena, const char *folder, const char **names, int most);
/* True when a folder in it has a manifest. */
bool model_folder_has_models(const char *folder);
/* Equal as long as nothing in the folder, or in the folders of its models, is added, removed or written. Costs a few stat calls; reads no file. */
uint64_t model_folder_state(const char *folder);
/* What the files of one model's folder hold, in hex: the same wherever they lie and whenever they were written. Reads all of them. */
Status model_folder_identity(const char *folder, char out[MODEL_IDENTITY_SIZE], Error *err);
