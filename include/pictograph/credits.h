/* Credits: balance, ledger and estimates. */
#pragma once
#include <pictograph/client.h>

#ifdef __cplusplus
extern "C" {
#endif

PICTOGRAPH_API PictographResult *pictograph_credits_balance(PictographClient *client, PictographError *error);
/* Ledger, newest first. */
PICTOGRAPH_API PictographPager *pictograph_credits_history(PictographClient *client, const PictographList *list, PictographError *error);
/* What `quantity` units (minutes or images) of an operation would cost; takes nothing. */
PICTOGRAPH_API PictographResult *pictograph_credits_estimate(PictographClient *client, const char *operation, int64_t quantity,
                                                             PictographError *error);

#ifdef __cplusplus
}
#endif
