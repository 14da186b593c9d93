"""tools/fuzz hands every target the seeds that lie beside its source."""
import shutil
import subprocess

from test_docs import ROOT


def test_every_target_begins_with_its_seeds(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "fuzz", tmp_path / "tools")
    (tmp_path / "src").symlink_to(ROOT / "src")
    rooms = sorted(source.parent.relative_to(ROOT) for source in (ROOT / "src").rglob("fuzz_corpus"))
    for room in rooms:
        target = tmp_path / "build" / "x" / room / ("fuzz_" + room.name)
        target.parent.mkdir(parents=True)
        target.write_text("#!/bin/sh\nfor last; do :; done; echo \"$last\" >&2\n")
        target.chmod(0o755)
    done = subprocess.run([tmp_path / "tools" / "fuzz", "build/x", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if not line.startswith("==")]
    assert sorted(told) == [f"{room}/fuzz_corpus" for room in rooms] and len(rooms) >= 7
