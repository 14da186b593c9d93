"""What the docs say and what the program says are the same."""
import subprocess
import sys

from stand_in import BUILD, CLI, ROOT


def test_cli_page_is_the_help():
    made = subprocess.run([sys.executable, ROOT / "tools" / "cli_docs", CLI], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "cli.md").read_text() == made, "run `make docs`"


def test_header_program_compiles_and_runs(server, tmp_path):
    """The first lines of pictograph.h are a program that works."""
    lines = (ROOT / "include" / "pictograph" / "pictograph.h").read_text().splitlines()
    start, end = next(i for i, l in enumerate(lines) if "#include <pictograph/pictograph.h>" in l), next(i for i, l in enumerate(lines) if l == " *     }")
    source = tmp_path / "list.c"
    source.write_text("\n".join(line.removeprefix(" *").removeprefix("     ") for line in lines[start:end + 1]))
    library = BUILD / "src" / "client"
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", source, f"-I{ROOT / 'include'}", f"-L{library}", "-lpictograph",
                    f"-Wl,-rpath,{library}", "-o", tmp_path / "list"], check=True)
    server.answers["GET datasets/"] = [(200, {"datasets": [{"name": "cars", "image_count": 3}]})]
    done = subprocess.run([tmp_path / "list"], capture_output=True, text=True, env=server.environment())
    assert done.stdout == "cars: 3 images\n" and done.returncode == 0
    server.answers["GET datasets/"] = [(401, {"detail": "Invalid API key", "error_code": "invalid_api_key", "message": "", "request_id": ""})]
    done = subprocess.run([tmp_path / "list"], capture_output=True, text=True, env=server.environment())
    assert done.returncode == 1 and done.stderr == "error: Invalid API key\n"


def test_headers_stand_alone_and_fit_c_plus_plus(tmp_path):
    for header in sorted((ROOT / "include" / "pictograph").glob("*.h")):
        for compiler, flags in (("cc", "-std=c11 -xc"), ("c++", "-std=c++17 -xc++")):
            subprocess.run([compiler, *flags.split(), "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT / 'include'}", "-include",
                            f"pictograph/{header.name}", "/dev/null"], check=True)
