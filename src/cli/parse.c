/* Reads the command line by the table, and writes the help from it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

#include "base/banned.h"

#define GLOBAL_HELP                                                        \
    "      --api-key KEY            API key (else PICTOGRAPH_API_KEY, then ~/.pictograph/config.toml)\n" \
    "      --base-url URL           server (else PICTOGRAPH_BASE_URL, the file, http://localhost:8080)\n" \
    "      --help                   this text\n"

/* ---- help ---- */

static void print_option(const CliOption *option) {
    char left[64], note[64] = "";
    snprintf(left, sizeof left, "%s%s--%s%s%s", option->short_name ? (char[]){'-', option->short_name, '\0'} : "  ",
             option->short_name ? ", " : "  ", option->long_name, option->placeholder ? " " : "", option->placeholder ? option->placeholder : "");
    if (option->required) snprintf(note, sizeof note, " (required)");
    else if (option->fallback) snprintf(note, sizeof note, " (default %s)", option->fallback);
    printf("  %-27s  %s%s\n", left, option->help, note);
}

static void print_command_help(const CliCommand *command) {
    printf("Usage: pictograph %s%s%s [OPTIONS]%s%s\n\n  %s\n\nOptions:\n", command->group, command->name ? " " : "",
           command->name ? command->name : "", *command->arguments ? " " : "", command->arguments, command->summary);
    for (const CliOption *option = command->options; option->long_name; option++) print_option(option);
    fputs(GLOBAL_HELP, stdout);
}

static void print_row(const CliCommand *command) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s%s", command->group, command->name ? " " : "", command->name ? command->name : "",
             *command->arguments ? " " : "", command->arguments);
    printf("  %-40s %s\n", left, command->summary);
}

static void print_group_help(const char *group) {
    printf("Usage: pictograph %s COMMAND\n\nCommands:\n", group);
    for (const CliCommand *command = cli_commands; command->group; command++)
        if (text_equal(command->group, group)) print_row(command);
    printf("\n`pictograph %s COMMAND --help` tells more.\n", group);
}

static void print_help(void) {
    fputs("Usage: pictograph [--api-key KEY] COMMAND\n\nFrom a folder of images to a trained vision model.\n\nCommands:\n", stdout);
    for (const CliCommand *command = cli_commands; command->group; command++) print_row(command);
    fputs("\nOptions:\n" GLOBAL_HELP "  -V, --version                version\n\n`pictograph COMMAND --help` tells more.\n", stdout);
}

/* ---- parsing ---- */

typedef struct Words {
    char **next, **end;
} Words;

static const char *take(Words *words) {
    return words->next < words->end ? *words->next++ : NULL;
}

/* Value of "--name=value" or of the following word; NULL when there is none. */
static const char *take_value(Words *words, const char *inline_value) {
    return inline_value ? inline_value : take(words);
}

/* An option that every command has. 0: it was one; -1: it was none; otherwise the exit code. */
static int parse_global(Cli *cli, Words *words, const char *name, size_t length, const char *inline_value) {
    const char **place = NULL;
    if (length == 7 && !strncmp(name, "api-key", length)) place = &cli->api_key;
    else if (length == 8 && !strncmp(name, "base-url", length)) place = &cli->base_url;
    if (!place) return -1;
    *place = take_value(words, inline_value);
    return *place ? 0 : cli_usage("--%.*s needs a value", (int)length, name);
}

static const CliOption *find_option(const CliCommand *command, const char *name, size_t length, char short_name) {
    for (const CliOption *option = command->options; option->long_name; option++) {
        bool is_long = name && strlen(option->long_name) == length && !strncmp(option->long_name, name, length);
        if (is_long || (short_name && option->short_name == short_name)) return option;
    }
    return NULL;
}

static int check_value(const CliOption *option, const char *value) {
    int64_t whole;
    double number = 0;
    if (option->kind == CLI_INTEGER && text_to_int(value, &whole))
        number = (double)whole;
    else if (option->kind == CLI_INTEGER)
        return cli_usage("--%s must be a whole number, not '%s'", option->long_name, value);
    else if (option->kind == CLI_NUMBER && !text_to_number(value, &number))
        return cli_usage("--%s must be a number, not '%s'", option->long_name, value);
    else if (option->kind == CLI_TEXT)
        return 0;
    if (number < option->least) return cli_usage("--%s must be at least %g", option->long_name, option->least);
    if (option->most != 0 && number > option->most) return cli_usage("--%s must be at most %g", option->long_name, option->most);
    return 0;
}

/* "--name", "--name=value", "-n", "-nvalue"; word starts with a dash. */
static int parse_option(Cli *cli, Words *words, const char *word) {
    bool is_long = word[1] == '-';
    const char *name = is_long ? word + 2 : NULL, *inline_value = NULL;
    size_t length = is_long ? strcspn(name, "=") : 0;
    if (is_long && name[length]) inline_value = name + length + 1;
    else if (!is_long && word[2]) inline_value = word + 2;
    int code = is_long ? parse_global(cli, words, name, length, inline_value) : -1;
    if (code >= 0) return code;
    const CliOption *option = find_option(cli->command, name, length, is_long ? '\0' : word[1]);
    if (!option) return cli_usage("no such option: %s", word);
    const char *value = "";
    if (option->kind == CLI_FLAG && inline_value) return cli_usage("--%s takes no value", option->long_name);
    if (option->kind != CLI_FLAG && !(value = take_value(words, inline_value))) return cli_usage("--%s needs a value", option->long_name);
    cli->values[option - cli->command->options] = value;
    return option->kind == CLI_FLAG ? 0 : check_value(option, value);
}

static int count_words(const char *text) {
    int count = 0;
    for (; *text; text += strspn(text, " "), count++) text += strcspn(text, " ");
    return count;
}

/* A number such as -3.5 is an argument, not an option. */
static bool looks_like_option(const char *word) {
    return word[0] == '-' && word[1] && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

static int parse_rest(Cli *cli, Words *words) {
    int wanted = count_words(cli->command->arguments), count = 0;
    bool only_arguments = false;
    for (const char *word; (word = take(words));) {
        int code = 0;
        if (!only_arguments && text_equal(word, "--")) {
            only_arguments = true;
        } else if (!only_arguments && text_equal(word, "--help")) {
            print_command_help(cli->command);
            return CLI_OK;
        } else if (!only_arguments && looks_like_option(word)) {
            code = parse_option(cli, words, word);
        } else if (count < wanted) {
            cli->arguments[count++] = word;
        } else {
            code = cli_usage("unexpected argument: %s", word);
        }
        if (code) return code;
    }
    if (count < wanted) return cli_usage("missing argument: the command takes %s", cli->command->arguments);
    for (const CliOption *option = cli->command->options; option->long_name; option++)
        if (option->required && !cli->values[option - cli->command->options]) return cli_usage("missing option: --%s", option->long_name);
    return -1;
}

static bool is_group(const char *word) {
    for (const CliCommand *command = cli_commands; command->group; command++)
        if (text_equal(command->group, word)) return true;
    return false;
}

/* Finds the row for one or two words. */
static int find_command(Cli *cli, Words *words, const char *group) {
    if (!is_group(group)) return cli_usage("no such command: %s (see `pictograph --help`)", group);
    const char *name = NULL;
    for (const CliCommand *command = cli_commands; command->group; command++) {
        if (!text_equal(command->group, group)) continue;
        if (command->name && !name && !(name = take(words))) name = "--help";
        if (!command->name || text_equal(command->name, name)) {
            cli->command = command;
            return parse_rest(cli, words);
        }
    }
    if (!text_equal(name, "--help")) return cli_usage("no such command: %s %s (see `pictograph %s --help`)", group, name, group);
    print_group_help(group);
    return CLI_OK;
}

int cli_parse(Cli *cli, int argc, char **argv) {
    Words words = {argv + 1, argv + argc};
    for (const char *word; (word = take(&words));) {
        if (text_equal(word, "--help") || text_equal(word, "-h")) break;
        if (text_equal(word, "--version") || text_equal(word, "-V")) {
            printf("pictograph %s\n", pictograph_version());
            return CLI_OK;
        }
        if (!looks_like_option(word)) return find_command(cli, &words, word);
        size_t length = text_starts_with(word, "--") ? strcspn(word + 2, "=") : 0;
        int code = length ? parse_global(cli, &words, word + 2, length, word[2 + length] ? word + 3 + length : NULL) : -1;
        if (code) return code > 0 ? code : cli_usage("no such option: %s", word);
    }
    print_help();
    return CLI_OK;
}

/* ---- values ---- */

static const char *value_of(const Cli *cli, const char *name) {
    const CliOption *option = find_option(cli->command, name, strlen(name), '\0');
    const char *given = option ? cli->values[option - cli->command->options] : NULL;
    return given || !option ? given : option->fallback;
}

const char *cli_text(const Cli *cli, const char *name) {
    return value_of(cli, name);
}

bool cli_flag(const Cli *cli, const char *name) {
    return value_of(cli, name) != NULL;
}

int64_t cli_integer(const Cli *cli, const char *name) {
    int64_t value = 0;
    const char *text = value_of(cli, name);
    return text && text_to_int(text, &value) ? value : 0;
}

double cli_number(const Cli *cli, const char *name) {
    double value = 0;
    const char *text = value_of(cli, name);
    return text && text_to_number(text, &value) ? value : 0;
}

bool cli_is_given(const Cli *cli, const char *name) {
    const CliOption *option = find_option(cli->command, name, strlen(name), '\0');
    return option && cli->values[option - cli->command->options];
}
