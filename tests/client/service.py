"""A whole small Pictograph in memory, as far as the pipeline needs it: what is stored, jobs that end at the second look, credits without end."""
import hashlib
import json
import pathlib
import re
import sys

from stand_in import error

ROUTES = []


def route(pattern):
    def add(function):
        ROUTES.append((re.compile(pattern + "$"), function))
        return function
    return add


class Service(dict):
    """Takes the place of StandIn.answers."""

    def __init__(self, url):
        super().__init__()
        self.url, self.projects, self.images, self.exports, self.runs, self.jobs = url, {}, {}, {}, {}, {}
        self.onnx, self.credits, self.gone = b"onnx" * 1000, 1000000, set()

    def get(self, key, default=None):
        for pattern, function in ROUTES:
            if found := pattern.match(key):
                return lambda asked: function(self, asked, *found.groups())
        return default

    def of(self, dataset, **facts):
        return [image for image in self.images.values() if image["dataset"] == dataset and all(image[k] == v for k, v in facts.items())]

    @route("GET projects/(.*)")
    def get_project(self, asked, name):
        return (200, {"project": self.projects[name]}) if name in self.projects else (404, error("not_found", f"Project '{name}' not found"))

    @route("POST projects/")
    def create_project(self, asked):
        body = asked.json
        self.projects[body["name"]] = {"id": "d-" + body["name"], "name": body["name"], "classes": body.get("classes", [])}
        return 201, {"project": self.projects[body["name"]]}

    @route("PATCH projects/(.*)")
    def update_project(self, asked, name):
        self.projects[name].update(asked.json)
        return 200, {"project": self.projects[name]}

    @route("GET datasets/by-name/(.*)")
    def get_dataset(self, asked, name):
        if name not in self.projects:
            return 404, error("not_found", f"Project '{name}' not found")
        dataset = dict(self.projects[name])
        if asked.query.get("include_images") == "true":
            first, count = int(asked.query["images_offset"]), int(asked.query["images_limit"])
            dataset["images"] = [{**image, "annotation_count": len(image["annotations"])} for image in self.of(name)][first:first + count]
        return 200, {"dataset": dataset}

    @route("POST images/upload-url")
    def upload_url(self, asked):
        body = asked.json
        name = body["dataset_id"].removeprefix("d-")
        if self.of(name, filename=body["filename"], virtual_folder_path=body["folder_path"]):
            return 409, error("already_exists", "already exists")
        return 200, {"upload_url": self.url + "/storage/v1/objects/x", "gcs_bucket": "b", "gcs_path": "p", "gcs_uri": "u", "expires_at": ""}

    @route("PUT .*")
    def put(self, asked):
        return 200, b""

    @route("POST images/register")
    def register(self, asked):
        form, number = asked.form, f"i-{len(self.images)}"
        self.images[number] = {"id": number, "dataset": form["dataset_id"].removeprefix("d-"), "filename": form["filename"],
                               "virtual_folder_path": form["folder_path"], "status": "new", "annotations": [], "file_size": int(form["file_size"])}
        return 201, {"image_id": number, "image": {"id": number}}

    @route("POST annotations/(.*)")
    def save(self, asked, image_id):
        image, names = self.images[image_id], {c["name"] for c in self.projects[self.images[image_id]["dataset"]]["classes"]}
        if wrong := [a["name"] for a in asked.json["annotations"] if a["name"] not in names]:
            return 422, error("unknown_class", [{"loc": ["body"], "msg": f"no class {wrong[0]}", "type": "unknown_class"}])
        image["annotations"], image["status"] = asked.json["annotations"], "complete"
        return 200, {"image_id": image_id, "previous_count": 0, "new_count": len(image["annotations"]), "status": "complete"}

    @route("PATCH batch/images/update")
    def stage(self, asked):
        for image_id in asked.json["image_ids"]:
            self.images[image_id]["status"] = asked.json["updates"]["status"]
        return 200, {"success": True}

    @route("POST exports/")
    def create_export(self, asked):
        body = asked.json
        taken = [i for i in self.of(body["dataset_name"]) if body["status_filter"] in ("all", i["status"])]
        data = json.dumps([(i["filename"], i["annotations"]) for i in taken]).encode()
        self.exports[body["name"]] = {**body, "status": "pending", "image_count": len(taken), "data": data.decode(),
                                      "annotation_count": sum(len(i["annotations"]) for i in taken), "md5": hashlib.md5(data).hexdigest()}
        return 202, {"export": self.exports[body["name"]]}

    @route("GET exports/[^/]*/([^/]*)")
    def get_export(self, asked, name):
        if name not in self.exports:
            return 404, error("not_found", "no such export")
        before = dict(self.exports[name])
        self.exports[name]["status"] = "completed"
        return 200, {"export": before}

    @route("GET exports/[^/]*/([^/]*)/download")
    def download_export(self, asked, name):
        return 200, {"download_url": f"{self.url}/export/{name}", "expires_at": "", "md5": self.exports[name]["md5"]}

    @route("GET /export/(.*)")
    def export_bytes(self, asked, name):
        return 200, self.exports[name]["data"].encode()

    @route("DELETE exports/[^/]*/([^/]*)")
    def delete_export(self, asked, name):
        del self.exports[name]
        return 204, b""

    @route("GET training/")
    def list_runs(self, asked):
        return 200, {"training_runs": list(self.runs.values())}

    @route("POST training/")
    def create_run(self, asked):
        run_id = f"r-{len(self.runs)}"
        self.runs[run_id] = {**asked.json, "id": run_id, "status": "running", "progress": 50, "current_epoch": 1, "total_epochs": 2,
                             "metrics": {"mAP50": 0.5}, "model_id": None, "training_time_seconds": 17}
        return 202, {"training_run": self.runs[run_id]}

    @route("GET training/(.+)")
    def get_run(self, asked, run_id):
        before = dict(self.runs[run_id])
        self.runs[run_id].update(status="completed", progress=100, model_id="m-" + run_id)
        return 200, {"training_run": before}

    @route("POST auto-annotate/batch")
    def batch(self, asked):
        body, job_id = asked.json, f"j-{len(self.jobs)}"
        added = 0
        for place in body["image_filenames"]:
            folder, _, filename = place.rpartition("/")
            for image in self.of(body["dataset_name"], filename=filename, virtual_folder_path=folder or "/"):
                image["annotations"] = [{"name": "apple"}]
                added += 1
        self.jobs[job_id] = {"job_id": job_id, "status": "completed", "progress": 100, "total_images": added, "processed_images": added,
                             "failed_images": 0, "total_annotations_added": added, "asked": body}
        return 202, {**self.jobs[job_id], "status": "pending"}

    @route("GET auto-annotate/batch/(.*)")
    def get_batch(self, asked, job_id):
        return 200, self.jobs[job_id]

    @route("POST auto-annotate/sam3/text")
    def text(self, asked):
        """Finds of every word one, but nothing of what begins with a z."""
        body = asked.json
        if body["image_filename"] in self.gone:
            return 404, error("not_found", "no such image")
        found = [] if body["text_prompt"].startswith("z") else [{"id": body["text_prompt"], "name": body["text_prompt"], "type": body["output_type"]}]
        return 200, {"status": "success" if found else "no_detection", "annotations": found}

    @route("GET credits/balance")
    def balance(self, asked):
        return 200, {"credits_remaining": self.credits, "credits_monthly_allowance": 0, "credits_reset_at": None, "recent_history": []}

    @route("GET models/([^/]*)")
    def get_model(self, asked, model_id):
        return 200, {"model": {"id": model_id, "status": "ready"}}

    @route("GET models/(.*)/download")
    def model_download(self, asked, model_id):
        return 200, {"download_url": self.url + "/model", "expires_at": "", "md5": hashlib.md5(self.onnx).hexdigest()}

    @route("GET /model")
    def model_bytes(self, asked):
        return 200, self.onnx


VISION = f"""#!{sys.executable}
# A model that knows the truth: it reads the Pascal VOC file of the picture, and shifts each box by SHIFT pixels.
import json, os, pathlib, struct, sys, xml.etree.ElementTree as xml

channel = os.fdopen(3, "r+b", buffering=0)
while len(head := channel.read(4) or b"") == 4:
    data, size = b"", struct.unpack("<I", head)[0]
    while len(data) < size:
        data += channel.read(size - len(data))
    call = json.loads(data)
    params, boxes = call["params"], []
    assert call["method"] == "detect" and params["confidence_threshold"] == 0.01 and os.path.getsize(params["model_path"]) == 4000
    picture = pathlib.Path(params["image_path"])
    for thing in xml.parse(picture.parents[1] / "Annotations" / (picture.stem + ".xml")).iter("object"):
        x1, y1, x2, y2 = (int(thing.find("bndbox/" + k).text) for k in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append({{"class": 0, "name": thing.find("name").text, "confidence": 0.9, "x": x1 - 1 + int(os.environ["SHIFT"]), "y": y1 - 1, "w": x2 - x1 + 1, "h": y2 - y1 + 1}})
    out = json.dumps({{"id": call["id"], "result": {{"detections": boxes}}}}).encode()
    channel.write(struct.pack("<I", len(out)) + out)
"""


def install_vision(folder):
    program = pathlib.Path(folder) / "pictograph-vision"
    program.write_text(VISION)
    program.chmod(0o755)
