/* Fuzz target: a CSV file. */
#include "formats/fuzz.h"
#include "base/banned.h"

static void body(Reader *r, char *text, size_t size) { csv_read_text(r, "annotations.csv", text, size, NULL); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_with_reader(data, size, body); }
