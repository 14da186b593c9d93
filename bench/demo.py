"""Section "demo" of bench/run: what `make demo` does with real photographs, once a seed: bench/run demo --seeds=3."""
import os
import re
import subprocess
import sys

RUNS = (("the defaults", [], "val ≥ 0.87 within 300 s, the whole ≤ 480 s"), ("nano in 180 s", ["--model-size", "nano", "--max-seconds", "180"], "val ≥ 0.77"))


def measure(bench, row, command, shared):
    data = shared / "data" / "bccd"
    if not data.is_dir():
        return
    seeds = int(next((a.split("=")[1] for a in sys.argv if a.startswith("--seeds=")), 1))
    environment = {**os.environ, "PICTOGRAPH_API_KEY": bench.server.key, "PICTOGRAPH_BASE_URL": bench.server.url}
    for name, options, goal in RUNS:
        for seed in map(str, range(1, seeds + 1)):
            project = f"demo-{len(options)}-{seed}"
            out = subprocess.run([command, "pipeline", project, data, "--seed", seed, "--output", bench.folder / project, *options], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
            val, test = (" / ".join(re.search(rf"^{split} .* all +\d+ +([\d.]+) +([\d.]+)", out, re.M).groups()) for split in ("val", "test"))
            train, total = re.search(r"train (\d+) s total (\d+) s", out).groups()
            row(f"demo on bccd, {name}, seed {seed}: mAP50 / mAP", f"val {val}, test {test}; training {train} s, all {total} s", "", goal)
