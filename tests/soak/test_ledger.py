"""The ledger of the endurance run sees what it is there to see: a lost acknowledgement, and a failure without a cause."""
import http.server
import json
import threading
import types

import pytest
import requests
from ledger import Ledger


class Store(http.server.BaseHTTPRequestHandler):
    """As little of a server as the ledger needs; `answers` maps METHOD PATH to (status, body)."""
    protocol_version = "HTTP/1.1"
    answers = {}

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.answers.get(f"{self.command} {self.path.removeprefix('/api/v1/developer')}", (404, {}))
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


class Asker:
    """What Ledger.lost wants of a Client."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/api/v1/developer"

    def get(self, path, _expect):
        return requests.get(self.base + path, timeout=10)


@pytest.fixture
def ledger():
    store = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    made = Ledger(types.SimpleNamespace(port=store.server_port), causes=lambda: 0, grace=0)
    made.asker = Asker(store.server_port)
    Store.answers = {"POST /projects/": (201, {"project": {"id": "p", "name": "birds"}}), "POST /images/register": (201, {"image": {"id": "i"}}), "POST /annotations/i": (200, {}),
                     "POST /images/upload-url": (200, {"upload_url": made.url + "/storage/v1/objects/t?x", "gcs_path": "a/b"}), "PUT /storage/v1/objects/t?x": (200, {}),
                     "GET /datasets/p": (200, {}), "GET /images/i": (200, b"bytes"), "GET /annotations/i": (200, {"annotations": [{"id": "1"}]})}
    yield made
    made.close()
    store.shutdown()
    store.server_close()


def send(ledger, method, path, **kwargs):
    return requests.request(method, f"{ledger.url}{'' if path.startswith('/storage') else '/api/v1/developer'}{path}", timeout=10, **kwargs).status_code


def work(ledger):
    send(ledger, "POST", "/projects/", json={"name": "birds"})
    send(ledger, "POST", "/images/upload-url", json={})
    send(ledger, "PUT", "/storage/v1/objects/t?x", data=iter([b"by", b"tes"]))  # in chunks
    send(ledger, "POST", "/images/register", data={"dataset_id": "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11", "gcs_path": "a/b"})
    send(ledger, "POST", "/annotations/i", json={"annotations": [{"id": "1"}]})


def test_nothing_is_lost(ledger):
    work(ledger)
    assert ledger.entries() == 3 and ledger.lost([ledger.asker]) == []


@pytest.mark.parametrize("path, answer", [("GET /datasets/p", (404, {})), ("GET /images/i", (200, b"other bytes")), ("GET /images/i", (404, {})),
                                          ("GET /annotations/i", (200, {"annotations": []}))])
def test_a_loss_is_seen(ledger, path, answer):
    work(ledger)
    Store.answers[path] = answer
    assert len(ledger.lost([ledger.asker])) == 1


def test_what_was_deleted_is_not_missed(ledger):
    work(ledger)
    Store.answers |= {"DELETE /images/i": (200, {}), "GET /images/i": (404, {}), "GET /annotations/i": (404, {})}
    send(ledger, "DELETE", "/images/i")
    assert ledger.entries() == 1 and ledger.lost([ledger.asker]) == []


def test_a_failed_save_may_have_been_carried_out(ledger):
    work(ledger)
    Store.answers |= {"POST /annotations/i": (500, {}), "GET /annotations/i": (200, {"annotations": [{"id": "2"}]})}
    send(ledger, "POST", "/annotations/i", json={"annotations": [{"id": "2"}]})
    assert ledger.lost([ledger.asker]) == []


def test_a_failure_needs_a_cause(ledger):
    Store.answers["POST /projects/"] = (500, {})
    assert send(ledger, "POST", "/projects/") == 500 and len(ledger.unexplained) == 1
    counts = iter([1, 2])  # a fault while the request runs
    ledger.causes = lambda: next(counts)
    assert send(ledger, "POST", "/projects/") == 500 and len(ledger.unexplained) == 1


def test_a_patient_one_tries_again(ledger):
    ledger.tries = 3
    Store.answers["POST /projects/"] = (507, {})
    assert send(ledger, "POST", "/projects/") == 507 and ledger.statuses[507] == 3
