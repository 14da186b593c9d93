"""A stand-in for the server: answers that a test scripts, and a record of what was asked."""
import contextlib
import http.server
import json
import os
import pathlib
import subprocess
import threading
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PICTOGRAPH_BUILD", ROOT / "build" / "meson"))
CLI = pathlib.Path(os.environ.get("PICTOGRAPH_CLI", BUILD / "src" / "cli" / "pictograph"))
API = "/api/v1/developer/"


class Asked:
    """One request as it came in."""

    def __init__(self, handler, body):
        parts = urllib.parse.urlsplit(handler.path)
        self.method, self.path, self.raw_path = handler.command, urllib.parse.unquote(parts.path), parts.path
        self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(parts.query).items()}
        self.headers, self.body = handler.headers, body
        self.route = f"{self.method} {self.path.removeprefix(API)}"

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def form(self):
        return {k: v[-1] for k, v in urllib.parse.parse_qs(self.body.decode(), keep_blank_values=True).items()}


class StandIn:
    """`answers` maps "METHOD path" to a list of answers, used one after the other (the last one stays), or to a function of Asked.
    An answer is (status, body[, headers]); a dict or list as body travels as JSON."""

    def __init__(self):
        self.answers, self.asked, self.lock = {}, [], threading.Lock()
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self):
                length = self.headers.get("Content-Length")
                asked = Asked(self, self.rfile.read(int(length)) if length else b"")
                with stand_in.lock:
                    stand_in.asked.append(asked)
                    script = stand_in.answers.get(asked.route, [(404, error("not_found", f"{asked.route} is not scripted"))])
                    answer = script(asked) if callable(script) else script.pop(0) if len(script) > 1 else script[0]
                status, body, *rest = answer
                headers = {"X-Request-Id": "req_test", **(rest[0] if rest else {})}
                if isinstance(body, (dict, list)):
                    body = json.dumps(body).encode()
                    headers.setdefault("Content-Type", "application/json")
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    for key, value in headers.items():
                        self.send_header(key, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def routes(self):
        return [asked.route for asked in self.asked]

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def environment(self, **more):
        home = os.environ.get("HOME", "/")
        return {"PATH": os.environ["PATH"], "HOME": home, "PICTOGRAPH_API_KEY": "pk_live_test", "PICTOGRAPH_BASE_URL": self.url,
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""), **more}

    def cli(self, *words, stdin="", **environment):
        return subprocess.run([CLI, *map(str, words)], input=stdin, capture_output=True, text=True, timeout=60,
                              env=self.environment(**environment))


def error(code, detail, **more):
    message = detail if isinstance(detail, str) else detail.get("message") if isinstance(detail, dict) else f"{len(detail)} fields failed"
    return {"detail": detail, "error_code": code, "message": message, "request_id": "req_test", **more}
