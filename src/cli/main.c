/* pictograph: the command line of the Pictograph API. This file makes the client, runs the command and gives its exit code. */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/cli.h"

#include "base/banned.h"

static volatile sig_atomic_t interrupted; /* the one thing that a signal handler may touch */

static void on_interrupt(int signal_number) {
    (void)signal_number;
    if (interrupted) /* the second Ctrl-C does not wait for anything */
        _Exit(CLI_INTERRUPTED);
    interrupted = 1;
}

bool cli_interrupted(void *context) {
    (void)context;
    return interrupted;
}

static int make_client(Cli *cli) {
    PictographOptions options = PICTOGRAPH_OPTIONS_DEFAULTS;
    options.api_key = cli->api_key;
    options.base_url = cli->base_url;
    options.read_config_file = true;
    options.user_agent = "pictograph-cli";
    options.cancelled = cli_interrupted;
    cli->client = pictograph_new(&options, &cli->error);
    return cli->client ? CLI_OK : cli_fail(cli);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: what reads from a terminal ends */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    setlocale(LC_CTYPE, ""); /* numbers stay in the C locale */
    Cli cli = {0};
    arena_init(&cli.memory, (size_t)1 << 32);
    int code = cli_parse(&cli, argc, argv);
    if (code < 0) {
        code = cli.command->keyless ? CLI_OK : make_client(&cli);
        if (code == CLI_OK) code = cli.command->run(&cli);
    }
    pictograph_free(cli.client);
    pictograph_error_clear(&cli.error);
    arena_clear(&cli.memory);
    return code;
}
