"""Writes api_types.h and api_types.c: enums with their tables, and the structs of requests and replies."""
from . import c_text
from .model import Enum, Struct, constant, list_name, snake

ABOUT = '''Types of the contract.
 *
 * Strings are NUL-terminated UTF-8; times are milliseconds since 1970; integers int64_t; an enum's 0 means "none given".
 *
 * Requests (decoded, valid, in the request's arena): what was not sent and has no default is NULL, 0 (enum) or `has_x` false. Where null
 * means something else than absence, `x_is_null` is true for a null that was sent. Free-form JSON is a yyjson value.
 *
 * Replies (start them as {0}): a member that may be null is written as null while it is NULL, 0 (enum) or `has_x` is false; one that may
 * only be left out is left out. Free-form JSON is text. Annotations are given as the list or, which wins, as their JSON text (`x_json`).'''

SCALARS = {'string': 'const char *', 'int': 'int64_t ', 'number': 'double ', 'bool': 'bool ', 'time': 'int64_t ', 'file': 'FilePart '}


def files(api):
    return [('api_types.h', header(api)), ('api_types.c', source(api))]


def header(api):
    lines = []
    for declaration in api.declarations:
        if isinstance(declaration, Enum):
            lines += enum(declaration)
        elif isinstance(declaration, Struct):
            lines += c_text.comment(declaration.description)
            lines += struct(declaration.name, [line for f in declaration.fields for line in member(f, declaration)] +
                            (['yyjson_val *json; /* the whole object as it was sent */'] if is_open(declaration) else []))
        elif declaration.kind == 'list':
            if list_name(declaration.item) not in ('StringArray', 'IntArray'):
                lines += struct(list_name(declaration.item), [f'{declaration.item.name} *items;', 'size_t count;'])
        elif declaration.kind == 'tuple':
            lines += struct(declaration.name, [f'double items[{declaration.count}];'])
        elif declaration.kind == 'union':
            lines += ['/* One of these is not NULL. */']
            lines += struct(declaration.name, [f'{part.name} *{name};' for name, part, _ in declaration.alternatives])
    lines += ['/* ---- what each handler gets ---- */', '']
    for op in api.operations:
        if op.has_input:
            lines += [f'/* {op.method} {op.path} */'] + struct(op.input, input_members(op))
    return c_text.file(ABOUT, ['<stdbool.h>', '<stddef.h>', '<stdint.h>', '"server/api/decode.h"'],
                       ['typedef struct Annotation Annotation; /* annotation/annotation.h */', ''] + lines, header=True)


def is_open(declaration):
    return declaration.open and declaration.direction == 'input'


def struct(name, members):
    return [f'typedef struct {name} {{'] + ['    ' + one for one in members] + [f'}} {name};', '']


def input_members(op):
    members = [f'const char *{f.name}; /* path */' for f in op.path_fields]
    members += [line for f in op.query.fields for line in member(f, op.query)]
    if op.body:
        members.append(f'const {op.body.name} *body;')
    return members


def member(f, owner):
    """The lines that declare a member and its flags."""
    kind = f.type.kind
    replying = owner.direction == 'output'
    optional = not f.required and not f.has_default
    sometimes = optional or f.type.nullable
    note = ''
    if sometimes and not replying:
        note = 'not sent' if optional else 'null'
    elif sometimes:
        note = 'null' if f.type.nullable else 'left out'
    if kind == 'const':
        return []
    flags = []
    if sometimes and has_flag(f.type):
        flags.append(f'bool has_{f.name};')
        note = f'unless has: {note}' if note else ''
    if f.type.nullable and not replying and not f.required:
        flags.append(f'bool {f.name}_is_null;')
    if kind in ('string', 'enum', 'json', 'annotation', 'annotations', 'object') and note:
        note = ('0' if kind == 'enum' else 'NULL') + f': {note}'
    line = declare(f, replying, sometimes) + (f' /* {note} */' if note else '')
    if replying and kind == 'annotations':
        return [line, f'const char *{f.name}_json; /* instead: their JSON text */']
    return [line] + flags


def has_flag(type_):
    """NULL and 0 cannot say 'absent' for these."""
    return type_.kind in ('int', 'number', 'bool', 'time', 'list', 'tuple')


def declare(f, replying, sometimes):
    kind = f.type.kind
    if kind in SCALARS:
        return f'{SCALARS[kind]}{f.name};'
    if kind in ('enum', 'tuple'):
        return f'{f.type.name} {f.name};'
    if kind == 'object':
        pointer = sometimes or f.has_default
        return f'{f.type.name} {"*" if pointer else ""}{f.name};'
    if kind == 'union':
        return f'{f.type.name} *{f.name};'
    if kind == 'list':
        return f'{list_name(f.type.item)} {f.name};'
    if kind == 'json':
        return f'const char *{f.name};' if replying else f'yyjson_val *{f.name};'
    if kind == 'annotations':
        return f'{"const " if replying else ""}AnnotationList *{f.name};'
    return f'const Annotation *{f.name};'


def value_constant(name, value):
    return f'{constant(name)}_{constant(value)}'


def enum(declaration):
    if declaration.canonical is not None:
        return [f'extern const EnumTable {declaration.table};', '']
    lines = c_text.comment(declaration.description) + [f'typedef enum {declaration.name} {{']
    lines += [f'    {value_constant(declaration.name, value)}{" = 1" if index == 0 else ""},' for index, value in
              enumerate(declaration.values)]
    lines += [f'}} {declaration.name};', f'extern const EnumTable {declaration.table};',
              '/* NULL for 0 */', f'const char *{snake(declaration.name)}_name({declaration.name} value);',
              '/* 0 when unknown */', f'{declaration.name} {snake(declaration.name)}_from_name(const char *name);', '']
    return lines


def source(api):
    lines = []
    for one in api.enums():
        base = snake(one.table)
        lines += c_text.wrapped(f'static const char *const {base}_texts[] = {{NULL, ', [c_text.string(v) for v in one.values], '};', '    ')
        values = 'NULL'
        if one.canonical is not None:
            values = f'{base}_values'
            parts = [value_constant(one.name, one.canonical[v]) for v in one.values]
            lines += c_text.wrapped(f'static const int {values}[] = {{0, ', parts, '};', '    ')
        lines += [f'const EnumTable {one.table} = {{{base}_texts, {values}, {len(one.values)}, {c_text.string(one.error) if one.error else "NULL"}}};']
        if one.canonical is None:
            name = snake(one.name)
            lines += [f'const char *{name}_name({one.name} value) {{ return (int)value >= 0 && (int)value <= {len(one.values)} ? {base}_texts[value] : NULL; }}',
                      f'{one.name} {name}_from_name(const char *name) {{ return ({one.name})enum_value(&{one.table}, name); }}']
        lines.append('')
    return c_text.file('Names of the contract\'s enums.', ['"server/api/api_types.h"'], lines)
