/* Result: a parsed answer. A result owns its document, or borrows it when a pager hands out one item of a page. */
#pragma once
#include <pictograph/client.h>

#include "base/json.h"

struct PictographResult {
    yyjson_doc *doc; /* NULL when borrowed, or when the answer was empty */
    yyjson_val *root; /* the value that pointers start from; NULL when the answer was empty */
};

/* Takes the document over. */
PictographResult *result_new(yyjson_doc *doc, yyjson_val *root);
/* Value at a pointer; NULL when there is none. result may be NULL. */
yyjson_val *result_at(const PictographResult *result, const char *pointer);
/* Parses text that the library itself wrote. */
PictographResult *result_parse(const char *text, size_t size, Error *err);
