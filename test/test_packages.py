# SPDX-License-Identifier: Apache-2.0
"""Both package.xml name what is imported and started, and nothing else."""

import ast
import re
import sys
from xml.etree import ElementTree

from support.paths import ROOT

KEYS = {  # rosdep's key of what Debian packages differently than Python imports it
    'numpy': 'python3-numpy',
    'scipy': 'python3-scipy',
    'PIL': 'python3-pil',
    'yaml': 'python3-yaml',
    'h5py': 'python3-h5py',
    'tqdm': 'python3-tqdm',
    'matplotlib': 'python3-matplotlib',
    'jinja2': 'python3-jinja2',
}
STARTED = {'rviz2', 'ros2bag'}  # by launch/, not imported
BY_NAME = {'tf2_msgs'}  # where it is installed, see ros/frames.py
# No rosdep key, or none that is recent enough or may be installed: see the comment in package.xml.
BY_PIP = {
    'apsw',
    'array_api_compat',
    'av',
    'backports',  # rosbags' own reader of compressed bags
    'franky',
    'franky_sim',
    'lz4',  # of rosbags as well
    'lpips',  # asked for by nothing, used where it is
    'metaworld',
    'mujoco',
    'nevergrad',
    'pyarrow',
    'pymunk',
    'rosbags',
    'safetensors',
    'tensorboardX',
    'timm',
    'torch',
}


def imported() -> set[str]:
    """The packages outside the standard library that jepa_wm_ros/ and launch/ import."""
    found = set()
    for path in [*(ROOT / 'jepa_wm_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            elif isinstance(node, ast.Call) and 'import_module' in ast.unparse(node.func):
                names = [a.value for a in node.args if isinstance(a, ast.Constant)]
            found |= {name.partition('.')[0] for name in names}
    return found - set(sys.stdlib_module_names) - {'jepa_wm_ros', 'compression'}


def package(folder: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / folder / 'package.xml').getroot()


def depends(folder: str, *kinds: str) -> list[str]:
    return [entry.text for kind in kinds for entry in package(folder).findall(kind)]


def test_what_is_imported_is_depended_on_and_the_other_way_round():
    named = depends('.', 'exec_depend')
    assert len(named) == len(set(named))
    wanted = {KEYS.get(name, name) for name in imported() - BY_PIP}
    assert set(named) == wanted | STARTED | BY_NAME


def test_everything_that_comes_by_pip_is_imported_and_in_an_extra_or_optional():
    assert imported() >= BY_PIP
    extras = re.sub(r'[-_]', '_', (ROOT / 'setup.py').read_text())
    optional = {'lpips', 'apsw', 'backports', 'lz4'}
    for name in BY_PIP - optional - {'franky'}:  # franky_control is it
        assert re.search(rf"'{name}\b", extras), name


def test_the_interfaces_depend_on_what_their_build_asks_for():
    asked = set(
        re.findall(r'find_package\((\w+)', (ROOT / 'jepa_wm_msgs' / 'CMakeLists.txt').read_text())
    )
    assert asked == set(depends('jepa_wm_msgs', 'buildtool_depend', 'depend'))


def test_both_say_who_made_them_and_what_changed():
    for folder, name in (('.', 'jepa_wm_ros'), ('jepa_wm_msgs', 'jepa_wm_msgs')):
        root = package(folder)
        assert root.findtext('name') == name
        for tag in ('url', 'author', 'maintainer', 'license'):
            assert root.findtext(tag), f'{name} has no {tag}'
        changes = (ROOT / folder / 'CHANGELOG.rst').read_text()
        assert f'Changelog for package {name}' in changes and '\nForthcoming\n---' in changes
