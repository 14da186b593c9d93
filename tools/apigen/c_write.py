"""Writes api_write.h and api_write.c: one writer per reply schema."""
from . import c_text
from .model import snake


def files(api):
    return [('api_write.h', header(api)), ('api_write.c', source(api))]


def signature(struct):
    return f'void write_{snake(struct.name)}(JsonWriter *w, const {struct.name} *in)'


def header(api):
    return c_text.file('Writers of replies: each writes one value.', ['"server/api/api_types.h"'],
                       [signature(one) + ';' for one in api.structs('output')], header=True)


SUPPORT = '''static void write_time(JsonWriter *w, int64_t ms) {
    char text[CLOCK_TEXT_SIZE];
    json_string(w, clock_format(ms, text));
}

/* JSON text as it is, null for none. */
static void write_json(JsonWriter *w, const char *text) {
    if (text) json_raw(w, text, strlen(text));
    else json_null(w);
}

static void write_annotations(JsonWriter *w, const char *text, const AnnotationList *list) {
    static const AnnotationList NONE;
    if (text) write_json(w, text);
    else annotation_list_write(list ? list : &NONE, w);
}

static void write_annotation(JsonWriter *w, const Annotation *annotation) {
    if (annotation) annotation_write(annotation, w);
    else json_null(w);
}
'''


def source(api):
    body = [line for struct in api.structs('output') for line in write_struct(struct)]
    text = '\n'.join(body)
    support = [part + '\n' for part in SUPPORT.rstrip('\n').split('\n\n')]
    # Only what is used: an unused static function is an error.
    used = [part for part in reversed(support)]
    kept = []
    for part in used:
        name = part.split('(')[0].split()[-1]
        if f'{name}(w' in text + ''.join(kept):
            kept.insert(0, part)
    includes = ['"server/api/api_write.h"', '<string.h>', '"annotation/annotation.h"', '"base/clock.h"']
    return c_text.file('Writers of replies.', includes, [line for part in kept for line in part.split('\n')] + body)


def value(t, expression, pointer=False):
    """A statement that writes one value."""
    if t.kind == 'string':
        return f'json_string(w, {expression});'
    if t.kind in ('int', 'number', 'bool'):
        return f'json_{t.kind}(w, {expression});'
    if t.kind == 'enum':
        return f'json_string(w, {snake(t.name)}_name({expression}));'
    if t.kind == 'time':
        return f'write_time(w, {expression});'
    if t.kind == 'object':
        return f'write_{snake(t.name)}(w, {"" if pointer else "&"}{expression});'
    if t.kind == 'json':
        return f'write_json(w, {expression});'
    if t.kind == 'annotations':
        return f'write_annotations(w, {expression}_json, {expression});'
    if t.kind == 'annotation':
        return f'write_annotation(w, {expression});'
    if t.kind == 'const':
        return f'json_string(w, {c_text.string(t.schema["const"])});'
    raise AssertionError(t.kind)


def write_list(t, expression):
    return ['json_begin_array(w);', f'for (size_t i = 0; i < {expression}.count; i++) {value(t.item, expression + ".items[i]")}',
            'json_end_array(w);']


def write_struct(struct):
    lines = [signature(struct) + ' {']
    if all(f.type.kind == 'const' for f in struct.fields):
        lines.append('    (void)in;')
    lines.append('    json_begin_object(w);')
    for f in struct.fields:
        lines += [f'    {line}' for line in write_member(f)]
    return lines + ['    json_end_object(w);', '}', '']


def write_member(f):
    """Required or nullable: always written. Optional: left out while absent."""
    t = f.type
    expression = f'in->{f.name}'
    optional = not f.required
    pointer = t.kind == 'object' and (optional or t.nullable)
    flagged = t.kind in ('int', 'number', 'bool', 'time', 'list')
    present = f'in->has_{f.name}' if flagged else expression
    write = write_list(t, expression) if t.kind == 'list' else [value(t, expression, pointer)]
    key = f'json_key(w, {c_text.string(f.name)});'
    if t.kind == 'const' or not (optional or t.nullable):
        return [key] + write
    if optional and (not t.nullable or t.kind == 'list'):
        if t.kind == 'annotations':
            present = f'({expression} || {expression}_json)'
        return [f'if ({present}) {{'] + [f'    {one}' for one in [key] + write] + ['}']
    if flagged or pointer:
        return [key, f'if ({present}) {{'] + [f'    {one}' for one in write] + ['} else {', '    json_null(w);', '}']
    return [key] + write
