"""Half of the valid requests are sent to things that exist, so that they get past the 404. SCHEMATHESIS_KNOWN is JSON: parameter name -> value."""
import ipaddress
import itertools
import json
import os
import zlib

import schemathesis
from hypothesis import strategies
from schemathesis import GenerationMode

schemathesis.openapi.format("color", strategies.sampled_from(["#0af", "#00AAFF80", "teal", "rgb(0, 170, 255)", "hsl(120deg 100% 50%)"]))
KNOWN = json.loads(os.environ.get("SCHEMATHESIS_KNOWN", "{}"))
CALLS = itertools.count(int(ipaddress.ip_address("10.0.0.0")))
# Operations that would take the known things away from the others.
SPARED = {"deleteProject", "updateProject", "deleteImage", "deleteApiKey", "updateApiKey", "removeMember", "batchDeleteImages", "deleteExport"}


@schemathesis.hook
def before_call(context, case, kwargs):
    # Each from an address of its own, as wrong keys of one address are answered 429 after the sixtieth in a minute.
    address = str(ipaddress.ip_address(next(CALLS)))
    case.headers = {**(case.headers or {}), "X-Forwarded-For": address}
    operation = case.operation.definition.raw.get("operationId")
    if not case.meta or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    key = case.headers.get("Idempotency-Key")
    if isinstance(key, str) and 0 < len(key) <= 200:  # a replay's 201 creates nothing: the first one's thing may be gone
        case.headers["Idempotency-Key"] = key + address
    if operation in SPARED:
        return
    if zlib.crc32(repr((operation, case.path_parameters, case.body)).encode()) % 2:
        return
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            for name in set(place) & set(KNOWN):
                if isinstance(place[name], str):
                    place[name] = KNOWN[name]
