/* A program that works: list the datasets of an organization.
 *
 *     #include <pictograph/pictograph.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         PictographError error = {0};
 *         PictographClient *client = pictograph_new(NULL, &error); // key from PICTOGRAPH_API_KEY
 *         PictographPager *datasets = client ? pictograph_datasets_list(client, NULL, &error) : NULL;
 *         const PictographResult *dataset;
 *         while (datasets && (dataset = pictograph_pager_next(datasets, &error)))
 *             printf("%s: %lld images\n", pictograph_text(dataset, "/name"), (long long)pictograph_integer(dataset, "/image_count", 0));
 *         if (error.status)
 *             fprintf(stderr, "error: %s\n", error.message);
 *         int code = error.status != PICTOGRAPH_OK;
 *         pictograph_pager_free(datasets);
 *         pictograph_free(client);
 *         pictograph_error_clear(&error);
 *         return code;
 *     }
 *
 *     cc list.c $(pkg-config --cflags --libs pictograph)
 *
 * This header gives all of the library. client.h holds what every call shares (client, error, result, pager, waiting); then one header a
 * noun of the API, and workflows.h for the long chains. The library neither prints nor exits and keeps no global state.
 */
#pragma once
#include <pictograph/annotations.h>
#include <pictograph/auto_annotate.h>
#include <pictograph/client.h>
#include <pictograph/credits.h>
#include <pictograph/datasets.h>
#include <pictograph/exports.h>
#include <pictograph/images.h>
#include <pictograph/models.h>
#include <pictograph/projects.h>
#include <pictograph/training.h>
#include <pictograph/workflows.h>
