"""Requests made from the contract alone: for each operation a path, query and smallest valid body."""
import uuid

ROLES = ["viewer", "member", "admin", "owner"]
NOWHERE = "5f0c2c6e-8f0b-4d29-9d4b-1f8a6d1f0a11"
# Texts that a pattern or a rule beside the schema asks for, by the name of the field.
TEXTS = {"filename": "a.jpg", "image_filename": "a.jpg", "content_type": "image/jpeg", "mime_type": "image/jpeg", "email": "kim@example.org", "color": "#00aaff"}


class Operation:
    def __init__(self, contract, path, method, item):
        self.contract, self.path, self.method, self.item = contract, path, method.upper(), item
        self.name, self.role = item["operationId"], item.get("x-role", "none")
        self.parameters = [contract.resolve(p) for p in item.get("parameters", [])]
        self.statuses = {int(s) for s in item["responses"] if s.isdigit()}
        body = contract.resolve(item.get("requestBody", {}))
        self.content = body.get("content", {})
        self.body_required = body.get("required", False)

    @property
    def schema(self):
        """Of a JSON body; None when the operation takes none."""
        schema = self.content.get("application/json", {}).get("schema")
        return self.contract.resolve(schema) if schema else None

    def in_path(self):
        return [p["name"] for p in self.parameters if p["in"] == "path"]

    def query(self):
        return {p["name"]: self.contract.resolve(p["schema"]) for p in self.parameters if p["in"] == "query"}

    def takes_idempotency_key(self):
        return any(p["name"] == "Idempotency-Key" for p in self.parameters)

    def url(self, known, **replaced):
        """Path with its parameters and the required ones of its query filled in; a leading slash more, as Client.call wants it."""
        path = self.path
        for name in self.in_path():
            path = path.replace("{" + name + "}", str(replaced.get(name, known.get(name, NOWHERE))))
        required = [p["name"] for p in self.parameters if p["in"] == "query" and p.get("required")]
        query = "&".join(f"{n}={known.get(n) or self.value(self.query()[n], n, known)}" for n in required)
        return "/" + path + ("?" + query if query else "")

    def body(self, known):
        """The smallest valid JSON body, or None."""
        return self.value(self.schema, "", known) if self.schema else None

    def value(self, schema, name, known):
        schema = self.contract.resolve(schema)
        if name in known:
            return known[name]
        for several in ("oneOf", "anyOf"):
            if several in schema:
                return self.value({**{k: v for k, v in schema.items() if k != several}, **self.contract.resolve(schema[several][0])}, name, known)
        if "allOf" in schema:
            merged = {}
            for part in schema["allOf"]:
                merged.update(self.contract.resolve(part))
            return self.value(merged, name, known)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type", "object")
        kind = next(k for k in kind if k != "null") if isinstance(kind, list) else kind
        return getattr(self, "make_" + kind)(schema, name, known)

    def make_object(self, schema, name, known):
        properties = schema.get("properties", {})
        wanted = list(schema.get("required", []))
        wanted += [p for p in properties if p not in wanted][:max(0, schema.get("minProperties", 0) - len(wanted))]
        return {p: self.value(properties[p], p, known) for p in wanted}

    def make_array(self, schema, name, known):
        items = (schema.get("prefixItems", []) + [schema.get("items", {"type": "string"})] * schema.get("minItems", 0))[:schema.get("minItems", 0)]
        return [self.value(item, name.removesuffix("s"), known) for item in items]

    def make_string(self, schema, name, known):
        by_format = {"uuid": NOWHERE, "email": "kim@example.org", "date-time": "2099-01-01T00:00:00Z", "uri": "http://127.0.0.1:9/"}
        if name in TEXTS:
            return TEXTS[name]
        if schema.get("format") in by_format:
            return by_format[schema["format"]]
        if name.endswith("path"):
            return "/x"
        return "t-" + uuid.uuid4().hex[:10]

    def make_integer(self, schema, name, known):
        return schema.get("minimum", 1)

    def make_number(self, schema, name, known):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)

    def make_boolean(self, schema, name, known):
        return False


def operations(contract):
    return [Operation(contract, path, method, item[method]) for path, item in contract.document["paths"].items()
            for method in ("get", "post", "put", "patch", "delete") if method in item]


def wrong_value(contract, schema):
    """A value that no reading of the schema allows; None when it allows everything."""
    schema = contract.resolve(schema)
    branches = [contract.resolve(s) for s in schema.get("oneOf", schema.get("anyOf", [schema]))]
    kinds = set()
    for branch in branches:
        kind = branch.get("type", [])
        kinds |= {kind} if isinstance(kind, str) else set(kind)
        if not kind and not {"enum", "const", "oneOf", "anyOf"} & set(branch):
            return None
    return next((v for k, v in (("boolean", True), ("array", [[]]), ("string", "\u0001 no such thing"), ("object", {"no": 1})) if k not in kinds), None)


def beyond(op, schema, name, known):
    """A value of the right type, one step outside of the schema's bounds; None when there are none."""
    schema = op.contract.resolve(schema)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return next((v for s in schema[several] if (v := beyond(op, s, name, known)) is not None), None)
    if "maximum" in schema:
        return schema["maximum"] + 1
    if "minimum" in schema:
        return schema["minimum"] - 1
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"]
    if "maxLength" in schema:
        return "x" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        return ""
    if "maxItems" in schema:
        return [op.value(schema.get("items") or schema["prefixItems"][0], name, known)] * (schema["maxItems"] + 1)
    return [] if schema.get("minItems") else None
