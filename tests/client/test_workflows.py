"""The workflows of decisions.md (e), called by ctypes, against a small Pictograph in memory."""
import ctypes as c

import pytest
from library import Client, check_mirrors, lib
from service import Service


class Wait(c.Structure):
    _fields_ = [("interval", c.c_double), ("timeout", c.c_double), ("on_poll", c.c_void_p), ("context", c.c_void_p)]


class Failure(c.Structure):
    _fields_ = [("path", c.c_char_p), ("kind", c.c_char_p), ("reason", c.c_char_p)]


class Target(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_char_p)]


class Upload(c.Structure):
    _fields_ = [("dataset_name", c.c_char_p), ("folder", c.c_char_p), ("must_exist", c.c_bool), ("flat", c.c_bool), ("full_paths", c.c_bool),
                ("conflicts_fail", c.c_bool), ("workers", c.c_int), ("progress", c.c_void_p), ("context", c.c_void_p)]


class UploadReport(c.Structure):
    _fields_ = [("images_attempted", c.c_int64), ("images_uploaded", c.c_int64), ("images_skipped", c.c_int64), ("failures", c.POINTER(Failure)),
                ("failure_count", c.c_size_t), ("success", c.c_bool)]


class Annotate(c.Structure):
    _fields_ = [("dataset_name", c.c_char_p), ("classes", c.POINTER(Target)), ("class_count", c.c_size_t), ("model_id", c.c_char_p),
                ("confidence_threshold", c.c_double), ("text_mode", c.c_bool), ("overwrite", c.c_bool), ("max_images", c.c_int64), ("top_k", c.c_int64),
                ("wait", Wait), ("progress", c.c_void_p), ("context", c.c_void_p)]


class AnnotateReport(c.Structure):
    _fields_ = [("images_attempted", c.c_int64), ("images_processed", c.c_int64), ("images_skipped", c.c_int64), ("annotations_added", c.c_int64),
                ("failures", c.POINTER(Failure)), ("failure_count", c.c_size_t), ("job_id", c.c_char * 64), ("message", c.c_char * 512), ("success", c.c_bool)]


class Train(c.Structure):
    _fields_ = [(name, c.c_char_p) for name in ("dataset_name", "pipeline_type", "export_name", "name", "gpu_type", "config_json")] + [("no_wait", c.c_bool), ("wait", Wait)]


class FullPipeline(c.Structure):
    _fields_ = [("upload", Upload), ("annotate", c.POINTER(Annotate)), ("train", c.POINTER(Train)), ("min_credits", c.c_int64)]


class PipelineReport(c.Structure):
    _fields_ = [("upload", UploadReport), ("annotated", c.c_bool), ("annotate", AnnotateReport), ("training_run", c.c_void_p), ("model", c.c_void_p),
                ("credit_skip_reason", c.c_char * 256), ("success", c.c_bool)]


check_mirrors(Wait=Wait, Failure=Failure, Target=Target, FolderUpload=Upload, UploadReport=UploadReport, Annotate=Annotate, AnnotateReport=AnnotateReport,
              Train=Train, FullPipeline=FullPipeline, PipelineReport=PipelineReport)
SOON = Wait(interval=0.02)


def annotate(*classes, **fields):
    return Annotate(classes=(Target * len(classes))(*(Target(name.encode(), kind) for name, kind in classes)), class_count=len(classes), confidence_threshold=-1, wait=SOON, **fields)


@pytest.fixture
def service(server):
    server.answers = Service(server.url)
    return server.answers


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg", "a/3.jpg"):
        (tmp_path / "in" / name).write_bytes(b"a picture, as far as the stand-in looks")
    return tmp_path / "in"


def run(server, folder, **fields):
    """What became of the whole chain: (failure, report as a dict)."""
    report = PipelineReport()
    plan = FullPipeline(Upload(dataset_name=b"cars", folder=str(folder).encode()), c.pointer(annotate(("car", None), ("bus", b"bbox"))),
                        c.pointer(Train(pipeline_type=b"yolox", config_json=b'{"epochs": 2}', wait=SOON)), **fields)
    with Client(server.url) as client:
        lib.pictograph_full_pipeline(client.handle, c.byref(plan), c.byref(report), c.byref(client.error))
        failure = client.failure
    texts = {name: lib.pictograph_text(c.c_void_p(getattr(report, name)), b"/id") if getattr(report, name) else None for name in ("training_run", "model")}
    told = {"uploaded": report.upload.images_uploaded, "annotated": report.annotate.images_processed, "gate": report.credit_skip_reason.decode(),
            "success": report.success, **texts}
    lib.pictograph_pipeline_report_clear(c.byref(report))
    return failure, told


def test_from_a_folder_to_a_model(server, service, folder):
    assert run(server, folder) == ("", {"uploaded": 3, "annotated": 3, "gate": "", "success": True, "training_run": b"r-0", "model": b"m-r-0"})
    job = service.jobs["j-0"]["asked"]
    assert sorted(job["image_filenames"]) == ["/1.jpg", "/2.jpg", "/a/3.jpg"]
    assert job["classes"] == [{"name": "car", "output_type": "polygon"}, {"name": "bus", "output_type": "bbox"}]
    assert service.runs["r-0"]["config"] == {"epochs": 2} and service.runs["r-0"]["export_name"].startswith("yolox-2")
    # Over an unchanged folder nothing is uploaded, and the chain stops there.
    assert run(server, folder) == ("", {"uploaded": 0, "annotated": 0, "gate": "", "success": False, "training_run": None, "model": None})


def test_the_gate_of_the_pipeline(server, service, folder):
    service.credits = 4
    failure, told = run(server, folder, min_credits=5)
    assert failure == "" and told["uploaded"] == 3 and told["annotated"] == 0 and not told["success"] and "4 credits are left" in told["gate"]
    assert "POST auto-annotate/batch" not in server.routes() and "POST training/" not in server.routes()


def by_text(server, *classes, **fields):
    report = AnnotateReport()
    with Client(server.url) as client:
        lib.pictograph_auto_annotate_dataset(client.handle, c.byref(annotate(*classes, dataset_name=b"cars", text_mode=True, **fields)), c.byref(report), c.byref(client.error))
        failure = client.failure
    failures = [(report.failures[i].path.decode(), report.failures[i].reason.decode()) for i in range(report.failure_count)]
    told = (report.images_attempted, report.images_processed, report.images_skipped, report.annotations_added, report.success)
    lib.pictograph_annotate_report_clear(c.byref(report))
    return failure, told, failures


@pytest.fixture
def cars(service):
    service.projects["cars"] = {"id": "d-cars", "name": "cars", "classes": [{"name": "car"}, {"name": "bus"}]}
    for number in range(4):
        service.images[f"i-{number}"] = {"id": f"i-{number}", "dataset": "cars", "filename": f"{number}.jpg", "virtual_folder_path": "/", "status": "new",
                                         "annotations": [{"name": "car"}] if number == 3 else []}
    return service


def test_text_mode_saves_all_classes_of_an_image_at_once(server, cars):
    assert by_text(server, ("car", None), ("bus", b"bbox"), ("zebra", None)) == ("", (3, 3, 1, 6, True), [])
    assert [(a["name"], a["type"]) for a in cars.images["i-0"]["annotations"]] == [("car", "polygon"), ("bus", "bbox")]
    assert cars.images["i-3"]["annotations"] == [{"name": "car"}], "it had annotations"
    assert server.routes().count("POST auto-annotate/sam3/text") == 9 and sum(r.startswith("POST annotations/") for r in server.routes()) == 3


def test_text_mode_without_a_detection_saves_nothing(server, cars):
    assert by_text(server, ("zebra", None), max_images=2) == ("", (2, 2, 0, 0, True), [])
    assert not any(r.startswith("POST annotations/") for r in server.routes())


def test_text_mode_raises_early_and_records_later(server, cars):
    cars.gone = {"/0.jpg"}
    assert by_text(server, ("car", None))[:2] == ("NotFoundError", (3, 0, 1, 0, False))
    cars.gone = {"/1.jpg"}
    assert by_text(server, ("car", None)) == ("", (3, 2, 1, 2, False), [("/1.jpg", "no such image")])
