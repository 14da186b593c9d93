/* Balance, history, estimate. */
#include <string.h>

#include "server/api/api_handlers.h"
#include "server/credits/credits.h"

#include "base/banned.h"

enum { RECENT_ENTRIES = 20 };

/* One page of the ledger, newest first. */
static Status read_entries(Request *rq, int64_t limit, int64_t offset, CreditLedgerEntryArray *out) {
    Arena *arena = &rq->arena;
    out->items = arena_new_array(arena, CreditLedgerEntry, (size_t)limit);
    DbRows rows = db_query(request_db(rq), &rq->error,
                           "SELECT id, operation, amount, balance_after, description, metadata, created_at FROM credit_ledger"
                           " WHERE organization_id = $1 ORDER BY sequence DESC LIMIT $2 OFFSET $3",
                           DB_TEXT(rq->principal.organization_id), DB_INT(limit), DB_INT(offset));
    while (db_next(&rows))
        out->items[out->count++] = (CreditLedgerEntry){
            .id = db_text(&rows, 0, arena), .operation = db_text(&rows, 1, arena), .amount = db_int(&rows, 2), .balance_after = db_int(&rows, 3),
            .has_balance_after = true, .description = db_text(&rows, 4, arena), .metadata = db_text(&rows, 5, arena), .created_at = db_int(&rows, 6)};
    return db_finish(&rows);
}

Status get_credit_balance(Request *rq, CreditBalance *out) {
    DbRows rows = db_query(request_db(rq), &rq->error, "SELECT monthly_allowance, credits_reset_at FROM organizations WHERE id = $1",
                           DB_TEXT(rq->principal.organization_id));
    if (db_next(&rows)) {
        out->credits_monthly_allowance = db_int(&rows, 0);
        out->credits_reset_at = db_int(&rows, 1);
        out->has_credits_reset_at = !db_is_null(&rows, 1);
    }
    Status status = db_finish(&rows);
    if (status == STATUS_OK) status = read_entries(rq, RECENT_ENTRIES, 0, &out->recent_history);
    out->credits_remaining = out->recent_history.count ? out->recent_history.items[0].balance_after : 0;
    return status;
}

Status list_credit_history(Request *rq, const ListCreditHistoryInput *in, CreditHistoryResponse *out) {
    Status status = db_read_int(request_db(rq), &rq->error, &out->total, 0, "SELECT count(*) FROM credit_ledger WHERE organization_id = $1",
                                DB_TEXT(rq->principal.organization_id));
    out->limit = in->limit;
    out->offset = in->offset;
    out->has_total = out->has_limit = out->has_offset = true;
    return status == STATUS_OK ? read_entries(rq, in->limit, in->offset, &out->entries) : status;
}

Status estimate_credits(Request *rq, const EstimateCreditsInput *in, CreditEstimate *out) {
    const char *slug = credit_operation_name(in->operation);
    const CreditPrice *price = credit_price(slug);
    if (!price) return request_fail(rq, STATUS_UNKNOWN_OPERATION, "Unknown operation '%s'", slug);
    int64_t remaining, total = credit_total(price, in->quantity);
    Status status = credits_balance(request_db(rq), rq->principal.organization_id, &remaining, &rq->error);
    *out = (CreditEstimate){.operation = slug, .credits_per_unit = price->per_unit, .unit = price->unit, .quantity = in->quantity, .total_credits = total,
                            .minimum = price->minimum, .sufficient = remaining >= total, .credits_remaining = remaining};
    return status;
}
