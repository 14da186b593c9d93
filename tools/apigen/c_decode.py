"""Writes api_decode.h and api_decode.c: one reader per request schema, one <operation>_input per operation."""
from . import c_text
from .model import list_name, snake
from .c_types import has_flag, value_constant


def files(api):
    return [('api_decode.h', header(api)), ('api_decode.c', source(api))]


def header(api):
    lines = [f'Status {op.name}_input(Decoder *d, void **input);' for op in api.operations if op.has_input]
    lines += ['', '/* All of them, for tests. */', 'typedef struct OperationReader {', '    const char *operation;',
              '    Status (*read)(Decoder *d, void **input);', '} OperationReader;', 'extern const OperationReader operation_readers[];',
              'extern const int operation_reader_count;']
    return c_text.file('Readers of what each operation takes: *input becomes its <Operation>Input.', ['"server/api/decode.h"'], lines, header=True)


def source(api):
    lines = []
    lists = {}
    for struct in api.structs('input'):
        for f in struct.fields:
            if f.type.kind == 'list' and list_function(f.type) and list_function(f.type) not in lists:
                lists[list_function(f.type)] = f.type
                lines += read_list(f.type)
        lines += read_struct(struct)
    for op in api.operations:
        if op.has_input:
            lines += read_operation(op)
    readers = [op for op in api.operations if op.has_input]
    lines += ['const OperationReader operation_readers[] = {'] + [f'    {{"{op.id}", {op.name}_input}},' for op in readers]
    lines += ['};', f'const int operation_reader_count = {len(readers)};']
    includes = ['"server/api/api_decode.h"', '<math.h>', '"server/api/api_types.h"', '"worker/train_config.h"']
    return c_text.file('Readers of what each operation takes, made of the readers in decode.h.', includes, lines)


# ---- rules ----

def string_rule(t):
    parts = [str(t.schema.get('minLength', 0)), str(t.schema.get('maxLength', 0)), f'&{t.pattern}' if t.pattern else 'NULL',
             'true' if t.schema.get('format') == 'password' else 'false']
    return f'(StringRule){{{", ".join(parts)}}}'


def number_rule(t):
    above = 'exclusiveMinimum' in t.schema
    low = t.schema.get('exclusiveMinimum', t.schema.get('minimum', '-INFINITY'))
    return f'(NumberRule){{{low}, {t.schema.get("maximum", "INFINITY")}, {"true" if above else "false"}}}'


def int_bounds(t):
    return f'{t.schema.get("minimum", "INT64_MIN")}, {t.schema.get("maximum", "INT64_MAX")}'


def list_bounds(t):
    return f'{t.schema.get("minItems", 0)}, {t.schema.get("maxItems", 0)}'


def list_function(t):
    """Name of the generated function for a list; strings have one in decode.c."""
    if t.item.kind == 'string':
        return ''
    return f'read_{snake(t.item.table[:-6] if t.item.kind == "enum" else t.item.name)}_{"set" if t.schema.get("uniqueItems") else "list"}'


# ---- values ----

def call(t, target, at='&m.path', value='m.value'):
    """An expression that reads a value into target."""
    arguments = f'd, {at}, {value}'
    if t.kind == 'string':
        return f'{target} = read_string({arguments}, {string_rule(t)})'
    if t.kind == 'int':
        return f'read_int({arguments}, {int_bounds(t)}, &{target})'
    if t.kind == 'number':
        return f'read_number({arguments}, {number_rule(t)}, &{target})'
    if t.kind in ('bool', 'time'):
        return f'read_{t.kind}({arguments}, &{target})'
    if t.kind == 'enum':
        table = f'&{t.table}'
        index = f'read_enum({arguments}, {table})'
        return f'{target} = ({t.name})' + (f'{t.table}.values[{index}]' if is_second_table(t) else index)
    if t.kind == 'object':
        return f'read_{snake(t.name)}({arguments}, &{target})'
    if t.kind == 'list' and t.item.kind == 'string':
        return f'read_string_list({arguments}, {list_bounds(t)}, {string_rule(t.item)}, &{target})'
    if t.kind == 'list':
        return f'{list_function(t)}({arguments}, {list_bounds(t)}, &{target})'
    if t.kind == 'tuple':
        return f'read_tuple({arguments}, {target}.items, {t.count})'
    if t.kind == 'json':
        return f'{target} = read_object({arguments})'
    if t.kind == 'annotations':
        return f'{target} = read_annotations({arguments})'
    if t.kind == 'file':
        return f'read_file(d, &m, &{target})'
    raise AssertionError(t.kind)


def is_second_table(t):
    return t.table != snake(t.name).upper() + '_TABLE'


def read_list(t):
    """A function for a list of objects, enums or tuples."""
    item = t.item
    unique = t.schema.get('uniqueItems')
    lines = [f'static void {list_function(t)}(Decoder *d, const FieldPath *at, yyjson_val *value, size_t minimum, size_t maximum,',
             f'    {list_name(item)} *out) {{', '    size_t count, i, n;', '    yyjson_val *one;',
             '    if (!read_list(d, at, value, minimum, maximum, &count)) return;',
             f'    out->items = arena_new_array(d->arena, {item.name}, count);']
    if unique:
        lines += ['    out->count = 0;', '    uint64_t seen = 0, kept = 0;', '    yyjson_arr_foreach(value, i, n, one) {', '        FieldPath path = FIELD_AT(at, i);',
                  f'        int index = read_enum(d, &path, one, &{item.table});',
                  f'        int kind = {f"{item.table}.values[index]" if is_second_table(item) else "index"};',
                  '        if (!is_first(d, &path, one, index, &seen) || (kept >> kind & 1)) continue;',
                  '        kept |= UINT64_C(1) << kind;',
                  f'        out->items[out->count++] = ({item.name})kind;', '    }']
    else:
        lines += ['    out->count = count;', '    yyjson_arr_foreach(value, i, n, one) {', '        FieldPath path = FIELD_AT(at, i);',
                  f'        {call(item, "out->items[i]", "&path", "one")};', '    }']
    return lines + ['}', '']


# ---- structs ----

def read_struct(struct):
    name = snake(struct.name)
    if struct.is_form:
        return read_members(struct, f'static void read_{name}(Decoder *d, const FieldPath *at, const DecodedBody *value, {struct.name} *out) {{',
                            'members_of_body(d, at, value, ')
    return read_members(struct, f'static void read_{name}(Decoder *d, const FieldPath *at, yyjson_val *value, {struct.name} *out) {{',
                        'members_of(d, at, value, ')


def read_members(struct, opening, source_call):
    names = [c_text.string(f.name) for f in struct.fields]
    lines = [opening] + c_text.wrapped('    static const char *const names[] = {', names, '};', '        ')
    lines += [f'    {line}' for f in struct.fields if f.has_default for line in default(f)]
    if struct.open and struct.direction == 'input' and 'query' not in source_call:
        lines.append('    out->json = value;')
    lines.append(f'    Members m = {source_call}names, {len(names)});')
    if struct.open:
        lines.append('    m.open = true;')
    lines += ['    while (members_next(&m)) {', '        switch (m.index) {']
    for index, f in enumerate(struct.fields):
        lines += [f'        case {index}: /* {f.name} */'] + [f'            {line}' for line in read_member(f, struct)] + ['            break;']
    required = sum(1 << index for index, f in enumerate(struct.fields) if f.required)
    lines += ['        }', '    }', f'    members_end(&m, {required:#x}, {struct.minimum});']
    return lines + ([f'    {struct.check}(value, at, d->errors);'] if struct.check else []) + ['}', '']


def default(f):
    target = f'out->{f.name}'
    if f.type.kind == 'string':
        return [f'{target} = {c_text.string(f.default)};']
    if f.type.kind in ('int', 'number'):
        return [f'{target} = {f.default};']
    if f.type.kind == 'bool':
        return [f'{target} = {"true" if f.default else "false"};']
    if f.type.kind == 'enum':
        return [f'{target} = {value_constant(f.type.name, f.default)};']
    if f.type.kind == 'list' and f.default == []:
        return []
    if f.type.kind == 'list' and f.type.item.kind == 'enum':
        lines = [f'{target}.items = arena_new_array(d->arena, {f.type.item.name}, {len(f.default)});']
        lines += [f'{target}.items[{target}.count++] = {value_constant(f.type.item.name, value)};' for value in f.default]
        return lines
    if f.type.kind == 'object' and f.default == {}:
        return [f'{target} = arena_new(d->arena, {f.type.name});']
    raise AssertionError(f'default of {f.name}')


def read_member(f, struct):
    target = f'out->{f.name}'
    t = f.type
    optional = not f.required and not f.has_default
    lines = []
    if t.kind == 'list' and struct.name.endswith('Query'):
        return [f'{target_flag(f)}read_repeated_string(&m, {t.schema.get("maxItems", 0)}, {string_rule(t.item)}, &{target});']
    if t.nullable or t.empty_is_null:
        test = 'is_null(m.value)' + (' || is_empty_text(m.value)' if t.empty_is_null else '')
        clear = []
        if f.has_default:
            clear.append({'string': f'{target} = NULL;', 'enum': f'{target} = 0;'}.get(t.kind) or f'out->has_{f.name} = false;')
        if not f.required:
            clear.append(f'out->{f.name}_is_null = true;')
        lines += [f'if ({test}) {{'] + [f'    {one}' for one in clear] + ['    break;', '}']
    elif struct.is_form and t.kind == 'int' and optional:
        lines += ['if (is_empty_text(m.value)) break;']
    if t.kind == 'object' and (optional or t.nullable):
        lines += [f'{target} = arena_new(d->arena, {t.name});']
    flag = (optional or t.nullable) and has_flag(t)
    if t.kind == 'object' and (optional or t.nullable or f.has_default):
        return lines + [call(t, f'*{target}').replace('&*', '') + ';']
    if flag and t.kind in ('list', 'tuple'):
        return lines + [f'out->has_{f.name} = true;', call(t, target) + ';']
    return lines + [(f'out->has_{f.name} = ' if flag else '') + call(t, target) + ';']


def target_flag(f):
    return f'out->has_{f.name} = true; ' if not f.required else ''


# ---- operations ----

def read_operation(op):
    lines = []
    if op.query.fields:
        query = op.query
        lines += read_members(query, f'static void read_{op.name}_query(Decoder *d, const FieldPath *at, const Form *query, {op.input} *out) {{',
                              'members_of_query(d, at, query, ')
    lines += [f'/* {op.method} {op.path} */', f'Status {op.name}_input(Decoder *d, void **input) {{',
              f'    {op.input} *in = *input = arena_new(d->arena, {op.input});']
    for index, f in enumerate(op.path_fields):
        lines += path_parameter(f, index)
    if op.query.fields:
        lines += ['    Form query = decode_query(d);', f'    read_{op.name}_query(d, &FIELD_ROOT("query"), &query, in);']
    if op.body:
        lines += read_body(op)
    return lines + ['    return decode_end(d);', '}', '']


def path_parameter(f, index):
    if f.name.endswith('_id'):
        return [f'    in->{f.name} = decode_path_uuid(d, {index});', f'    if (!in->{f.name}) return decode_no_such_id(d, {index});']
    lines = [f'    in->{f.name} = d->path[{index}];']
    if f.type.pattern:
        lines.append(f'    if (!{f.type.pattern}.matches(in->{f.name})) return decode_no_such_path(d);')
    return lines


def read_body(op):
    body = op.body
    lines = ['    DecodedBody body;', '    bool present;',
             f'    Status status = decode_body(d, {" | ".join("BODY_" + kind for kind in op.body_kinds)}, {"true" if op.body_required else "false"}, &body, &present);',
             '    if (status) return status;', '    FieldPath at = FIELD_ROOT("body");', f'    {body.name} *value = arena_new(d->arena, {body.name});',
             '    in->body = value;']
    if body.kind == 'union':
        return lines + ['    if (!present) return decode_end(d);'] + read_union(body)
    if op.body_kinds != ['JSON']:
        return lines + [f'    if (present) read_{snake(body.name)}(d, &at, &body, value);']
    if not op.body_required:
        lines += ['    if (!body.json) body.json = yyjson_doc_get_root(json_parse_in(d->arena, "{}", 2, d->err));']
    return lines + [f'    if (present) read_{snake(body.name)}(d, &at, body.json, value);']


def read_union(body):
    lines = []
    for name, _, own in body.alternatives:
        lines += c_text.wrapped(f'    static const char *const {name}_names[] = {{', [c_text.string(one) for one in own] + ['NULL'], '};', '        ')
    lines += ['    static const char *const *const own_names[] = {' + ', '.join(f'{name}_names' for name, _, _ in body.alternatives) + '};',
              f'    switch (read_alternative(body.json, own_names, {len(body.alternatives)})) {{']
    for index, (name, part, _) in enumerate(body.alternatives):
        lines += [f'    case {index}:', f'        value->{name} = arena_new(d->arena, {part.name});',
                  f'        read_{snake(part.name)}(d, &at, body.json, value->{name});', '        break;']
    return lines + ['    }']
