/* Pager: walks a list by offset and limit. It ends at an empty or short page; the offset grows by the number of items received. */
#pragma once
#include <pictograph/client.h>

#include "client/call.h"

typedef struct PagerPlan {
    Call call;               /* names are copied; query entries for the pages are added behind those given */
    const char *items;       /* JSON Pointer of the array in the answer: "/projects" */
    const char *limit_name, *offset_name; /* query parameters; NULL: "limit", "offset" */
    int64_t page_size;       /* the list's default */
} PagerPlan;

/* list may be NULL. PICTOGRAPH_VALIDATION when a size in it is negative. Filters of list are not added here: a plan names those it has. */
PictographPager *pager_new(PictographClient *client, const PagerPlan *plan, const PictographList *list, PictographError *error);
