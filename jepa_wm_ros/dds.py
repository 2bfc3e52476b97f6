# SPDX-License-Identifier: Apache-2.0
"""What a process must be told of DDS: how far its graph reaches, its profile, its keys."""

from __future__ import annotations

import os
from importlib import metadata

from jepa_wm_ros import resources
from jepa_wm_ros.arguments import DISCOVERIES, BringupError

RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'


def dds_environment(discovery: str = '') -> dict[str, str]:
    """Variables that say how far the graph reaches, and let Fast DDS carry pictures whole.

    See the argument `discovery`. A profile of Fast DDS that is already set stays as it is.
    """
    if discovery not in ('', *DISCOVERIES):
        raise BringupError(
            f'discovery {discovery!r} is not known; use {" or ".join(DISCOVERIES)}, or leave it '
            f'empty and set {RANGE}'
        )
    if discovery == 'subnet' and os.environ.get('ROS_LOCALHOST_ONLY') == '1':
        raise BringupError('discovery:=subnet is in vain with ROS_LOCALHOST_ONLY=1: unset it')
    if not discovery and not {RANGE, 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS'} & os.environ.keys():
        discovery = 'localhost'
    local = discovery == 'localhost' or (not discovery and _stays_on_this_host())
    reach = {RANGE: discovery.upper()} if discovery else {}
    return _fast_dds_profile('fastdds_localhost.xml' if local else 'fastdds.xml') | reach


def enclave(name: str) -> dict[str, str]:
    """Under SROS 2, the variable that names the keys of a process (config/security/policy.xml),
    unless all processes share what the user has named.
    """
    override = 'ROS_SECURITY_ENCLAVE_OVERRIDE'
    if os.environ.get('ROS_SECURITY_ENABLE') != 'true' or override in os.environ:
        return {}
    return {override: f'/{resources.PACKAGE}/{name}'}


def ros_distro() -> str:
    """Name of the ROS distribution of this Python, from wheels or sourced; empty without one."""
    for name in ('jazzy', 'kilted'):
        try:
            metadata.version(f'ros-{name}-rclpy')
        except metadata.PackageNotFoundError:
            continue
        return name
    return os.environ.get('ROS_DISTRO', '')


def _stays_on_this_host() -> bool:
    """Whether ROS's own variables keep the graph here."""
    if os.environ.get('ROS_LOCALHOST_ONLY') == '1':
        return True
    near = os.environ.get(RANGE, '').upper() in ('LOCALHOST', 'OFF')
    return near and 'ROS_STATIC_PEERS' not in os.environ


def _fast_dds_profile(name: str) -> dict[str, str]:
    old, new = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
    if old in os.environ or new in os.environ:
        return {}
    return {old if ros_distro() == 'jazzy' else new: str(resources.find('config', name))}
