/* Fuzz target: a zip that someone sent. Whatever is in it, nothing but plain files within the limits may lie in the folder afterwards, and
 * nothing at all beside it; then it is opened as a dataset and read. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "formats/fuzz.h"
#include "base/banned.h"

enum { MOST_ENTRIES = 64, MOST_BYTES = 1 << 20 };

/* Bytes below path; aborts at anything that is neither a folder nor a plain file. */
static uint64_t weigh(const char *path, size_t *files) {
    DIR *directory = opendir(path);
    uint64_t bytes = 0;
    if (!directory) abort();
    for (struct dirent *entry; (entry = readdir(directory));) {
        char below[8192];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))) abort();
        *files += S_ISREG(info.st_mode);
        bytes += S_ISREG(info.st_mode) ? (uint64_t)info.st_size : weigh(below, files);
    }
    closedir(directory);
    return bytes;
}

static void read_dataset(const char *path, const char *into) {
    Arena arena;
    DatasetReport report;
    Dataset *dataset = NULL;
    DatasetReadOptions options = DATASET_READ_DEFAULTS;
    options.work_folder = into;
    options.max_entries = MOST_ENTRIES;
    options.max_bytes = MOST_BYTES;
    arena_init(&arena, SIZE_MAX);
    dataset_report_init(&report, &arena);
    if (dataset_open(&dataset, path, &options, NULL) == STATUS_OK)
        (void)!dataset_read(dataset, dataset_format(dataset), &(DatasetSink){NULL, fuzz_check_image}, &report, NULL);
    dataset_close(dataset);
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char folder[] = "/tmp/fuzz_zip.XXXXXX", path[64], into[64];
    size_t files = 0, beside = 0;
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/a.zip", folder);
    snprintf(into, sizeof into, "%s/into", folder);
    if (file_write_atomic(path, data, size, 0600, NULL) != STATUS_OK || mkdir(into, 0700) != 0) abort();
    read_dataset(path, into);
    if (weigh(into, &files) > MOST_BYTES || files > MOST_ENTRIES) abort();
    if (weigh(folder, &beside) > MOST_BYTES + size || beside != files + 1) abort();
    file_remove_tree(folder, NULL);
    return 0;
}
