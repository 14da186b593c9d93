/* init: writes a page that tells coding agents how to use Pictograph in the project at hand. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"

#include "base/banned.h"

static const char template[] =
    "# Pictograph\n"
    "\n"
    "This project keeps images, annotations and trained models in Pictograph. The `pictograph` command line reaches them.\n"
    "\n"
    "## Before anything else\n"
    "- The key comes from `PICTOGRAPH_API_KEY`, or from `pictograph login`. Never write it into a file of the project.\n"
    "- `PICTOGRAPH_BASE_URL` names the server; without it, http://localhost:8080.\n"
    "- Exit codes: 0 success, 1 the API refused, 2 wrong use or no key. Errors are one line on standard error.\n"
    "\n"
    "## Usual work\n"
    "| to | run |\n"
    "|---|---|\n"
    "| see what is there | `pictograph datasets list --json` |\n"
    "| upload a folder of images | `pictograph datasets upload NAME FOLDER` |\n"
    "| import labels of any format | `pictograph datasets import NAME FOLDER` |\n"
    "| label by a trained model | `pictograph auto-annotate batch NAME --model-id ID` |\n"
    "| train | `pictograph train start NAME -p yolox` |\n"
    "| fetch the ONNX file | `pictograph models download ID -o model.onnx` |\n"
    "| all of it, with figures | `pictograph pipeline NAME FOLDER` |\n"
    "\n"
    "## Rules\n"
    "- Saving annotations replaces the whole list of an image: read first, change, then save.\n"
    "- Labels must be classes of the project; names are case-sensitive.\n"
    "- Training and automatic annotation cost credits: `pictograph credits estimate OPERATION -q N` first.\n"
    "- Ask the user before `datasets delete`; it cannot be undone.\n";

int cmd_init(Cli *cli) {
    const char *path = cli_text(cli, "output");
    Error err = {0};
    if (file_exists(path) && !cli_flag(cli, "force")) return cli_error("%s exists; --force replaces it", path);
    if (file_write_atomic(path, template, strlen(template), 0644, &err)) return cli_fail_base(&err);
    printf("Wrote %s\n", path);
    return CLI_OK;
}
