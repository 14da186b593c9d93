/* Projects: a named set of images with its classes. A project and the dataset of the same name are one thing. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct PictographClass {
    const char *name;
    const char *type;  /* bbox, polygon, polyline, keypoint; NULL: the project's first kind */
    const char *color; /* CSS colour; NULL: the server picks one */
} PictographClass;

typedef struct PictographProject {
    const char *name;        /* required on creation; NULL keeps it on update */
    const char *description; /* NULL: none, or keep */
    const char *const *annotation_types; /* NULL-terminated; NULL: the default (bbox), or keep */
    const PictographClass *classes;      /* NULL: none, or keep */
    size_t class_count;
} PictographProject;

PICTOGRAPH_API PictographPager *pictograph_projects_list(PictographClient *client, const PictographList *list, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_projects_get(PictographClient *client, const char *name, PictographError *error);
PICTOGRAPH_API PictographResult *pictograph_projects_create(PictographClient *client, const PictographProject *project,
                                                            PictographError *error);
/* Changes what is not NULL. Classes replace the whole list: a class left out takes its annotations with it.
 * PICTOGRAPH_VALIDATION, without a request, when nothing would change. */
PICTOGRAPH_API PictographResult *pictograph_projects_update(PictographClient *client, const char *name, const PictographProject *changes,
                                                            PictographError *error);
/* Removes images, exports and running jobs too. The result counts them. */
PICTOGRAPH_API PictographResult *pictograph_projects_delete(PictographClient *client, const char *name, PictographError *error);

#ifdef __cplusplus
}
#endif
