"""Where the helper programs of the build lie, and how they are run."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "meson"


def run(program, *args):
    """Output of a program of the build, given by its path below the build folder."""
    done = subprocess.run([BUILD / program, *map(str, args)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout
