/* login: stores a key and, when given, an address. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/commands.h"
#include "client/config.h"

#include "base/banned.h"

enum { CHECK_SECONDS = 10 };

/* Reads a line without showing it. False at the end of input. */
static bool read_hidden(const char *prompt, char *out, int size) {
    struct termios before, hidden;
    bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
    fputs(prompt, stderr);
    if (terminal) {
        hidden = before;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool read = fgets(out, size, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (read) out[strcspn(out, "\r\n")] = '\0';
    return read;
}

/* A key that the server refuses is not stored; one that it could not be asked about is, with a warning. */
static int check_key(Cli *cli, const char *key) {
    PictographOptions options = {.api_key = key, .base_url = cli->base_url, .timeout_seconds = CHECK_SECONDS, .read_config_file = true,
                                 .user_agent = "pictograph-cli", .cancelled = cli_interrupted};
    cli->client = pictograph_new(&options, &cli->error);
    if (!cli->client) return cli_fail(cli);
    pictograph_result_free(pictograph_credits_balance(cli->client, &cli->error));
    if (cli->error.status == PICTOGRAPH_AUTH || cli->error.status == PICTOGRAPH_CANCELLED) return cli_fail(cli);
    if (cli->error.status) fprintf(stderr, "warning: the key could not be checked: %s\n", cli->error.message);
    return CLI_OK;
}

int cmd_login(Cli *cli) {
    char typed[256] = "";
    Error err = {0};
    const char *key = cli->api_key;
    if (!key && read_hidden("API key: ", typed, sizeof typed)) key = typed;
    if (cli_interrupted(NULL)) return CLI_INTERRUPTED;
    if (!key || text_is_blank(key)) return cli_usage("no API key was given");
    if (!text_starts_with(key, "pk_")) fputs("warning: API keys start with pk_; storing it all the same\n", stderr);
    char *path = config_path();
    if (!path) return cli_usage("HOME is not set");
    int code = check_key(cli, key);
    if (code == CLI_OK) {
        char *stored = cli->base_url ? NULL : config_read(path, "base_url"); /* a new key does not forget the address */
        if (config_write(path, key, cli->base_url ? cli->base_url : stored, &err)) code = cli_fail_base(&err);
        free(stored);
    }
    if (code == CLI_OK) printf("Saved API key to %s\n", path);
    explicit_bzero(typed, sizeof typed);
    free(path);
    return code;
}
