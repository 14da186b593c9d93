/* pictographd: the table of commands, and the command line's reader. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"
#include "server/commands.h"

#include "base/banned.h"

typedef struct Command {
    const char *name; /* one word or two */
    const char *usage;
    const char *help;
    const char *needs; /* options, with blanks around each */
    bool takes_settings;
    Status (*run)(const Options *options, Arena *arena, Error *err);
} Command;

static const Command COMMANDS[] = {
    {"init", "--data DIR --org NAME --email ADDRESS", "makes a data folder with a first organization and prints its owner's key", " data org email ", false, command_init},
    {"serve", "--data DIR [--listen HOST:PORT] [--SETTING VALUE]...", "serves a data folder until SIGTERM", " data ", true, command_serve},
    {"org create", "--data DIR --org NAME --email ADDRESS", "adds an organization and prints its owner's key", " data org email ", false, command_org_create},
    {"org key", "--data DIR --org NAME", "prints another owner's key, where all are lost", " data org ", false, command_org_key},
    {"org set-tier", "--data DIR --org NAME --tier TIER", "free, core, pro or enterprise", " data org tier ", false, command_org_set_tier},
    {"credits grant", "--data DIR --org NAME --amount N", "adds credits; a negative N takes some away, never below zero", " data org amount ", false, command_credits_grant},
    {"model publish", "--data DIR --model ID", "lets every organization of this server read and use a model", " data model ", false, command_model_publish},
    {"model withdraw", "--data DIR --model ID", "leaves it to its own organization again", " data model ", false, command_model_withdraw},
    {"backup", "--data DIR --output DIR", "copies a data folder, served or not, to another; again: only what is new", " data output ", false, command_backup},
    {"restore", "--data DIR --from DIR", "makes a new data folder from a backup, and checks it", " data from ", false, command_restore},
    {"check", "--data DIR", "verifies every object's hash and every count; mends what is derived", " data ", false, command_check},
    {"models", "--data DIR", "the built-in models and your own: which answers what, and what is wrong with which", " data ", false, command_models},
    {"doctor", "--data DIR", "says what is installed, what is missing, and what mends it", " data ", false, command_doctor},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_help(FILE *out) {
    fprintf(out, "pictographd %s: the Pictograph server.\n\nCommands:\n", PICTOGRAPH_VERSION);
    for (int i = 0; i < COMMAND_COUNT; i++) fprintf(out, "  pictographd %s %s\n      %s\n", COMMANDS[i].name, COMMANDS[i].usage, COMMANDS[i].help);
    fputs("  pictographd --help | --version\n\nSettings, by flag (--public-url), environment, or 'name = value' in DIR/config.toml, in this order:\n", out);
    config_print_settings(out);
}

/* What to do when argv names no command: the group's commands where it begins with the word of a group. */
static int no_command(int argc, char **argv) {
    bool is_group = false, wants_help = argc > 2 && strcmp(argv[2], "--help") == 0;
    FILE *out = wants_help ? stdout : stderr;
    for (int i = 0; i < COMMAND_COUNT && argc > 1; i++) {
        size_t length = strlen(argv[1]);
        if (strncmp(COMMANDS[i].name, argv[1], length) != 0 || COMMANDS[i].name[length] != ' ') continue;
        if (!is_group && argc > 2 && !wants_help) fprintf(stderr, "pictographd: no such command: %s %s; there is\n", argv[1], argv[2]);
        fprintf(out, "  pictographd %s %s\n      %s\n", COMMANDS[i].name, COMMANDS[i].usage, COMMANDS[i].help);
        is_group = true;
    }
    if (argc < 2) print_help(stderr);
    else if (!is_group) fprintf(stderr, "pictographd: no such command: %s (see 'pictographd --help')\n", argv[1]);
    return is_group && wants_help ? 0 : 2;
}

/* The command that argv starts with, and how many words name it; NULL when none. */
static const Command *find_command(int argc, char **argv, int *words) {
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const char *name = COMMANDS[i].name, *blank = strchr(name, ' ');
        size_t first = blank ? (size_t)(blank - name) : strlen(name);
        if (argc < (blank ? 3 : 2) || strlen(argv[1]) != first || strncmp(argv[1], name, first) != 0) continue;
        if (blank && strcmp(argv[2], blank + 1) != 0) continue;
        *words = blank ? 2 : 1;
        return &COMMANDS[i];
    }
    return NULL;
}

static const char **option_place(Options *options, const char *name) {
    const struct {
        const char *name;
        const char **place;
    } places[] = {{"data", &options->data}, {"org", &options->org}, {"email", &options->email}, {"tier", &options->tier}, {"amount", &options->amount},
                {"model", &options->model}, {"output", &options->output}, {"from", &options->from}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strcmp(places[i].name, name) == 0) return places[i].place;
    return NULL;
}

static bool needs(const Command *command, const char *name, Arena *arena) { return strstr(command->needs, arena_printf(arena, " %s ", name)) != NULL; }

static Status take_option(const Command *command, Options *options, const char *name, const char *value, Arena *arena, Error *err) {
    if (needs(command, name, arena)) {
        *option_place(options, name) = value;
    } else if (command->takes_settings && config_knows(name) && options->setting_count < FLAGS_MAXIMUM) {
        options->settings[options->setting_count++] = (ConfigFlag){name, value};
    } else {
        return error_set(err, STATUS_CONFIGURATION, "'pictographd %s' has no option --%s", command->name, name);
    }
    return STATUS_OK;
}

/* --name value and --name=value */
static Status read_options(const Command *command, int argc, char **argv, Options *options, Arena *arena, Error *err) {
    Status status = STATUS_OK;
    for (int i = 0; i < argc && status == STATUS_OK; i++) {
        if (strncmp(argv[i], "--", 2) != 0) return error_set(err, STATUS_CONFIGURATION, "'%s' is no option", argv[i]);
        const char *equals = strchr(argv[i], '=');
        const char *name = equals ? arena_strndup(arena, argv[i] + 2, (size_t)(equals - argv[i] - 2)) : argv[i] + 2;
        if (!equals && i + 1 == argc) return error_set(err, STATUS_CONFIGURATION, "--%s needs a value", name);
        status = take_option(command, options, name, equals ? equals + 1 : argv[++i], arena, err);
    }
    static const char *const NAMES[] = {"data", "org", "email", "tier", "amount", "model", "output", "from"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0] && status == STATUS_OK; i++)
        if (needs(command, NAMES[i], arena) && !*option_place(options, NAMES[i])) status = error_set(err, STATUS_CONFIGURATION, "--%s is missing", NAMES[i]);
    return status;
}

static int run(int argc, char **argv, Arena *arena) {
    int words = 0;
    const Command *command = find_command(argc, argv, &words);
    if (!command) return no_command(argc, argv);
    for (int i = words + 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0) continue;
        printf("pictographd %s %s\n    %s\n%s", command->name, command->usage, command->help, command->takes_settings ? "\nSettings, each as a flag, too (--public-url):\n" : "");
        if (command->takes_settings) config_print_settings(stdout);
        return 0;
    }
    Error err = {0};
    Options options = {0};
    if (command->run != command_serve) log_set_level(LOG_WARNING); /* people read these, between the lines of the command itself */
    Status status = read_options(command, argc - 1 - words, argv + 1 + words, &options, arena, &err);
    if (status == STATUS_OK) status = command->run(&options, arena, &err);
    if (status == STATUS_OK) return 0;
    fprintf(stderr, "pictographd: %s\n", err.message);
    return status_info(status)->exit_code;
}

int main(int argc, char **argv) {
    /* Else both grow with what was freed, and each thread's arena comes to keep pieces of that size. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    /* Of forty threads no more run at once than there are cores: an arena for each would only leave more pieces that nobody uses. */
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    mallopt(M_ARENA_MAX, cores < 2 ? 2 : (int)cores);
    /* Else libc looks at that file anew whenever libarchive turns a time, which is twice for each entry of a zip; workers inherit it. */
    setenv("TZ", ":/etc/localtime", 0);
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("pictographd %s\n", PICTOGRAPH_VERSION);
        return 0;
    }
    Arena arena;
    arena_init(&arena, 1 << 20);
    int code = run(argc, argv, &arena);
    arena_clear(&arena);
    return code;
}
