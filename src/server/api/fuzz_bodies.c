/* Fuzz target: hostile bodies and query strings into every operation's decoder. The first byte picks the operation, the second the kind of
 * body; what is decoded without an error is only looked at by the sanitizers. */
#include <stdint.h>
#include <string.h>

#include "server/api/api_decode.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const TYPES[] = {"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"};
    static const char *const PATH[] = {"7f1a4f0e-0d57-4d0c-9a43-6f3f1f2f9f10", "abcdefghijklmnop", "c", "d"};
    if (size < 2) return 0;
    Arena arena;
    arena_init(&arena, 32 << 20);
    /* Exact copies, so that a sanitizer sees one byte past the end; a body ends with a NUL, as the http room's do. */
    char *body = arena_strndup(&arena, (const char *)data + 2, size - 2);
    FieldErrors errors;
    field_errors_init(&errors, &arena);
    Error err = {0};
    Decoder decoder = {.arena = &arena, .errors = &errors, .err = &err, .path = PATH, .query = body, .content_type = TYPES[data[1] % 3],
                       .body = body, .body_size = size - 2};
    void *input = NULL;
    Status status = operation_readers[data[0] % operation_reader_count].read(&decoder, &input);
    if (status == STATUS_OK && errors.total) __builtin_trap(); /* a wrong field that the status hides */
    arena_clear(&arena);
    return 0;
}
