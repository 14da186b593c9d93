/* credits: balance, history, estimate. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"

#include "base/banned.h"

int cmd_credits_balance(Cli *cli) {
    PictographResult *balance = pictograph_credits_balance(cli->client, &cli->error);
    if (!balance || cli_flag(cli, "json")) return cli_print_result(cli, balance);
    Table *table = table_new(">REMAINING|>ALLOWANCE|RESET");
    table_row(table, output_number(pictograph_integer(balance, "/credits_remaining", 0)),
              output_number(pictograph_integer(balance, "/credits_monthly_allowance", 0)), pictograph_text(balance, "/credits_reset_at"));
    table_print(table, stdout);
    pictograph_result_free(balance);
    return CLI_OK;
}

int cmd_credits_history(Cli *cli) {
    PictographList list = {.max_total = cli_integer(cli, "limit"), .offset = cli_integer(cli, "offset")};
    PictographPager *pager = pictograph_credits_history(cli->client, &list, &cli->error);
    int code = cli_print_list(cli, pager);
    if (code >= 0) return code;
    Table *table = table_new("WHEN|OPERATION|>AMOUNT|>BALANCE");
    for (const PictographResult *item; (item = pictograph_pager_next(pager, &cli->error));)
        table_row(table, pictograph_text(item, "/created_at"), pictograph_text(item, "/operation"),
                  output_number(pictograph_integer(item, "/amount", 0)), output_number(pictograph_integer(item, "/balance_after", 0)));
    pictograph_pager_free(pager);
    return cli_print_table(cli, table);
}

int cmd_credits_estimate(Cli *cli) {
    return cli_print_result(cli, pictograph_credits_estimate(cli->client, cli->arguments[0], cli_integer(cli, "quantity"), &cli->error));
}
