"""Writes api_handlers.h, api_routes.c (the route table and the glue of each operation) and api_document.c (what /openapi.json answers)."""
import itertools
import json
import re

from . import c_text
from .model import snake


def files(api):
    return [('api_handlers.h', handlers(api)), ('api_routes.c', routes(api)), ('api_document.c', document(api))]


def handler_arguments(op):
    arguments = ['Request *rq']
    if op.has_input:
        arguments.append(f'const {op.input} *in')
    if op.reply:
        arguments.append(f'{reply_type(op)} *out')
    return ', '.join(arguments)


def symbols(op):
    """The functions that a feature defines for an operation: a stream is opened before its bytes arrive."""
    begin = [(f'begin_{op.name}', f'Request *rq, const {op.input} *in')] if op.body_kinds == ['BYTES'] else []
    return begin + [(op.name, handler_arguments(op))]


def reply_type(op):
    return {'annotations': 'AnnotationsReply'}.get(op.reply.kind, op.reply.name)


def handlers(api):
    lines = []
    if any(op.reply and op.reply.kind == 'annotations' for op in api.operations):
        lines += ['/* A bare list of annotations as the whole reply. */', 'typedef struct AnnotationsReply {',
                  '    const AnnotationList *annotations;', '    const char *annotations_json; /* instead: their JSON text */',
                  '} AnnotationsReply;', '']
    for tag, group in itertools.groupby(api.operations, key=lambda op: op.tag):
        lines.append(f'/* ---- {tag} ---- */')
        for op in group:
            lines.append(f'/* {op.method} {op.path} */')
            lines += [f'Status {name}({arguments});' for name, arguments in symbols(op)]
        lines.append('')
    lines += ['/* API_HANDLERS(X) is X(name, (arguments)) for each handler: tests define them all with it. */', '#define API_HANDLERS(X) \\']
    lines += [f'    X({name}, ({arguments})) \\' for op in api.operations for name, arguments in symbols(op)]
    lines.append('')
    about = 'Every operation\'s handler, to be defined by the feature; one that is missing fails the link. CONTRIBUTING.md says how to write one.'
    return c_text.file(about, ['"server/api/api_types.h"', '"server/api/request.h"'], lines, header=True)


def glue(op):
    lines = []
    if op.has_input:
        lines += [f'static Status decode_{op.name}(Request *rq) {{ return route_decode(rq, {op.name}_input); }}', '']
    if op.body_kinds == ['BYTES']:
        lines += [f'static Status open_{op.name}(Request *rq) {{ return begin_{op.name}(rq, rq->input); }}', '']
    arguments = ['rq'] + (['rq->input'] if op.has_input else [])
    if not op.reply:
        default = 'if (!status && !rq->response.status) rq->response.status = ' + str(op.status) + ';'
        return lines + [f'static Status run_{op.name}(Request *rq) {{', f'    Status status = {op.name}({", ".join(arguments)});',
                        f'    {default}', '    return status;', '}', '']
    arguments.append('&out')
    lines += [f'static Status run_{op.name}(Request *rq) {{', f'    {reply_type(op)} out = {{0}};',
              f'    Status status = {op.name}({", ".join(arguments)});', '    if (status) return status;']
    if op.may_be_unchanged:
        lines.append('    if (rq->response.status == 304) return STATUS_OK;')
    lines.append('    JsonWriter w = route_reply_begin(rq);')
    if op.reply.kind == 'annotations':
        lines += ['    if (out.annotations_json) json_raw(&w, out.annotations_json, strlen(out.annotations_json));',
                  '    else annotation_list_write(out.annotations ? out.annotations : &(AnnotationList){0}, &w);']
    else:
        lines.append(f'    write_{snake(op.reply.name)}(&w, &out);')
    return lines + [f'    return route_reply_end(rq, {op.status});', '}', '']


def row(op):
    def text(value):
        return c_text.string(value) if value else 'NULL'

    def flag(value):
        return 'true' if value else 'false'
    begin = f', .begin = open_{op.name}' if op.body_kinds == ['BYTES'] else ''
    decode = 'decode_' + op.name if op.has_input else 'route_decode_nothing'
    body = ' | '.join('BODY_' + kind for kind in op.body_kinds) or 'BODY_NONE'
    return [f'    {{.operation = "{op.id}", .method = HTTP_{op.method}, .path = "{op.path}", .role = ACCESS_{op.role.upper()},',
            f'     .role_when = {text(op.role_when)}, .credit_slug = {text(op.credit_slug)}, .idempotent = {flag(op.idempotent)},',
            f'     .takes_idempotency_key = {flag(op.takes_key)}, .quick = {flag(op.quick)}, .body_required = {flag(op.body_required)},',
            f'     .body = {body}, .body_maximum = {op.body_maximum}, .success_status = {op.status},',
            f'     .decode = {decode}{begin}, .run = run_{op.name}}},']


def routes(api):
    lines = [line for op in api.operations for line in glue(op)]
    lines += ['const Route route_table[] = {'] + [line for op in api.operations for line in row(op)]
    lines += ['};', f'const size_t route_count = {len(api.operations)};', '']
    lines += path_table(api)
    includes = ['"server/api/route.h"', '<string.h>', '"annotation/annotation.h"', '"server/api/api_decode.h"', '"server/api/api_handlers.h"',
                '"server/api/api_write.h"']
    return c_text.file('The route table: one row per operation, one per path, and between them the glue of each operation.', includes, lines)


def path_table(api):
    """Every spelling of every operation's path; those of one path stand together, the more special before the more general."""
    rows = [(spelling, index) for index, op in enumerate(api.operations) for spelling in op.paths]
    lines = ['const RoutePath route_paths[] = {']
    for path, index in sorted(rows, key=lambda row: (specificity(row[0]), row[1])):
        pattern = re.sub(r'\{\w+\}', '{}', path)
        lines.append(f'    {{"{pattern}", {path.count("/")}, &route_table[{index}]}}, /* {api.operations[index].id} */')
    return lines + ['};', f'const size_t route_path_count = {len(rows)};']


def specificity(path):
    """Sorts literal segments before parameters, so that the first match is the right one."""
    return [(1, '') if one.startswith('{') else (0, one) for one in path.strip('/').split('/')]


def text_array(name, text):
    """JSON text as a C string in pieces, with its size."""
    lines = [f'const char {name}[] =']
    lines += [f'    {c_text.string(text[at:at + 120])}' for at in range(0, len(text), 120)]
    lines[-1] += ';'
    return lines + [f'const size_t {name}_SIZE = sizeof {name} - 1;']


def json_text(value):
    return json.dumps(value, ensure_ascii=False, separators=(',', ':'))


def document(api):
    lines = text_array('API_DOCUMENT', json_text(api.document))
    if 'x-tools' in api.document:
        keys = ('name', 'description', 'category', 'input_schema', 'required_role', 'credit_cost', 'idempotent')
        registry = [{key: tool[key] for key in keys if key in tool} for tool in api.document['x-tools']]
        lines += [''] + text_array('API_TOOLS', json_text(registry))
    return c_text.file('The served OpenAPI document and, where that feature is served, the registry of agent tools.', ['"server/api/route.h"'], lines)
