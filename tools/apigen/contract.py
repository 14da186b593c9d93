"""Reads the contract: the root document, the files of its features, and what they share, joined into one OpenAPI document."""
import yaml

METHODS = ('get', 'put', 'post', 'patch', 'delete')
# Keys of our files that steer the joining and are no part of the document.
STEERING = ('x-features', 'x-unserved', 'x-quick', 'x-shared')


class ContractError(Exception):
    """The contract says something that cannot be served; the text names the place."""


def load_yaml(path):
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
    with open(path, encoding='utf-8') as file:
        return yaml.load(file, Loader=loader)


def load(folder, everything=False):
    """The served document, or with everything the whole contract."""
    root = load_yaml(folder / 'openapi.yaml')
    features = [tag['name'] for tag in root['tags']]
    served = features if everything else root['x-features']
    unserved = set() if everything else set(root.get('x-unserved', []))
    if unknown := set(served) - set(features):
        raise ContractError(f'x-features lists {sorted(unknown)}, which is no tag')

    document = {key: value for key, value in root.items() if key not in STEERING}
    document['tags'] = [tag for tag in root['tags'] if tag['name'] in served]
    document['paths'] = {}
    document['components'] = {}
    for name in ['common'] + [feature for feature in features if feature in served]:
        merge(document, load_yaml(folder / f'{name}.yaml'), name)
    for path in list(document['paths']):
        keep_served(document['paths'], path, unserved)
    if unserved:
        raise ContractError(f'x-unserved lists {sorted(unserved)}, which no served feature has')
    if not everything:
        prune(document)
    return document


def merge(document, part, name):
    for path, item in part.get('paths', {}).items():
        add(document['paths'], path, item, name)
    for kind, components in part.get('components', {}).items():
        for key, component in components.items():
            add(document['components'].setdefault(kind, {}), key, component, name)
    for key in part.keys() - {'paths', 'components'} - set(STEERING):
        add(document, key, part[key], name)


def add(target, key, value, name):
    if key in target:
        raise ContractError(f'{name}.yaml defines {key} once more')
    target[key] = value


def keep_served(paths, path, unserved):
    for method in METHODS:
        operation = paths[path].get(method)
        if operation and operation['operationId'] in unserved:
            unserved.remove(operation['operationId'])
            del paths[path][method]
    if not any(method in paths[path] for method in METHODS):
        del paths[path]


def references(node):
    """Every $ref and discriminator target below node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == '$ref':
                yield value
            elif key == 'mapping' and 'propertyName' in node:
                yield from value.values()
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document, reference):
    node = document
    try:
        for step in reference.removeprefix('#/').split('/'):
            node = node[step]
    except KeyError:
        raise ContractError(f'{reference} leads nowhere') from None
    return node


def prune(document):
    """Drops the components that nothing served refers to."""
    reached, todo = set(), list(references(document['paths']))
    while todo:
        reference = todo.pop()
        if reference not in reached:
            reached.add(reference)
            todo.extend(references(resolve(document, reference)))
    for kind, components in document['components'].items():
        if kind != 'securitySchemes':
            document['components'][kind] = {
                name: value for name, value in components.items() if f'#/components/{kind}/{name}' in reached}


def difference(a, b, path='#'):
    """Place of the first difference between two documents, or None. The order of keys does not matter."""
    if isinstance(a, dict) and isinstance(b, dict):
        if odd := a.keys() ^ b.keys():
            return f'{path}: only one has {sorted(odd)}'
        steps = ((f'{path}/{key}', a[key], b[key]) for key in a)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        steps = ((f'{path}/{index}', a[index], b[index]) for index in range(len(a)))
    else:
        return None if type(a) is type(b) and a == b else path
    return next((found for step, x, y in steps if (found := difference(x, y, step))), None)
