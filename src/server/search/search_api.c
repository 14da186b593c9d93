/* Handlers of search: images that look like one, and images with given tags. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "server/api/api_handlers.h"
#include "server/images/images.h"
#include "server/projects/projects.h"
#include "server/search/description.h"
#include "server/search/search_internal.h"
#include "base/banned.h"

/* ---- likeness ---- */

/* The vector of the reference. An image whose turn in the background has not come is described now, as somebody waits for it. */
static Status reference_vector(Request *rq, const ImageRecord *image, const char *model, StoredVector *out) {
    Status status = description_vector(request_db(rq), &rq->arena, image->id, model, out, &rq->error);
    if (status != STATUS_OK || out->numbers) return status;
    status = description_make(rq->server, &rq->arena, image, false, NULL, NULL, &rq->error);
    if (status == STATUS_OK) status = description_vector(request_db(rq), &rq->arena, image->id, model, out, &rq->error);
    return status == STATUS_OK && !out->numbers ? request_not_found(rq, "Image") : status;
}

/* The row of a hit, if it is still there and in the scope: another request may have moved it since the index was asked. */
static Status load_hit(Request *rq, const char *dataset_name, const IndexHit *hit, SimilarImageArray *out) {
    ImageRecord image;
    AutoTags tags;
    Status status = image_load(request_db(rq), &rq->arena, rq->principal.organization_id, hit->image_id, &image, &rq->error);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && image.is_archived)) return STATUS_OK;
    if (status == STATUS_OK) status = search_tags(request_db(rq), &rq->arena, image.id, &tags, &rq->error);
    if (status != STATUS_OK) return status;
    out->items[out->count++] = (SimilarImage){
        .id = image.id, .image_id = image.id, .project_id = image.project_id, .dataset_name = dataset_name, .filename = image.filename,
        .virtual_folder_path = image.folder, .status = image_stage_from_name(image.stage), .annotation_count = image.annotation_count,
        .image_auto_tags = tags, .tags = tags, .similarity = fmin(fmax(hit->similarity, 0), 1),
    };
    return STATUS_OK;
}

Status search_similar(Request *rq, const SearchSimilarInput *in, SimilarSearchResponse *out) {
    ImageRecord image;
    ProjectRecord project;
    StoredVector vector = {0};
    const char *model = NULL;
    IndexHit *hits = NULL;
    size_t count = 0;
    DbSession *db = request_db(rq);
    Status status = image_load(db, &rq->arena, rq->principal.organization_id, in->image_id, &image, &rq->error);
    if (status == STATUS_OK) status = project_load_by_id(db, &rq->arena, rq->principal.organization_id, image.project_id, &project, &rq->error);
    if (status == STATUS_OK) status = description_model(rq->server, &rq->arena, &model, &rq->error);
    if (status == STATUS_OK) status = reference_vector(rq, &image, model, &vector);
    if (status != STATUS_OK) return status;
    IndexQuery query = {.project_id = image.project_id, .model = model, .vector = vector.numbers, .dimensions = vector.dimensions,
                        .folder = in->folder_path ? in->folder_path : image.folder, .not_image_id = image.id, .threshold = in->threshold,
                        .limit = (size_t)in->limit};
    status = indexes_search(rq->server->search->indexes, db, &rq->arena, &query, &hits, &count, &rq->error);
    out->results.items = arena_new_array(&rq->arena, SimilarImage, count);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) status = load_hit(rq, project.name, &hits[i], &out->results);
    out->count = (int64_t)out->results.count;
    out->has_count = true;
    return status;
}

/* ---- tags ---- */

/* A category's words as a JSON array in the spelling of the store; NULL when none was given. */
static const char *words_text(Request *rq, bool given, const StringArray *words) {
    if (!given || words->count == 0) return NULL;
    const char **plain = arena_new_array(&rq->arena, const char *, words->count);
    for (size_t i = 0; i < words->count; i++) {
        char *word = arena_strdup(&rq->arena, words->items[i] + strspn(words->items[i], " "));
        for (char *c = word; *c; c++) *c = (char)tolower((unsigned char)*c);
        for (size_t n = strlen(word); n > 0 && word[n - 1] == ' ';) word[--n] = '\0';
        plain[i] = word;
    }
    return json_list_text(&rq->arena, plain, words->count);
}

/* $1 organization, $2 project or NULL, $3 to $5 the words of each category as JSON arrays, NULL where none were given. The index of tags answers; images
 * are looked up one by one. */
#define BEARERS(category, words)                                                                                                           \
    "(" words " IS NULL OR i.id IN (SELECT t.image_id FROM projects q CROSS JOIN json_each(" words ") w CROSS JOIN image_tags t "             \
    "WHERE q.organization_id = $1 AND ($2 IS NULL OR q.id = $2) AND t.project_id = q.id AND t.category = '" category "' AND t.tag = w.value))"
#define FOUND                                                                                                                              \
    "FROM (SELECT t.image_id FROM projects q CROSS JOIN json_each(coalesce($3, $4, $5)) w CROSS JOIN image_tags t WHERE q.organization_id = $1 "     \
    "AND ($2 IS NULL OR q.id = $2) AND t.project_id = q.id AND t.category = CASE WHEN $3 IS NOT NULL THEN 'objects' WHEN $4 IS NOT NULL THEN 'scenes' "   \
    "ELSE 'attributes' END AND t.tag = w.value GROUP BY t.image_id) f CROSS JOIN images i ON i.id = f.image_id JOIN projects p ON p.id = i.project_id " \
    "WHERE i.is_archived = 0 AND " BEARERS("scenes", "$4") " AND " BEARERS("attributes", "$5")

typedef struct TagQuery {
    const char *organization_id, *project_id, *objects, *scenes, *attributes;
} TagQuery;

#define TAG_VALUES(q) DB_TEXT((q)->organization_id), DB_TEXT((q)->project_id), DB_TEXT((q)->objects), DB_TEXT((q)->scenes), DB_TEXT((q)->attributes)

static Status read_page(Request *rq, const TagQuery *q, int64_t limit, int64_t offset, TaggedImageArray *out) {
    Status status;
    out->items = arena_new_array(&rq->arena, TaggedImage, (size_t)limit);
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT " IMAGE_COLUMNS ", p.name " FOUND " ORDER BY i.created_at DESC, i.id LIMIT $6 OFFSET $7",
                           TAG_VALUES(q), DB_INT(limit), DB_INT(offset));
    while (out->count < (size_t)limit && db_next(&rows)) {
        ImageRecord image = image_read_row(&rows, &rq->arena);
        out->items[out->count++] = (TaggedImage){
            .id = image.id, .image_id = image.id, .project_id = image.project_id, .dataset_name = db_text(&rows, 17, &rq->arena), .filename = image.filename,
            .virtual_folder_path = image.folder, .status = image_stage_from_name(image.stage), .annotation_count = image.annotation_count,
        };
    }
    status = db_finish(&rows);
    for (size_t i = 0; i < out->count && status == STATUS_OK; i++) {
        status = search_tags(request_db(rq), &rq->arena, out->items[i].id, &out->items[i].tags, &rq->error);
        out->items[i].image_auto_tags = out->items[i].tags;
    }
    return status;
}

/* An answer without the images that wait for a model which is not there would look complete: say so instead. */
static Status require_descriptions(Request *rq, const TagQuery *q) {
    if (description_possible(rq->server, &rq->arena, NULL) == STATUS_OK) return STATUS_OK;
    int64_t waiting;
    Status status = db_read_int(request_db(rq), &rq->error, &waiting, 0, "SELECT 1 FROM projects q CROSS JOIN description_queue d ON d.project_id = q.id WHERE d.attempts < 3 AND "
                                 "q.organization_id = $1 AND ($2 IS NULL OR q.id = $2) LIMIT 1", DB_TEXT(q->organization_id), DB_TEXT(q->project_id));
    return status == STATUS_OK && waiting ? description_possible(rq->server, &rq->arena, &rq->error) : status;
}

Status search_by_tags(Request *rq, const SearchByTagsInput *in, TagSearchResponse *out) {
    ProjectRecord project;
    TagQuery q = {.organization_id = rq->principal.organization_id, .objects = words_text(rq, in->has_objects, &in->objects),
                  .scenes = words_text(rq, in->has_scenes, &in->scenes), .attributes = words_text(rq, in->has_attributes, &in->attributes)};
    if (in->dataset_name) {
        Status status = project_load(request_db(rq), &rq->arena, q.organization_id, in->dataset_name, &project, &rq->error);
        if (status != STATUS_OK) return status;
        q.project_id = project.id;
    }
    if (!q.objects && !q.scenes && !q.attributes) {
        request_field_error(rq, "empty_filter", "At least one object, scene or attribute is needed", "query", NULL);
        return request_fail(rq, STATUS_EMPTY_FILTER, "At least one object, scene or attribute is needed");
    }
    Status status = require_descriptions(rq, &q);
    if (status == STATUS_OK) status = read_page(rq, &q, in->limit, in->offset, &out->results);
    if (status == STATUS_OK) status = db_read_int(request_db(rq), &rq->error, &out->total, 0, "SELECT count(*) " FOUND, TAG_VALUES(&q));
    out->count = (int64_t)out->results.count;
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_count = out->has_total = out->has_limit = out->has_offset = true;
    return status;
}
