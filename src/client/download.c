/* Download of a dataset: one listing of signed addresses, page after page, then all files side by side on this thread.
 *
 * Names come from the server, so each is checked before it becomes part of a path here.
 */
#include <pictograph/datasets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "client/call.h"
#include "client/failure.h"
#include "client/landing.h"
#include "client/report.h"
#include "client/result.h"
#include "client/transfer.h"

#include "base/banned.h"

enum { LISTING_PAGE = 10000, DEFAULT_WORKERS = 10 };

typedef struct Task {
    yyjson_val *item; /* of the present page */
    bool annotations;
    char *path;
    Landing landing;
} Task;

typedef struct Download {
    PictographClient *client;
    const PictographDownload *options;
    PictographDownloadReport *report;
    PictographResult *page;
    size_t next_item;       /* of the page */
    bool annotations_next;  /* the item's image is under way, its annotations are to follow */
    int64_t done, expected;
} Download;

/* ---- where a file goes ---- */

static bool is_safe_name(const char *name) {
    return *name && !strchr(name, '/') && !text_equal(name, ".") && !text_equal(name, "..");
}

/* "/cars/old" has only segments that stay below the output folder. */
static bool is_safe_folder(const char *folder) {
    for (const char *segment = folder + strspn(folder, "/"); *segment; segment += strspn(segment, "/")) {
        size_t length = strcspn(segment, "/");
        if ((length == 1 && segment[0] == '.') || (length == 2 && segment[0] == '.' && segment[1] == '.')) return false;
        segment += length;
    }
    return true;
}

/* <out>/<folder>/<filename>, with .json for annotations; NULL when the server's names would lead elsewhere. */
static char *place_of(const Download *all, yyjson_val *item, bool annotations) {
    const char *filename = json_get_string(item, "filename", ""), *folder = json_get_string(item, "virtual_folder_path", "/");
    if (!is_safe_name(filename) || !is_safe_folder(folder)) return NULL;
    Buffer path;
    buffer_init(&path, 8192);
    buffer_printf(&path, "%s/", all->options->output_dir ? all->options->output_dir : "./dataset");
    folder += strspn(folder, "/");
    if (*folder) buffer_printf(&path, "%s/", folder);
    buffer_printf(&path, "%s%s", filename, annotations ? ".json" : "");
    return buffer_take(&path);
}

/* ---- one file ---- */

static void finish_file(Download *all, yyjson_val *item, bool annotations, const char *failure) {
    PictographDownloadReport *report = all->report;
    const char *filename = json_get_string(item, "filename", "?"), *folder = json_get_string(item, "virtual_folder_path", "/");
    Buffer place;
    buffer_init(&place, 8192);
    buffer_printf(&place, "%s%s%s", folder + strspn(folder, "/"), folder[strspn(folder, "/")] ? "/" : "", filename);
    report->total_attempted++;
    if (failure) report_failure(&report->failures, &report->failure_count, buffer_text(&place), annotations ? "annotations" : "image", failure);
    else if (annotations) report->annotations_downloaded++;
    else report->images_downloaded++;
    buffer_clear(&place);
    all->done++;
    if (all->options->progress) all->options->progress(all->options->context, all->done, all->expected, filename);
}

/* Describes the exchange of one file. An image lands on disk as it comes; annotations are small, and are indented first. */
static PictographStatus begin_file(Download *all, Transfer *transfer, Task *task, const char *url, PictographError *error) {
    if (!(task->path = place_of(all, task->item, task->annotations)))
        return failure_set(error, PICTOGRAPH_SERVER, "The name leads out of the output folder");
    exchange_init(&transfer->exchange, all->client, "GET");
    exchange_set_signed_url(&transfer->exchange, url);
    if (task->annotations) return PICTOGRAPH_OK;
    PictographStatus status = landing_open(&task->landing, task->path, error);
    if (!status) landing_receive(&task->landing, &transfer->exchange);
    return status;
}

static PictographStatus keep_annotations(Task *task, Exchange *exchange, PictographError *error) {
    Landing landing = {0};
    PictographResult *list = exchange_result(exchange, NULL, error);
    if (!list) return PICTOGRAPH_SERVER;
    char *text = pictograph_json(list, "", true);
    PictographStatus status = landing_open(&landing, task->path, error);
    if (status) {
        landing_discard(&landing);
    } else {
        fprintf(landing.file, "%s\n", text); /* a failed write shows at the close */
        status = landing_commit(&landing, NULL, error);
    }
    free(text);
    pictograph_result_free(list);
    return status;
}

static void free_task(Task *task) {
    landing_discard(&task->landing);
    free(task->path);
    free(task);
}

static TransferNext end_file(void *context, Transfer *transfer, PictographError *error) {
    Download *all = context;
    Task *task = transfer->user;
    if (error->status == PICTOGRAPH_CANCELLED) return TRANSFER_STOP;
    if (!error->status && task->annotations) keep_annotations(task, &transfer->exchange, error);
    else if (!error->status) landing_commit(&task->landing, json_get_string(task->item, "md5", NULL), error);
    finish_file(all, task->item, task->annotations, error->status ? error->message : NULL);
    free_task(task);
    return TRANSFER_OVER;
}

static void abandon_file(void *context, Transfer *transfer) {
    (void)context;
    free_task(transfer->user);
}

/* The next file of the page: each item is up to two. */
static bool next_file(Download *all, Task *task, const char **out_url) {
    yyjson_val *items = result_at(all->page, "/items");
    while (all->next_item < yyjson_arr_size(items)) {
        task->item = yyjson_arr_get(items, all->next_item);
        task->annotations = all->annotations_next;
        *out_url = json_get_string(task->item, task->annotations ? "annotation_url" : "image_url", NULL);
        all->next_item += all->annotations_next;
        all->annotations_next = !all->annotations_next;
        if (*out_url) return true;
    }
    return false;
}

static bool begin_next(void *context, Transfer *transfer) {
    Download *all = context;
    Task seed = {0};
    for (const char *url; next_file(all, &seed, &url);) {
        Task *task = xcalloc(1, sizeof *task);
        *task = seed;
        PictographError error = {0};
        transfer->user = task;
        if (!begin_file(all, transfer, task, url, &error)) return true;
        finish_file(all, task->item, task->annotations, error.message);
        exchange_clear(&transfer->exchange);
        free_task(task);
        pictograph_error_clear(&error);
    }
    return false;
}

/* ---- the listing ---- */

static int64_t count_files(const PictographResult *page) {
    int64_t files = 0;
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(result_at(page, "/items"), i, count, item) files +=
        yyjson_is_str(yyjson_obj_get(item, "image_url")) + yyjson_is_str(yyjson_obj_get(item, "annotation_url"));
    return files;
}

static PictographStatus fetch_listing(Download *all, const char *name, int64_t offset, PictographError *error) {
    const PictographDownload *options = all->options;
    pictograph_result_free(all->page);
    all->page = call(all->client,
                     &(Call){.method = "GET",
                             .path = "datasets/by-name/{}/download",
                             .names = {name},
                             .query = {{"mode", options->mode ? options->mode : "full"},
                                       {"status_filter", options->status_filter ? options->status_filter : "all"},
                                       {"limit", call_number(LISTING_PAGE)},
                                       {"offset", call_number(offset)}}},
                     error);
    if (!all->page) return PICTOGRAPH_API_ERROR;
    if (!yyjson_is_arr(result_at(all->page, "/items"))) return failure_set(error, PICTOGRAPH_SERVER, "The server's listing has no items");
    const char *id = pictograph_text(all->page, "/dataset_id");
    snprintf(all->report->dataset_id, sizeof all->report->dataset_id, "%s", id ? id : "");
    all->next_item = 0;
    all->annotations_next = false;
    all->expected += count_files(all->page);
    return PICTOGRAPH_OK;
}

PictographStatus pictograph_datasets_download(PictographClient *client, const char *name, const PictographDownload *options,
                                              PictographDownloadReport *report, PictographError *error) {
    static const PictographDownload defaults = {0};
    options = options ? options : &defaults;
    *report = (PictographDownloadReport){0};
    Download all = {.client = client, .options = options, .report = report};
    TransferPlan plan = {.begin = begin_next, .proceed = end_file, .abandon = abandon_file, .context = &all,
                         .workers = options->workers > 0 ? options->workers : DEFAULT_WORKERS};
    PictographError own = {0};
    int64_t offset = 0;
    size_t received;
    do {
        if (fetch_listing(&all, name, offset, &own) || transfer_run(client, &plan, &own)) break;
        received = pictograph_count(all.page, "/items");
        offset += (int64_t)received;
    } while (received == LISTING_PAGE);
    pictograph_result_free(all.page);
    PictographStatus status = own.status;
    report->success = !status && report->failure_count == 0;
    failure_move(error, &own);
    return status;
}

void pictograph_download_report_clear(PictographDownloadReport *report) {
    report_clear(&report->failures, &report->failure_count);
}
