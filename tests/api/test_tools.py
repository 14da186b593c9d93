"""The registry of agent tools, and the same tools over MCP, called by the official client."""
import asyncio
import concurrent.futures
import json
import re
import sqlite3
import threading
import time
import uuid

import pytest
import yaml
from mcp import ClientSession
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

from conftest import picture
from server import ROOT, Client, once
from specimen import operations
from test_search import facts, wait_described

TOOLS = yaml.safe_load((ROOT / "api" / "tools.yaml").read_text())["x-tools"]
BOX = {"id": "b", "name": "cell", "type": "bbox", "bounding_box": {"x": 4, "y": 5, "w": 20, "h": 10}}


def test_registry_is_the_contracts(owner):
    reply = owner.get("/tools.json")
    registry = reply.json()
    assert registry["count"] == len(registry["tools"]) == 28
    for told, tool in zip(registry["tools"], TOOLS, strict=True):
        assert told == {key: tool[key] for key in told}
        assert told["description"].startswith("Use when") and told["input_schema"]["additionalProperties"] is False
    for spelling in ("/tools", "/tools/"):
        assert owner.get(spelling).json() == registry
    for path in ("/tools", "/tools.json"):
        assert owner.get(path, 304, headers={"If-None-Match": reply.headers["ETag"]}).content == b""


def test_operations_say_which_tools_use_them(owner):
    theirs = {(op.name, tool) for op in operations(owner.contract) for tool in op.item.get("x-tool", [])}
    assert theirs == {(name, tool["name"]) for tool in TOOLS for name in tool["operations"]}


def test_what_an_operation_lists_page_by_page_its_tool_does(owner):
    queries = {op.name: op.query() for op in operations(owner.contract)}
    for tool in TOOLS:
        if len(tool["operations"]) == 1:
            of = queries[tool["operations"][0]]
            assert {n for n in of if n.endswith("offset")} <= set(tool["input_schema"].get("properties", {})), tool["name"]


def test_tools_use_no_operation_that_is_not_listed(owner, server, image):
    """Each tool is called, on something that is there or not; which operations that took stands in the access log, before the line of the call itself."""
    project, shown = image
    owner.post(f"/annotations/{shown['id']}", {"annotations": [BOX]})
    known = {"dataset_name": project["name"], "image_uuid": shown["id"], "image_filename": "a.jpg", "x": 1, "y": 1, "overwrite": True}
    specimen = operations(owner.contract)[0]
    calls = [(tool, specimen.value(tool["input_schema"], "", {**known, "name": "t-" + uuid.uuid4().hex[:8]} if tool["name"] != "delete_image" else {})) for tool in TOOLS]
    calls += [(tool, {**arguments, **more}) for tool, arguments in calls if tool["name"] == "auto_annotate_dataset" for more in ({"overwrite": True}, {"overwrite": True, "mode": "text"})]
    last, used = owner.get("//healthz").headers["X-Request-Id"], {}
    for tool, arguments in calls:
        reply = message(owner, "tools/call", id=1, params={"name": tool["name"], "arguments": arguments})
        lines = wait_for_line(server, reply.headers["X-Request-Id"], last)
        used.setdefault(tool["name"], set()).update(line["operation"] for line in lines if line.get("event") == "request" and "operation" in line)
        last = reply.headers["X-Request-Id"]
    assert {"createExport", "listExports", "createTrainingRun", "deleteExport"} <= used["train_pipeline"] and {"startAutoAnnotateBatch", "promptText"} <= used["auto_annotate_dataset"]
    assert sum(bool(names) for names in used.values()) == len(TOOLS) - 3, used  # but for those that the caller's machine runs
    assert {name: names - set(tool["operations"]) for tool in TOOLS for name, names in used.items() if name == tool["name"] and names - set(tool["operations"])} == {}


def wait_for_line(server, request_id, after):
    """The lines of the log between those two requests, once both are written."""
    for _ in range(600):
        text = server.log.read_text().partition(after)[2].partition("\n")[2]
        if request_id in text:
            return [json.loads(line) for line in text[:text.index(request_id)].splitlines()[:-1] if line.startswith("{")]
        time.sleep(0.1)
    raise AssertionError("the log has no line of the request")


def test_registry_needs_a_key(anonymous, with_role):
    anonymous.get("/tools", 401)
    anonymous.get("/tools.json", 401)
    with_role("viewer").get("/tools")


def talk(client, conversation):
    """Runs conversation(session) in a session of the official client."""

    async def run():
        async with create_mcp_http_client(headers={"X-API-Key": client.key}) as http:
            async with streamable_http_client(client.url + "/mcp", http_client=http) as streams:
                async with ClientSession(streams[0], streams[1]) as session:
                    started = await session.initialize()
                    assert started.server_info.name == "pictograph"
                    return await conversation(session)

    return asyncio.run(run())


def use(client, name, arguments=None, failed=False):
    """The structured result of one tool, or of its failure."""

    async def conversation(session):
        return await session.call_tool(name, arguments or {})

    result = talk(client, conversation)
    assert result.is_error == failed, result
    told = json.loads(result.content[0].text)
    if not failed:
        assert told == result.structured_content
    return told


def message(client, method="ping", expect=200, headers=None, **fields):
    return client.post("//mcp", {"jsonrpc": "2.0", "method": method, **fields}, expect, headers=headers or {})


def test_mcp_tells_the_way_through_its_tools(owner):
    """An agent reads this before its first call: each tool that it names is there, and each command."""
    told = message(owner, "initialize", id=1, params={"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}).json()["result"]["instructions"]
    named = set(re.findall(r"\b[a-z]+_[a-z_]+\b", told)) - {"model_size", "max_seconds", "include_images", "images_limit", "images_offset"}
    assert named <= {t["name"] for t in TOOLS} and {"train_pipeline", "save_annotations", "download_model"} <= named
    assert "`pictograph datasets import DATASET FOLDER`" in told and "/api/v1/developer/projects/{dataset}" in told


def test_mcp_says_how_much_of_a_large_result_fits(owner, jpeg):
    project = owner.project()
    image = owner.upload(project, "a.jpg", jpeg)
    for i in range(8):  # doubled each time
        ids = [i["id"] for i in owner.get(f"/datasets/by-name/{project['name']}?include_images=true").json()["dataset"]["images"]]
        owner.post("/batch/images/copy", {"dataset_name": project["name"], "image_ids": ids, "target_folder_path": f"/{i}", "duplicate_handling": "rename"})
    told = use(owner, "get_dataset", {"name": project["name"], "include_images": True})
    assert told["_truncated"] and told["_size_chars"] > 100000
    fits = int(re.search(r": images_limit (\d+) would fit", told["_message"])[1])
    pages = [use(owner, "get_dataset", {"name": project["name"], "include_images": True, "images_limit": fits, "images_offset": at})["images"] for at in (0, fits)]
    assert [len(page) for page in pages] == [fits, 256 - fits] and fits > 100 and len({i["id"] for page in pages for i in page}) == 256
    assert told["_message"].endswith(", and what comes after that is had by images_offset.")
    owner.post(f"/annotations/{image['id']}", {"annotations": [{**BOX, "id": str(i)} for i in range(1000)]})
    told = use(owner, "get_annotations", {"image_uuid": image["id"]})
    assert told["_truncated"] and told["_message"].endswith("; it is had over HTTP, with the same key."), "it has no limit"


def test_mcp_offers_all_tools(owner):
    async def conversation(session):
        await session.send_ping()
        return await session.list_tools()

    tools = talk(owner, conversation).tools
    assert [t.name for t in tools] == [t["name"] for t in TOOLS]
    assert tools[4].input_schema == TOOLS[4]["input_schema"]
    hints = {t.name: t.annotations for t in tools}
    assert hints["list_datasets"].read_only_hint and hints["delete_dataset"].destructive_hint and not hints["create_dataset"].read_only_hint


def test_mcp_dataset_to_export(owner, jpeg):
    name = "0-agent-" + uuid.uuid4().hex[:8]  # among the first, however many there are: a longer list is cut for a conversation
    made = use(owner, "create_dataset", {"name": name})
    assert made["name"] == name and "description" not in made  # nulls are left out
    project = owner.patch(f"/projects/{name}", {"classes": [{"name": "cell"}]}).json()["project"]
    image = owner.upload(project, "a b.jpg", jpeg)
    assert use(owner, "save_annotations", {"image_uuid": image["id"], "annotations": [BOX]})["new_count"] == 1
    told = use(owner, "get_annotations", {"image_uuid": image["id"]})
    assert told["count"] == 1 and told["annotations"][0]["bounding_box"] == BOX["bounding_box"]
    assert any(d["name"] == name for d in use(owner, "list_datasets", {"limit": 50})["datasets"])
    assert use(owner, "get_dataset", {"name": name, "include_images": True})["images"][0]["filename"] == "a b.jpg"
    assert use(owner, "create_export", {"dataset_name": name, "name": "e 1", "format": "coco"})["status"] == "completed"  # it was waited for
    assert use(owner, "list_exports")["count"] >= 1
    got = use(owner, "download_export", {"dataset_name": name, "export_name": "e 1", "output_path": "~/e.zip"})
    assert got["output_path"] == "~/e.zip" and len(owner.fetch(got["download_url"]).content) == got["file_size"]
    assert use(owner, "delete_image", {"image_uuid": image["id"]}) == {"deleted": True, "image_uuid": image["id"]}
    assert use(owner, "delete_dataset", {"name": name}) == {"deleted": True, "name": name}
    owner.get(f"/projects/{name}", 404)


def test_mcp_credits_and_models(owner):
    assert use(owner, "get_credit_balance")["credits_remaining"] == owner.get("/credits/balance").json()["credits_remaining"]
    assert use(owner, "estimate_credit_cost", {"operation": "training_a10g_per_minute", "quantity": 3})["quantity"] == 3
    assert use(owner, "list_models", {"limit": 3})["count"] == len(owner.get("/models/?limit=3").json()["models"])


def test_mcp_prompts(owner, image):
    project, shown = image
    told = use(owner, "auto_annotate_box", {"dataset_name": project["name"], "image_filename": shown["filename"], "name": "cell", "box": {"x": 4, "y": 4, "w": 30, "h": 30}})
    assert told["credits_charged"] == 3 and told["image_id"] == shown["id"]
    where = {"dataset_name": project["name"], "image_filename": shown["filename"]}
    told = use(owner, "auto_annotate_point", {**where, "x": 20, "y": 20, "positive_points": [[22, 20]], "negative_points": [[1, 1]], "score_threshold": 0})
    assert told["credits_charged"] == 1 and told["image_id"] == shown["id"] and told["status"] in ("success", "no_detection")
    told = use(owner, "auto_annotate_text", {**where, "text_prompt": "cat", "output_type": "bbox"})
    assert told["credits_charged"] == 1 and told["image_id"] == shown["id"] and told["status"] in ("no_detection", "below_threshold")
    told = use(owner, "auto_annotate_point", {**where, "x": "left", "y": 20, "positive_points": [[1]]}, failed=True)
    assert [d["loc"] for d in told["detail"]] == [["arguments", "x"], ["arguments", "positive_points", 0]]
    assert use(owner, "auto_annotate_text", {**where, "image_filename": "other.jpg", "text_prompt": "cat"}, failed=True)["error_code"] == "not_found"


def test_mcp_search(owner, image):
    project, shown = image
    other = owner.upload(project, "b.jpg", picture(colour=(9, 200, 9)))
    wait_described(owner, [shown["id"], other["id"]])
    tag = facts(owner, other["id"])["image_auto_tags"]["attributes"][0]
    told = use(owner, "search_by_tag", {"dataset_name": project["name"], "attributes": [tag]})
    assert told["count"] == len(told["images"]) and other["id"] in [i["id"] for i in told["images"]]
    told = use(owner, "search_by_similarity", {"image_id": shown["id"], "threshold": 0, "folder_path": "/"})
    assert told["count"] == 1 and told["images"][0]["id"] == other["id"]
    assert use(owner, "search_by_tag", {"dataset_name": project["name"]}, failed=True)["error_code"] == "empty_filter"
    assert use(owner, "search_by_similarity", {"image_id": project["id"]}, failed=True)["error_code"] == "not_found"


def test_mcp_training_needs_annotated_images(owner, image):
    project, shown = image
    owner.post(f"/annotations/{shown['id']}", {"annotations": [BOX]})
    told = use(owner, "train_pipeline", {"dataset_name": project["name"], "pipeline": "yolox"}, failed=True)
    assert told["error_code"] == "dataset_too_small"
    assert owner.get(f"/exports/?dataset_name={project['name']}").json()["exports"] == [], "the export of a run that was refused stayed"


def test_mcp_training_waits_again_for_the_export_of_an_earlier_call(owner, server, image):
    project, shown = image
    owner.post(f"/annotations/{shown['id']}", {"annotations": [BOX]})
    owner.post("/exports/", {"dataset_name": project["name"], "name": "yolox-20260102-030405"}, 202)
    made = owner.wait(f"/exports/{project['name']}/yolox-20260102-030405", "export")

    def set_status(status):
        with sqlite3.connect(server.folder / "pictograph.db", timeout=60) as db:
            db.execute("UPDATE exports SET status = ? WHERE id = ?", (status, made["id"]))

    set_status("processing")
    later = threading.Timer(2, set_status, ["completed"])
    later.start()
    told = use(owner, "train_pipeline", {"dataset_name": project["name"], "pipeline": "yolox"}, failed=True)
    later.join()
    assert told["error_code"] == "dataset_too_small"
    assert [e["name"] for e in owner.get(f"/exports/?dataset_name={project['name']}").json()["exports"]] == [made["name"]], "another export was made"


def test_mcp_a_key_that_is_revoked_ends_a_call_that_waits(owner, server, image):
    project, shown = image
    owner.post(f"/annotations/{shown['id']}", {"annotations": [BOX]})
    owner.post("/exports/", {"dataset_name": project["name"], "name": "yolox-20260102-030405"}, 202)
    made = owner.wait(f"/exports/{project['name']}/yolox-20260102-030405", "export")
    with sqlite3.connect(server.folder / "pictograph.db", timeout=60) as db:
        db.execute("UPDATE exports SET status = 'processing' WHERE id = ?", (made["id"],))
    key = owner.post("//api/v1/api-keys/", {"organization_id": project["organization_id"], "name": "agent", "role": "member"}, 201).json()

    def revoke():
        """Once the call has asked for the export."""
        line = re.compile(f'"operation":"getExport".*"key_id":"{key["key_id"]}"')
        once(lambda: line.search(server.log.read_text()), bool)
        owner.delete(f"//api/v1/api-keys/{key['key_id']}", 204)

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        revoked = pool.submit(revoke)
        told = use(Client(owner.url, key["full_key"], owner.contract), "train_pipeline", {"dataset_name": project["name"], "pipeline": "yolox"}, failed=True)
        revoked.result()
    assert told["error_code"] == "revoked_api_key" and time.monotonic() - began < 20  # it would wait for 25 s
    owner.delete(f"/projects/{project['name']}")


def test_mcp_hands_over_what_needs_the_callers_files(owner):
    told = use(owner, "upload_dataset_from_folder", {"dataset_name": "d", "folder": "~/in", "max_workers": 3, "organize_by_class": False})
    assert told["runs_on"] == "caller" and told["steps"] == [{"command": ["pictograph", "datasets", "upload", "--workers", "3", "--flat", "--", "d", "~/in"]}]
    assert "build/bin/pictograph" in told["commands"] and f"PICTOGRAPH_BASE_URL={owner.url} " in told["commands"]
    steps = use(owner, "full_pipeline", {"dataset_name": "d", "folder": "in", "classes": [{"name": "car"}], "pipeline": "yolox"})["steps"]
    assert [s.get("tool") for s in steps] == [None, "auto_annotate_dataset", "train_pipeline"]
    assert use(owner, "upload_image", {"dataset_name": "d", "file_path": "-x.jpg"})["steps"][0]["command"][-2:] == ["d", "-x.jpg"]


def test_mcp_failures_are_results(owner, with_role, stranger, image):
    project, shown = image
    told = use(owner, "get_dataset", {"name": "no such one"}, failed=True)
    assert told["error_code"] == "not_found" and told["request_id"]
    told = use(owner, "get_dataset", {"name": 3, "more": True}, failed=True)
    assert [d["loc"] for d in told["detail"]] == [["arguments", "name"], ["arguments", "more"]]
    assert use(stranger, "get_annotations", {"image_uuid": shown["id"]}, failed=True)["error_code"] == "not_found"
    assert use(with_role("viewer"), "create_dataset", {"name": "x"}, failed=True)["error_code"] == "insufficient_role"
    assert use(with_role("viewer"), "upload_image", {"dataset_name": "d", "file_path": "x.jpg"}, failed=True)["error_code"] == "insufficient_role"
    assert use(with_role("member"), "delete_dataset", {"name": project["name"]}, failed=True)["error_code"] == "insufficient_role"
    owner.get(f"/projects/{project['name']}")


def test_mcp_counts_once(owner, image):
    before = int(message(owner, id=1).headers["X-RateLimit-Remaining"])
    project, shown = image
    after = int(message(owner, "tools/call", id=2, params={"name": "get_annotations", "arguments": {"image_uuid": shown["id"]}}).headers["X-RateLimit-Remaining"])
    assert before - after == 1


def test_mcp_messages(owner, anonymous):
    assert message(owner, id="x").json() == {"jsonrpc": "2.0", "id": "x", "result": {}}
    assert message(owner, "notifications/initialized", 202).content == b""
    assert message(owner, "resources/list", id=1).json()["error"]["code"] == -32601
    assert message(owner, "tools/call", id=1, params={"name": "rm"}).json()["error"]["code"] == -32602
    assert message(owner, id=[1]).json()["error"]["code"] == -32600
    assert owner.post("//mcp", {"jsonrpc": "1.0", "method": "ping", "id": 1}).json()["error"]["code"] == -32600
    assert message(owner, "initialize", id=1, params={"protocolVersion": "1999-01-01"}).json()["result"]["protocolVersion"] == "2025-11-25"
    assert message(owner, "initialize", id=1, params={"protocolVersion": "2025-06-18"}).json()["result"]["protocolVersion"] == "2025-06-18"
    message(anonymous, expect=401, id=1)
    message(owner, expect=403, id=1, headers={"Origin": "https://example.org"})
    message(owner, id=1, headers={"Origin": owner.url})
    message(owner, expect=400, id=1, headers={"MCP-Protocol-Version": "1999-01-01"})
    wrong = owner.post("//mcp", {"jsonrpc": "2.0", "method": 3}, 422).json()
    assert wrong["detail"][0]["loc"] == ["body", "method"]
    owner.call("POST", "//mcp", 400, data="{", headers={"Content-Type": "application/json"})
    owner.call("GET", "//mcp", 405)
    owner.call("DELETE", "//mcp", 405)


@pytest.mark.parametrize("images", [0, 3])
def test_mcp_annotates_a_dataset(owner, images, jpeg):
    project = owner.project()
    for i in range(images):
        owner.upload(project, f"{i}.jpg", jpeg, folder="/a")
    told = use(owner, "auto_annotate_dataset", {"dataset_name": project["name"], "classes": [{"name": "person"}, {"name": "unicorn"}], "max_images": 2})
    assert told["images_attempted"] == min(images, 2) and told["images_skipped"] == images - min(images, 2)
    assert told.get("message") == ("Nothing was looked for under names that the detector does not know: 'unicorn'" if images else None)


def test_mcp_says_which_images_failed_after_others_were_done(stranger, server, jpeg):
    project = stranger.project()
    for i in range(3):
        stranger.upload(project, f"{i}.jpg", jpeg)
    balance = stranger.get("/credits/balance").json()["credits_remaining"]
    server.command("credits", "grant", "--org", "Other", "--amount", str(5 - balance))  # enough for one image
    arguments = {"dataset_name": project["name"], "classes": [{"name": "cat"}], "mode": "text"}
    told = use(stranger, "auto_annotate_dataset", arguments)
    assert (told["images_attempted"], told["images_processed"], told["success"]) == (3, 1, False)
    assert [f["image_filename"] for f in told["failures"]] == ["/1.jpg", "/2.jpg"] and all("credits" in f["reason"] for f in told["failures"])
    stranger.delete(f"/projects/{project['name']}")
    project = stranger.project()
    stranger.upload(project, "0.jpg", jpeg)
    assert use(stranger, "auto_annotate_dataset", {**arguments, "dataset_name": project["name"]}, failed=True)["error_code"] == "insufficient_credits"
    server.command("credits", "grant", "--org", "Other", "--amount", str(balance))


def test_the_version_of_the_registry(owner):
    limits = yaml.safe_load((ROOT / "api" / "limits.yaml").read_text())
    assert owner.get("/tools").json()["version"] == limits["tools"]["registry_version"]["value"]
