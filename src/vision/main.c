/* pictograph-vision: worker/program.h with the methods of vision.h. */
#include "vision/vision.h"
#include "worker/program.h"
#include "base/banned.h"

static const char HELP[] =
    "Usage: pictograph-vision [--read DIR]...                               serve requests on file descriptor 3\n"
    "       pictograph-vision [options] status                              which engine answers what, as JSON\n"
    "       pictograph-vision [options] model_info MODEL                    classes and input size of an ONNX detector\n"
    "       pictograph-vision [options] models DIR                          the operator's models in a folder, each loaded\n"
    "       pictograph-vision [options] detect MODEL IMAGE [KEY=VALUE]...   objects in a JPEG\n"
    "       pictograph-vision [options] find MODEL IMAGE WORDS              things by name in a JPEG: '[{\"word\":\"cats\",\"shape\":\"box\"}]'\n"
    "       pictograph-vision [options] describe MODEL IMAGE [MODELS]       embedding and words of a JPEG, by a model of the folder MODELS if one describes\n"
    "       pictograph-vision [options] classify MODEL IMAGE WORDS          which words a JPEG shows: '[{\"word\":\"cats\"}]'; '[]' for any\n"
    "       pictograph-vision [options] tokens TOKENIZER.json PHRASE        the tokens of a phrase, by the tokenizer of an operator's model\n"
    "       pictograph-vision [options] vocabulary                          the words that describe pictures\n"
    "       pictograph-vision [options] segment_point IMAGE POINTS          outline around clicks: '[{\"x\":10,\"y\":20,\"label\":1}]'\n"
    "       pictograph-vision [options] segment_box IMAGE BOX               outline in a box: '{\"x\":0,\"y\":0,\"w\":50,\"h\":40}'\n"
    "\n"
    "Runs models and answers prompts for the server. Runs in a sandbox, writes nothing.\n"
    "  --read DIR    folder from which pictures and models may be read (default: everywhere)\n"
    "  --version     print the version\n"
    "\n"
    "Environment: PICTOGRAPH_ONNXRUNTIME is the file of ONNX Runtime's library, when it is not where set-up puts it.\n";

static const WorkerCommand COMMANDS[] = {{"status", {0}},
                                         {"model_info", {"model_path"}},
                                         {"describe", {"model_path", "image_path", "models_path"}},
                                         {"classify", {"model_path", "image_path", "words"}},
                                         {"tokens", {"tokenizer_path", "phrase"}},
                                         {"vocabulary", {0}},
                                         {"models", {"models_path"}},
                                         {"detect", {"model_path", "image_path", "confidence_threshold"}},
                                         {"find", {"model_path", "image_path", "words"}},
                                         {"segment_point", {"image_path", "points", "models_path"}},
                                         {"segment_box", {"image_path", "box", "models_path"}},
                                         {0}};

static Status start(void **context, const char *argv0, Error *err) {
    (void)argv0, (void)err;
    *context = vision_new();
    return STATUS_OK;
}

static void stop(void *context) { vision_free(context); }

int main(int argc, char **argv) {
    const WorkerMain program = {.name = "pictograph-vision", .help = HELP, .methods = VISION_METHODS, .commands = COMMANDS,
                                   .memory_bytes = (uint64_t)16 << 30, .start = start, .stop = stop};
    return worker_main(&program, argc, argv);
}
