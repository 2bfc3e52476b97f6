# SPDX-License-Identifier: Apache-2.0
"""The house keeps its order: each room imports only what it may, and stays readable."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = 'jepa_wm_ros'
SOURCES = sorted((ROOT / PACKAGE).rglob('*.py'))
LONGEST_FILE = 400  # lines; about 300 is the aim

# What each room may import: packages outside the standard library, and other rooms (a file at the
# top of the package is a room too). Those of EVERYWHERE are open to all.
ARITHMETIC = {'numpy', 'scipy'}
PICTURES = {'PIL', 'cv2'}
FILES = {'yaml', 'h5py', 'safetensors', 'tqdm'}
BAGS = {
    'rosbags',
    'apsw',
    'backports',
    'compression',
    'lz4',
}  # and what rosbags itself reads them with
DATA_SETS = {'av', 'pyarrow'}  # LeRobot's
REPORTS = {'matplotlib', 'jinja2', 'lpips'}
ROOMS = {
    'world_model': (
        ARITHMETIC | PICTURES | FILES | {'torch', 'torchvision', 'timm'},
        {'actions', 'bounded_file'},
    ),
    'planning': (ARITHMETIC | FILES | {'torch', 'nevergrad'}, set()),
    'robot': (ARITHMETIC | {'franky'}, {'actions'}),
    'recordings': (
        ARITHMETIC | PICTURES | FILES | BAGS | DATA_SETS,
        {'actions', 'bounded_file', 'ros_image'},
    ),
    'goals': (ARITHMETIC | PICTURES, {'bounded_file', 'recordings', 'ros_image'}),
    'control': (ARITHMETIC | {'torch'}, {'actions', 'world_model', 'planning', 'goals'}),
    # its recorder writes episodes through the one image pipeline of world_model
    'sim': (
        ARITHMETIC | PICTURES | FILES | {'mujoco', 'franky_sim', 'franky', 'torch'},
        {'actions', 'robot', 'recordings', 'world_model', 'processes'},
    ),
    'learning': (
        ARITHMETIC | FILES | REPORTS | {'torch', 'tensorboardX'},
        {
            'actions',
            'world_model',
            'planning',
            'recordings',
            'control',
            'evaluation',
            'sim',
            'tasks',
        },
    ),
    'findings': (
        ARITHMETIC | FILES | REPORTS,
        {'learning', 'evaluation', 'tasks', 'planning', 'world_model'},
    ),
    # its closed-loop trials and sample bags are made in the simulated cell
    'evaluation': (
        ARITHMETIC | PICTURES | FILES | BAGS | REPORTS | {'torch', 'mujoco'},
        {
            'actions',
            'world_model',
            'planning',
            'recordings',
            'control',
            'sim',
            'tasks',
            'ros_image',
        },
    ),
    'tasks': (
        ARITHMETIC | PICTURES | {'metaworld', 'mujoco', 'pymunk', 'tqdm'},
        {'actions', 'robot', 'sim', 'recordings', 'world_model'},
    ),
    'ros': (
        ARITHMETIC | PICTURES | REPORTS | {'torch', 'tqdm', 'launch', 'launch_ros'},
        {
            'actions',
            'world_model',
            'planning',
            'recordings',
            'robot',
            'control',
            'goals',
            'sim',
            'evaluation',
            'ros_image',
            'arguments',
            'bringup',
            'dds',
            'output',
            'processes',
        },
    ),
    '__init__': (set(), set()),
    'actions': (ARITHMETIC | {'array_api_compat'}, set()),
    'bounded_file': (set(), set()),
    'errors': (set(), set()),
    'fr3': ({'numpy'}, set()),
    'objective': (set(), set()),
    'resources': (set(), set()),
    'output': (set(), set()),
    'overwriting': (set(), set()),
    'logs': (set(), set()),
    'tables': ({'yaml'}, set()),
    'processes': (set(), {'logs'}),
    'arguments': (set(), set()),
    'cli': (set(), set()),  # imports by name what is called
    '__main__': (set(), {'cli'}),
    'dds': (set(), {'arguments'}),
    'bringup': (set(), {'arguments', 'cli', 'dds', 'output', 'processes'}),
    'ros_image': (PICTURES | {'numpy', 'cv_bridge'}, set()),
}
ROS = {'rclpy', 'std_srvs', 'ament_index_python'}
EVERYWHERE = {'errors', 'fr3', 'objective', 'overwriting', 'resources', 'tables', '__init__'}


def room_of(path: Path) -> str:
    inside = path.relative_to(ROOT / PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported(path: Path) -> set[str]:
    """Absolute dotted names of everything a file imports, also inside functions."""
    package = ('.'.join(path.relative_to(ROOT).parent.parts)).split('.')
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*above, *([node.module] if node.module else [])])
            names.update(f'{module}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Call) and 'import_module' in ast.unparse(node.func):
            if node.args and isinstance(node.args[0], ast.Constant):
                names.add(node.args[0].value)
    return names


def offences(path: Path) -> list[str]:
    room = room_of(path)
    outside, rooms = ROOMS[room]
    found = []
    for name in sorted(imported(path)):
        top, *rest = name.split('.')
        if top == PACKAGE:
            other = rest[0] if rest else '__init__'
            if other in ROOMS and other not in {room} | rooms | EVERYWHERE:
                found.append(f'room {other} ({name})')
        elif top in ROS or top.endswith(('_msgs', '_interfaces')):
            if room != 'ros':
                found.append(f'ROS ({name})')
        elif top not in sys.stdlib_module_names and top not in outside:
            found.append(name)
    return found


def test_every_room_has_its_rule():
    assert {room_of(path) for path in SOURCES} <= ROOMS.keys()


def test_no_room_imports_what_it_may_not():
    found = {str(path.relative_to(ROOT)): offences(path) for path in SOURCES}
    assert {path: said for path, said in found.items() if said} == {}


def test_no_two_rooms_may_import_each_other():
    below = {room: rooms for room, (_, rooms) in ROOMS.items()}
    for room in below:
        reached, ahead = set(), set(below[room])
        while ahead:
            other = ahead.pop()
            reached.add(other)
            ahead |= below[other] - reached
        assert room not in reached, f'{room} would import itself through others'


@pytest.mark.parametrize(
    'line, place, said',
    [
        ('import rclpy', 'planning/x.py', 'ROS (rclpy)'),
        ('from sensor_msgs.msg import Image', 'ros_image.py', 'ROS (sensor_msgs.msg.Image)'),
        ('from jepa_wm_ros.planning import protocol', 'world_model/x.py', 'room planning'),
        ('from jepa_wm_ros import planning', 'world_model/x.py', 'room planning'),
        ('from ..world_model import spec', 'planning/x.py', 'room world_model'),
        ('from ...ros import base', 'world_model/encoders/x.py', 'room ros'),
        ('def f():\n    import timm', 'planning/x.py', 'timm'),
        ('import importlib\nimportlib.import_module("mujoco")', 'robot/x.py', 'mujoco'),
    ],
)
def test_a_forbidden_import_is_found_however_written(tmp_path, monkeypatch, line, place, said):
    path = tmp_path / PACKAGE / place
    path.parent.mkdir(parents=True)
    path.write_text(line)
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    assert any(said in found for found in offences(path))


@pytest.mark.parametrize(
    'line, place',
    [
        ('from . import protocol\nfrom .protocol import Plan\nimport torch, json', 'planning/x.py'),
        ('from ..errors import JepaWmError\nfrom jepa_wm_ros import errors', 'world_model/x.py'),
        ('import rclpy\nfrom sensor_msgs.msg import Image\nfrom ..sim import x', 'ros/x.py'),
    ],
)
def test_permitted_imports_pass(tmp_path, monkeypatch, line, place):
    path = tmp_path / PACKAGE / place
    path.parent.mkdir(parents=True)
    path.write_text(line)
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    assert offences(path) == []


def test_every_python_file_names_its_licence_first():
    files = [
        *SOURCES,
        *(ROOT / 'test').rglob('*.py'),
        *(ROOT / 'launch').glob('*.py'),
        ROOT / 'setup.py',
    ]
    first = '# SPDX-License-Identifier: Apache-2.0\n'
    wrong = [
        str(path.relative_to(ROOT))
        for path in files
        if path.stat().st_size and not path.read_text().startswith(first)
    ]
    assert wrong == []


def test_files_stay_short_enough_to_read_in_one_sitting():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: n for path, n in lengths.items() if n > LONGEST_FILE} == {}


def test_importing_the_package_loads_no_ros_and_nothing_heavy():
    import subprocess

    heavy = ('rclpy', 'torch', 'mujoco', 'franky', 'nevergrad', 'timm')
    code = (
        'import sys, jepa_wm_ros.bringup, jepa_wm_ros.cli, jepa_wm_ros.ros_image; '
        f'print([m for m in {heavy!r} if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == '[]'
