/* Credits. */
#include <pictograph/credits.h>

#include "client/call.h"
#include "client/pager.h"

#include "base/banned.h"

PictographResult *pictograph_credits_balance(PictographClient *client, PictographError *error) {
    return call(client, &(Call){.method = "GET", .path = "credits/balance"}, error);
}

PictographPager *pictograph_credits_history(PictographClient *client, const PictographList *list, PictographError *error) {
    PagerPlan plan = {.call = {.method = "GET", .path = "credits/history"}, .items = "/entries", .page_size = 100};
    return pager_new(client, &plan, list, error);
}

PictographResult *pictograph_credits_estimate(PictographClient *client, const char *operation, int64_t quantity, PictographError *error) {
    return call(client,
                &(Call){.method = "GET",
                        .path = "credits/estimate",
                        .query = {{"operation", operation}, {"quantity", call_number(quantity)}}},
                error);
}
