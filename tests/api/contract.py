"""The contract as a judge: every exchange that a test makes is held against it.

`Contract.check` finds the operation of a request, then validates status, content type, required headers and body of the reply against the
schema of that operation. It remembers what was seen, so that the run can fail on an operation that no test exercised.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = "urn:pictograph:contract"
# Declared, and out of a test's reach: (operation, status) -> why.
EXCUSED = {}
METHODS = ("get", "post", "put", "patch", "delete")


def load_bundle(path):
    subprocess.run([sys.executable, ROOT / "tools" / "apigen.py", "bundle", path], check=True)
    return json.loads(pathlib.Path(path).read_text())


class Contract:
    def __init__(self, document):
        self.document = document
        self.registry = Registry().with_resource(BASE, Resource(contents=document, specification=DRAFT202012))
        self.formats = jsonschema.FormatChecker(formats=["uuid", "date-time", "uri", "email"])
        self.validators = {}
        self.operations = {}
        self.routes = []
        self.seen = collections.defaultdict(collections.Counter)
        for template, item in document["paths"].items():
            for method in METHODS:
                if method not in item:
                    continue
                operation = item[method]
                self.operations[operation["operationId"]] = operation
                for spelling in [template, *operation.get("x-path-aliases", [])]:
                    pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(spelling.rstrip("/"))) + "/?$"
                    fixed = len(re.sub(r"\{[^}]*\}", "", spelling))
                    self.routes.append((method.upper(), re.compile(pattern), fixed, operation))
        self.routes.sort(key=lambda route: -route[2])  # literal segments win over parameters

    def operation(self, method, path):
        method = "GET" if method == "HEAD" else method
        return next((op for m, pattern, _, op in self.routes if m == method and pattern.match(path)), None)

    def resolve(self, node):
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def validator(self, schema):
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            # A fragment reference means the whole document, not this piece of it.
            whole = json.loads(key.replace('"$ref": "#/', f'"$ref": "{BASE}#/'))
            self.validators[key] = jsonschema.Draft202012Validator(whole, registry=self.registry, format_checker=self.formats)
        return self.validators[key]

    def check(self, method, path, reply):
        """Raises AssertionError with everything that is wrong with the reply. `reply` is a requests.Response."""
        operation = self.operation(method, path)
        if operation is None:
            assert reply.status_code in (400, 404, 405), f"{method} {path} is not in the contract, yet answered {reply.status_code}"
            return
        name = operation["operationId"]
        self.seen[name][reply.status_code] += 1
        wrong = []
        described = operation["responses"].get(str(reply.status_code))
        if described is None and reply.status_code == 507:
            described = operation["responses"].get("503") or operation["responses"].get("500")
        if described is None:
            raise AssertionError(f"{name} answered {reply.status_code}, which the contract does not know: {reply.text[:300]}")
        described = self.resolve(described)
        for header in described.get("headers", {}):
            if header in ("X-Request-Id", "Retry-After", "WWW-Authenticate") or (header.startswith("X-RateLimit") and reply.request.headers.get("X-API-Key")):
                if header not in reply.headers:
                    wrong.append(f"header {header} is missing")
        content = described.get("content", {})
        kind = reply.headers.get("Content-Type", "").split(";")[0].strip()
        if content and method != "HEAD":
            media = content[kind] if kind in content else next((m for k, m in content.items() if k.endswith("/*") and kind.startswith(k[:-1])), None)
            if media is None:
                wrong.append(f"content type {kind!r} is none of {list(content)}")
            elif kind == "application/json" and "schema" in (media or {}):
                for error in self.validator(media["schema"]).iter_errors(reply.json()):
                    wrong.append(f"{'/'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}")
        elif reply.status_code == 204 and reply.content:
            wrong.append("204 with a body")
        if reply.status_code >= 400 and kind == "application/json":
            body = reply.json()
            if body.get("request_id", reply.headers["X-Request-Id"]) != reply.headers["X-Request-Id"]:
                wrong.append("request_id differs from the X-Request-Id header")
        assert not wrong, f"{name} {reply.status_code}: " + "; ".join(wrong) + f"\n{reply.text[:600]}"

    def unexercised(self):
        """Operations that no test got a success from."""
        return sorted(name for name in self.operations if not any(status < 400 for status in self.seen[name]))

    def holes(self):
        """(operation, status) that the contract declares and no test saw. 500 and 503 are for what must not happen."""
        for name, operation in sorted(self.operations.items()):
            for status in sorted(int(s) for s in operation["responses"] if s.isdigit()):
                if status not in (500, 503) and not self.seen[name][status] and (name, status) not in EXCUSED:
                    yield name, status

    def needless(self):
        """Excuses for what a test saw, or the contract does not declare."""
        return [(name, status) for name, status in EXCUSED if self.seen[name][status] or str(status) not in self.operations[name]["responses"]]

    def table(self):
        statuses = sorted({status for counts in self.seen.values() for status in counts})
        rows = [f"{'operation':28}" + "".join(f"{s:>6}" for s in statuses)]
        for name in sorted(self.operations):
            rows.append(f"{name:28}" + "".join(f"{self.seen[name][s] or '.':>6}" for s in statuses))
        return "\n".join(rows)
