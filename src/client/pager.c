/* Page after page of a list. */
#include "client/pager.h"

#include <stdlib.h>

#include "base/arena.h"
#include "client/failure.h"
#include "client/result.h"

#include "base/banned.h"

enum { ARRAY_MAXIMUM = 1 << 30 };

struct PictographPager {
    PictographClient *client;
    Arena memory; /* copies of the plan's texts */
    PagerPlan plan;
    size_t query_count;
    int64_t page_size, offset, left; /* left: items that may still be handed out, -1: all */
    PictographResult *page;
    size_t page_count, next;
    bool last_page;
    PictographResult item; /* borrows from page */
};

static void copy_plan(PictographPager *pager, const PagerPlan *plan) {
    pager->plan = *plan;
    Call *copy = &pager->plan.call;
    for (size_t i = 0; i < 2; i++) copy->names[i] = arena_strdup(&pager->memory, copy->names[i]);
    size_t used = 0;
    for (size_t i = 0; i < CALL_QUERY_MAX && plan->call.query[i].key; i++) {
        if (!plan->call.query[i].value) continue;
        copy->query[used].key = plan->call.query[i].key;
        copy->query[used++].value = arena_strdup(&pager->memory, plan->call.query[i].value);
    }
    pager->query_count = used;
    for (; used < CALL_QUERY_MAX; used++) copy->query[used].key = copy->query[used].value = NULL;
}

PictographPager *pager_new(PictographClient *client, const PagerPlan *plan, const PictographList *list, PictographError *error) {
    static const PictographList whole = {0};
    list = list ? list : &whole;
    failure_reset(error);
    if (list->page_size < 0 || list->max_total < 0 || list->offset < 0) {
        failure_set(error, PICTOGRAPH_VALIDATION, "page_size, max_total and offset must not be negative");
        return NULL;
    }
    PictographPager *pager = xcalloc(1, sizeof *pager);
    pager->client = client;
    arena_init(&pager->memory, 1 << 20);
    copy_plan(pager, plan);
    pager->page_size = list->page_size ? list->page_size : plan->page_size;
    pager->offset = list->offset;
    pager->left = list->max_total ? list->max_total : -1;
    /* A short list needs no more than one page of its own length. */
    if (pager->left > 0 && pager->left < pager->page_size) pager->page_size = pager->left;
    return pager;
}

void pictograph_pager_free(PictographPager *pager) {
    if (!pager) return;
    pictograph_result_free(pager->page);
    arena_clear(&pager->memory);
    free(pager);
}

static PictographStatus fetch_page(PictographPager *pager, PictographError *error) {
    Call page = pager->plan.call;
    page.query[pager->query_count].key = pager->plan.limit_name ? pager->plan.limit_name : "limit";
    page.query[pager->query_count].value = call_number(pager->page_size);
    page.query[pager->query_count + 1].key = pager->plan.offset_name ? pager->plan.offset_name : "offset";
    page.query[pager->query_count + 1].value = call_number(pager->offset);
    pictograph_result_free(pager->page);
    pager->page_count = pager->next = 0;
    PictographError own = {0};
    pager->page = call(pager->client, &page, &own);
    if (!pager->page) {
        PictographStatus status = own.status;
        failure_move(error, &own);
        return status;
    }
    if (!yyjson_is_arr(result_at(pager->page, pager->plan.items)))
        return failure_set(error, PICTOGRAPH_SERVER, "The server's list has no %s", pager->plan.items + 1);
    pager->page_count = pictograph_count(pager->page, pager->plan.items);
    pager->offset += (int64_t)pager->page_count;
    pager->last_page = (int64_t)pager->page_count < pager->page_size;
    return PICTOGRAPH_OK;
}

const PictographResult *pictograph_pager_next(PictographPager *pager, PictographError *error) {
    failure_reset(error);
    if (pager->left == 0) return NULL;
    if (pager->next >= pager->page_count) {
        if (pager->last_page || fetch_page(pager, error)) return NULL;
        if (pager->page_count == 0) return NULL;
    }
    pager->item.root = yyjson_arr_get(result_at(pager->page, pager->plan.items), pager->next++);
    if (pager->left > 0) pager->left--;
    return &pager->item;
}

PictographResult *pictograph_pager_all(PictographPager *pager, PictographError *error) {
    PictographError own = {0};
    PictographResult *result = NULL;
    Buffer text;
    buffer_init(&text, ARRAY_MAXIMUM);
    JsonWriter writer;
    json_writer_init(&writer, &text);
    json_begin_array(&writer);
    for (const PictographResult *item; (item = pictograph_pager_next(pager, &own));) json_value(&writer, item->root);
    json_end_array(&writer);
    Error base = {0};
    if (!own.status && !(result = result_parse(buffer_text(&text), text.size, &base))) failure_from_base(&own, &base);
    failure_move(error, &own);
    buffer_clear(&text);
    return result;
}
