"""The tree keeps its own rules, and the check that says so finds each kind of slip."""
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import check_tree  # noqa: E402

GOOD = '#include "base/text.h"\n\n#include "base/banned.h"\n\nint one(void) {\n    return 1;\n}\n'


def test_tree_keeps_its_rules():
    found = check_tree.violations(ROOT)
    assert not found, "\n" + "\n".join(found)


def test_the_tour_lists_the_rooms_in_their_order():
    listed = (ROOT / "ARCHITECTURE.md").read_text().split("## Rooms")[1].split("```")[1]
    assert re.findall(r"src/([a-z]+)/ ", listed) == check_tree.rooms_in_order(ROOT)


@pytest.fixture
def tree(tmp_path):
    """A small tree under git, which one file at a time makes wrong."""
    headers = ["base/text.h", "geometry/geometry.h", "formats/format.h", "server/api/request.h", "server/store/db.h", "server/projects/projects.h",
               "server/projects/project_rows.h", "server/images/images.h"]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "meson.build").write_text("foreach room : ['base', 'geometry', 'formats', 'server']\nendforeach\n")
    for header in headers:
        (tmp_path / "src" / header).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / header).write_text("#pragma once\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)

    def with_file(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
        return check_tree.violations(tmp_path)

    return with_file


def including(header):
    return GOOD.replace("base/text.h", header)


@pytest.mark.parametrize("name, content", [
    ("src/formats/coco.c", including("geometry/geometry.h")),
    ("src/geometry/tests.c", including("onnx.pb-c.h")),  # written by a tool, in no room
    ("src/server/images/upload.c", including("server/projects/projects.h")),
    ("src/server/projects/rows.c", including("server/projects/project_rows.h")),
    ("src/server/projects/rows.c", including("server/api/api_handlers.h")),  # generated
    ("src/server/app.c", including("server/projects/projects.h")),
    ("src/formats/fuzz_corpus/a", b"\0\1"),
    ("docs/sheet.png", b"\x89PNG\0"),
])
def test_allowed(tree, name, content):
    assert tree(name, content) == []


@pytest.mark.parametrize("name, content, complaint", [
    ("src/geometry/mask.c", including("formats/format.h"), "later room formats"),
    ("src/server/store/x.c", including("server/projects/projects.h"), "infrastructure includes"),
    ("src/server/main.c", including("server/projects/projects.h"), "infrastructure includes"),
    ("src/server/images/x.c", including("server/projects/project_rows.h"), "only projects/projects.h"),
    ("src/server/app.c", including("server/projects/project_rows.h"), "only projects/projects.h"),
    ("src/attic/x.c", including("base/text.h"), "is not in src/meson.build"),
    ("src/base/x.c", GOOD.replace('#include "base/banned.h"\n', ""), "base/banned.h"),
    ("src/base/x.c", GOOD.replace("    return 1;\n", "    x();\n" * 90), "function of 92 lines"),
    ("src/base/x.c", GOOD.replace("int one(void) {", "int one(int a,\n        int b) {").replace("    return 1;\n", "    x();\n" * 90), "function of"),
    ("src/base/x.h", "#pragma once\n" + "int x;\n" * 900, "901 lines"),
    ("tools/thing", b"\x7fELF\0", "binary"),
    ("src/base/x.h", "/* TO" "DO: later */\n", "unfinished"),
    ("web/x.ts", "throw Error('not imple" "mented')\n", "unfinished"),
])
def test_refused(tree, name, content, complaint):
    found = tree(name, content)
    assert found and complaint in found[0] and found[0].startswith(name)
