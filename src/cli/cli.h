/* Cli: the frame of the command line. A command is one row of the table in commands.c and one function in cmd_<noun>.c.
 *
 * Options and arguments are declared in the row alone: the parser, the help and the check of docs/cli.md all read it there. A command
 * gets values that are already of their kind and within their bounds, and a client whose key was found.
 */
#pragma once
#include <pictograph/pictograph.h>

#include "base/arena.h"
#include "base/error.h"

enum { CLI_OPTIONS_MAX = 12, CLI_ARGUMENTS_MAX = 8 };
enum { CLI_OK = 0, CLI_API_ERROR = 1, CLI_USAGE = 2, CLI_INTERRUPTED = 130 }; /* exit codes */

typedef enum CliKind { CLI_TEXT, CLI_FLAG, CLI_INTEGER, CLI_NUMBER } CliKind;

typedef struct CliOption {
    char short_name;       /* 0: none */
    const char *long_name; /* NULL ends the list */
    CliKind kind;
    const char *placeholder; /* in the help; NULL for flags */
    const char *fallback;    /* text of the default; NULL: none */
    const char *help;
    double least, most;      /* bounds of numbers; most 0: none */
    bool required;
} CliOption;

typedef struct Cli Cli;

typedef struct CliCommand {
    const char *group, *name; /* "datasets", "list"; name NULL: the group is the command */
    const char *arguments;    /* "NAME FOLDER" */
    const char *summary;
    int (*run)(Cli *cli);     /* returns the exit code */
    bool keyless;             /* runs without a client */
    CliOption options[CLI_OPTIONS_MAX];
} CliCommand;

struct Cli {
    const CliCommand *command;
    const char *values[CLI_OPTIONS_MAX]; /* as given; NULL: not given */
    const char *arguments[CLI_ARGUMENTS_MAX];
    const char *api_key, *base_url; /* global options */
    PictographClient *client;       /* NULL when keyless */
    PictographError error;          /* for the calls of the command */
    Arena memory;                   /* until the program ends */
};

/* The table, ended by a row without a group. */
extern const CliCommand cli_commands[];

/* Reads argv. -1: go on with cli->command; otherwise the exit code (help, version and usage errors are done with). */
int cli_parse(Cli *cli, int argc, char **argv);
/* True after Ctrl-C; the client's cancel callback. */
bool cli_interrupted(void *context);

/* Values of options, the default when not given. The name must be in the row. */
const char *cli_text(const Cli *cli, const char *name);
bool cli_flag(const Cli *cli, const char *name);
int64_t cli_integer(const Cli *cli, const char *name);
double cli_number(const Cli *cli, const char *name);
bool cli_is_given(const Cli *cli, const char *name);

/* "error: …" on standard error, in bold red on a terminal. Returns CLI_API_ERROR. */
int cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The failure in cli->error, and the exit code that goes with it. */
int cli_fail(Cli *cli);
int cli_fail_base(const Error *err);
/* Wrong use: the text and CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Asks on the terminal unless --yes was given; false, having said so, when the answer is no. */
bool cli_confirm(const Cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes a result over: prints it as JSON, or the failure when it is NULL. Returns the exit code. */
int cli_print_result(Cli *cli, PictographResult *result);
/* With --json takes the pager over and prints all it gives; without it returns -1 and the caller makes a table. NULL prints the failure. */
int cli_print_list(Cli *cli, PictographPager *pager);
/* Takes the table over: prints it, or the failure that broke the list off. Returns the exit code. */
struct Table;
int cli_print_table(Cli *cli, struct Table *table);
/* The first rows of what failed, on standard error. */
void cli_print_failures(const PictographFailure *failures, size_t count);
