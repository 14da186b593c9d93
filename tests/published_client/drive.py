"""Does with the published client (PyPI pictograph) what its documentation shows, against PICTOGRAPH_BASE_URL. Run by test_published_client.py in
the environment of one version; raises at the first surprise. tests/soak sets PICTOGRAPH_TEST_EPOCHS to train in a second, and PICTOGRAPH_TEST_KEEP
to find afterwards what was stored."""
import datetime
import os
import pathlib
import sys
import tempfile
import time
import uuid

import httpx
import pictograph
from pictograph import workflows
from pictograph.agents import create_toolkit
from PIL import Image, ImageDraw

folder = pathlib.Path(tempfile.mkdtemp())
client = pictograph.Client()
name = "client-" + uuid.uuid4().hex[:8]
EPOCHS = int(os.environ.get("PICTOGRAPH_TEST_EPOCHS", 60))
LEARNT = EPOCHS >= 60  # fewer end in a model that finds nothing
KEEP = "PICTOGRAPH_TEST_KEEP" in os.environ
PATIENCE = 300  # seconds, for descriptions above all


def scene(path, seed):
    image = Image.new("RGB", (96, 96), (seed * 7 % 60, 20, 40))
    x, y = 8 + seed * 13 % 50, 8 + seed * 29 % 50
    ImageDraw.Draw(image).rectangle([x, y, x + 25, y + 25], fill=(230, 210, 50))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92)
    return {"x": x, "y": y, "w": 26, "h": 26}


# projects and datasets
project = client.projects.create(name, description="from the published client", annotation_types=["bbox"], classes=[{"name": "square", "type": "bbox", "color": "#ff0000"}])
assert project.name == name and client.projects.get(name).id == project.id
assert client.projects.update(name, description="changed").description == "changed"
assert name in [p.name for p in client.projects.iter(page_size=2)] and name in [d.name for d in client.datasets.list()]
assert name in [d.name for d in client.datasets.iter(page_size=1)]
assert client.datasets.get(name).id == client.datasets.get_by_id(str(project.id)).id == project.id

# a folder of images; its sub-folders become virtual folders
boxes = {}
for i in range(8):
    path = folder / "in" / ("a" if i % 2 else "b") / f"{i}.jpg"
    boxes[path.name] = scene(path, i)
report = workflows.upload_dataset_from_folder(client, name, folder / "in")
assert report.success and report.images_uploaded == 8, report
again = workflows.upload_dataset_from_folder(client, name, folder / "in")
assert again.images_skipped == 8, again
images = client.datasets.get(name, include_images=True).images
assert len(images) == 8
one = client.images.get(str(images[0].id))
client.images.download(str(one.id), folder / "one.jpg")
assert (folder / "one.jpg").stat().st_size == one.file_size
extra = client.images.upload(str(project.id), folder / "one.jpg", folder_path="/extra")
client.images.delete(str(extra.id))

# annotations
for image in images:
    saved = client.annotations.save(str(image.id), [pictograph.BBoxAnnotation(id="1", name="square", type="bbox", bounding_box=pictograph.BoundingBox(**boxes[image.filename]))])
    assert saved.new_count == 1
assert client.annotations.get(str(images[0].id))[0].name == "square"
try:
    client.annotations.save(str(images[0].id), [pictograph.KeypointAnnotation(id="1", name="unknown", type="keypoint", keypoint=pictograph.Point(x=1, y=2))])
    raise SystemExit("an unknown class was taken")
except pictograph.ValidationError as error:
    assert error.status_code == 422

# batch operations
moved = client.batch.move(name, [str(images[0].id)], target_folder_path="/moved")
assert moved.processed == 1
client.batch.copy(name, [str(images[0].id)], target_folder_path="/copied", copy_annotations=True)
client.batch.update(name, [str(images[1].id)], status="review")
assert client.batch.delete(name, [str(extra.id)]).processed == client.batch.delete(name, [str(extra.id)], permanent=True).processed == 1

# search, once the images are described
deadline = time.monotonic() + PATIENCE
while len(tagged := client.search.by_tag(attributes=["square", "panorama"], dataset_name=name)) < 9 and time.monotonic() < deadline:
    time.sleep(0.1)
assert len(tagged) == 9 and "square" in str(tagged[0].image_auto_tags)
assert client.search.by_tag(objects=["zebra"], attributes=["square"], dataset_name=name) == []
alike = client.search.by_similarity(str(images[0].id), threshold=0.0, folder_path="/")
assert len(alike) == 8 and alike[0].similarity > 0.999 and alike[0].filename == images[0].filename  # its copy

# export, download
export = client.exports.create(name, "first", format="coco", include_images=True)
export = client.exports.wait_for_completion(name, "first", poll_interval=0.1)
assert export.status == client.exports.get(name, "first").status == "completed"
assert [e.name for e in client.exports.iter(dataset_name=name, page_size=1)] == ["first"]
client.exports.download(name, "first", folder / "first.zip")
assert (folder / "first.zip").read_bytes()[:2] == b"PK" and "first" in [e.name for e in client.exports.list(dataset_name=name)]
loaded = client.datasets.download(name, folder / "out")
assert loaded.success and loaded.images_downloaded == 9, loaded

# training, model, batch annotation by it
client.exports.create(name, "train", format="pictograph", include_images=True)
client.exports.wait_for_completion(name, "train", poll_interval=0.1)
run = client.training.create(name, "train", pipeline_type="yolox", name="tiny run", config={"epochs": EPOCHS, "image_size": 64, "batch_size": 4, "model_size": "nano"})
run = client.training.wait_for_completion(str(run.id), poll_interval=0.3, timeout=300)
assert run.status == client.training.get(str(run.id)).status == "completed" and run.model_id
regretted = client.training.create(name, "train", pipeline_type="yolox", name="regretted", config={"epochs": 1000, "image_size": 64, "model_size": "nano"}, wait=False)
assert client.training.cancel(str(regretted.id)).status == "cancelled"
assert {r.id for r in client.training.list(dataset_name=name)} == {r.id for r in client.training.iter(dataset_name=name, page_size=1)} == {run.id, regretted.id}
client.models.download(str(run.model_id), folder / "model.onnx")
assert (folder / "model.onnx").stat().st_size > 100000 and str(run.model_id) in [str(m.id) for m in client.models.list()]
assert client.models.get(str(run.model_id)).status == "ready" and [m.id for m in client.models.iter(dataset_name=name, page_size=1)] == [run.model_id]
job = client.auto_annotate.batch(name, ["0.jpg", "1.jpg"], [{"name": "square", "output_type": "bbox"}], model_id=str(run.model_id), confidence_threshold=0.01)
job = client.auto_annotate.wait_for_batch(str(getattr(job, "job_id", None) or job.id), poll_interval=0.2)
assert job.status == "completed" and job.processed_images == 3 and (job.total_annotations_added > 0 or not LEARNT), job
job = client.auto_annotate.batch(name, sorted(boxes), [{"name": "square", "output_type": "bbox"}], model_id=str(run.model_id), wait=False)
assert client.auto_annotate.cancel_batch(job.job_id).status in ("cancelled", "completed") and client.auto_annotate.get_batch(job.job_id).job_id == job.job_id
prompt = client.auto_annotate.box(name, "3.jpg", box=boxes["3.jpg"], name="square", confidence_threshold=0.0)
assert prompt.status in ("success", "no_detection")
client.auto_annotate.point(name, "3.jpg", x=boxes["3.jpg"]["x"] + 10, y=boxes["3.jpg"]["y"] + 10, name="square")

# video: the argument is one of five seconds at ten frames a second
video = client.video.upload(sys.argv[1])
facts = client.video.probe(video.gcs_path)
assert (facts.frame_count, facts.native_fps, facts.width, facts.height) == (50, 10, 160, 96), facts
extraction = client.video.extract_frames(name, video.gcs_path, folder_name="frames", sample_fps=2.0, parent_folder_path="/", poll_interval=0.1)
assert extraction.status == "complete" and extraction.frames_extracted == 10 and extraction.folder_path == "/frames", extraction
assert client.video.get_extraction(extraction.job_id).progress == 100

# words: one prompt, then a whole data set by both ways of the workflow
if "PICTOGRAPH_TEST_PHOTO" in os.environ:  # a photograph of a cat
    cats = client.projects.create(name + "-cats", annotation_types=["bbox"])
    photo = client.images.upload(str(cats.id), pathlib.Path(os.environ["PICTOGRAPH_TEST_PHOTO"]))
    found = client.auto_annotate.text(cats.name, photo.filename, text_prompt="kitten", output_type="bbox")
    assert found.status == "success" and found.annotations[0].name == "kitten" and found.annotations[0].bounding_box.w > 100
    assert client.annotations.save(str(photo.id), found.annotations).new_count == len(found.annotations)
    assert client.auto_annotate.text(cats.name, photo.filename, text_prompt="unicorn").status == "no_detection"
    for mode in ("batch", "text"):
        client.annotations.delete(str(photo.id))  # the client counts by how much the list grew
        done = workflows.auto_annotate_dataset(client, cats.name, [("cat", "polygon"), ("unicorn", "bbox")], mode=mode, overwrite=True, poll_interval=0.1)
        assert done.images_processed == 1 and done.annotations_added >= 1, done
    assert client.annotations.get(str(photo.id))[0].type == "polygon"
    client.projects.delete(cats.name)
    # from a folder to a model, in one call
    for i in range(5):
        (folder / "cats").mkdir(exist_ok=True)
        Image.open(os.environ["PICTOGRAPH_TEST_PHOTO"]).resize((440 + i, 300)).convert("RGB").save(folder / "cats" / f"{i}.jpg")
    brief = {"epochs": 1, "image_size": 64, "batch_size": 4, "model_size": "nano"}
    whole = workflows.full_pipeline(client, dataset_name=cats.name, folder=folder / "cats", classes=[("cat", "bbox")], annotate_mode="text", pipeline="yolox", train_config=brief)
    assert whole.success and whole.annotate.images_processed == 5 and whole.model.id == whole.training_run.model_id, whole
    again, model = workflows.train_pipeline(client, cats.name, pipeline="yolox", export_name="again", config=brief, poll_interval=0.3)
    assert again.status == "completed" and model.id == again.model_id != whole.model.id
    for made in (whole.model, model):
        client.models.delete(str(made.id))
    client.projects.delete(cats.name)

# credits, organization, keys
assert client.credits.balance().credits_remaining > 0 and client.credits.estimate("sam3_auto_annotation").total_credits == 3
assert len(list(client.credits.iter(page_size=2, max_total=3))) == 3 and len(client.credits.history(limit=2, offset=1)) == 2
organization = client.organizations.me()
key = client.api_keys.create(str(organization.id), "made by the client", role="viewer")
viewer = pictograph.Client(api_key=key.api_key)
assert name in [p.name for p in viewer.projects.list()]
try:
    viewer.projects.create("forbidden")
    raise SystemExit("a viewer made a project")
except pictograph.ForbiddenError:
    pass
client.api_keys.update(str(key.key_id), name="renamed", is_active=True)
assert client.api_keys.get(str(key.key_id)).name == "renamed" and str(key.key_id) in [str(k.id) for k in client.api_keys.list()]
client.api_keys.delete(str(key.key_id))
naive = client.api_keys.create(str(organization.id), "until then", role="viewer", expires_at=datetime.datetime(2099, 1, 1))  # as most people write a time
assert naive.expires_at == datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc), naive
client.api_keys.delete(str(naive.key_id))
deadline = time.monotonic() + PATIENCE  # a second, by the contract
try:
    while time.monotonic() < deadline:
        viewer.projects.list()
        time.sleep(0.1)
    raise SystemExit("a deleted key works")
except pictograph.AuthError:
    pass

# members and invites; the client hides an invite's address, which comes by mail
owners = client.organizations.list_members()
assert [m.role for m in owners][:1] == ["owner"]
unwanted, wanted = (client.organizations.invite(f" {uuid.uuid4().hex[:10]}@Example.org ", role=role) for role in ("viewer", "member"))
client.organizations.revoke_invite(str(unwanted.id))
statuses = {i.id: i.status for i in client.organizations.list_invites()}
assert (statuses[unwanted.id], statuses[wanted.id]) == ("revoked", "pending") and unwanted.id not in [i.id for i in client.organizations.list_invites(status="pending")]
base, headers = os.environ["PICTOGRAPH_BASE_URL"], {"X-API-Key": os.environ["PICTOGRAPH_API_KEY"]}
shown = httpx.get(base + "/api/v1/developer/organizations/invites", headers=headers).json()["invites"]
token = next(i["invite_url"] for i in shown if i["id"] == str(wanted.id)).rsplit("/", 1)[1]
httpx.post(f"{base}/api/v1/invites/{token}/accept", json={}).raise_for_status()
joined = next(m for m in client.organizations.list_members() if m.email == wanted.email)
assert joined.role == "member" and client.organizations.update_member_role(str(joined.id), role="admin")["role"] == "admin"
client.organizations.remove_member(str(joined.id))
assert joined.id not in [m.id for m in client.organizations.list_members()]

# tools of agents
toolkit = create_toolkit(client=client)
assert [t["name"] for t in toolkit.as_json_schema()] == [t["name"] for t in httpx.get(base + "/api/v1/developer/tools.json", headers=headers).json()["tools"]]
assert toolkit.dispatch("create_dataset", {"name": name + "-agent"})["name"] == name + "-agent"
photo = toolkit.dispatch("upload_image", {"dataset_name": name + "-agent", "file_path": str(folder / "one.jpg")})
assert toolkit.dispatch("get_annotations", {"image_uuid": photo["id"]}) == {"annotations": [], "count": 0}
assert toolkit.dispatch("get_dataset", {"name": name + "-agent", "include_images": True})["images"][0]["id"] == photo["id"]
assert toolkit.dispatch("get_training_status", {"run_id": str(run.id)})["status"] == "completed"
assert toolkit.dispatch("delete_dataset", {"name": name + "-agent"})["deleted"]
try:
    toolkit.dispatch("get_dataset", {"name": name + "-agent"})
    raise SystemExit("a deleted dataset is there")
except pictograph.NotFoundError:
    pass

# imports
assert not client.connectors.validate("v7", "a wrong key").valid
reach = client.connectors.validate("v7", os.environ["V7_KEY"])
assert reach.valid and [d.name for d in reach.datasets] == ["Leaves"] and reach.datasets[0].image_count == 5
assert client.connectors.check_limits(total_images=5, estimated_size_bytes=10**6).allowed
job = client.connectors.import_("v7", os.environ["V7_KEY"], reach.datasets, poll_interval=0.2)
assert job.status == "completed" and job.imported_images == 5 and job.datasets[0].project_id, job
leaves = client.datasets.get(client.datasets.get_by_id(job.datasets[0].project_id).name, include_images=True)
assert client.annotations.get(str(leaves.images[0].id))[0].name == "leaf"
reach = client.connectors.validate("roboflow", os.environ["ROBOFLOW_KEY"])
job = client.connectors.import_("roboflow", os.environ["ROBOFLOW_KEY"], reach.datasets, wait=False)
job = client.connectors.get_import(job.import_id)
job = client.connectors.cancel_import(job.import_id)
assert job.status in ("completed", "cancelled")
try:
    client.connectors.import_("v7", "a wrong key", reach.datasets)
    raise SystemExit("a wrong key of the source was taken")
except pictograph.AuthError:
    pass

# the end
if KEEP:
    print("all of it", pictograph.__version__)
    sys.exit(0)
client.exports.delete(name, "first")
client.models.delete(str(run.model_id))
client.projects.delete(name)
client.projects.delete(leaves.name)
try:
    client.projects.get(name)
    raise SystemExit("a deleted project is there")
except pictograph.NotFoundError:
    pass
print("all of it", pictograph.__version__)
sys.exit(0)
