"""Faults to order: a library preloaded into pictographd lets a share of its disk calls fail, and a thread kills workers."""
import mmap
import os
import pathlib
import random
import signal
import struct
import subprocess
import threading

HERE = pathlib.Path(__file__).resolve().parent


def build_library(folder):
    path = pathlib.Path(folder) / "faults.so"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", HERE / "faults.c", "-o", path, "-ldl"], check=True)
    return path


class Faults:
    """The page that the preloaded library shares, and the settings of a server that it is to plague."""

    def __init__(self, folder, library, data):
        path = pathlib.Path(folder) / "faults.page"
        path.write_bytes(bytes(4096))
        self.settings = {"LD_PRELOAD": str(library), "FAULTS_FILE": str(path), "FAULTS_FOLDER": str(data)}
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def count(self):
        return struct.unpack_from("<Q", self.page, 0)[0]

    def rate(self, share, full=0.5):
        """Of the calls, `share` fails; of the faults, `full` are a full disk and the others input/output errors."""
        struct.pack_into("<QQ", self.page, 8, int(share * 1e6), int(full * 1e6))


def children(pid):
    """(pid, name) of the processes that `pid` started; names as the kernel cuts them."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        if int(tail.split()[1]) == pid:
            yield int(folder.name), head.partition("(")[2]


class Killer:
    """Kills a worker of the server now and then, whichever it is, until it is left."""

    def __init__(self, server, every, names=("pictograph-",)):
        self.server, self.every, self.names = server, every, names
        self.count, self.stop, self.random = 0, threading.Event(), random.Random(1)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.stop.wait(self.every):
            workers = [pid for pid, name in children(self.server.process.pid) if name.startswith(self.names)]
            if workers:
                self.count += 1  # before: whoever sees its work fail may look at the count at once
                try:
                    os.kill(self.random.choice(workers), signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
