#!/usr/bin/env python3
"""Holds the tree to its own rules (ARCHITECTURE.md, Rooms): who may include whom, how files end, how long things may get.

    tools/check_tree.py [ROOT]      one line a violation, exit status 1 if there is any

The order of the rooms is read from src/meson.build, the features of the server from their folders, so nothing is listed twice.
"""
import pathlib
import re
import subprocess
import sys

INFRASTRUCTURE = {"http", "api", "store", "objects", "jobs"}
# Outside the features only these know features: the application, and the operator's commands, which act on rows of them.
LISTS_FEATURES = {"app.c", "commands.c"}
TEST = re.compile(r"(_test|/test_\w+)\.[ch]$")
FUNCTION_LINES = 80
FILE_LINES = 800
GENERATED = re.compile(r"(^|/)(package-lock\.json|[\w-]+\.min\.js)$")
BINARY_ALLOWED = re.compile(r"^docs/.*\.(jpg|png)$|(^|/)fuzz_corpus/|^tests/data/")
SOURCE = re.compile(r"\.(c|h|cpp|py|sh|ts|tsx|js|css|lua|sql|build|yaml|toml|conf|service)$|(^|/)(run|setup|train|peers|Makefile)$")
# Spelled in two halves so that this file passes its own check.
UNFINISHED = re.compile("|".join(rf"\b{a}{b}\b" for a, b in (("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK"))) + "|(?i:not imple" + "mented)")


def tracked(root):
    names = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (root / name).is_file()]


def rooms_in_order(root):
    text = (root / "src" / "meson.build").read_text()
    return re.findall(r"'([a-z_]+)'", re.search(r"foreach room : \[(.*?)\]", text, re.S)[1])


def includes(text):
    return [(number, match[1]) for number, line in enumerate(text.split("\n"), 1) if (match := re.match(r'\s*#\s*include\s+"([^"]+)"', line))]


def room_of(path):
    return path.split("/")[0]


def feature_of(path):
    """The feature that a path below src/ belongs to, or None: server/projects/projects.h → projects."""
    parts = path.split("/")
    return parts[1] if parts[0] == "server" and len(parts) > 2 and parts[1] not in INFRASTRUCTURE else None


def include_violation(source, header, order):
    """Why `source` may not include `header` (both below src/), or None."""
    here, there = room_of(source), room_of(header)
    if here not in order or there not in order:
        return f"room of {source} or {header} is not in src/meson.build"
    if order.index(there) > order.index(here):
        return f"room {here} includes {header} of the later room {there}"
    feature, wanted = feature_of(source), feature_of(header)
    # A unit test sets up whatever it needs of its own or an earlier room.
    if wanted is None or wanted == feature or TEST.search(source):
        return None
    if source.count("/") == 1 and source.split("/")[1] in LISTS_FEATURES or feature:
        return None if header == f"server/{wanted}/{wanted}.h" else f"{header} is inside feature {wanted}: only {wanted}/{wanted}.h is for others"
    return f"infrastructure includes the feature header {header}"


def check_includes(name, text, order, known):
    source = name.removeprefix("src/")
    for number, header in includes(text):
        if f"src/{header}" not in known and room_of(header) not in order:
            continue  # a public header, or one that a tool writes (onnx.pb-c.h)
        if problem := include_violation(source, header, order):
            yield number, problem


def check_banned(name, text):
    found = [header for _, header in includes(text)]
    # A file that another C file includes, or one without any include, has nothing to ban.
    if found and found[-1] != "base/banned.h":
        yield 1, "the last include must be base/banned.h"


def check_functions(text):
    """Length of each function, by the house style: it opens at column 0 with `{` at the end of the line and ends with `}` at column 0."""
    start = None
    for number, line in enumerate(text.split("\n"), 1):
        if start is None and re.match(r"[A-Za-z].*\)\s*\{$", line) or re.match(r"\s+\S.*\)\s\{$", line) and start is None:
            start = number
        elif line == "}" and start is not None:
            if number - start + 1 > FUNCTION_LINES:
                yield start, f"function of {number - start + 1} lines (at most {FUNCTION_LINES})"
            start = None


def check_file(root, name, order, known):
    data = (root / name).read_bytes()
    if b"\0" in data:
        if not BINARY_ALLOWED.search(name):
            yield 1, "binary file"
        return
    text = data.decode("utf-8", "replace")
    lines = text.count("\n")
    if lines > FILE_LINES and not name.startswith("tests/") and not GENERATED.search(name) and SOURCE.search(name):
        yield 1, f"{lines} lines (at most {FILE_LINES})"
    if SOURCE.search(name):
        for number, line in enumerate(text.split("\n"), 1):
            if word := UNFINISHED.search(line):
                yield number, f"unfinished: {word[0]}"
    if re.match(r"src/.*\.(c|h|cpp)$", name):
        yield from check_includes(name, text, order, known)
    if re.match(r"(src|tools|bench)/.*\.c$", name):
        yield from check_banned(name, text)
    if re.search(r"\.(c|cpp)$", name):
        yield from check_functions(text)


def violations(root):
    root = pathlib.Path(root)
    names = tracked(root)
    order, known = rooms_in_order(root), set(names)
    return [f"{name}:{number}: {problem}" for name in names for number, problem in check_file(root, name, order, known)]


if __name__ == "__main__":
    found = violations(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1])
    print("\n".join(found) or "the tree keeps its rules")
    sys.exit(1 if found else 0)
