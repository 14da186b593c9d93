/* Prices and bookings. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "server/credits/credits.h"

#include "base/banned.h"

/* limits.yaml, credits.operations */
static const CreditPrice PRICES[] = {
    {"sam3_per_minute", 1, "minute", 3},
    {"training_a10g_per_minute", 10, "minute", 0},
    {"training_a100_per_minute", 60, "minute", 0},
    {"training_h100_per_minute", 120, "minute", 0},
    {"image_generate_imagen_fast", 5, "image", 0},
    {"image_edit_gemini_flash", 3, "image", 0},
    {"image_inference", 1, "image", 0},
};

static const struct {
    const char *alias, *slug;
} ALIASES[] = {
    {"sam3_auto_annotation", "sam3_per_minute"},
    {"training_a10g", "training_a10g_per_minute"},
    {"training_a100", "training_a100_per_minute"},
    {"training_h100", "training_h100_per_minute"},
};

const CreditPrice *credit_price(const char *slug) {
    for (size_t i = 0; i < sizeof ALIASES / sizeof ALIASES[0]; i++)
        if (strcmp(ALIASES[i].alias, slug) == 0) slug = ALIASES[i].slug;
    for (size_t i = 0; i < sizeof PRICES / sizeof PRICES[0]; i++)
        if (strcmp(PRICES[i].slug, slug) == 0) return &PRICES[i];
    return NULL;
}

int64_t credit_total(const CreditPrice *price, int64_t quantity) {
    int64_t total = price->per_unit * quantity;
    return total > price->minimum ? total : price->minimum;
}

Status credits_balance(DbSession *session, const char *organization_id, int64_t *out, Error *err) {
    return db_read_int(session, err, out, 0, "SELECT balance_after FROM credit_ledger WHERE organization_id = $1 ORDER BY sequence DESC LIMIT 1",
                       DB_TEXT(organization_id));
}

static Status book(DbSession *tx, const char *organization_id, const char *operation, int64_t amount, const char *description, Error *err) {
    char id[UUID_SIZE];
    return db_exec(tx, err,
                   "INSERT INTO credit_ledger (id, organization_id, operation, amount, balance_after, description, created_at)"
                   " VALUES ($1, $2, $3, $4, $4 + COALESCE((SELECT balance_after FROM credit_ledger WHERE organization_id = $2"
                   " ORDER BY sequence DESC LIMIT 1), 0), $5, $6)",
                   DB_TEXT(uuid_new(id)), DB_TEXT(organization_id), DB_TEXT(operation), DB_INT(amount), DB_TEXT(description), DB_INT(clock_now_ms()));
}

static Status fail_for_lack(Request *rq, const char *slug, int64_t required, int64_t remaining, Error *err) {
    JsonWriter *w = request_error_context(rq);
    json_field_int(w, "required", required);
    json_field_int(w, "remaining", remaining);
    json_field_string(w, "operation", slug);
    return error_set(err, STATUS_INSUFFICIENT_CREDITS, "Not enough credits: %lld needed, %lld left", (long long)required, (long long)remaining);
}

Status credits_charge_amount(DbSession *tx, Request *rq, const char *slug, int64_t amount, const char *description, Error *err) {
    const char *organization = rq->principal.organization_id;
    Status status = credits_book_allowance(tx, organization, clock_now_ms(), err);
    if (status != STATUS_OK || amount <= 0) return status;
    int64_t remaining;
    status = credits_balance(tx, organization, &remaining, err);
    if (status != STATUS_OK) return status;
    if (remaining < amount) return fail_for_lack(rq, slug, amount, remaining, err);
    return book(tx, organization, slug, -amount, description, err);
}

Status credits_charge(DbSession *tx, Request *rq, const char *slug, int64_t quantity, const char *description, int64_t *charged, Error *err) {
    const CreditPrice *price = credit_price(slug);
    if (!price) return error_set(err, STATUS_INTERNAL_ERROR, "no price for '%s'", slug);
    *charged = credit_total(price, quantity);
    return credits_charge_amount(tx, rq, slug, *charged, description, err);
}

Status credits_refund(DbSession *tx, const char *organization_id, const char *operation, int64_t amount, const char *description, Error *err) {
    return amount > 0 ? book(tx, organization_id, operation, amount, description, err) : STATUS_OK;
}

Status credits_adjust(DbSession *tx, const char *organization_id, int64_t amount, const char *description, int64_t *booked, Error *err) {
    int64_t balance;
    Status status = credits_balance(tx, organization_id, &balance, err);
    if (status != STATUS_OK) return status;
    if (amount < 0 && balance + amount < 0) amount = balance > 0 ? -balance : 0;
    if (amount > 0 && balance > INT64_MAX - amount) return error_set(err, STATUS_BAD_REQUEST, "The balance would become too large");
    *booked = amount;
    return amount ? book(tx, organization_id, amount > 0 ? "top_up" : "adjustment", amount, description, err) : STATUS_OK;
}

int64_t credits_next_reset(int64_t now_ms) {
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    struct tm first = {.tm_year = parts.tm_year, .tm_mon = parts.tm_mon + 1, .tm_mday = 1}; /* timegm carries December over */
    return (int64_t)timegm(&first) * 1000;
}

/* $1 now, $2 the next reset: what lies behind that was written by a clock that ran ahead, and would be years off. */
#define IS_DUE "(credits_reset_at <= $1 OR credits_reset_at > $2)"

Status credits_book_allowance(DbSession *tx, const char *organization_id, int64_t now_ms, Error *err) {
    int64_t allowance, balance, next = credits_next_reset(now_ms);
    Status status = db_read_int(tx, err, &allowance, -1, "SELECT monthly_allowance FROM organizations WHERE id = $3 AND " IS_DUE, DB_INT(now_ms), DB_INT(next),
                                DB_TEXT(organization_id));
    if (allowance < 0) return status; /* not due */
    status = db_exec(tx, err, "UPDATE organizations SET credits_reset_at = $1 WHERE id = $2", DB_INT(next), DB_TEXT(organization_id));
    if (status == STATUS_OK) status = credits_balance(tx, organization_id, &balance, err);
    return status == STATUS_OK && allowance > balance ? book(tx, organization_id, "monthly_allowance", allowance - balance, NULL, err) : status;
}

static Status book_one_due(DbSession *tx, void *context, Error *err) {
    char *organization_id = context;
    int64_t now = clock_now_ms();
    DbRows rows = db_query(tx, err, "SELECT id FROM organizations WHERE " IS_DUE " LIMIT 1", DB_INT(now), DB_INT(credits_next_reset(now)));
    if (db_next(&rows)) memcpy(organization_id, db_text_borrowed(&rows, 0), UUID_SIZE);
    Status status = db_finish(&rows);
    return status == STATUS_OK && organization_id[0] ? credits_book_allowance(tx, organization_id, now, err) : status;
}

void credits_book_due_allowances(Server *server) {
    Error err = {0};
    char organization_id[UUID_SIZE];
    DbSession *session = db_session(server->store);
    int64_t now = clock_now_ms();
    int64_t due = db_get_int(session, NULL, 0, "SELECT count(*) FROM organizations WHERE " IS_DUE, DB_INT(now), DB_INT(credits_next_reset(now)));
    db_session_release(server->store, session);
    for (; due > 0 && err.status == STATUS_OK; due--) {
        organization_id[0] = '\0';
        db_write(server->store, book_one_due, organization_id, &err);
    }
    if (err.status != STATUS_OK) log_event(LOG_ERROR, "monthly_allowance_failed", "error", err.message, NULL);
}
