"""A real pictographd in a temporary folder, and a client whose every exchange is judged by the contract."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import uuid

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PICTOGRAPH_BIN", ROOT / "build" / "bin"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def once(ask, holds, seconds=60):
    """What ask() gives, once that is what is waited for."""
    deadline = time.monotonic() + seconds
    while not holds(got := ask()):
        assert time.monotonic() < deadline, f"after {seconds} s there is still {got}"
        time.sleep(0.05)
    return got


class Server:
    """Start, kill, restart one data folder."""

    def __init__(self, folder, organization="Acme"):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.log = self.folder.parent / (self.folder.name + ".log")
        self.key = self.command("init", "--org", organization, "--email", "owner@example.org").strip()

    def command(self, *words, check=True):
        named = 2 if words[0] in ("org", "credits", "model") else 1
        done = subprocess.run([BIN / "pictographd", *words[:named], "--data", self.folder, *words[named:]], capture_output=True, text=True, timeout=300)
        if check:
            assert done.returncode == 0, f"pictographd {words}: {done.stderr}"
            return done.stdout
        return done

    def start(self, **environment):
        log = open(self.log, "ab")
        self.process = subprocess.Popen([BIN / "pictographd", "serve", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}"],
                                        stdout=log, stderr=log, env={**os.environ, **environment}, start_new_session=True)
        log.close()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"pictographd ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
            try:
                if requests.get(self.url + "/readyz", timeout=20).status_code == 200:
                    return self
            except (requests.ConnectionError, requests.Timeout):
                pass
            time.sleep(0.02)
        raise AssertionError("pictographd did not get ready:\n" + self.log.read_text()[-3000:])

    def kill(self):
        """kill -9, workers die with it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.check_log()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("pictographd did not stop within 60 s of SIGTERM")
            self.check_log()
        return self.process.returncode if self.process else None

    def check_log(self):
        """Of programs with a sanitizer, workers included: what it said."""
        found = re.search("Sanitizer: |runtime error: ", text := self.log.read_text(errors="replace"))
        assert not found, text[found.start():][:5000]


class Client:
    """requests with a key; paths are relative to /api/v1/developer unless they start with '//' (then to the root)."""

    def __init__(self, url, key, contract):
        self.url, self.key, self.contract = url, key, contract
        self.session = requests.Session()

    def call(self, method, path, expect=None, **kwargs):
        path = path[1:] if path.startswith("//") else "/api/v1/developer" + path
        headers = kwargs.pop("headers", {})
        if self.key and "X-API-Key" not in headers:
            headers = {"X-API-Key": self.key, **headers}
        kwargs.setdefault("timeout", 60)
        kwargs.setdefault("allow_redirects", False)
        reply = self.session.request(method, self.url + path, headers=headers, **kwargs)
        self.contract.check(method, path.split("?")[0], reply)
        if expect is not None:
            assert reply.status_code == expect, f"{method} {path}: {reply.status_code}, wanted {expect}: {reply.text[:500]}"
        return reply

    def get(self, path, expect=200, **kwargs):
        return self.call("GET", path, expect, **kwargs)

    def post(self, path, json=None, expect=200, **kwargs):
        return self.call("POST", path, expect, json=json, **kwargs)

    def patch(self, path, json=None, expect=200, **kwargs):
        return self.call("PATCH", path, expect, json=json, **kwargs)

    def delete(self, path, expect=200, **kwargs):
        return self.call("DELETE", path, expect, **kwargs)

    def get_once(self, path, expect):
        """The reply, once it has that status: what becomes of a key is heard of within a second, on a machine that has the time."""
        return once(lambda: self.call("GET", path), lambda reply: reply.status_code == expect)

    def project(self, classes=("cell",), **fields):
        body = {"name": "p-" + uuid.uuid4().hex[:10], "classes": [{"name": c} for c in classes], **fields}
        return self.post("/projects/", body, 201).json()["project"]

    def upload(self, project, filename, data, folder="/", content_type="image/jpeg", expect=201):
        target = self.post("/images/upload-url", {"dataset_id": project["id"], "filename": filename, "folder_path": folder, "content_type": content_type}).json()
        self.put_object(target["upload_url"], data, content_type)
        form = {"dataset_id": project["id"], "filename": filename, "folder_path": folder, "gcs_path": target["gcs_path"], "gcs_bucket": target["gcs_bucket"],
                "gcs_uri": target["gcs_uri"], "file_size": len(data), "mime_type": content_type, "image_width": "", "image_height": ""}
        reply = self.call("POST", "/images/register", expect, data=form)
        return reply.json().get("image") if expect == 201 else reply

    def put_object(self, url, data, content_type="image/jpeg", expect=200):
        reply = requests.put(url, data=data, headers={"Content-Type": content_type}, timeout=60)
        self.contract.check("PUT", url[len(self.url):], reply)
        assert reply.status_code == expect, reply.text
        return reply

    def fetch(self, url, expect=200, **kwargs):
        reply = requests.get(url, timeout=60, **kwargs)
        self.contract.check("GET", url[len(self.url):].split("?")[0], reply)
        assert reply.status_code == expect, reply.text[:300]
        return reply

    def wait(self, path, envelope=None, final=("completed", "failed", "cancelled"), timeout=300, pause=0.1):
        deadline = time.monotonic() + timeout
        while True:
            body = self.get(path).json()
            item = body[envelope] if envelope else body
            if item["status"] in final:
                return item
            assert time.monotonic() < deadline, f"{path} is still {item['status']} after {timeout} s: {item}"
            time.sleep(pause)
