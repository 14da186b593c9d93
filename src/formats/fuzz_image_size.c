/* Fuzz target: the header of an image. */
#include <stdint.h>

#include "formats/image_size.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t width, height;
    image_size_of_bytes(data, size, &width, &height);
    return 0;
}
