# SPDX-License-Identifier: Apache-2.0
"""The scripts of examples/, imported."""

from importlib import util

from support.paths import ROOT


def load(name: str):
    """The module in examples/ called `name`."""
    spec = util.spec_from_file_location(f'examples_{name}', ROOT / 'examples' / f'{name}.py')
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
