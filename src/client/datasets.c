/* Datasets: what is in them. Their download is in download.c. */
#include <pictograph/datasets.h>

#include "client/call.h"
#include "client/pager.h"

#include "base/banned.h"

PictographPager *pictograph_datasets_list(PictographClient *client, const PictographList *list, PictographError *error) {
    PagerPlan plan = {.call = {.method = "GET", .path = "datasets/"}, .items = "/datasets", .page_size = 100};
    return pager_new(client, &plan, list, error);
}

PictographResult *pictograph_datasets_get(PictographClient *client, const char *name, int64_t images_limit, int64_t images_offset,
                                          PictographError *error) {
    bool with_images = images_limit > 0;
    return call(client,
                &(Call){.method = "GET",
                        .path = "datasets/by-name/{}",
                        .names = {name},
                        .query = {{"include_images", with_images ? "true" : "false"},
                                  {"images_limit", with_images ? call_number(images_limit) : NULL},
                                  {"images_offset", with_images ? call_number(images_offset) : NULL}},
                        .envelope = "dataset"},
                error);
}

PictographPager *pictograph_datasets_images(PictographClient *client, const char *name, const PictographList *list, PictographError *error) {
    PagerPlan plan = {
        .call = {.method = "GET", .path = "datasets/by-name/{}", .names = {name}, .query = {{"include_images", "true"}}, .envelope = "dataset"},
        .items = "/images",
        .limit_name = "images_limit",
        .offset_name = "images_offset",
        .page_size = 1000,
    };
    return pager_new(client, &plan, list, error);
}
