/* completion: a script for bash, which zsh reads likewise, made from the table of commands. */
#include <stdio.h>

#include "base/text.h"
#include "cli/commands.h"

#include "base/banned.h"

/* Where only options and arguments are left, bash itself completes files. */
static const char HEAD[] = "_pictograph() {\n"
                           "    local word=${COMP_WORDS[COMP_CWORD]} first= second= offers= i\n"
                           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                           "        case ${COMP_WORDS[i]} in\n"
                           "        --api-key | --base-url) ((i++)) ;;\n"
                           "        -*) ;;\n"
                           "        *) if [ -z \"$first\" ]; then first=${COMP_WORDS[i]}; elif [ -z \"$second\" ]; then second=${COMP_WORDS[i]}; fi ;;\n"
                           "        esac\n"
                           "    done\n"
                           "    case \"$first $second\" in\n";
static const char TAIL[] = "    esac\n"
                           "    case $word in -*) offers=${offers##*|} ;; *) offers=${offers%%|*} ;; esac\n"
                           "    COMPREPLY=($(compgen -W \"$offers\" -- \"$word\"))\n"
                           "}\n"
                           "complete -o default -F _pictograph pictograph\n";
#define GLOBAL_OPTIONS " --api-key --base-url --help"

static bool is_first_of_group(const CliCommand *command) { return command == cli_commands || !text_equal(command[-1].group, command->group); }

/* A line of the script: words that may follow, a bar, options that may follow. */
static void print_names(const char *group) {
    printf("    '%s ') offers='", group ? group : "");
    for (const CliCommand *command = cli_commands; command->group; command++) {
        if (!group && is_first_of_group(command)) printf("%s ", command->group);
        if (group && text_equal(command->group, group)) printf("%s ", command->name);
    }
    printf("|%s' ;;\n", group ? " --help" : GLOBAL_OPTIONS " --version");
}

static void print_options(const CliCommand *command) {
    printf("    '%s %s'%s) offers='|", command->group, command->name ? command->name : "", command->name ? "" : "*");
    for (const CliOption *option = command->options; option->long_name; option++) printf("--%s ", option->long_name);
    puts(GLOBAL_OPTIONS "' ;;");
}

int cmd_completion_bash(Cli *cli) {
    (void)cli;
    fputs(HEAD, stdout);
    print_names(NULL);
    for (const CliCommand *command = cli_commands; command->group; command++) {
        if (command->name && is_first_of_group(command)) print_names(command->group);
        print_options(command);
    }
    fputs(TAIL, stdout);
    return CLI_OK;
}
