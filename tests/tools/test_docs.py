"""Every pictograph and pictographd command line in the documents is one that the programs' own --help allows."""
import os
import pathlib
import re
import shlex
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PICTOGRAPH_BIN", ROOT / "build" / "bin"))
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "deploy").iterdir())]
# What stands before a program without changing what it gets; in a comment a command is indented.
BEFORE = re.compile(r"^(?:\$ |#  +|ExecStart=|sudo(?: -u \w+)? |[A-Z_]+=\S+ )*((?:\S*/)?pictographd?(?= |$).*)")


def fences(text):
    """The text inside code fences; a file that is no Markdown counts whole."""
    return "\n".join(re.findall(r"^ *```(?:\w+)?\n(.*?)^ *```", text, re.S | re.M))


def command_lines(page):
    text = page.read_text()
    text = fences(text) if page.suffix == ".md" else text
    for line in text.replace("\\\n", " ").splitlines():
        found = BEFORE.match(line.strip())
        if not found:
            continue
        words = shlex.split(found[1], comments=True)
        end = next((i for i, word in enumerate(words) if re.match(r"[|&;<>]|\d>", word)), len(words))
        yield [pathlib.Path(words[0]).name, *words[1:end]]


def lines_of_all_pages():
    return [pytest.param(words, id=f"{page.name}: {' '.join(words)}") for page in PAGES for words in command_lines(page)]


def help_of(*words):
    program = BIN / words[0]
    assert program.exists(), f"{program} is not built: run `make build`"
    done = subprocess.run([program, *words[1:], "--help"], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)} --help: {done.stderr}"
    return done.stdout


def command_of(words):
    """The words that name the command: one or two, the longest that the program's help lists."""
    listed = help_of(words[0])
    for count in (2, 1):
        if not any(word.startswith("-") for word in words[1:1 + count]) and re.search(rf"^  (?:{words[0]} )?{re.escape(' '.join(words[1:1 + count]))}(?= |$)", listed, re.M):
            return words[1:1 + count]
    raise AssertionError(f"{words[0]} --help lists no command {' '.join(words[1:3])}")


def allowed(program, command):
    """({option: takes a value}, fewest arguments, most) of a command."""
    text = help_of(program, *command)
    if program == "pictographd":
        options = {name: True for name in re.findall(r"--([a-z-]+) [A-Z]", text)} | {"help": False}
        if "SETTING" in text:
            options |= {name.replace("_", "-"): True for name in re.findall(r"^  ([a-z0-9_.]+) +PICTOGRAPHD_", help_of(program), re.M)}
        return options, 0, 0
    options = {}
    for short, name, value in re.findall(r"^ +(?:-(\w), )?--([a-z0-9-]+)( [A-Z][\w|-]*)?(?:  |$)", text, re.M):
        options[name] = options[short or name] = bool(value)
    arguments = re.search(rf"^Usage: {program} {' '.join(command)}(?: \[OPTIONS\])?(.*)$", text, re.M)[1].split()
    most = 10**6 if any("..." in a for a in arguments) else len(arguments)
    return options, sum(not a.startswith("[") for a in arguments), most


def fault(words):
    """What is wrong with a command line by the program's help, or None."""
    if words[1:] in ([], ["--help"], ["--version"]):
        return None
    command = command_of(words)
    options, fewest, most = allowed(words[0], command)
    rest, arguments = words[1 + len(command):], 0
    while rest:
        word = rest.pop(0)
        if not re.match(r"-+[a-z]", word):
            arguments += 1
            continue
        name, equals, _ = word.lstrip("-").partition("=")
        if name not in options:
            return f"no option {word}"
        if options[name] and not equals:
            if not rest:
                return f"{word} lacks its value"
            rest.pop(0)
    return None if fewest <= arguments <= most else f"{arguments} arguments, it takes {fewest} to {most}"


@pytest.mark.parametrize("words", lines_of_all_pages())
def test_documented_command_exists(words):
    assert not (problem := fault(words)), problem


def test_slips_are_found():
    assert fault(["pictographd", "init", "--data", "d", "--org", "A", "--email", "a@b.org"]) is None
    assert fault(["pictographd", "serve", "--data", "d", "--listen", "127.0.0.1:80", "--public-url", "https://a.example"]) is None
    assert fault(["pictographd", "serve", "--data", "d", "--colour", "red"]) == "no option --colour"
    assert fault(["pictographd", "serve", "--data"]) == "--data lacks its value"
    assert fault(["pictograph", "pipeline", "name", "folder", "--seed", "1", "--json"]) is None
    assert fault(["pictograph", "pipeline", "name", "--seed", "1"]) == "1 arguments, it takes 2 to 2"
    with pytest.raises(AssertionError, match="no command"):
        fault(["pictograph", "paint", "it"])


def test_every_setting_is_described():
    page = (ROOT / "docs" / "administration.md").read_text()
    settings = re.findall(r"^  ([a-z0-9_.]+) +(PICTOGRAPHD_\w+) +(.*)$", help_of("pictographd"), re.M)
    missing = [row for name, variable, text in settings if (row := f"| `{name}` | `{variable}` | {text} |") not in page]
    assert {"listen", "smtp.url", "connectors.v7_url"} <= {name for name, _, _ in settings}
    assert not missing, "docs/administration.md lacks these rows of its table of settings:\n" + "\n".join(missing)


def test_what_is_carried_to_a_machine_without_a_network():
    """docs/administration.md: the folders are there, and the packages hold every library that the programs name themselves."""
    page = (ROOT / "docs" / "administration.md").read_text()
    folders = re.search(r"-chf pictograph\.tar (.*)", page)[1].split()
    assert not [f for f in folders if not list(ROOT.glob(f))]
    packages = set(re.search(r"^# apt-get install (.*)", page, re.M)[1].split())
    if subprocess.run(["dpkg-query", "-W", *packages], capture_output=True).returncode:
        pytest.skip("another release of Debian than the page names")
    known = dict(re.findall(r"^\t(\S+) \(.*=> (\S+)$", subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout, re.M)[::-1])
    needed = set()
    for program in BIN.glob("pictograph*"):
        needed |= set(re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", program], capture_output=True, text=True).stdout))
    owners = {subprocess.run(["dpkg", "-S", os.path.realpath(known[n])], capture_output=True, text=True).stdout.split(":")[0] for n in needed & set(known)}
    assert owners - packages <= {"libc6", "libcrypt1", "libgcc-s1", ""}, owners - packages
