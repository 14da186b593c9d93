#!/usr/bin/env python3
"""From the wire contract in api/ to everything that must not drift from it.

    tools/apigen.py generate OUTDIR [--all]   C: api_types.h, api_decode.[hc], api_write.[hc], api_routes.[hc], api_handlers.h
    tools/apigen.py bundle OUT.json [--all]   the one OpenAPI document, as served at /openapi.json
    tools/apigen.py check ORIGINAL.yaml       does the bundle of all features say exactly what this document says?

Only what the root document lists under x-features (and not under x-unserved) is taken, or everything with --all.
The package beside this file does the work: contract.py reads, model.py understands, c_*.py write.
"""
import argparse
import json
import pathlib
import sys

from apigen import c_decode, c_routes, c_types, c_write, contract, model

API = pathlib.Path(__file__).resolve().parent.parent / 'api'


def generate(folder, document, outdir):
    outdir = pathlib.Path(outdir)
    outdir.mkdir(parents=True, exist_ok=True)
    quick = contract.load_yaml(folder / 'openapi.yaml')['x-quick']
    api = model.read(document, contract.load_yaml(folder / 'limits.yaml'), quick)
    for writer in (c_types, c_decode, c_write, c_routes):
        for name, text in writer.files(api):
            (outdir / name).write_text(text, encoding='utf-8')


def bundle(document, path):
    text = json.dumps(document, ensure_ascii=False, separators=(',', ':'))
    pathlib.Path(path).write_text(text + '\n', encoding='utf-8')


def check(original):
    difference = contract.difference(contract.load_yaml(original), contract.load(API, everything=True))
    if difference:
        sys.exit(f'{original} and {API} differ at {difference}')
    print('The two contracts are equal.')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=['generate', 'bundle', 'check'])
    parser.add_argument('path', help='folder or file to write; for check, the document to compare with')
    parser.add_argument('--all', action='store_true', help='take every feature and operation, served or not')
    parser.add_argument('--api', type=pathlib.Path, default=API, help='folder of the contract')
    options = parser.parse_args()
    try:
        if options.command == 'check':
            check(options.path)
        else:
            document = contract.load(options.api, everything=options.all)
            if options.command == 'generate':
                generate(options.api, document, options.path)
            else:
                bundle(document, options.path)
    except contract.ContractError as error:
        sys.exit(f'apigen: {error}')


if __name__ == '__main__':
    main()
