#!/usr/bin/env python3
"""The clients' suites again and again on one server that lives through all rounds, then on one whose disk fails in one call of a hundred and whose
workers are killed.

tests/soak/run.py ROUNDS [FAULT_ROUNDS]      make soak ROUNDS=20

A round is the drive of each published client and the command line's suite, at the same time. A round without faults must end well, and leave nothing:
jobs, temporary files, open files, memory. A round with faults may break a suite off; but each 5xx must have a fault behind it, and what was acknowledged
must be there after kill -9 and a restart, and `pictographd check` must find nothing to mend.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

import requests

HERE = pathlib.Path(__file__).resolve().parent
for folder in ("faults", "published_client", "api"):  # the last one comes first: conftest is that of api
    sys.path.insert(0, str(HERE.parent / folder))
import videos  # noqa: E402
from conftest import contract  # noqa: E402
from faults import Faults, Killer, build_library, children  # noqa: E402
from ledger import Ledger  # noqa: E402
from server import Client, Server  # noqa: E402
from test_published_client import VERSIONS, drive, surroundings  # noqa: E402

FEW_EPOCHS = "2"
QUIET_SECONDS = 60  # for jobs and descriptions that a suite left behind
SETTLED_ROUND = 3   # growth is counted from here: caches are warm
TRIES = 8           # of a request that a fault spoiled: else the first one would end the suite
KILL_SECONDS = 6    # a worker, whichever it is, between two of them


def command_line(url, key, variables):
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", HERE.parent / "client" / "test_server.py"], capture_output=True, text=True,
                          timeout=900, env={**os.environ, **variables, "PICTOGRAPH_TEST_SERVER": f"{url} {key}"})


def play(url, keys, clip, variables):
    """A round: (suites that ended well, of how many, what the others said)."""
    variables = {"PICTOGRAPH_TEST_EPOCHS": FEW_EPOCHS, **variables}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(drive, version, url, keys["drive"], clip, variables, 900) for version in VERSIONS] + [pool.submit(command_line, url, keys["line"], variables)]
        done = [r.result() for r in running]
    return sum(d.returncode == 0 for d in done), len(done), [(d.stdout + d.stderr)[-1500:] for d in done if d.returncode]


# --- what is left of a round ---

def ask(server, sql):
    with contextlib.closing(sqlite3.connect(server.folder / "pictograph.db", timeout=30)) as db:
        return db.execute(sql).fetchone()[0]


def left_over(server):
    """What should be gone once all is quiet: jobs, queued descriptions, temporary files, folders of jobs."""
    return {"jobs": ask(server, "SELECT count(*) FROM jobs"), "queued": ask(server, "SELECT count(*) FROM description_queue"),
            "files": len(list((server.folder / "objects" / "tmp").iterdir())) + len([p for p in (server.folder / "work").rglob("*") if p.is_file()])}


def wait_until_quiet(server):
    deadline = time.monotonic() + QUIET_SECONDS
    while any(left_over(server).values()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return left_over(server)


def size(server):
    """Memory and open files of the server, memory of its workers (MB). The cache of the database grows with it, to its bound."""
    def resident(pid):
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6
    pid = server.process.pid
    workers = sum(resident(child) for child, _ in children(pid))
    cache = float(re.search(r"^pictograph_database_cache_bytes (\S+)", requests.get(server.url + "/metrics", timeout=10).text, re.M)[1]) / 1e6
    rss = resident(pid)
    return {"rss": rss, "uncached": rss - cache, "workers": workers, "open": len(os.listdir(f"/proc/{pid}/fd")), "threads": len(os.listdir(f"/proc/{pid}/task"))}


COLUMNS = ("round", "suites", "seconds", "5xx", "faults", "kills", "rss", "uncached", "workers", "open", "threads", "jobs", "queued", "files")


def show(**cells):
    print("".join(f"{cells.get(c, '.') if not isinstance(cells.get(c), float) else round(cells[c], 1):>9}" for c in COLUMNS), flush=True)


# --- the two parts ---

@contextlib.contextmanager
def stage(base, name, **settings):
    """A server with an organization for each suite, and what the suites need: yields server, keys, clip and variables."""
    with surroundings() as (sources, variables):
        server = Server(base / name).start(PICTOGRAPHD_ACCESS_LOG="false", **sources, **settings)
        try:
            keys = {"drive": server.key, "line": server.command("org", "create", "--org", "Line", "--email", "line@example.org").strip()}
            yield server, keys, videos.make(base / f"{name}.mp4"), variables
        finally:
            server.stop()


def without_faults(base, rounds):
    """Prints a line a round; returns what is wrong."""
    wrong, settled = [], None
    with stage(base, "plain") as (server, keys, clip, variables):
        ledger = Ledger(server, causes=lambda: 0)
        for n in range(1, rounds + 1):
            began = time.monotonic()
            well, of, said = play(ledger.url, keys, clip, variables)
            left, now = wait_until_quiet(server), size(server)
            failed = sum(count for status, count in ledger.statuses.items() if status >= 500)
            show(round=n, suites=f"{well}/{of}", seconds=time.monotonic() - began, **{"5xx": failed}, **now, **left)
            wrong += [f"round {n}: {text}" for text in said] + [f"round {n} left {left}"] * any(left.values())
            settled = now if n == SETTLED_ROUND else settled
        if settled and now["open"] > settled["open"] + 8:
            wrong.append(f"open files grew from {settled['open']} to {now['open']}")
        if settled and now["uncached"] > settled["uncached"] * 1.1 + 4:
            wrong.append(f"memory grew from {settled['uncached']:.0f} to {now['uncached']:.0f} MB")
        wrong += ledger.unexplained
        wrong += reckon(server, ledger, keys)
    return wrong + check(server)


def with_faults(base, rounds, library):
    wrong = []
    faults = Faults(base, library, base / "faulty")
    with stage(base, "faulty", **faults.settings) as (server, keys, clip, variables):
        killer = Killer(server, every=KILL_SECONDS)
        ledger = Ledger(server, causes=lambda: faults.count() + killer.count, tries=TRIES)
        with killer:
            for n in range(1, rounds + 1):
                began = time.monotonic()
                faults.rate(0.01)
                well, of, said = play(ledger.url, keys, clip, {**variables, "PICTOGRAPH_TEST_KEEP": "1"})
                faults.rate(0)
                failed = sum(count for status, count in ledger.statuses.items() if status >= 500)
                show(round=n, suites=f"{well}/{of}", seconds=time.monotonic() - began, **{"5xx": failed}, faults=faults.count(), kills=killer.count, **size(server))
                for text in said:
                    print("    broken off: " + " | ".join(line.strip() for line in text.splitlines() if line.strip())[-400:], flush=True)
        wrong += ledger.unexplained
        print(f"{faults.count()} faults, {killer.count} workers killed, {sum(ledger.statuses.values())} requests: {dict(sorted(ledger.statuses.items()))}")
        server.kill()
        server.start()
        left = wait_until_quiet(server)
        wrong += [f"left after a restart: {left} {[str(p) for p in (server.folder / 'work').rglob('*')][:20]}"] * any(left.values())
        wrong += reckon(server, ledger, keys)
    return wrong + check(server)


def reckon(server, ledger, keys):
    clients = [Client(server.url, key, contract()) for key in keys.values()]
    lost = ledger.lost(clients)
    print(f"{ledger.entries()} acknowledged things asked for, {len(lost)} lost", flush=True)
    return lost


def check(server):
    done = server.command("check", check=False)
    bad = [line for line in done.stdout.splitlines() if not line.startswith("ok") and not line.endswith("objects checked")]
    print("check: " + " | ".join(" ".join(line.split()) for line in done.stdout.splitlines()), flush=True)
    return [f"check: {line}" for line in bad] + [f"check: {done.stderr}"] * (done.returncode != 0)


def main(rounds, fault_rounds):
    print("".join(f"{c:>9}" for c in COLUMNS))
    with tempfile.TemporaryDirectory(prefix="pictograph-soak-") as folder:
        base = pathlib.Path(folder)
        wrong = without_faults(base, rounds) if rounds else []
        wrong += with_faults(base, fault_rounds, build_library(base)) if fault_rounds else []
    for line in wrong:
        print(f"WRONG {line}")
    print(f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*[int(n) for n in (sys.argv[1:] + ["20", "6"][len(sys.argv) - 1:])]))
