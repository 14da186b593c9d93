/* Fuzz target: a data.yaml, then after a line "%%" a file of labels. */
#include "formats/fuzz.h"
#include "base/banned.h"

static void body(Reader *r, char *text, size_t size) {
    (void)size;
    char *labels = strstr(text, "%%\n");
    if (labels) {
        *labels = '\0';
        yolo_read_names(r, text);
    }
    DatasetImage image = {.folder = "/", .filename = "a.png", .width = 640, .height = 480};
    yolo_read_labels(r, "labels/a.txt", labels ? labels + 3 : text, &image);
    reader_deliver(r, &image, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_with_reader(data, size, body); }
