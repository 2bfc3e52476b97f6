# SPDX-License-Identifier: Apache-2.0
"""No code and no weights are ever fetched by the running parts, and nothing is unpickled."""

import ast

import pytest

from support.paths import ROOT

FETCHES = {
    'torch.hub.load',
    'torch.hub.load_state_dict_from_url',
    'torch.hub.download_url_to_file',
    'pickle.load',
    'pickle.loads',
    'pickle.Unpickler',
    'urllib.request',
    'requests',
    'huggingface_hub',
    'dill',
    'joblib',
}


def names_of(tree: ast.AST) -> set[str]:
    """Dotted names that a module imports or speaks of."""
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or '']
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    spoken = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return imported | spoken


@pytest.mark.fault(32)
def test_no_module_can_fetch_or_unpickle():
    found = {
        f'{path.relative_to(ROOT)}: {name}'
        for path in (ROOT / 'jepa_wm_ros').rglob('*.py')
        for name in names_of(ast.parse(path.read_text()))
        if any(name == fetch or name.startswith(f'{fetch}.') for fetch in FETCHES)
    }
    assert not found


@pytest.mark.fault(30, 32)
def test_every_torch_file_is_read_without_running_it():
    calls = [
        (path, node)
        for path in (ROOT / 'jepa_wm_ros').rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'torch.load'
    ]
    assert calls
    for path, call in calls:
        safe = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert safe.get('weights_only') == 'True', f'{path}:{call.lineno}'
