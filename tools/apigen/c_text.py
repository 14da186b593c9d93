"""Small things that all C writers share."""
import textwrap

WIDTH = 136
NOTICE = '/* Generated from api/ by tools/apigen.py; not to be edited. */'


def string(text):
    """A C string literal."""
    escaped = text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n').replace('\t', '\\t')
    return f'"{escaped}"'


def comment(text):
    """A block comment of as many lines as it takes; nothing for no text."""
    if not text:
        return []
    lines = textwrap.wrap(text.replace('*/', '* /'), WIDTH - 6)
    return ['/* ' + '\n * '.join(lines) + ' */']


def wrapped(opening, parts, closing, indent):
    """opening + parts joined by commas + closing, broken where the line would be too long."""
    text = textwrap.wrap(opening + ', '.join(parts) + closing, WIDTH, subsequent_indent=indent, break_long_words=False,
                         break_on_hyphens=False)
    return text


def file(about, includes, lines, header=False):
    """A whole file. Includes stand in groups: the file's own header first, then the system's, then ours."""
    head = [NOTICE, f'/* {about} */'] + (['#pragma once'] if header else [])
    own = [] if header else includes[:1]
    rest = includes[len(own):]
    groups = [own, [one for one in rest if one.startswith('<')], [one for one in rest if not one.startswith('<')]]
    if not header:
        groups[2].append('"base/banned.h"')
    for number, group in enumerate(group for group in groups if group):
        head += ([''] if number else []) + [f'#include {one}' for one in group]
    return '\n'.join(head + [''] + lines) + '\n'
