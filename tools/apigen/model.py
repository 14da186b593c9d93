"""Understands the joined contract: operations, structs and enums, in the terms that the C writers need.

A schema is read for one direction: 'input' (decoded from a request) or 'output' (written into a reply). Whatever the writers could not
honour (a keyword, a pattern without matcher, a schema of some other form) stops the generator with the place in the contract.
"""
import json
import pathlib
import re
from dataclasses import dataclass, field

from .contract import METHODS, ContractError, resolve

PATTERNS_C = pathlib.Path(__file__).resolve().parents[2] / 'src' / 'server' / 'api' / 'patterns.c'

# Schemas that src/annotation/ defines by hand.
ANNOTATIONS = {'AnnotationList'}
ANNOTATION = {'Annotation', 'BBoxAnnotation', 'PolygonAnnotation', 'PolylineAnnotation', 'KeypointAnnotation'}
# Names that C has given away already.
C_NAMES = {'AnnotationType': 'AnnotationKind', 'DatasetImage': 'DatasetImageSummary'}
# An enum whose further spellings mean values of another one: schema → (that schema, {spelling: value}).
ENUM_ALIASES = {'AnnotationTypeInput': ('AnnotationType', {'box': 'bbox'})}
# Enums whose wrong values have a code of their own among the contract's 422 codes.
ENUM_ERRORS = {'CreditOperation': 'unknown_operation'}

PROSE = {'description', 'examples', 'example', 'title', 'summary'}
KEYWORDS = {
    'string': {'minLength', 'maxLength', 'pattern', 'format', 'enum', 'const', 'contentMediaType'},
    'integer': {'minimum', 'maximum'},
    'number': {'minimum', 'maximum', 'exclusiveMinimum'},
    'boolean': set(),
    'array': {'items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'},
    'object': {'properties', 'required', 'additionalProperties', 'minProperties', 'x-check'},
}
C_KEYWORDS = set('auto break case char const continue default do double else enum extern float for goto if inline int long register '
                 'restrict return short signed sizeof static struct switch typedef union unsigned void volatile while'.split())
BODY_KINDS = {'application/x-www-form-urlencoded': 'FORM', 'multipart/form-data': 'MULTIPART', 'application/json': 'JSON'}
# Bytes around the file of a multipart body: delimiters, headers, the other fields.
MULTIPART_ENVELOPE = 1 << 16


@dataclass
class Type:
    """kind: string int number bool time enum object list tuple json file annotations annotation const union"""
    kind: str
    name: str = ''  # C type of an enum, object, tuple or union
    schema: dict = field(default_factory=dict)
    item: 'Type' = None  # of a list
    count: int = 0  # of a tuple
    nullable: bool = False
    empty_is_null: bool = False  # the empty text stands for null
    pattern: str = ''  # C name of the matcher's row
    table: str = ''  # C name of the enum's table
    alternatives: list = field(default_factory=list)  # of a union: [(member name, Type, own names)]


@dataclass
class Field:
    name: str
    type: Type
    required: bool
    default: object = None
    has_default: bool = False


@dataclass
class Struct:
    name: str
    fields: list
    direction: str
    description: str = ''
    open: bool = False  # unknown members are allowed
    minimum: int = 0  # least number of members
    is_form: bool = False
    check: str = ''  # a function that tells what else is wrong with it


@dataclass
class Enum:
    name: str  # C type
    table: str  # C name of the table
    values: list
    canonical: dict = None  # spelling → value of `name`, where this is a second table for it
    error: str = ''  # code of the contract for a value that is none of these; else the error is plain 'enum'
    description: str = ''


@dataclass
class Operation:
    id: str
    name: str  # C name
    method: str
    path: str
    tag: str
    paths: list  # path and aliases
    role: str
    role_when: str
    idempotent: bool
    takes_key: bool
    credit_slug: str
    path_fields: list
    query: Struct
    body: Type
    body_kinds: list
    body_required: bool
    body_maximum: int
    quick: bool
    reply: Type
    status: int
    may_be_unchanged: bool  # 304

    @property
    def input(self):
        return camel(self.id) + 'Input'

    @property
    def has_input(self):
        return bool(self.path_fields or self.query.fields or self.body)


@dataclass
class Api:
    document: dict
    operations: list
    declarations: list  # Enum, Struct and list Types, each after what it needs

    def structs(self, direction):
        return [d for d in self.declarations if isinstance(d, Struct) and d.direction in (direction, 'both')]

    def enums(self):
        return [d for d in self.declarations if isinstance(d, Enum)]

    def lists(self):
        return [d for d in self.declarations if isinstance(d, Type)]


def snake(name):
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', re.sub(r'[^A-Za-z0-9]+', '_', name))
    return re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name).lower()


def camel(name):
    return ''.join(part[0].upper() + part[1:] for part in re.split(r'[^A-Za-z0-9]+', name) if part)


def constant(name):
    return snake(name).upper()


def list_name(item):
    return {'string': 'StringArray', 'int': 'IntArray'}.get(item.kind, item.name + 'Array')


def read_patterns():
    rows = re.findall(r'^const Pattern (\w+) = \{("(?:[^"\\]|\\.)*"),', PATTERNS_C.read_text(encoding='utf-8'), re.M)
    return {json.loads(text): name for name, text in rows}


class Reader:
    def __init__(self, document, limits, quick):
        self.document = document
        self.limits = limits['request']
        self.quick = quick
        self.patterns = read_patterns()
        self.declarations = []
        self.known = {}

    def fail(self, place, text):
        raise ContractError(f'{place}: {text}')

    # ---- schemas ----

    def type_of(self, schema, name, direction, place):
        """name: for what has none of its own."""
        if '$ref' in schema:
            reference = schema['$ref']
            name = reference.rsplit('/', 1)[1]
            if name in ANNOTATIONS | ANNOTATION:
                return Type('annotations' if name in ANNOTATIONS else 'annotation')
            siblings = {key: value for key, value in schema.items() if key != '$ref'}
            return self.type_of({**resolve(self.document, reference), **siblings}, name, direction, reference)
        if 'oneOf' in schema:
            return self.one_of(schema, name, direction, place)
        kinds = schema.get('type')
        kinds = kinds if isinstance(kinds, list) else [kinds]
        nullable = 'null' in kinds
        kinds = [kind for kind in kinds if kind != 'null']
        if len(kinds) != 1 or kinds[0] not in KEYWORDS:
            self.fail(place, f'cannot handle type {schema.get("type")}')
        if odd := schema.keys() - PROSE - KEYWORDS[kinds[0]] - {'type', 'default'}:
            self.fail(place, f'cannot handle {sorted(odd)} in a {kinds[0]}')
        result = getattr(self, kinds[0] + '_type')(schema, name, direction, place)
        result.nullable = nullable or result.nullable
        return result

    def one_of(self, schema, name, direction, place):
        if odd := schema.keys() - PROSE - {'oneOf', 'default'}:
            self.fail(place, f'cannot handle {sorted(odd)} beside oneOf')
        alternatives = [one for one in schema['oneOf'] if one != {'type': 'null'}]
        nullable = len(alternatives) < len(schema['oneOf'])
        solid = [one for one in alternatives if one != {'type': 'string', 'maxLength': 0}]
        if len(solid) == 1:
            result = self.type_of(solid[0], name, direction, place)
            result.nullable, result.empty_is_null = nullable, len(solid) < len(alternatives)
            return result
        if nullable or direction != 'input' or len(solid) < len(alternatives):
            self.fail(place, 'cannot handle this oneOf')
        return self.union_type(solid, name, direction, place)

    def union_type(self, alternatives, name, direction, place):
        bare = [resolve(self.document, one['$ref']) if '$ref' in one else one for one in alternatives]
        if any(one.get('type') != 'object' or one.get('additionalProperties') is not False for one in bare):
            self.fail(place, 'a oneOf must be of closed objects')
        members = []
        for index, one in enumerate(alternatives):
            others = set().union(*(other['properties'] for i, other in enumerate(bare) if i != index))
            part = self.type_of(one, f'{name}{index + 1}', direction, place)
            members.append((snake(part.name), part, [key for key in bare[index]['properties'] if key not in others]))
        result = Type('union', name=camel(name), alternatives=members)
        self.declarations.append(result)
        return result

    def string_type(self, schema, name, direction, place):
        if 'const' in schema:
            if direction == 'input':
                self.fail(place, 'const is for replies only')
            return Type('const', schema=schema)
        if 'enum' in schema:
            return self.enum_type(schema, name, place)
        if schema.get('contentMediaType'):
            return Type('file', schema=schema)
        kind = 'time' if schema.get('format') == 'date-time' else 'string'
        pattern = schema.get('pattern', f"format: {schema['format']}" if schema.get('format') in ('color', 'email') else None)
        row = ''
        if direction == 'input' and pattern is not None:
            row = self.patterns.get(pattern) or self.fail(place, f'patterns.c has no matcher for {pattern}')
        return Type(kind, schema=schema, pattern=row)

    def enum_type(self, schema, name, place):
        values = [value for value in schema['enum'] if value is not None]
        if any(not isinstance(value, str) for value in values) or len(values) > 63:
            self.fail(place, 'cannot handle this enum')
        target, canonical = ENUM_ALIASES.get(name, (name, None))
        c_name = C_NAMES.get(target, camel(target))
        table = constant(C_NAMES.get(name, name)) + '_TABLE'
        if canonical is not None:
            original = resolve(self.document, f'#/components/schemas/{target}')
            self.enum_type(original, target, place)
            canonical = {value: canonical.get(value, value) for value in values}
            if not set(canonical.values()) <= set(original['enum']):
                self.fail(place, f'says what {target} does not have')
        self.declare(table, lambda: Enum(c_name, table, values, canonical, ENUM_ERRORS.get(name, ''), schema.get('description', '')))
        return Type('enum', name=c_name, schema=schema, table=table, nullable=None in schema['enum'])

    def integer_type(self, schema, name, direction, place):
        return Type('int', schema=schema)

    def number_type(self, schema, name, direction, place):
        return Type('number', schema=schema)

    def boolean_type(self, schema, name, direction, place):
        return Type('bool', schema=schema)

    def array_type(self, schema, name, direction, place):
        if 'prefixItems' in schema:
            return self.tuple_type(schema, name, place)
        if schema['items'].get('$ref', '').rsplit('/', 1)[-1] == 'Annotation':
            return Type('annotations')
        singular = name[:-1] if name.endswith('s') else name + 'Item'
        item = self.type_of(schema['items'], singular, direction, place + '/items')
        if item.nullable or item.kind not in ('string', 'int', 'enum', 'object', 'tuple'):
            self.fail(place, 'cannot handle the items of this array')
        if schema.get('uniqueItems') and item.kind != 'enum':
            self.fail(place, 'uniqueItems is for enums only')
        result = Type('list', item=item, schema=schema)
        self.declare(list_name(item), lambda: result)
        return result

    def tuple_type(self, schema, name, place):
        count = len(schema['prefixItems'])
        if any(one != {'type': 'number'} for one in schema['prefixItems']) or schema.get('items') is not False:
            self.fail(place, 'a tuple is made of plain numbers')
        result = Type('tuple', name=camel(name), schema=schema, count=count)
        self.declare(result.name, lambda: result)
        return result

    def object_type(self, schema, name, direction, place):
        if not schema.get('properties'):
            if not schema.get('additionalProperties'):
                self.fail(place, 'an object without properties must allow additional ones')
            return Type('json', schema=schema)
        c_name = C_NAMES.get(name, camel(name))
        struct = self.declare(c_name, lambda: self.struct(schema, c_name, direction, place))
        if struct.direction != direction and struct.direction != 'both':
            self.make_shared(struct, place)
        return Type('object', name=c_name, schema=schema)

    def struct(self, schema, name, direction, place):
        closed = schema.get('additionalProperties') is False
        if direction == 'input' and 'additionalProperties' not in schema:
            self.fail(place, 'an object in a request must say additionalProperties')
        required = schema.get('required', [])
        fields = [self.field(key, one, key in required, name + camel(key), direction, f'{place}/{key}')
                  for key, one in schema['properties'].items()]
        return Struct(name, fields, direction, schema.get('description', ''), not closed, schema.get('minProperties', 0),
                      check=schema.get('x-check', ''))

    def field(self, name, schema, required, hint, direction, place):
        if name in C_KEYWORDS or not re.fullmatch('[a-z][a-z0-9_]*', name):
            self.fail(place, f'{name} is no name for a C member')
        result = self.type_of(schema, hint, direction, place)
        source = schema
        if 'default' not in source and '$ref' in schema:
            source = resolve(self.document, schema['$ref'])
        has_default = direction == 'input' and not required and source.get('default') is not None
        return Field(name, result, required, source.get('default'), has_default)

    def make_shared(self, struct, place):
        """A struct for both directions: every member required, so that both ways of declaring it are one."""
        if not all(f.required and not f.type.nullable and f.type.kind in ('string', 'int', 'number', 'bool') for f in struct.fields):
            self.fail(place, 'is used in requests and in replies and has optional members')
        struct.direction = 'both'

    def declare(self, name, make):
        if name not in self.known:
            self.known[name] = None
            self.known[name] = declaration = make()
            self.declarations.append(declaration)
        if self.known[name] is None:
            raise ContractError(f'{name} contains itself')
        return self.known[name]

    # ---- operations ----

    def operation(self, path, method, op):
        place = f'{method} {path}'
        parameters = [resolve(self.document, one['$ref']) if '$ref' in one else one for one in op.get('parameters', [])]
        by_place = {where: [one for one in parameters if one['in'] == where] for where in ('path', 'query', 'header')}
        if len(by_place['path']) + len(by_place['query']) + len(by_place['header']) != len(parameters):
            self.fail(place, 'has a parameter that is neither in path, query nor header')
        name = camel(op['operationId'])
        body, kinds, required = self.body(op, name, place)
        reply, status = self.reply(op, name, place)
        role_when = [f'{when}: {who}' for when, who in op.get('x-role-when', {}).items()]
        role_when += [op['x-role-scope']] if 'x-role-scope' in op else []
        names = re.findall(r'\{(\w+)\}', path)
        path_fields = {one['name']: self.parameter(one, name, place) for one in by_place['path']}
        if sorted(names) != sorted(path_fields) or any(f.type.kind != 'string' for f in path_fields.values()):
            self.fail(place, 'the parameters in the path must be declared, as strings')
        return Operation(
            id=op['operationId'], name=snake(op['operationId']), method=method.upper(), path=path, tag=op['tags'][0],
            paths=self.spellings(path, op), role=op['x-role'], role_when='; '.join(role_when), idempotent=op['x-idempotent'],
            takes_key=any(one['name'] == 'Idempotency-Key' for one in by_place['header']),
            credit_slug=op.get('x-credits', {}).get('slug', ''), path_fields=[path_fields[one] for one in names],
            query=Struct(name + 'Query', [self.parameter(one, name, place) for one in by_place['query']], 'input', open=True),
            body=body, body_kinds=kinds, body_required=required, body_maximum=self.body_maximum(kinds),
            quick=op['operationId'] in self.quick, reply=reply, status=status, may_be_unchanged='304' in op['responses'])

    def parameter(self, one, operation, place):
        result = self.field(one['name'], one['schema'], one.get('required', False), operation + camel(one['name']), 'input',
                            f'{place}/{one["name"]}')
        if result.type.kind == 'list' and (result.type.item.kind != 'string' or one.get('explode') is not True):
            self.fail(place, f'the list {one["name"]} must be of strings, exploded')
        return result

    def spellings(self, path, op):
        """The path and its aliases, each once; a trailing slash makes no difference to the matcher."""
        spellings = [path] + op.get('x-path-aliases', [])
        if any(re.findall(r'\{(\w+)\}', one) != re.findall(r'\{(\w+)\}', path) for one in spellings):
            self.fail(path, 'an alias has other parameters')
        return list(dict.fromkeys('/' + one.strip('/') for one in spellings))

    def body(self, op, name, place):
        if 'requestBody' not in op:
            return None, [], False
        content = op['requestBody']['content']
        required = op['requestBody'].get('required', False)
        if not any(kind in BODY_KINDS for kind in content):
            return None, ['BYTES'], required
        if not all(kind in BODY_KINDS for kind in content) or len({json.dumps(c['schema'], sort_keys=True) for c in content.values()}) != 1:
            self.fail(place, 'cannot handle this mixture of bodies')
        body = self.type_of(next(iter(content.values()))['schema'], name + 'Body', 'input', place + '/body')
        if body.kind not in ('object', 'union'):
            self.fail(place, 'the body must be an object')
        kinds = [BODY_KINDS[kind] for kind in content]
        if kinds != ['JSON']:
            self.known[body.name].is_form = True
        return body, kinds, required

    def body_maximum(self, kinds):
        if kinds == ['MULTIPART']:
            return self.limits['multipart_image_bytes']['value'] + MULTIPART_ENVELOPE
        return self.limits['json_body_bytes']['value'] if kinds and kinds != ['BYTES'] else 0

    def reply(self, op, name, place):
        successes = [(int(code), response) for code, response in op['responses'].items() if code.startswith('2')]
        if not successes:
            self.fail(place, 'never succeeds')
        status, response = successes[0]
        content = response.get('content', {})
        if len(successes) > 1 or list(content) != ['application/json']:
            return None, status
        reply = self.type_of(content['application/json']['schema'], name + 'Reply', 'output', place + '/reply')
        return (None if reply.kind == 'json' else reply), status


def read(document, limits, quick):
    """limits: of limits.yaml; quick: operationIds that may run on the event loop."""
    reader = Reader(document, limits, set(quick))
    operations = [reader.operation(path, method, item[method])
                  for path, item in document['paths'].items() for method in METHODS if method in item]
    if unknown := reader.quick - {op.id for op in operations}:
        raise ContractError(f'x-quick lists {sorted(unknown)}, which is not served')
    return Api(document, operations, reader.declarations)
