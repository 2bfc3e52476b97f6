# SPDX-License-Identifier: Apache-2.0
"""What plan.launch.py and the wheel route start, seen without launch and without ROS."""

import json
import os
import re
import socket
import stat
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from jepa_wm_ros import arguments, bringup, dds
from jepa_wm_ros.arguments import PLAN, BringupError, read
from jepa_wm_ros.bringup import plan_processes
from jepa_wm_ros.errors import JepaWmError
from support import policy

ROOT = Path(__file__).parent.parent
LOCAL, NETWORK = ROOT / 'config' / 'fastdds_localhost.xml', ROOT / 'config' / 'fastdds.xml'
RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'


@pytest.fixture
def bare_environment(monkeypatch):
    """As if nobody had said how far the graph should reach."""
    for name in (
        'FASTRTPS_DEFAULT_PROFILES_FILE',
        'FASTDDS_DEFAULT_PROFILES_FILE',
        'ROS_LOCALHOST_ONLY',
        'ROS_STATIC_PEERS',
        RANGE,
    ):
        monkeypatch.delenv(name, raising=False)


def named(processes):
    return {process.name: process for process in processes}


def test_the_controller_drives_the_cell_at_its_address_and_is_the_first_to_be_stopped():
    processes = plan_processes('sim', arm_address='127.0.0.5')
    assert [p.executable for p in processes] == [
        'sim_cell',
        'world_model',
        'planner',
        'franka_controller',
    ]
    driven = [p.parameters.get('arm_address') for p in (processes[0], processes[-1])]
    assert driven == ['127.0.0.5'] * 2
    assert named(plan_processes())['sim_cell'].parameters['arm_address'] == '127.0.0.1'


def test_a_real_arm_has_the_same_nodes_without_the_simulated_cell():
    real = named(plan_processes('real', arm_address='172.16.0.2'))
    simulated = named(plan_processes('sim', arm_address='172.16.0.2'))
    assert real.keys() == simulated.keys() - {'sim_cell'}
    # The controller only has more patience with an arm that is starting at the same time.
    patience = simulated['franka_controller'].parameters.pop('connect_timeout')
    assert patience >= 30
    assert all(real[name] == simulated[name] for name in real)


def test_only_what_was_asked_for_overrides_the_parameter_file():
    plain = named(plan_processes())
    assert plain['planner'].parameters == plain['world_model'].parameters == {}
    assert plain['planner'].params_file.samefile(ROOT / 'config' / 'params.yaml')
    asked = named(
        plan_processes(model='jepa_wm_droid', planner='mppi', profile='fast', use_sim_time=True)
    )
    assert asked['world_model'].parameters == {'model': 'jepa_wm_droid', 'use_sim_time': True}
    assert asked['planner'].parameters == {
        'planner': 'mppi',
        'profile': 'fast',
        'use_sim_time': True,
    }


def test_another_arm_is_named_once_and_every_node_knows_its_frame():
    nodes = named(plan_processes('real', arm_address='172.16.0.2', arm='panda'))
    assert nodes['franka_controller'].parameters['arm'] == 'panda'
    frames = [nodes[name].parameters['base_frame'] for name in ('world_model', 'planner')]
    assert frames == ['panda_link0'] * 2
    with pytest.raises(BringupError, match='the simulated cell has an fr3'):
        plan_processes('sim', arm='panda')


def test_a_prefix_of_an_arm_is_in_the_frames_of_every_node():
    for robot, address in (('sim', ''), ('real', '172.16.0.2')):
        nodes = named(plan_processes(robot, arm_address=address, arm_prefix='left_'))
        for process in nodes.values():
            given = process.parameters
            assert given.get('base_frame') == 'left_fr3_link0' or given['arm_prefix'] == 'left_'
    with pytest.raises(JepaWmError, match='as in left_'):
        plan_processes(arm_prefix='left/')


def test_every_node_goes_into_the_namespace():
    for process in plan_processes(namespace='left/arm'):
        assert '__ns:=/left/arm' in process.ros_arguments()
    assert not any('__ns' in word for p in plan_processes() for word in p.ros_arguments())


def test_the_gallery_comes_with_rviz_or_alone_and_is_stopped_after_the_arm_stands():
    assert 'goal_gallery' not in named(plan_processes())
    for asked in ({'gallery': True}, {'rviz': True}):
        names = [process.name for process in plan_processes(**asked)]
        assert names.index('goal_gallery') < names.index('franka_controller')


def address_of(**arguments) -> str:
    nodes = named(plan_processes(**arguments))
    served, driven = (nodes[n].parameters['arm_address'] for n in ('sim_cell', 'franka_controller'))
    assert served == driven
    return served


def test_two_simulated_arms_in_two_namespaces_need_no_addresses():
    names = ['left', 'right', 'arm_1', 'arm_2', '/left/nested/']
    addresses = [address_of(namespace=name) for name in names]
    assert len({'127.0.0.1', *addresses}) == 6
    assert all(re.fullmatch(r'127\.0\.\d+\.\d+', address) for address in addresses)
    assert [address_of(namespace=name) for name in names] == addresses, 'known beforehand'
    assert address_of(namespace='left', arm_address='127.0.0.9') == '127.0.0.9'


def test_an_address_where_an_arm_is_served_already_is_passed_over():
    taken = address_of(namespace='left')
    with socket.create_server((taken, bringup.COMMAND_PORT)):
        assert address_of(namespace='left') != taken


def test_a_camera_driver_takes_the_place_of_the_simulated_camera():
    nodes = named(
        plan_processes(camera='topic', image='/camera/color/image_raw', transport='compressed')
    )
    assert nodes['sim_cell'].parameters['pictures'] is False
    assert nodes['world_model'].parameters == {
        'image': '/camera/color/image_raw',
        'transport': 'compressed',
    }
    assert not any(process.remappings for process in nodes.values())


def test_the_simulated_camera_speaks_where_the_driver_would():
    nodes = named(plan_processes(image='/camera/color/image_raw'))
    assert dict(nodes['sim_cell'].remappings) == {
        'image': '/camera/color/image_raw',
        'camera_info': '/camera/color/camera_info',
    }
    assert nodes['world_model'].parameters['image'] == '/camera/color/image_raw'
    assert 'pictures' not in nodes['sim_cell'].parameters


def test_every_process_logs_and_takes_the_time_as_asked():
    processes = plan_processes(rviz=True, log_level='debug', use_sim_time=True)
    assert {process.name for process in processes} >= {'rviz2', 'franka_controller', 'sim_cell'}
    for process in processes:
        words = process.ros_arguments()
        assert words[words.index('--log-level') + 1] == 'debug'
        assert 'use_sim_time:=true' in words
    assert not any('--log-level' in p.ros_arguments() for p in plan_processes())


def test_arguments_of_a_node_keep_their_types():
    process = bringup.ProcessSpec(
        'run',
        'node',
        params_file=Path('/etc/p.yaml'),
        parameters={'address': '127.0.0.1', 'number': '7', 'on': True, 'rate': 2.0, 'count': 3},
        remappings=(('image', '/camera/image_raw'),),
    )
    words = process.ros_arguments()
    assert words[:3] == ['--ros-args', '-r', '__node:=node']
    assert words[words.index('--params-file') + 1] == '/etc/p.yaml'
    yaml = pytest.importorskip('yaml')
    values = dict(
        word.split(':=')
        for word in words
        if re.match(r'\w+:=', word) and not word.startswith(('__', 'image'))
    )
    assert {name: yaml.safe_load(value) for name, value in values.items()} == dict(
        process.parameters
    )
    assert 'image:=/camera/image_raw' in words


@pytest.mark.parametrize(
    'arguments, said',
    [
        ({'robot': 'fake'}, 'sim or real'),
        ({'robot': 'real'}, 'arm_address:='),
        ({'planner': 'magic'}, 'cem'),
        ({'params_file': '/no/such.yaml'}, '/no/such.yaml'),
        ({'model': '/no/such.safetensors'}, '/no/such.safetensors'),
        ({'profile': 'nosuch'}, 'one of cell, fast, grasp, one_picture, one_picture_push, paper'),
        ({'profile': 'no_such.yaml'}, 'no_such.yaml'),
        ({'robot': 'real', 'arm_address': '10.0.0.2', 'camera': 'sim'}, 'camera:=topic'),
        ({'transport': 'compressed'}, 'camera:=topic'),
        ({'image': '/cam/compressed'}, 'camera:=topic'),
    ],
)
def test_a_wrong_argument_is_one_line_that_says_what_to_do(arguments, said):
    with pytest.raises(BringupError, match=re.escape(said)) as caught:
        plan_processes(**arguments)
    assert '\n' not in str(caught.value)


def test_words_of_the_command_line_become_arguments():
    assert read(['robot:=real', 'arm_address:=10.0.0.2', 'rviz:=true', 'model:=']) == {
        'robot': 'real',
        'arm_address': '10.0.0.2',
        'rviz': True,
        'model': '',
    }
    for word in ('robot=sim', 'speed:=fast', 'robot:=fake', 'use_sim_time:=yes'):
        with pytest.raises(BringupError, match=re.escape(word)):
            read([word])


def test_the_defaults_of_the_arguments_start_the_simulated_cell():
    words = [f'{argument.name}:={argument.default}' for argument in PLAN]
    assert plan_processes(**read(words)) == plan_processes()


def test_every_planner_can_be_asked_for():
    registry = pytest.importorskip('jepa_wm_ros.planning.registry')
    assert set(arguments.PLANNERS) == set(registry.PLANNERS)


def test_ros2_run_and_launch_find_the_executables_where_colcon_puts_them():
    config = ConfigParser()
    config.read(ROOT / 'setup.cfg')
    assert config['develop']['script_dir'] == '$base/lib/jepa_wm_ros'
    assert config['install']['install_scripts'] == '$base/lib/jepa_wm_ros'


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_an_executable_of_a_sourced_workspace_goes_before_this_python(monkeypatch, tmp_path):
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/none{os.pathsep}{tmp_path / "install"}')
    here = [sys.executable, '-P', '-m', 'jepa_wm_ros', 'planner']
    assert bringup.find_executable('jepa_wm_ros', 'planner') == here
    sourced = executable(tmp_path / 'install' / 'lib' / 'jepa_wm_ros' / 'planner')
    assert bringup.find_executable('jepa_wm_ros', 'planner') == [str(sourced)]


@pytest.mark.parametrize(('package', 'name'), [('rviz2', 'rviz2'), ('jepa_wm_ros', 'no_such_node')])
def test_what_is_not_installed_is_found_before_anything_is_started(
    monkeypatch, package, name, capsys
):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/none')
    monkeypatch.setattr('subprocess.Popen', lambda *_, **__: pytest.fail('something was started'))
    with pytest.raises(BringupError, match=f'{name} of {package} is not installed.*/none/lib'):
        bringup.find_executable(package, name)
    with pytest.raises(SystemExit) as ended:
        bringup.main(['rviz:=true'])
    assert ended.value.code == 1
    assert 'ros-$ROS_DISTRO-rviz2' in capsys.readouterr().err


@pytest.mark.parametrize(
    'distro, variable',
    [
        ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
        ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
        ('', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ],
)
def test_fast_dds_gets_its_profile_by_the_name_its_release_reads(
    bare_environment, monkeypatch, distro, variable
):
    monkeypatch.setattr(dds, 'ros_distro', lambda: distro)
    given = dds.dds_environment()
    assert given.keys() - {RANGE} == {variable}
    assert Path(given[variable]).samefile(LOCAL)
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/my/own.xml')
    assert dds.dds_environment() == {RANGE: 'LOCALHOST'}


@pytest.mark.parametrize(
    'set_before, discovery, reach, profile',
    [
        ({}, '', 'LOCALHOST', LOCAL),
        ({}, 'localhost', 'LOCALHOST', LOCAL),
        ({}, 'subnet', 'SUBNET', NETWORK),
        # the user's variables decide, unless an argument does
        ({RANGE: 'SUBNET'}, '', None, NETWORK),
        ({RANGE: 'LOCALHOST'}, '', None, LOCAL),
        ({RANGE: 'SUBNET'}, 'localhost', 'LOCALHOST', LOCAL),
        ({RANGE: 'LOCALHOST'}, 'subnet', 'SUBNET', NETWORK),
        ({'ROS_LOCALHOST_ONLY': '1'}, '', None, LOCAL),
        ({'ROS_LOCALHOST_ONLY': '0'}, '', None, NETWORK),
        ({'ROS_STATIC_PEERS': '10.0.0.2'}, '', None, NETWORK),
        # this host and those that are named
        ({RANGE: 'LOCALHOST', 'ROS_STATIC_PEERS': '10.0.0.2'}, '', None, NETWORK),
    ],
)
def test_the_graph_stays_on_this_host_unless_somebody_says_otherwise(
    bare_environment, monkeypatch, set_before, discovery, reach, profile
):
    for name, value in set_before.items():
        monkeypatch.setenv(name, value)
    words = [f'discovery:={discovery}', 'rviz:=true']
    processes = plan_processes(**read(words))
    assert {process.name for process in processes} >= {'rviz2', 'franka_controller', 'sim_cell'}
    for process in processes:
        environment = dict(process.environment)
        assert environment.pop(RANGE, None) == reach
        (given,) = environment.values()
        assert Path(given).samefile(profile)


def test_a_reach_that_cannot_be_is_refused_with_what_to_do(bare_environment, monkeypatch):
    with pytest.raises(BringupError, match='world.*localhost or subnet'):
        plan_processes(discovery='world')
    with pytest.raises(BringupError, match='use one of localhost, subnet'):
        read(['discovery:=world'])
    monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
    with pytest.raises(BringupError, match='unset it'):
        plan_processes(discovery='subnet')


def test_under_sros_2_each_process_has_the_keys_of_its_own_part_of_the_policy(monkeypatch):
    variable = 'ROS_SECURITY_ENCLAVE_OVERRIDE'
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    enclaves = {p.name: p.environment[variable] for p in plan_processes(rviz=True)}
    assert enclaves.pop('rviz2') == '/jepa_wm_ros/operator'
    assert enclaves == {name: f'/jepa_wm_ros/{name}' for name in enclaves} and len(enclaves) == 5
    others = {'operator', 'explorer', 'recorder'}  # which people start
    assert {*enclaves, *others} == {path.name for path in policy.enclaves()}
    monkeypatch.setenv(variable, '/mine')
    assert not any(variable in p.environment for p in plan_processes())
    monkeypatch.delenv(variable)
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'false')
    assert not any(variable in p.environment for p in plan_processes())


def test_the_two_profiles_differ_only_in_the_interfaces_that_are_open():
    def lines(file):
        text = re.sub('<!--.*?-->', '', file.read_text(), flags=re.DOTALL)
        return [line.strip() for line in text.splitlines() if line.strip()]

    local, network = lines(LOCAL), lines(NETWORK)
    at = local.index('<interfaceWhiteList>')
    assert local[at + 1 : at + 3] == ['<address>127.0.0.1</address>', '</interfaceWhiteList>']
    assert local[at - 2] == '<type>UDPv4</type>'
    assert local[:at] + local[at + 3 :] == network


def test_the_distribution_is_that_of_the_wheels_else_the_sourced_one(monkeypatch):
    def version(name):
        if name != 'ros-kilted-rclpy':
            raise dds.metadata.PackageNotFoundError(name)

    monkeypatch.setenv('ROS_DISTRO', 'rolling')
    monkeypatch.setattr(dds.metadata, 'version', version)
    assert dds.ros_distro() == 'kilted'
    monkeypatch.setattr(dds.metadata, 'version', lambda name: version(''))
    assert dds.ros_distro() == 'rolling'


def test_the_command_explains_its_arguments_and_refuses_unknown_ones(capsys):
    bringup.main(['--help'])
    shown = capsys.readouterr().out
    assert all(f'{argument.name}:=' in shown for argument in PLAN)
    with pytest.raises(SystemExit) as ended:
        bringup.main(['robot:=real'])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith('error: robot real needs the address')


def test_a_string_that_looks_like_a_number_stays_a_string():
    process = bringup.ProcessSpec('x', 'x', parameters={'model': '123'})
    assert f'model:={json.dumps("123")}' in process.ros_arguments()


@pytest.mark.parametrize('profile', ['tasks/paper', 'tasks/metaworld'])
def test_no_arm_is_started_with_a_profile_for_evaluation_that_bounds_nothing(profile):
    with pytest.raises(BringupError, match='is not known'):
        plan_processes(profile=profile)
