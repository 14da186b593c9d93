/* Fuzz target: a CVAT file. */
#include "formats/fuzz.h"
#include "base/banned.h"

static void body(Reader *r, char *text, size_t size) { cvat_read_text(r, "annotations.xml", text, size, NULL); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_with_reader(data, size, body); }
