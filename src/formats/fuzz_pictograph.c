/* Fuzz target: a dataset.json, then after a line "%%" the file of an image. */
#include "formats/fuzz.h"
#include "base/banned.h"

static void body(Reader *r, char *text, size_t size) {
    char *image = strstr(text, "%%\n");
    yyjson_doc *head = json_parse(text, image ? (size_t)(image - text) : size, NULL), *doc = image ? json_parse(image + 3, strlen(image + 3), NULL) : NULL;
    if (head) pictograph_read_head(r, yyjson_doc_get_root(head));
    if (doc) pictograph_read_image(r, "annotations/a/b.png.json", yyjson_doc_get_root(doc), NULL);
    yyjson_doc_free(head);
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_with_reader(data, size, body); }
