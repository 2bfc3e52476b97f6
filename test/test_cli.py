# SPDX-License-Identifier: Apache-2.0
"""One name for every command: `jepa-wm` outside ROS, `ros2 run jepa_wm_ros` inside."""

import importlib.util
import subprocess
import sys
from importlib import import_module

import pytest

from jepa_wm_ros import bringup, cli
from support.paths import ROOT


def run(*words, **options):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, cwd=ROOT, **options
    )


def test_alone_it_lists_every_command_and_node_in_one_line_each_and_imports_none(capsys):
    code = (
        'import sys; from jepa_wm_ros import cli; sys.argv = ["jepa-wm"]; status = cli.main(); '
        'print([m for m in ("rclpy", "torch", "numpy", "mujoco") if m in sys.modules], status)'
    )
    *lines, loaded = run('-c', code).stdout.splitlines()
    assert loaded == '[] 0'
    listed = [line for line in lines if line.startswith('  ')]
    assert [line.split()[0] for line in listed] == [*cli.COMMANDS, *cli.NODES]
    assert all(35 < len(line) < 90 and line.endswith('.') for line in listed), listed


def test_every_name_has_a_module_and_what_is_started_is_a_node():
    for module, _ in cli.CALLED.values():
        assert importlib.util.find_spec(module), module
    started = {p.executable for p in bringup.plan_processes(rviz=True)} - {'rviz2'}
    assert started <= cli.NODES.keys()


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_a_command_is_called_by_its_name_in_both_worlds(name, monkeypatch, capsys):
    pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')
    pytest.importorskip('torch')
    for argv, entry, shown in (
        (['/any/bin/jepa-wm', name, '--help'], cli.main, f'usage: jepa-wm {name} '),
        ([f'/ws/install/lib/jepa_wm_ros/{name}', '--help'], cli.executable, f'usage: {name} '),
    ):
        monkeypatch.setattr(sys, 'argv', argv)
        try:
            assert not entry()
        except SystemExit as ended:
            assert not ended.code
        out = capsys.readouterr().out
        assert out.startswith(shown) or name == 'bringup' and out.startswith('robot:=sim')


def test_python_m_does_the_same():
    done = run('-m', 'jepa_wm_ros', 'bringup', '--help')
    assert done.returncode == 0 and done.stdout.startswith('robot:=sim')


def test_a_name_that_is_none_is_one_line_with_what_was_meant(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['jepa-wm', 'evalute_bag', 'bag'])
    assert cli.main() == 2
    said = capsys.readouterr().err
    assert said == (
        'error: evalute_bag is no command: did you mean evaluate_bag? `jepa-wm` lists them\n'
    )


@pytest.mark.parametrize(
    ('missing', 'said'), [('mujoco', 'pip install'), ('jepa_wm_msgs', 'source a ROS 2 workspace')]
)
def test_a_package_that_is_not_installed_is_one_line_with_what_to_do(
    monkeypatch, capsys, missing, said
):
    def not_there(name):
        raise ModuleNotFoundError(f'No module named {missing!r}', name=f'{missing}.part')

    monkeypatch.setattr(cli, 'import_module', not_there)
    monkeypatch.setattr(sys, 'argv', ['jepa-wm', 'record'])
    assert cli.main() == 1
    told = capsys.readouterr().err
    assert told.startswith(f'error: record needs {missing}, which is not installed: ')
    assert said in told and told.count('\n') == 1


def test_a_module_of_ours_that_is_missing_is_a_bug_and_told_whole(monkeypatch):
    monkeypatch.setitem(cli.CALLED, 'record', ('jepa_wm_ros.no_such_room', ''))
    with pytest.raises(ModuleNotFoundError):
        cli.call('record')


def test_an_interrupt_is_no_traceback(monkeypatch):
    monkeypatch.setattr(import_module('jepa_wm_ros.bringup'), 'main', interrupted)
    assert cli.call('bringup') == 130


def interrupted():
    raise KeyboardInterrupt


def entry_points(folder, *words) -> dict[str, str]:
    """Console scripts as setup.py declares them when it is called so."""
    done = run('setup.py', '-q', *words)
    assert done.returncode == 0, done.stderr
    (written,) = folder.glob('jepa_wm_ros*/entry_points.txt')
    lines = written.read_text().splitlines()
    assert lines[0] == '[console_scripts]'
    return dict(line.split(' = ') for line in lines[1:] if line)


def test_pip_puts_one_script_on_the_path(tmp_path):
    made = entry_points(tmp_path, 'dist_info', '--output-dir', str(tmp_path))
    assert made == {'jepa-wm': 'jepa_wm_ros.cli:main'}


def test_colcon_makes_an_executable_of_every_name(tmp_path):
    made = entry_points(tmp_path, 'egg_info', '--egg-base', str(tmp_path))
    assert made == dict.fromkeys(cli.CALLED, 'jepa_wm_ros.cli:executable')
