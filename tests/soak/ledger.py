"""Stands between a client and pictographd and writes down what was acknowledged, so that it can be asked for afterwards; and looks behind each 5xx.
It may try again where the server failed, as a patient client would, so that one failure does not end a suite."""
import collections
import hashlib
import http.client
import http.server
import json
import re
import threading
import time
import urllib.parse

ROUTES = []
PASSED_ON = {"connection", "transfer-encoding", "content-length"}


def on(pattern):
    """The function learns from answers to METHOD PATH; groups of the pattern become its arguments."""
    def add(function):
        ROUTES.append((re.compile(pattern + "$"), function))
        return function
    return add


class Exchange:
    def __init__(self, status, asked, answered):
        self.status, self.asked, self.answered = status, asked, answered
        self.done, self.failed = status < 300, status >= 500  # a failed one may have been carried out all the same

    def json(self):
        return json.loads(self.answered or b"{}")

    def sent(self):
        return json.loads(self.asked or b"{}")

    def field(self, name, pattern):
        """A field of a form of either kind, or of JSON."""
        found = re.search(f'{name}"?(?:=|: ?"|\r\n\r\n)({pattern})'.encode(), self.asked)
        return urllib.parse.unquote(found[1].decode()) if found else None


class Ledger:
    """`causes()` counts what was injected so far. `url` takes the server's place for the client."""

    def __init__(self, server, causes, tries=1, grace=2.0):
        self.server, self.causes, self.tries, self.grace = server, causes, tries, grace
        self.lock, self.statuses, self.unexplained = threading.Lock(), collections.Counter(), []
        self.seen = (causes(), 0.0)  # the count of causes, and when it last grew
        self.projects, self.images, self.annotations, self.exports, self.models, self.bytes, self.addresses = {}, {}, {}, {}, {}, {}, {}
        ledger = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self):
                chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
                body = b"".join(self.chunks()) if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = ledger.ask(self.command, self.path, self.headers, body)
                self.send_response_only(status)
                for key, value in headers:
                    if key.lower() not in PASSED_ON:
                        self.send_header(key, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def chunks(self):
                while size := int(self.rfile.readline().partition(b";")[0], 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        self.front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.front.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.front.server_port}"
        threading.Thread(target=self.front.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.front.shutdown()
        self.front.server_close()

    # --- exchanges ---

    def ask(self, method, path, headers, body):
        for turn in range(self.tries):
            began = self.look()
            status, given, answer = self.ask_once(method, path, headers, body)
            self.note(method, path, Exchange(status, body, answer), began)
            if status < 500:
                break
            time.sleep(0.05 * turn)
        return status, given, answer

    def ask_once(self, method, path, headers, body):
        back = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        sent = {k: v for k, v in headers.items() if k.lower() not in PASSED_ON}  # Host among them: signed addresses lead back here
        if body or method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(len(body))
        back.request(method, path, body, sent)
        reply = back.getresponse()
        answer = reply.read()
        back.close()
        return reply.status, reply.getheaders(), answer

    def look(self):
        """(causes so far, how long ago the last one was)"""
        with self.lock:
            count = self.causes()
            if count != self.seen[0]:
                self.seen = (count, time.monotonic())
            return count, time.monotonic() - self.seen[1]

    def note(self, method, path, exchange, began):
        count, age = began
        with self.lock:
            self.statuses[exchange.status] += 1
            if exchange.failed and self.causes() == count and age > self.grace:
                self.unexplained.append(f"{method} {path[:150]}: {exchange.status} {exchange.answered[:200]!r}")
            line = f"{method} {urllib.parse.unquote(path.partition('?')[0]).replace('/api/v1/developer', '').rstrip('/')}"
            for pattern, learn in ROUTES:
                if found := pattern.match(line):
                    learn(self, exchange, *found.groups())

    def forget(self, project):
        for image in [i for i, facts in self.images.items() if facts[0] == project]:
            self.images.pop(image)
            self.annotations.pop(image, None)

    # --- what answers teach ---

    @on("POST /projects")
    def created(self, exchange):
        if exchange.done:
            project = exchange.json()["project"]
            self.projects[project["id"]] = project["name"]

    @on("DELETE /projects/(.+)")
    def deleted_project(self, exchange, name):
        if exchange.done or exchange.failed:
            for project in [p for p, n in self.projects.items() if n == name]:
                self.projects.pop(project)
                self.forget(project)
            self.exports = {k: v for k, v in self.exports.items() if k[0] != name}

    @on("POST /images/upload-url")
    def address(self, exchange):
        if exchange.done:
            target = exchange.json()
            self.addresses[re.sub("^https?://[^/]*", "", target["upload_url"]).partition("?")[0]] = target["gcs_path"]

    @on("PUT (/storage/v1/objects/.+)")
    def put(self, exchange, path):
        if exchange.done and path in self.addresses:
            self.bytes[self.addresses[path]] = hashlib.sha256(exchange.asked).hexdigest()

    @on("POST /images/(?:register|upload)")
    def registered(self, exchange):
        if exchange.done:
            place = exchange.field("gcs_path", r"[^&\"\r]+")
            self.images[exchange.json()["image"]["id"]] = (exchange.field("dataset_id", "[0-9a-f-]{36}"), self.bytes.get(place))

    @on("DELETE /images/([^/]+)")
    def deleted_image(self, exchange, image):
        if exchange.done or exchange.failed:
            self.images.pop(image, None)
            self.annotations.pop(image, None)

    @on("(?:POST|DELETE) /annotations/([^/]+)")
    def saved(self, exchange, image):
        if exchange.done:
            self.annotations[image] = [sorted(a["id"] for a in exchange.sent().get("annotations", []))]
        elif exchange.failed:
            self.annotations.setdefault(image, [None]).append(sorted(a["id"] for a in exchange.sent().get("annotations", [])))

    @on("(?:POST|PATCH) /(?:batch/images/.+|auto-annotate/batch|annotations)")
    def changed_many(self, exchange):
        """Jobs write annotations when they like: nothing is certain of that data set any more."""
        projects = [p for p, name in self.projects.items() if name == exchange.sent().get("dataset_name")]
        for image in [i for i in self.annotations if i == exchange.sent().get("image_id") or self.images.get(i, [None])[0] in projects]:
            del self.annotations[image]

    @on("POST /batch/images/delete")
    def deleted_many(self, exchange):
        if exchange.done or exchange.failed:
            for image in exchange.sent().get("image_ids", []):
                self.images.pop(image, None)

    @on("GET /exports/([^/]+)/([^/]+)")
    def looked_at_export(self, exchange, dataset, name):
        export = exchange.json().get("export", {}) if exchange.done else {}
        if export.get("status") == "completed":
            self.exports[dataset, name] = export["md5"]

    @on("DELETE /exports/([^/]+)/([^/]+)")
    def deleted_export(self, exchange, dataset, name):
        if exchange.done or exchange.failed:
            self.exports.pop((dataset, name), None)

    @on("GET /models/([^/]+)/download")
    def downloaded_model(self, exchange, model):
        if exchange.done:
            self.models[model] = exchange.json()["md5"]

    @on("DELETE /models/([^/]+)")
    def deleted_model(self, exchange, model):
        if exchange.done or exchange.failed:
            self.models.pop(model, None)

    # --- the reckoning ---

    def lost(self, clients):
        """What was acknowledged and is not there. Each thing is asked of the server itself by the first of the clients that it belongs to."""
        missing = []

        def get(path):
            return min((client.get(path, None) for client in clients), key=lambda reply: reply.status_code)

        def same(path, md5):
            reply = get(path)
            data = clients[0].fetch(reply.json()["download_url"]).content if reply.status_code == 200 else b""
            if hashlib.md5(data).hexdigest() != md5:
                missing.append(f"{path}: {reply.status_code}, {len(data)} bytes")
        for project, name in self.projects.items():
            if get(f"/datasets/{project}").status_code != 200:
                missing.append(f"project {name}")
        for image, (_, sha256) in self.images.items():
            reply = get(f"/images/{image}")
            if reply.status_code != 200 or sha256 and hashlib.sha256(reply.content).hexdigest() != sha256:
                missing.append(f"image {image}: {reply.status_code}")
        for image, acceptable in self.annotations.items():
            reply = get(f"/annotations/{image}")
            found = sorted(a["id"] for a in reply.json()["annotations"]) if reply.status_code == 200 else reply.status_code
            if found not in acceptable and None not in acceptable:
                missing.append(f"annotations of {image}: {found}, not one of {acceptable}")
        for (dataset, name), md5 in self.exports.items():
            same(f"/exports/{dataset}/{name}/download", md5)
        for model, md5 in self.models.items():
            same(f"/models/{model}/download", md5)
        return missing

    def entries(self):
        return len(self.projects) + len(self.images) + len(self.annotations) + len(self.exports) + len(self.models)
