/* Credits: a ledger per organization, its prices, and the two things other features do with it: charge before work, refund after.
 *
 * The newest ledger row of an organization holds its balance. Everything here runs inside the caller's write transaction, next to what it pays for:
 * a charge that fails, or a transaction that fails later, takes nothing.
 */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "server/api/request.h"
#include "server/store/db.h"

typedef struct CreditPrice {
    const char *slug;
    int64_t per_unit;
    const char *unit;  /* "minute", "image" */
    int64_t minimum;   /* of one operation */
} CreditPrice;

/* By slug or by one of its aliases; NULL when there is none. */
const CreditPrice *credit_price(const char *slug);
/* max(per_unit × quantity, minimum) */
int64_t credit_total(const CreditPrice *price, int64_t quantity);

/* Present balance of an organization. */
Status credits_balance(DbSession *session, const char *organization_id, int64_t *out, Error *err);

/* Takes the price of quantity units of slug; *charged is what was taken. STATUS_INSUFFICIENT_CREDITS with the figures in rq's error context. */
Status credits_charge(DbSession *tx, Request *rq, const char *slug, int64_t quantity, const char *description, int64_t *charged, Error *err);
/* The same for an amount that the caller worked out. */
Status credits_charge_amount(DbSession *tx, Request *rq, const char *slug, int64_t amount, const char *description, Error *err);
/* Gives credits back under an operation name such as "sam3_refund". An amount of 0 or less books nothing. */
Status credits_refund(DbSession *tx, const char *organization_id, const char *operation, int64_t amount, const char *description, Error *err);

/* An operator's correction: top_up, or for a negative amount adjustment, which never takes the balance below zero. *booked is what was moved. */
Status credits_adjust(DbSession *tx, const char *organization_id, int64_t amount, const char *description, int64_t *booked, Error *err);

/* First of the next month, UTC, in ms. */
int64_t credits_next_reset(int64_t now_ms);
/* Fills the balance up to the monthly allowance, as a ledger row, when the organization's reset date has come. What was bought on top of it stays. */
Status credits_book_allowance(DbSession *tx, const char *organization_id, int64_t now_ms, Error *err);
/* The same for all organizations; called about once a minute. */
void credits_book_due_allowances(Server *server);
