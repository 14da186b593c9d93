"""Writes the SQL files NNNN_name.sql into one C file, in the order of their numbers: embed_migrations.py OUT.c FILE.sql...

The numbers must be 1, 2, 3, ... without a gap: a database remembers only how many it has.
"""
import json
import pathlib
import sys

out, files = sys.argv[1], sorted(map(pathlib.Path, sys.argv[2:]), key=lambda path: path.name)
for number, path in enumerate(files, 1):
    if int(path.name.split('_')[0]) != number:
        sys.exit(f'{path}: expected number {number:04d}')

lines = ['/* Made by embed_migrations.py. */', '#include "server/store/migrations.h"', '', 'const Migration MIGRATIONS[] = {']
for path in files:
    lines.append(f'    {{"{path.stem}",')
    # ensure_ascii=False keeps UTF-8; JSON's escapes for quotes, backslashes and line ends are C's too.
    lines += ['     ' + json.dumps(line + '\n', ensure_ascii=False) for line in path.read_text(encoding='utf-8').splitlines()]
    lines[-1] += '},'
lines += ['};', f'const int MIGRATION_COUNT = {len(files)};', '']
pathlib.Path(out).write_text('\n'.join(lines), encoding='utf-8')
