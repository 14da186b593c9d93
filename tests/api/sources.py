"""Stand-ins for V7 and Roboflow, written from their published API descriptions (docs.v7labs.com, docs.roboflow.com): what an import reads of them, with
paging, keys, rate limits, redirects to signed storage, broken and slow files."""
import contextlib
import http.server
import io
import json
import re
import threading
import time
import urllib.parse
import zipfile

from PIL import Image

V7_KEY = "v7key.Zm9yLXRoZS10ZXN0cw"
ROBOFLOW_KEY = "rfKey+for/the=tests"


def jpeg(width=64, height=48, colour=(90, 140, 60)):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


class Sources:
    """Both sources on one port: /v7 and /roboflow are their roots. On another port, which is another origin: the storage that downloads are sent on to."""

    def __init__(self):
        self.files = {}        # name below /signed -> bytes
        self.v7_sets = {}      # id -> {name, slug, items: [..]}
        self.v7_classes = []   # as /annotation_classes answers
        self.v7_annotations = {}  # item id -> list
        self.projects = {}     # slug -> {name, type, classes, images: {id: {...}}, versions: {number: zip bytes}}
        self.page = 3          # most entries of a page
        self.limited = 0       # so many calls more are answered 429
        self.limited_files = 0
        self.broken = 0        # so many calls more are answered 503
        self.slow = 0.0        # seconds that a file takes
        self.silent = 0.0      # seconds that a call takes
        self.export_waits = 1  # so many times an export is "still being made"
        self.echo_key = False
        self.revoked = False   # V7's key is good no more
        self.seen = []         # (path with query, headers)
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"sources": self})
        self.servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
        self.url, self.storage = (f"http://127.0.0.1:{s.server_address[1]}" for s in self.servers)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    @property
    def settings(self):
        return {"PICTOGRAPHD_CONNECTORS_V7_URL": self.url + "/v7", "PICTOGRAPHD_CONNECTORS_ROBOFLOW_URL": self.url + "/roboflow"}

    def took(self, part):
        return [path for path, _ in self.seen if part in path]

    # --- content

    def v7_set(self, number, name, images, annotations=(), folder="/", size=(64, 48)):
        items = []
        for i in range(images):
            item = f"{number:08d}-0000-4000-8000-{i:012d}"
            self.files[f"v7-{item}"] = jpeg(*size, colour=(number % 250, i % 250, 7))
            items.append({"id": item, "name": f"image {i}.jpg", "path": folder, "archived": False, "processing_status": "complete", "dataset_id": number,
                          "slots": [{"slot_name": "0", "type": "image", "file_name": f"image {i}.jpg", "upload_id": item}]})
            self.v7_annotations[item] = list(annotations)
        self.v7_sets[number] = {"name": name, "slug": re.sub(r"\W+", "-", name.lower()), "items": items}
        return items

    def roboflow_project(self, slug, name, images, boxes=(), kind="object-detection", classes=None):
        entries = {}
        for i in range(images):
            key = f"rf{slug}{i:04d}"
            self.files[key] = jpeg(64, 48, colour=(i % 250, 90, 30))
            entries[key] = {"id": key, "name": f"{i}.jpg", "labels": [], "split": "train", "annotation": {"key": "x", "width": 64, "height": 48, "boxes": list(boxes)}}
        self.projects[slug] = {"name": name, "type": kind, "classes": classes or {}, "images": entries, "versions": {}}
        return entries


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sources = None

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", content_type="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null"))

    def answer(self, body):
        s = self.sources
        with s.lock:
            s.seen.append((self.path, dict(self.headers)))
        path, _, query = self.path.partition("?")
        parts = [urllib.parse.unquote(p) for p in path.strip("/").split("/")]
        query = urllib.parse.parse_qs(query)
        if parts[0] == "signed":
            return self.file(parts[1])
        time.sleep(s.silent)
        with s.lock:
            if s.limited > 0:
                s.limited -= 1
                return self.reply(429, {"error": "slow down"}, Retry_After="1")
            if s.broken > 0:
                s.broken -= 1
                return self.reply(503, b"<html>down</html>", "text/html")
        return self.v7(parts[1:], query) if parts[0] == "v7" else self.roboflow(parts[1:], query, body)

    def file(self, name):
        s = self.sources
        assert "Authorization" not in self.headers, "the key was sent to the storage"
        with s.lock:
            if s.limited_files > 0:
                s.limited_files -= 1
                return self.reply(429, b"", Retry_After="1")
        time.sleep(s.slow)
        if name not in s.files:
            return self.reply(404, b"gone", "text/plain")
        return self.reply(200, s.files[name], "application/octet-stream" if name.endswith(".bin") else "image/jpeg")

    # --- V7: Authorization: ApiKey …

    def v7(self, parts, query):
        s = self.sources
        if s.revoked or self.headers.get("Authorization") != f"ApiKey {V7_KEY}":
            words = f"no such key: {self.headers.get('Authorization')}" if s.echo_key else "invalid API key"
            return self.reply(401, {"errors": {"message": words}})
        if parts == ["users", "token_info"]:
            return self.reply(200, {"selected_team": {"id": 5, "name": "The Team", "slug": "the-team"}})
        if parts == ["datasets"]:
            return self.reply(200, [{"id": n, "name": d["name"], "slug": d["slug"], "num_items": None, "num_images": len(d["items"]), "num_videos": 0, "progress": 0.5}
                                    for n, d in s.v7_sets.items()])
        if parts == ["teams", "the-team", "annotation_classes"]:
            return self.reply(200, {"annotation_classes": s.v7_classes})
        if parts[:3] != ["v2", "teams", "the-team"]:
            return self.reply(404, {"errors": {"code": "NOT_FOUND"}})
        if parts[3:] == ["items"]:
            items = s.v7_sets[int(query["dataset_ids[]"][0])]["items"]
            start = next((i for i, item in enumerate(items) if item["id"] == query.get("page[from]", [None])[0]), 0)
            page = items[start:start + min(s.page, int(query["page[size]"][0]))]
            after = start + len(page)
            return self.reply(200, {"items": page, "page": {"count": len(page), "next": items[after]["id"] if after < len(items) else None, "previous": None}})
        if len(parts) == 6 and parts[3] == "items" and parts[5] == "annotations":
            return self.reply(200, s.v7_annotations.get(parts[4], []))
        if len(parts) == 5 and parts[3] == "uploads":
            return self.reply(302, b"", Location=f"{s.storage}/signed/v7-{urllib.parse.quote(parts[4])}")
        return self.reply(404, {"errors": {"code": "NOT_FOUND"}})

    # --- Roboflow: ?api_key=…

    def roboflow(self, parts, query, body):
        s = self.sources
        if query.get("api_key") != [ROBOFLOW_KEY]:
            return self.reply(401, {"error": {"message": "This API key does not exist (or has been revoked).", "status": 401, "type": "OAuthException"}})
        if not parts or parts == [""]:
            return self.reply(200, {"welcome": "Welcome to the Roboflow API.", "instructions": "You are successfully authenticated.", "workspace": "the-workspace"})
        if parts[0] != "the-workspace":
            return self.reply(404, {"error": "no such workspace"})
        if len(parts) == 1:
            return self.reply(200, {"workspace": {"name": "W", "url": "the-workspace", "projects": [
                {"id": f"the-workspace/{slug}", "type": p["type"], "name": p["name"], "images": len(p["images"]), "unannotated": 0, "versions": len(p["versions"]),
                 "classes": p["classes"]} for slug, p in s.projects.items()]}})
        project = s.projects.get(parts[1])
        if not project:
            return self.reply(404, {"error": "no such project"})
        if len(parts) == 2:
            return self.reply(200, {"workspace": {}, "project": {"id": f"the-workspace/{parts[1]}", "type": project["type"], "name": project["name"],
                                                                 "classes": project["classes"], "colors": {name: "#C7FC00" for name in project["classes"]}}, "versions": []})
        if parts[2:] == ["search"]:
            entries = list(project["images"].values())
            page = entries[body["offset"]:body["offset"] + min(body["limit"], s.page)]
            return self.reply(200, {"offset": body["offset"], "total": len(entries), "results": [{k: e[k] for k in body["fields"]} for e in page]})
        if parts[2] == "images" and len(parts) == 4:
            entry = project["images"].get(parts[3])
            if not entry:
                return self.reply(404, {"error": "Image not found."})
            url = entry.get("url", f"{s.storage}/signed/{entry['id']}")
            return self.reply(200, {"image": {**entry, "urls": {"original": url, "thumb": url, "annotation": url}, "embedding": [0.5]}})
        number = int(parts[2])
        if number not in project["versions"]:
            return self.reply(404, {"error": "no such version"})
        if len(parts) == 3:
            return self.reply(200, {"version": {"id": f"the-workspace/{parts[1]}/{number}", "images": 2}})
        with s.lock:
            waits, s.export_waits = s.export_waits, max(0, s.export_waits - 1)
        if waits:
            return self.reply(202, {"progress": 0.5})
        s.files[f"{parts[1]}-{number}.bin"] = project["versions"][number]
        return self.reply(200, {"export": {"format": parts[3], "link": f"{s.storage}/signed/{parts[1]}-{number}.bin", "size": 1}})


def coco_archive(images):
    """As Roboflow packs a version: a folder a split, its labels beside its images."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for split, (name, boxes) in images.items():
            z.writestr(f"{split}/{name}", jpeg(64, 48, colour=(len(split), 3, 9)))
            z.writestr(f"{split}/_annotations.coco.json", json.dumps({
                "info": {}, "licenses": [], "categories": [{"id": 0, "name": "things", "supercategory": "none"}, {"id": 1, "name": "cat", "supercategory": "things"}],
                "images": [{"id": 0, "file_name": name, "width": 64, "height": 48}],
                "annotations": [{"id": i, "image_id": 0, "category_id": 1, "bbox": box, "area": box[2] * box[3], "segmentation": [], "iscrowd": 0} for i, box in enumerate(boxes)]}))
        z.writestr("README.roboflow.txt", "made for a test")
    return out.getvalue()
