/* Datasets: the images of a project, listed and downloaded. Images are uploaded by images.h or, a folder at once, workflows.h. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

PICTOGRAPH_API PictographPager *pictograph_datasets_list(PictographClient *client, const PictographList *list, PictographError *error);
/* images_limit images in the result's "images", from images_offset; 0 leaves them out. */
PICTOGRAPH_API PictographResult *pictograph_datasets_get(PictographClient *client, const char *name, int64_t images_limit,
                                                         int64_t images_offset, PictographError *error);
/* All images of a dataset (summaries), page by page. */
PICTOGRAPH_API PictographPager *pictograph_datasets_images(PictographClient *client, const char *name, const PictographList *list,
                                                           PictographError *error);

/* One file that did not work. */
typedef struct PictographFailure {
    char *path; /* file, or file name of the image */
    char *kind; /* "image", "annotations"; NULL where there is only one kind */
    char *reason;
} PictographFailure;

typedef struct PictographDownload {
    const char *output_dir;    /* made when missing; NULL: ./dataset */
    const char *mode;          /* full (default), images_only, annotations_only */
    const char *status_filter; /* all (default), complete, in_progress, new, annotate, review */
    int workers;               /* transfers at once; 0: 10 */
    PictographProgress progress; /* after each file */
    void *context;
} PictographDownload;

typedef struct PictographDownloadReport {
    char dataset_id[64];
    int64_t images_downloaded, annotations_downloaded;
    int64_t total_attempted;
    PictographFailure *failures;
    size_t failure_count;
    bool success; /* nothing failed */
} PictographDownloadReport;

/* Writes <output_dir>/<folder>/<filename> and <filename>.json. Existing files are replaced. Only a failure of the listing itself is an error;
 * a file that fails is a row of the report. Clear the report in either case. */
PICTOGRAPH_API PictographStatus pictograph_datasets_download(PictographClient *client, const char *name, const PictographDownload *options,
                                                             PictographDownloadReport *report, PictographError *error);
PICTOGRAPH_API void pictograph_download_report_clear(PictographDownloadReport *report);

#ifdef __cplusplus
}
#endif
