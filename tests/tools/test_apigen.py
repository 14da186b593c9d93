"""The contract's files are one valid OpenAPI document, and the generator refuses what it could not honour."""
import json
import pathlib
import resource
import shutil
import subprocess
import sys

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]
APIGEN = ROOT / "tools" / "apigen.py"


def apigen(*arguments):
    return subprocess.run([sys.executable, APIGEN, *map(str, arguments)], capture_output=True, text=True)


def bundle(tmp_path, *arguments):
    out = tmp_path / "bundle.json"
    done = apigen("bundle", out, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def operations(document):
    return {op["operationId"]: op for item in document["paths"].values() for op in item.values() if isinstance(op, dict)}


@pytest.mark.parametrize("arguments", [[], ["--all"]], ids=["served", "all"])
def test_bundle_is_valid_openapi(tmp_path, arguments):
    document = bundle(tmp_path, *arguments)
    OpenAPIV31SpecValidator(document).validate()
    assert not [key for key in document if key.startswith("x-") and key != "x-tools"]


def test_only_listed_features_are_served(tmp_path):
    root = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())
    served = operations(bundle(tmp_path))
    assert {op["tags"][0] for op in served.values()} == set(root["x-features"])
    assert not served.keys() & set(root.get("x-unserved", []))
    shutil.copytree(ROOT / "api", tmp_path / "api")
    root["x-features"].remove("search")
    root["x-unserved"] = ["promptText"]
    (tmp_path / "api" / "openapi.yaml").write_text(yaml.safe_dump(root, sort_keys=False))
    fewer = operations(bundle(tmp_path, "--api", tmp_path / "api"))
    assert served.keys() - fewer.keys() == {"searchSimilar", "searchByTags", "promptText"}
    everything = operations(bundle(tmp_path, "--api", tmp_path / "api", "--all"))
    assert everything.keys() == served.keys()


def test_nothing_served_dangles_and_nothing_is_left_over(tmp_path):
    document = bundle(tmp_path)
    text = json.dumps(document)
    for kind, components in document["components"].items():
        if kind != "securitySchemes":
            assert all(f'"#/components/{kind}/{name}"' in text for name in components)


@pytest.mark.parametrize("arguments", [[], ["--all"]], ids=["served", "all"])
def test_generates_quickly_and_the_same_each_time(tmp_path, arguments):
    def used():
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    before = used()
    assert apigen("generate", tmp_path / "a", *arguments).returncode == 0
    assert used() - before < 10  # 2 s is the goal, of a processor's time: the machine may be busy
    assert apigen("generate", tmp_path / "b", *arguments).returncode == 0
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_check_finds_a_difference(tmp_path):
    document = bundle(tmp_path, "--all")
    changed = tmp_path / "original.yaml"
    changed.write_text(json.dumps(document))
    assert apigen("check", changed).returncode == 0
    document["components"]["schemas"]["ProjectCreateRequest"]["properties"]["classes"]["maxItems"] = 4999
    changed.write_text(json.dumps(document))
    done = apigen("check", changed)
    assert done.returncode != 0 and "ProjectCreateRequest/properties/classes/maxItems" in done.stderr


@pytest.mark.parametrize("where, change, complaint", [
    ("ProjectClassInput", lambda s: s["properties"]["color"].update({"pattern": "^[a-z]+$"}), "no matcher"),
    ("ProjectCreateRequest", lambda s: s["properties"]["classes"].update({"contains": {"type": "object"}}), "contains"),
    ("ProjectCreateRequest", lambda s: s.pop("additionalProperties"), "additionalProperties"),
    ("ProjectUpdateRequest", lambda s: s.update({"patternProperties": {}}), "patternProperties"),
])
def test_refuses_what_it_cannot_honour(tmp_path, where, change, complaint):
    api = tmp_path / "api"
    shutil.copytree(ROOT / "api", api)
    document = yaml.safe_load((api / "projects.yaml").read_text())
    change(document["components"]["schemas"][where])
    (api / "projects.yaml").write_text(yaml.safe_dump(document))
    done = apigen("generate", tmp_path / "out", "--api", api)
    assert done.returncode != 0 and complaint in done.stderr and where in done.stderr
