/* Runs a fuzz target over files, for builds without libFuzzer: every corpus is replayed by the unit tests.
 *
 *     fuzz_x_replay FOLDER-OR-FILE...      link it with the target's LLVMFuzzerTestOneInput
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, int *replayed) {
    Buffer bytes;
    Error err = {0};
    buffer_init(&bytes, 64 << 20);
    if (file_read(path, &bytes, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    uint8_t *exact = malloc(bytes.size ? bytes.size : 1); /* its own block, so that a sanitizer sees one byte past the end */
    if (bytes.size) memcpy(exact, bytes.data, bytes.size);
    LLVMFuzzerTestOneInput(exact, bytes.size);
    free(exact);
    buffer_clear(&bytes);
    ++*replayed;
    return 0;
}

static int replay(const char *path, int *replayed) {
    DIR *folder = opendir(path);
    if (!folder) return replay_file(path, replayed);
    int failures = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') failures += replay(inner, replayed);
    }
    closedir(folder);
    return failures;
}

int main(int argc, char **argv) {
    int failures = 0, replayed = 0;
    for (int i = 1; i < argc; i++) failures += replay(argv[i], &replayed);
    printf("%d inputs replayed\n", replayed);
    return failures || !replayed;
}
